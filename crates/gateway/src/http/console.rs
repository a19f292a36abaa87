//! The console: a page at `/` that is a client like any other. Its files are part of the binary.
//!
//! The page may load scripts and styles from here and nothing from anywhere else, is shown in no frame, and writes no HTML
//! of its own: a script in a message has no way to run.

use std::{
    hash::{DefaultHasher, Hasher as _},
    net::SocketAddr,
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{
        self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EntityTag, HeaderName, HeaderValue,
        IfNoneMatch, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    web,
};
use serde::Serialize;

use super::{error::ApiError, health::only_read};
use crate::settings::Settings;

/// `connect-src 'self'` covers the WebSockets of this host, too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const PROTECTION: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
];

/// Where the page is.
pub const PATH: &str = "/";
/// Below which its other files are.
pub const BELOW: &str = "/console/";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($name:literal, $content_type:expr) => {
        file!($name, concat!("/console/", $name), $content_type)
    };
    ($name:literal, $path:expr, $content_type:expr) => {
        File {
            path: $path,
            content_type: $content_type,
            text: include_str!(concat!("../../console/", $name)),
        }
    };
}

const FILES: &[File] = &[
    file!("index.html", PATH, HTML),
    file!("icon.svg", SVG),
    file!("app.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("chat.js", SCRIPT),
    file!("client.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("engine.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("inbox.js", SCRIPT),
    file!("observable.js", SCRIPT),
    file!("outbox.js", SCRIPT),
    file!("people.js", SCRIPT),
    file!("session.js", SCRIPT),
    file!("typing.js", SCRIPT),
    file!("wire.js", SCRIPT),
    file!("styles/base.css", CSS),
    file!("styles/conversation.css", CSS),
    file!("styles/inbox.css", CSS),
    file!("styles/narrow.css", CSS),
    file!("styles/sidebar.css", CSS),
    file!("styles/sign-in.css", CSS),
    file!("views/composer.js", SCRIPT),
    file!("views/conversation.js", SCRIPT),
    file!("views/inbox.js", SCRIPT),
    file!("views/messages.js", SCRIPT),
    file!("views/notices.js", SCRIPT),
    file!("views/sidebar.js", SCRIPT),
    file!("views/sign-in.js", SCRIPT),
    file!("views/status.js", SCRIPT),
];

/// What the page is told about the node; part of its application data.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Console {
    /// Whether tokens can be had by `POST /dev/token`.
    development: bool,
    /// The claim of a token that holds the user's id.
    user_claim: String,
    /// Which node this is; told in development alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

impl Console {
    /// For a node with `settings` that listens on `address`.
    #[must_use]
    pub fn new(settings: &Settings, address: SocketAddr) -> Self {
        Self {
            development: settings.dev,
            user_claim: settings.auth.user_claim.clone(),
            node: settings
                .dev
                .then(|| format!("{address}, process {}", std::process::id())),
        }
    }
}

/// Adds the page, its files, and `GET /console/node.json`.
pub fn configure(cfg: &mut web::ServiceConfig, console: web::Data<Console>) {
    for file in FILES {
        let tag = tag(file.text);
        let answer = move |request: HttpRequest, known: web::Header<IfNoneMatch>| {
            let answered = serve(&request, file, &tag, &known);
            async { answered }
        };
        cfg.service(web::resource(file.path).to(answer));
    }
    cfg.service(web::resource("/console/node.json").app_data(console).to(node));
}

fn serve(
    request: &HttpRequest,
    file: &File,
    tag: &EntityTag,
    known: &IfNoneMatch,
) -> Result<HttpResponse, ApiError> {
    only_read(request)?;
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(tag)),
    };
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag.to_string()))
        .insert_header((CACHE_CONTROL, "no-cache"));
    protect(&mut response);
    if is_known {
        return Ok(response.finish());
    }
    Ok(response
        .insert_header((CONTENT_TYPE, file.content_type))
        .body(file.text))
}

async fn node(request: HttpRequest, console: web::Data<Console>) -> Result<HttpResponse, ApiError> {
    only_read(&request)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    protect(&mut response);
    Ok(response.json(console.get_ref()))
}

fn protect(response: &mut HttpResponseBuilder) {
    for (name, value) in PROTECTION {
        response.insert_header((name, HeaderValue::from_static(value)));
    }
}

/// Changes with the text; the same in every process of one build.
fn tag(text: &str) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    EntityTag::new_strong(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests;
