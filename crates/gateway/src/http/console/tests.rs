use std::{collections::BTreeSet, path::Path};

use actix_web::{
    App,
    dev::ServiceResponse,
    http::{
        Method,
        header::{ALLOW, IF_NONE_MATCH},
    },
    test::{TestRequest, call_service, init_service, read_body, read_body_json},
};

use super::*;

async fn call(settings: &Settings, request: TestRequest) -> ServiceResponse {
    let console = web::Data::new(Console::new(settings, ([127, 0, 0, 1], 4_000).into()));
    let app = init_service(App::new().configure(|cfg| configure(cfg, console))).await;
    call_service(&app, request.to_request()).await
}

async fn get(path: &str) -> ServiceResponse {
    call(&Settings::default(), TestRequest::get().uri(path)).await
}

fn header(response: &ServiceResponse, name: &HeaderName) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[actix_web::test]
async fn every_file_comes_with_its_type_and_what_protects_the_page() {
    for file in FILES {
        let response = get(file.path).await;
        assert_eq!(response.status(), 200, "{}", file.path);
        assert_eq!(header(&response, &CONTENT_TYPE), file.content_type);
        for (name, value) in PROTECTION {
            assert_eq!(header(&response, &name), value, "{}", file.path);
        }
        assert_eq!(header(&response, &CACHE_CONTROL), "no-cache");
        assert_eq!(read_body(response).await, file.text);
    }
}

#[actix_web::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let tag = header(&get("/").await, &ETAG);
    assert_ne!(tag, header(&get("/console/app.js").await, &ETAG));
    for (known, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        (String::from("*"), 304),
        (String::from("\"other\""), 200),
    ] {
        let request = TestRequest::get().insert_header((IF_NONE_MATCH, known.as_str()));
        let response = call(&Settings::default(), request).await;
        assert_eq!(response.status(), status, "{known}");
        assert_eq!(header(&response, &ETAG), tag);
        assert_eq!(header(&response, &CONTENT_SECURITY_POLICY), POLICY);
        assert_eq!(read_body(response).await.is_empty(), status == 304);
    }
}

#[actix_web::test]
async fn only_what_is_listed_is_served_and_only_read() {
    for path in [
        "/console",
        "/console/",
        "/console/none.js",
        "/console/../app.js",
        "/index.html",
    ] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }
    for path in ["/", "/console/app.js", "/console/node.json"] {
        let request = TestRequest::post().uri(path);
        let response = call(&Settings::default(), request).await;
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, &ALLOW), "GET, HEAD");
        let head = TestRequest::get().method(Method::HEAD).uri(path);
        assert_eq!(call(&Settings::default(), head).await.status(), 200);
    }
}

#[actix_web::test]
async fn the_node_is_named_in_development_alone() {
    let told = async |settings: &Settings| {
        let response = call(settings, TestRequest::get().uri("/console/node.json")).await;
        assert_eq!(header(&response, &CACHE_CONTROL), "no-store");
        read_body_json::<serde_json::Value, _>(response).await
    };
    let mut settings = Settings::default();
    assert_eq!(
        told(&settings).await,
        serde_json::json!({ "development": false, "userClaim": "userId" })
    );
    settings.dev = true;
    let development = told(&settings).await;
    assert_eq!(development["development"], true);
    assert!(
        development["node"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:4000, process ")
    );
}

#[test]
fn every_file_of_the_folder_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let mut paths = BTreeSet::new();
    for part in [folder.clone(), folder.join("styles"), folder.join("views")] {
        for entry in std::fs::read_dir(part).unwrap() {
            let file = entry.unwrap().path();
            let path = format!("/console/{}", file.strip_prefix(&folder).unwrap().display());
            match path.as_str() {
                "/console/index.html" => paths.insert(String::from("/")),
                // It only tells Node how to read the scripts.
                "/console/package.json" => false,
                _ => file.is_file() && paths.insert(path),
            };
        }
    }
    let listed: BTreeSet<_> = FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(paths, listed);
}

#[test]
fn no_file_reads_markup_or_names_another_host() {
    for file in FILES {
        let text = file.text.replace("http://www.w3.org/", "");
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "style=\"",
            "onclick=\"",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(forbidden), "{forbidden} in {}", file.path);
        }
    }
}
