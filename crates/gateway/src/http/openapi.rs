//! The description of the HTTP routes: an OpenAPI 3.1 document, put together from what the file of each route tells of it.
//!
//! It is served as [`PATH`], printed by `carillon openapi` and kept in `docs/api/openapi.json`.

mod description;
mod page;
mod refusals;
pub mod schemas;
mod serve;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::BTreeMap, fmt};

use utoipa::openapi::{
    ComponentsBuilder, Info, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, RefOr, Schema, Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

pub use description::Description;
pub use page::{FILES as PAGE_FILES, PATH as PAGE};
pub use serve::{PATH, Published, configure};

use super::{dev, health, rest};

/// The name of the security scheme.
const BEARER: &str = "token";

/// The groups of operations, in the order in which they are read.
const TAGS: [(&str, &str); 5] = [
    (
        rest::CHATS_TAG,
        "Histories, chat lists and read marks. Messages are sent over Socket.IO (`docs/api/events.d.ts`).",
    ),
    (
        rest::NOTIFICATIONS_TAG,
        "A user's notifications. Those created here reach the receiver's sockets at once.",
    ),
    (
        health::TAG,
        "For balancers and monitoring, without a token; where `CARILLON_INTERNAL_PORT` is set, on that port alone (404 here).",
    ),
    (serve::TAG, "This document."),
    (dev::TAG, "What only a development node has."),
];

/// Operations by path and method, with the schemas that they refer to, as they come together.
#[derive(Default)]
pub struct Operations {
    paths: Paths,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths.paths.keys()).finish()
    }
}

impl Operations {
    /// Adds the operation of a method, such as `GET`, and a path, such as `/api/chat/user/{userId}/chats`.
    pub fn add(&mut self, method: &str, path: &str, description: Description) {
        let (operation, schemas) = description.finish();
        self.schemas.extend(schemas);
        self.paths
            .add_path_operation(path, description::method(method).into_iter().collect(), operation);
    }
}

/// The whole document; with `is_dev` that of a development node.
#[must_use]
pub fn document(is_dev: bool) -> OpenApi {
    let mut operations = Operations::default();
    rest::describe(&mut operations);
    health::describe(&mut operations);
    serve::describe(&mut operations);
    if is_dev {
        dev::describe(&mut operations);
    }
    let tags = TAGS.iter().filter(|(name, _)| is_dev || *name != dev::TAG);
    let tags = tags.map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build());
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(operations.paths)
        .components(Some(
            ComponentsBuilder::new()
                .schemas_from_iter(operations.schemas)
                .security_scheme(BEARER, bearer())
                .build(),
        ))
        .build()
}

fn info() -> Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("Carillon")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi/introduction.md")))
        .license(Some(license))
        .build()
}

fn bearer() -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "A JSON Web Token of your application. Its claim `userId`, else `sub`, says who calls; the claim `role` may \
                 be `admin` or `service`. Never in the URL.",
            ))
            .build(),
    )
}
