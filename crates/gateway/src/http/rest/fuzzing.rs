//! Requests over REST, as any text: a line of method and target, then the body.

use actix_web::http::{
    Method, StatusCode, Uri,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use carillon_protocol::{id::UserId, limits, text::utf16_len, value::Value};

use super::{
    access::Caller,
    notifications::create,
    path::{self, Params, parameters},
    query::Query,
    route::find,
};
use crate::{
    auth::{Identity, Role, TokenError, VerifyToken},
    http::error::ApiError,
};

/// Reads `GET /target?query` and the lines after it as the routes do, up to what a use case is given.
///
/// # Panics
/// Where a refusal does not blame the request, or something is let through that breaks the bounds of the client contract.
pub fn fuzz_rest(data: &[u8]) {
    let Ok(request) = std::str::from_utf8(data) else {
        return;
    };
    let (head, body) = request.split_once('\n').unwrap_or((request, ""));
    let (method, target) = head.split_once(' ').unwrap_or((head, ""));
    if let (Ok(method), Ok(target)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>()) {
        match find(&method, target.path()) {
            Ok((operation, params)) => params_of(operation.route().1, target.path(), &params),
            Err(refusal) => blames(&refusal, &[StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED]),
        }
        query_of(target.query().unwrap_or_default());
    }
    if let Ok(body) = Value::from_json(body) {
        body_of(&body);
    }
}

fn blames(refusal: &ApiError, statuses: &[StatusCode]) {
    assert!(statuses.contains(&refusal.status()), "{refusal:?}");
}

/// A parameter is one segment of the path, decoded once.
fn params_of(template: &'static str, path: &str, params: &Params<'_>) {
    for name in parameters(template) {
        match params.text(name) {
            Ok(text) => {
                let is_of = |segment: &str| path::decode(segment).is_some_and(|decoded| text == *decoded);
                assert!(
                    !text.is_empty() && path.split('/').any(is_of),
                    "{name} is {text:?}"
                );
            }
            Err(refusal) => blames(&refusal, &[StatusCode::BAD_REQUEST]),
        }
        match params.user(name) {
            Ok(user) => user_id(&user),
            Err(refusal) => blames(&refusal, &[StatusCode::BAD_REQUEST]),
        }
    }
    let _ = params.chatbox_id();
}

fn query_of(query: &str) {
    let query = Query::parse(query);
    for key in ["userId", "page", "limit", "afterSeq", "isRead", "daysOld"] {
        let given = query.get(key);
        let is_absent = matches!(given, Ok(None));
        if let Ok(number) = query.natural(key) {
            assert_eq!(number.is_none(), is_absent, "{query:?}");
        }
        match query.positive(key) {
            Ok(number) => assert!(number.is_none_or(|number| number > 0), "{query:?}"),
            Err(refusal) => blames(&refusal, &[StatusCode::BAD_REQUEST]),
        }
    }
    if let Ok(limit) = query.limit(50, 100) {
        assert!((1..=100).contains(&limit), "{query:?}");
    }
    if let Err(refusal) = query.only("daysOld") {
        blames(&refusal, &[StatusCode::BAD_REQUEST]);
    }
}

/// The body of `POST /api/notifications/create`, from each kind of caller.
fn body_of(body: &Value) {
    for role in [Role::User, Role::Service, Role::Admin] {
        let Some(caller) = caller(role) else { continue };
        match create::read(body, &caller) {
            Ok(asked) => {
                user_id(&asked.to_user);
                user_id(&asked.from_user);
                assert!((1..=limits::MAX_NOTIFICATION_UNITS).contains(&utf16_len(&asked.text)));
                let is_own = caller.is(&asked.from_user)
                    && asked.pair.has(&asked.from_user)
                    && asked.pair.has(&asked.to_user);
                assert!(is_own || role != Role::User, "somebody else's: {asked:?}");
            }
            Err(refusal) => blames(&refusal, &[StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN]),
        }
    }
}

fn user_id(user: &UserId) {
    let units = utf16_len(user.as_str());
    assert!((1..=limits::MAX_USER_ID_UNITS).contains(&units), "{user:?}");
    assert!(!user.as_str().contains(char::is_control), "{user:?}");
}

/// `ann`, in a role.
fn caller(role: Role) -> Option<Caller> {
    struct Anyone(Role);

    impl VerifyToken for Anyone {
        fn verify(&self, _token: &str) -> Result<Identity, TokenError> {
            Ok(Identity {
                user: UserId::parse("ann").ok(),
                role: self.0,
                expires_at: None,
            })
        }
    }

    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a-token"));
    Caller::authenticate(&headers, &Anyone(role)).ok()
}
