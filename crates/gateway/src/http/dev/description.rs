//! What a development node signs, for the description of its routes.

use carillon_protocol::problem::Code;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AnyOfBuilder, Type},
    },
};

use super::{DEFAULT_TTL, MAX_TTL_SECONDS, Minted};
use crate::http::openapi::{
    Description, Operations,
    schemas::{self, any_of_types, integer},
};

/// The group of the operation.
pub(in crate::http) const TAG: &str = "Development";

/// Whom the token should name.
enum WantedToken {}

impl PartialSchema for WantedToken {
    fn schema() -> RefOr<Schema> {
        let user = AnyOfBuilder::new()
            .item(schemas::UserId::schema())
            .item(integer())
            .description(Some("Whom it names."));
        ObjectBuilder::new()
            .property("userId", user)
            .required("userId")
            .property(
                "role",
                any_of_types([Type::String, Type::Null])
                    .enum_values(Some([
                        json!("user"),
                        json!("admin"),
                        json!("service"),
                        json!(null),
                    ]))
                    .description(Some("What it allows over REST beside one's own."))
                    .default(Some(json!("user"))),
            )
            .property(
                "ttlSeconds",
                any_of_types([Type::Integer, Type::Null])
                    .minimum(Some(1))
                    .maximum(Some(MAX_TTL_SECONDS))
                    .description(Some("How long it is good."))
                    .default(Some(DEFAULT_TTL.as_secs().into())),
            )
            .description(Some("Whom the token should name."))
            .into()
    }
}
impl ToSchema for WantedToken {}

/// Adds the operation.
pub(in crate::http) fn describe(operations: &mut Operations) {
    let description = Description::new(
        "signToken",
        "Sign a token",
        "For whoever asks from this machine. Everybody else is refused on every route.",
    )
    .tag(TAG)
    .takes::<WantedToken>("Whom it should name.", json!({ "userId": "alice", "role": "user", "ttlSeconds": 3600 }))
    .answers::<Minted>(
        200,
        "The token.",
        json!({ "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl", "expiresAt": "2026-09-21T15:13:20.000Z" }),
    )
    .refuses(Code::Invalid, "userId: a user id is not empty")
    .refuses(Code::Forbidden, "A development node serves only this machine")
    .reads_body()
    .refuses(Code::Internal, "the token cannot be signed");
    operations.add("POST", "/dev/token", description);
}
