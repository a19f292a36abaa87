//! The page that shows the description to people: three static files that read [`super::PATH`] and ask nobody else.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
    web,
};

use crate::http::{error::ApiError, health::only_read};

/// Where the page is.
pub const PATH: &str = "/docs";
/// Below which its other files are.
pub const FILES: &str = "/docs/";
/// Scripts, styles and data of this node alone, none of them inline; no frames, no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        path: PATH,
        content_type: "text/html; charset=utf-8",
        body: include_str!("page/index.html"),
    },
    Asset {
        path: "/docs/page.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("page/page.css"),
    },
    Asset {
        path: "/docs/page.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("page/page.js"),
    },
];

/// Adds the files.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    for asset in ASSETS {
        let answer = move |request: HttpRequest| async move { asset.answer(&request) };
        cfg.service(web::resource(asset.path).to(answer));
    }
}

impl Asset {
    fn answer(self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        only_read(request)?;
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .body(self.body))
    }
}
