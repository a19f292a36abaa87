//! The routes over the real store, called as clients call them.

mod chats;
mod checks;
mod create;
mod history;
mod notifications;
mod server;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    App,
    http::{Method, header::HeaderMap},
    middleware::from_fn,
    test::{self, TestRequest},
    web,
};
use carillon_protocol::id::UserId;
use serde_json::Value as Json;

use super::{Rest, path::decode, *};
use crate::{
    auth::{Identity, Role, TokenError},
    http::{error, openapi::tests::assert_described},
    services::{presence::Scope, testing::Node},
};

/// 2026-09-21T14:13:20.000Z.
const NOW: i64 = 1_790_000_000_000;

/// A token is the percent-encoded id of a user, after `admin:` or `service:` where it has that role.
struct NamesItself;
impl VerifyToken for NamesItself {
    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let (role, name) = match token.split_once(':') {
            Some(("admin", name)) => (Role::Admin, name),
            Some(("service", name)) => (Role::Service, name),
            Some(("expired", _)) => return Err(TokenError::Expired),
            Some(_) => return Err(TokenError::Invalid),
            None => (Role::User, token),
        };
        let user = decode(name).filter(|name| !name.is_empty() && name != "nobody");
        Ok(Identity {
            user: user.map(|name| UserId::parse(name).unwrap()),
            role,
            expires_at: None,
        })
    }
}

#[derive(Default)]
struct Quota {
    is_used_up: AtomicBool,
}
impl RequestQuota for Quota {
    fn request(&self, _: IpAddr) -> Result<(), u64> {
        if self.is_used_up.load(Ordering::SeqCst) {
            Err(1_500)
        } else {
            Ok(())
        }
    }

    fn session_request(&self, _user: &UserId) -> Result<(), u64> {
        Ok(())
    }
}

/// The REST edge of a node.
struct Edge {
    node: Node,
    quota: Arc<Quota>,
    development: bool,
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answered {
    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Edge {
    fn new() -> Self {
        let node = Node::new(Scope::All);
        node.clock.set(NOW);
        Self {
            node,
            quota: Arc::default(),
            development: false,
        }
    }

    fn rest(&self) -> Rest {
        Rest {
            services: Arc::clone(&self.node.services),
            verifier: Arc::new(NamesItself),
            limits: self.quota.clone(),
            development: self.development,
        }
    }

    /// Whatever is answered must be as the description of the routes says.
    async fn call(&self, request: TestRequest) -> Answered {
        let request = request.to_request();
        let (method, path) = (request.method().clone(), request.path().to_owned());
        let app = App::new()
            .app_data(web::Data::new(self.rest()))
            .configure(configure)
            .wrap(from_fn(error::json_errors));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert_eq!(headers.get("content-type").unwrap(), "application/json");
        let body = test::read_body(response).await;
        let answered = Answered {
            status,
            headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        if let Some((method, template)) = described(&method, &path) {
            assert_described(method, template, answered.status, &answered.json());
        }
        answered
    }

    /// Status and body of a request with a token and without a body.
    async fn ask(&self, method: Method, token: &str, path: &str) -> (u16, Json) {
        let answered = self.call(request(method, token, path)).await;
        (answered.status, answered.json())
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Json) {
        self.ask(Method::GET, token, path).await
    }

    async fn patch(&self, token: &str, path: &str) -> (u16, Json) {
        self.ask(Method::PATCH, token, path).await
    }

    async fn delete(&self, token: &str, path: &str) -> (u16, Json) {
        self.ask(Method::DELETE, token, path).await
    }

    async fn create(&self, token: &str, body: &Json) -> (u16, Json) {
        let answered = self
            .call(request(Method::POST, token, CREATE).set_json(body))
            .await;
        (answered.status, answered.json())
    }

    /// A notification from one user to another; answers with its id.
    async fn notify(&self, from: &str, to: &str) -> String {
        let body = serde_json::json!({ "fromUser": from, "toUser": to, "message": "hello" });
        let (status, body) = self.create("service:", &body).await;
        assert_eq!(status, 201);
        body["notification"]["notifId"].as_str().unwrap().to_owned()
    }
}

const CREATE: &str = "/api/notifications/create";

/// The method and template under which the operation of a request is described.
fn described(method: &Method, path: &str) -> Option<(&'static str, &'static str)> {
    let (operation, _) = route::find(method, path).ok()?;
    let (method, template, _) = route::ROUTES.into_iter().find(|route| route.2 == operation)?;
    Some((method, template))
}

fn request(method: Method, token: &str, path: &str) -> TestRequest {
    TestRequest::default()
        .method(method)
        .uri(path)
        .insert_header(("Authorization", format!("Bearer {token}")))
}

/// Asserts the status and that the body is a refusal with this code and text.
#[track_caller]
fn assert_refused((status, body): (u16, Json), expected: u16, code: &str, message: &str) {
    assert_eq!(status, expected, "{body}");
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["message"], message, "{body}");
}

/// Asserts the status and code alone.
#[track_caller]
fn assert_code((status, body): (u16, Json), expected: u16, code: &str) {
    assert_eq!(status, expected, "{body}");
    assert_eq!(body["code"], code, "{body}");
    assert!(body["message"].is_string());
}
