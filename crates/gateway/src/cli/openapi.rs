//! `carillon openapi`: prints the description of the HTTP routes.

use clap::Args;

use super::Failure;
use crate::http::openapi;

/// Print the description of the HTTP routes, an OpenAPI 3.1 document
///
/// A node serves the same as /openapi.json.
#[derive(Debug, Args)]
pub(super) struct OpenApi {}

impl OpenApi {
    /// The document as JSON, indented.
    pub(super) fn write(&self) -> Result<String, Failure> {
        let document = openapi::document(false).to_pretty_json();
        document.map_err(|error| Failure::Runtime(error.into()))
    }
}
