//! What is refused: a status with its body and headers for each [`Code`].

use carillon_protocol::problem::Code;
use serde_json::{Value, json};
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    schema::Type,
};

use super::schemas::{integer, string};
use crate::http::error::ApiError;

/// A refusal of an operation.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// The text of the example, as the node writes it.
    pub(super) message: String,
    /// Whether its body says `success: false`.
    pub(super) unsuccessful: bool,
}

impl Refusal {
    pub(super) fn status(&self) -> u16 {
        ApiError::new(self.code, "").status().as_u16()
    }

    /// The name of its body's schema, and the schema.
    pub(super) fn schema(&self) -> (String, RefOr<Schema>) {
        (self.schema_name(), body(self.code, self.unsuccessful).into())
    }

    pub(super) fn response(&self) -> Response {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(self.schema_name())))
            .example(Some(self.example()))
            .build();
        let mut response = ResponseBuilder::new()
            .description(meaning(self.code))
            .content("application/json", content);
        if is_retryable(self.code) {
            response = response.header("Retry-After", retry_after());
        }
        if self.code == Code::Unauthorized {
            let header = HeaderBuilder::new()
                .description(Some("How to name oneself."))
                .schema(Some(string().enum_values(Some(["Bearer"]))));
            response = response.header("WWW-Authenticate", header.build());
        }
        response.build()
    }

    fn schema_name(&self) -> String {
        let pascal = self.code.as_str().split('_').flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters)
        });
        let prefix = if self.unsuccessful { "Notification" } else { "" };
        prefix.chars().chain(pascal).collect()
    }

    fn example(&self) -> Value {
        let mut example = json!({ "message": self.message, "code": self.code.as_str() });
        if let Some(example) = example.as_object_mut() {
            if self.unsuccessful {
                example.insert("success".to_owned(), false.into());
            }
            if is_retryable(self.code) {
                example.insert("retryAfterMs".to_owned(), 1_000.into());
            }
        }
        example
    }
}

/// The header that says when a retry is worth it.
pub(super) fn retry_after() -> Header {
    HeaderBuilder::new()
        .description(Some("After how many seconds a retry is worth it."))
        .schema(Some(integer().minimum(Some(1))))
        .build()
}

const fn is_retryable(code: Code) -> bool {
    matches!(code, Code::RateLimited | Code::Unavailable)
}

fn body(code: Code, unsuccessful: bool) -> ObjectBuilder {
    let mut body = ObjectBuilder::new()
        .description(Some(meaning(code)))
        .property(
            "message",
            string().min_length(Some(1)).description(Some("What is wrong, for people.")),
        )
        .required("message")
        .property(
            "code",
            string()
                .enum_values(Some([code.as_str()]))
                .description(Some("What is wrong, for programs.")),
        )
        .required("code")
        .property(
            "details",
            string().description(Some(
                "What exactly was wrong, for `invalid`; for anything else only where `NODE_ENV` is `development`.",
            )),
        );
    if unsuccessful {
        let success = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .enum_values(Some([false]))
            .description(Some("The request was not carried out."));
        body = body.property("success", success);
        // A node that does not serve yet knows of no route.
        if code != Code::Unavailable {
            body = body.required("success");
        }
    }
    if is_retryable(code) {
        let retry = integer()
            .minimum(Some(1))
            .description(Some("After how many milliseconds a retry is worth it."));
        body = body.property("retryAfterMs", retry).required("retryAfterMs");
    }
    body
}

const fn meaning(code: Code) -> &'static str {
    match code {
        Code::Invalid => {
            "A value in the path, the query or the body is wrong; the same request will fail again."
        }
        Code::Unauthorized | Code::TokenExpired => {
            "There is no token, or it is not a good one (`Invalid token`)."
        }
        Code::Forbidden => "It is somebody else's.",
        Code::NotFound => "It is not there.",
        Code::MethodNotAllowed => "The route has other methods; `Allow` names them.",
        Code::TooLarge => "The body is larger than 1,000,000 bytes.",
        Code::UnsupportedMediaType => "The body is not `application/json`, or is encoded.",
        Code::RateLimited => "There are too many requests from this address.",
        Code::Internal => "The node failed.",
        Code::Unavailable => "A server behind the node does not answer, or the node is starting.",
    }
}
