//! `/openapi.json`, and where it is offered the page that shows it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{CACHE_CONTROL, ContentType, ETAG, EntityTag, Header as _, IF_NONE_MATCH, IfNoneMatch},
    web,
};
use bytes::Bytes;
use carillon_protocol::problem::Code;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    Description, Operations, page,
    schemas::{any_object, string},
};
use crate::http::{error::ApiError, health::only_read};

/// Where the document is.
pub const PATH: &str = "/openapi.json";
/// The group of its operation.
pub(super) const TAG: &str = "Description";
/// It changes with the node's version alone; a copy is asked for again all the same.
const CACHING: &str = "no-cache";

/// The document as it is served; made once, shared by all workers.
#[derive(Debug)]
pub struct Published {
    body: Bytes,
    tag: EntityTag,
    has_page: bool,
}

impl Published {
    /// The document, that of a development node with `is_dev`; `has_page` offers the page that shows it.
    ///
    /// # Errors
    /// Where the document cannot be written as JSON.
    pub fn new(is_dev: bool, has_page: bool) -> Result<Self, serde_json::Error> {
        let body = super::document(is_dev).to_json()?;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Ok(Self {
            tag: EntityTag::new_strong(format!("{:016x}", hasher.finish())),
            body: Bytes::from(body),
            has_page,
        })
    }
}

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig, published: web::Data<Published>) {
    if published.has_page {
        page::configure(cfg);
    }
    cfg.service(web::resource(PATH).app_data(published).to(document));
}

async fn document(request: HttpRequest, published: web::Data<Published>) -> Result<HttpResponse, ApiError> {
    only_read(&request)?;
    let with_headers = |mut response: HttpResponseBuilder| {
        response
            .insert_header((ETAG, published.tag.clone()))
            .insert_header((CACHE_CONTROL, CACHING));
        response
    };
    if is_known(&request, &published.tag) {
        return Ok(with_headers(HttpResponse::NotModified()).finish());
    }
    Ok(with_headers(HttpResponse::Ok())
        .content_type(ContentType::json())
        .body(published.body.clone()))
}

/// Whether the client has this version already.
fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    if !request.headers().contains_key(IF_NONE_MATCH) {
        return false;
    }
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(tag)),
        Err(_) => false,
    }
}

/// An OpenAPI document.
enum OpenApiDocument {}

impl PartialSchema for OpenApiDocument {
    fn schema() -> RefOr<Schema> {
        any_object().into()
    }
}
impl ToSchema for OpenApiDocument {}

pub(super) fn describe(operations: &mut Operations) {
    let tag = || string().pattern(Some("^\"[0-9a-f]{16}\"$"));
    let description = Description::new(
        "getDescription",
        "Read this document",
        "The description of the routes as an OpenAPI 3.1 document. It needs no token, and with the `ETag` as `If-None-Match` no \
         second answer.",
    )
    .tag(TAG)
    .answers::<OpenApiDocument>(200, "The document.", json!({ "openapi": "3.1.0" }))
    .with_header("ETag", "Its version.", tag())
    .answers_nothing(304, "It is the version that `If-None-Match` names.")
    .with_header("ETag", "Its version.", tag())
    .refuses(Code::Unavailable, "The node is starting");
    operations.add("GET", PATH, description);
}
