//! What the health routes answer, for the description of all routes.

use carillon_protocol::problem::Code;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::AdditionalProperties},
};

use super::{PROMETHEUS_TEXT, Stage};
use crate::http::openapi::{
    Description, Operations,
    schemas::{integer, string},
};

/// The group of the operations.
pub(in crate::http) const TAG: &str = "Health";

/// A node that is well.
enum Well {}

/// A node that takes no new clients.
enum NotReady {}

impl PartialSchema for Well {
    fn schema() -> RefOr<Schema> {
        told()
            .property("status", string().enum_values(Some(["ok"])))
            .required("status")
            .description(Some("The node is well."))
            .into()
    }
}
impl ToSchema for Well {}

impl PartialSchema for NotReady {
    fn schema() -> RefOr<Schema> {
        told()
            .property("message", string().min_length(Some(1)))
            .required("message")
            .property("code", string().enum_values(Some([Code::Unavailable.as_str()])))
            .required("code")
            .description(Some("The node takes no new clients."))
            .into()
    }
}
impl ToSchema for NotReady {}

/// What `?verbose` adds.
fn told() -> ObjectBuilder {
    let stages = [Stage::Starting, Stage::Ready, Stage::Draining].map(Stage::as_str);
    ObjectBuilder::new()
        .property(
            "stage",
            string()
                .enum_values(Some(stages))
                .description(Some("Where the node stands in its life; with `verbose`.")),
        )
        .additional_properties(Some(AdditionalProperties::<Schema>::RefOr(
            string()
                .description(Some(
                    "The state of a part of the node, under the part's name; with `verbose`.",
                ))
                .into(),
        )))
}

/// Adds the operations.
pub(in crate::http) fn describe(operations: &mut Operations) {
    for (path, id) in [("/livez", "getLiveness"), ("/health", "getHealth")] {
        let text =
            "The process is alive, whatever state its servers are in. `/livez` and `/health` are the same.";
        let description = verbose(Description::new(id, "Ask whether the node is alive", text));
        operations.add(
            "GET",
            path,
            description.answers::<Well>(200, "It is alive.", json!({ "status": "ok" })),
        );
    }
    let text = "Whether new clients should be sent here: not while it waits for its servers, and not once it has been told to \
                stop.";
    let ready = verbose(Description::new(
        "getReadiness",
        "Ask whether the node takes new clients",
        text,
    ))
    .answers::<Well>(200, "It takes new clients.", json!({ "status": "ok" }))
    .answers::<NotReady>(
        503,
        "It takes no new clients: it is starting or draining.",
        json!({ "message": "The node is draining", "code": "unavailable" }),
    )
    .with_header(
        "Retry-After",
        "After how many seconds it is worth asking again.",
        integer().minimum(Some(1)),
    );
    operations.add("GET", "/readyz", ready);
    let metrics = Description::new(
        "getMetrics",
        "Read the metrics",
        "Counters and gauges of the node in Prometheus' text format, among them `carillon_connections`.",
    )
    .answers_text(200, "The metrics.", PROMETHEUS_TEXT, "carillon_connections 3\n");
    operations.add("GET", "/metrics", here_or_apart(metrics));
}

fn verbose(description: Description) -> Description {
    let text = "Tells the node's stage and the states of its parts; any value, also none.";
    here_or_apart(description).query("verbose", text, string())
}

fn here_or_apart(description: Description) -> Description {
    description.tag(TAG).refuses(Code::NotFound, "Route not found")
}
