//! That the description is whole and kept, and the check of answers by it that the tests of the routes use.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{
    App,
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use serde_json::{Map, Value};

use super::*;

const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/openapi.json");

fn described() -> Value {
    serde_json::to_value(document(false)).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// Whether an operation is described as answering with this status.
pub(crate) fn answers(method: &str, template: &str, status: u16) -> bool {
    let document = described();
    document["paths"][template][method.to_ascii_lowercase()]["responses"][status.to_string()].is_object()
}

/// Asserts that an operation answers with this status, and that the body has the form that it says: every key is described,
/// none that is required is missing.
#[track_caller]
pub(crate) fn assert_described(method: &str, template: &str, status: u16, body: &Value) {
    let document = described();
    let responses = &document["paths"][template][method.to_ascii_lowercase()]["responses"];
    let response = &responses[status.to_string()];
    assert!(
        response.is_object(),
        "{method} {template}: {status} is not described"
    );
    let schema = &response["content"]["application/json"]["schema"];
    if let Err(wrong) = check(&document, schema, body) {
        panic!("{method} {template} {status}: {wrong} in {body}");
    }
}

/// As much of JSON Schema as is needed for what the store's failures make hard to reach from outside; live answers are
/// checked by a whole implementation in `crates/testkit/node/openapi.test.js`.
fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#'));
        return check(document, schema.ok_or(format!("no {name}"))?, value);
    }
    if let Some(forms) = schema["anyOf"].as_array() {
        let outcomes: Vec<_> = forms.iter().map(|form| check(document, form, value)).collect();
        return outcomes
            .iter()
            .find(|outcome| outcome.is_ok())
            .unwrap_or(&outcomes[0])
            .clone();
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return allowed
            .contains(value)
            .then_some(())
            .ok_or(format!("{value} is none of {allowed:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"] != kind {
        return Err(format!("{value} is no {}", schema["type"]));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check(document, &schema["items"], item)),
        Value::Object(object) => check_object(document, schema, object),
        _ => Ok(()),
    }
}

fn check_object(document: &Value, schema: &Value, object: &Map<String, Value>) -> Result<(), String> {
    for required in schema["required"].as_array().into_iter().flatten() {
        let required = required.as_str().unwrap();
        object.get(required).ok_or(format!("{required} is missing"))?;
    }
    object.iter().try_for_each(|(key, value)| {
        let property = schema["properties"]
            .get(key)
            .ok_or(format!("{key} is not described"))?;
        check(document, property, value).map_err(|wrong| format!("{key}: {wrong}"))
    })
}

#[test]
fn every_route_is_described_under_its_method() {
    let document = described();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            keys(item)
                .into_iter()
                .map(move |method| (method.to_ascii_uppercase(), path.as_str()))
        })
        .collect();
    let own = ["/livez", "/health", "/readyz", "/metrics", PATH].map(|path| ("GET".to_owned(), path));
    let routes = rest::routes().map(|(method, template)| (method.to_owned(), template));
    assert_eq!(described, routes.chain(own).collect());
}

#[test]
fn every_rest_operation_tells_what_any_of_them_may_refuse() {
    let document = described();
    for (method, template) in rest::routes() {
        let operation = &document["paths"][template][method.to_ascii_lowercase()];
        let told = keys(&operation["responses"]);
        for status in ["400", "401", "403", "429", "503"] {
            assert!(told.contains(status), "{method} {template} {status}");
        }
        assert!(operation["security"][0][BEARER].is_array());
        for text in ["operationId", "summary", "description"] {
            assert!(
                operation[text].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {template} {text}"
            );
        }
        let named: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        for parameter in template
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        {
            assert!(
                named.iter().any(|named| named["name"] == parameter),
                "{template} {parameter}"
            );
        }
    }
}

#[test]
fn what_is_referred_to_is_there_and_what_is_there_is_referred_to() {
    let document = described();
    let text = document.to_string();
    let referred: BTreeSet<_> = text
        .split("\"#/components/schemas/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(referred, keys(&document["components"]["schemas"]));
}

#[test]
fn operations_are_named_once_and_grouped() {
    let document = described();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert_eq!(ids.insert(id.to_owned(), (path, method)), None, "{id}");
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{id}");
        }
    }
}

#[test]
fn only_a_development_node_describes_its_own_routes() {
    let development = serde_json::to_value(document(true)).unwrap();
    assert!(development["paths"]["/dev/token"]["post"].is_object());
    assert!(described()["paths"].get("/dev/token").is_none());
}

#[test]
fn the_kept_copy_is_the_description() {
    let kept = std::fs::read_to_string(COPY).unwrap_or_default();
    let written = document(false).to_pretty_json().unwrap() + "\n";
    assert!(
        kept == written,
        "docs/api/openapi.json is another: `make openapi` writes it anew"
    );
}

async fn ask(
    request: TestRequest,
    has_page: bool,
) -> (StatusCode, actix_web::http::header::HeaderMap, String) {
    let published = web::Data::new(Published::new(false, has_page).unwrap());
    let app = App::new().configure(|cfg| configure(cfg, published));
    let app = init_service(app).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_body(response).await;
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

#[actix_web::test]
async fn it_is_served_with_a_version_that_spares_a_second_answer() {
    let (status, headers, body) = ask(TestRequest::get().uri(PATH), false).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), described());
    let tag = headers.get("etag").unwrap();
    for (known, expected) in [(tag.to_str().unwrap(), 304), ("\"another\"", 200), ("*", 304)] {
        let request = TestRequest::get()
            .uri(PATH)
            .insert_header(("if-none-match", known));
        let (status, headers, body) = ask(request, false).await;
        assert_eq!(status, expected);
        assert_eq!(headers.get("etag").unwrap(), tag);
        assert_eq!(body.is_empty(), expected == 304);
    }
    assert_eq!(ask(TestRequest::post().uri(PATH), false).await.0, 405);
}

#[actix_web::test]
async fn the_page_is_served_where_it_is_offered() {
    for path in ["/docs", "/docs/page.css", "/docs/page.js"] {
        let (status, headers, body) = ask(TestRequest::get().uri(path), true).await;
        assert_eq!(status, 200, "{path}");
        let policy = headers.get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        // Nothing from elsewhere, and nothing that the policy would refuse.
        for foreign in ["http://", "https://", "<style", " style=", "onclick", "innerHTML"] {
            assert!(!body.contains(foreign), "{path} {foreign}");
        }
        assert_eq!(ask(TestRequest::get().uri(path), false).await.0, 404, "{path}");
        assert_eq!(ask(TestRequest::post().uri(path), true).await.0, 405, "{path}");
    }
}
