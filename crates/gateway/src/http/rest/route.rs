//! Which operation a method and a path ask for.

use actix_web::http::Method;

use super::path::Params;
use crate::{
    http::error::ApiError,
    telemetry::metrics::{OTHER, Route},
};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    History,
    MarkChatRead,
    ChatboxId,
    ChatList,
    UnreadCount,
    Inbox,
    Stats,
    Create,
    MarkRead,
    MarkAllRead,
    Delete,
    CleanUp,
}

impl Operation {
    /// Whether its answers say `success`: those about notifications always did.
    pub(super) const fn tells_success(self) -> bool {
        match self {
            Self::Inbox
            | Self::Stats
            | Self::Create
            | Self::MarkRead
            | Self::MarkAllRead
            | Self::Delete
            | Self::CleanUp => true,
            Self::History | Self::MarkChatRead | Self::ChatboxId | Self::ChatList | Self::UnreadCount => {
                false
            }
        }
    }
}

/// Method, path and operation, as the client contract lists them.
pub(super) const ROUTES: [(&str, &str, Operation); 12] = [
    ("GET", "/api/chat/messages/{chatboxId}", Operation::History),
    (
        "GET",
        "/api/chat/chatbox/{senderId}/{receiverId}",
        Operation::ChatboxId,
    ),
    ("GET", "/api/chat/user/{userId}/chats", Operation::ChatList),
    (
        "GET",
        "/api/chat/user/{userId}/unread-count",
        Operation::UnreadCount,
    ),
    (
        "PATCH",
        "/api/chat/chatbox/{chatboxId}/mark-read/{userId}",
        Operation::MarkChatRead,
    ),
    ("GET", "/api/notifications/user/{userId}", Operation::Inbox),
    ("GET", "/api/notifications/user/{userId}/stats", Operation::Stats),
    ("POST", "/api/notifications/create", Operation::Create),
    (
        "PATCH",
        "/api/notifications/read/{chatboxId}/{notifId}",
        Operation::MarkRead,
    ),
    (
        "PATCH",
        "/api/notifications/read-all/{chatboxId}/{userId}",
        Operation::MarkAllRead,
    ),
    ("DELETE", "/api/notifications/cleanup", Operation::CleanUp),
    (
        "DELETE",
        "/api/notifications/{chatboxId}/{notifId}",
        Operation::Delete,
    ),
];

/// Methods and templates of all routes.
pub(crate) fn routes() -> impl Iterator<Item = Route> {
    ROUTES.into_iter().map(|(method, template, _)| (method, template))
}

impl Operation {
    /// Its method and template.
    pub(super) fn route(self) -> Route {
        let own = ROUTES.iter().find(|(_, _, operation)| *operation == self);
        own.map_or(OTHER, |(method, template, _)| (*method, *template))
    }
}

/// Finds the operation. HEAD asks for what GET does; one slash at the end does not count.
///
/// # Errors
/// 404 for an unknown path, 405 for one that has other methods.
pub(super) fn find<'r>(method: &Method, path: &'r str) -> Result<(Operation, Params<'r>), ApiError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let method = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let mut allowed = Vec::new();
    for (route_method, template, operation) in ROUTES {
        let Some(params) = Params::matching(template, path) else {
            continue;
        };
        if route_method == method {
            return Ok((operation, params));
        }
        allowed.push(route_method);
        if route_method == "GET" {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() {
        return Err(ApiError::no_route());
    }
    Err(ApiError::method_not_allowed(&allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: &Method, path: &str) -> Result<Operation, u16> {
        find(method, path)
            .map(|(operation, _)| operation)
            .map_err(|error| error.status().as_u16())
    }

    #[test]
    fn every_route_is_found_by_its_method() {
        for (method, template, expected) in ROUTES {
            let path = template.replace(['{', '}'], "");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(operation(&method, &path), Ok(expected), "{path}");
            assert_eq!(operation(&method, &format!("{path}/")), Ok(expected));
            assert_eq!(operation(&method, &path.to_ascii_uppercase()), Ok(expected));
            assert_eq!(operation(&Method::PUT, &path), Err(405));
        }
    }

    #[test]
    fn what_reads_can_be_asked_by_head() {
        assert_eq!(
            operation(&Method::HEAD, "/api/chat/messages/a_b"),
            Ok(Operation::History)
        );
        assert_eq!(operation(&Method::HEAD, "/api/notifications/create"), Err(405));
    }

    #[test]
    fn a_path_may_belong_to_two_routes() {
        assert_eq!(
            operation(&Method::GET, "/api/notifications/user/u1"),
            Ok(Operation::Inbox)
        );
        assert_eq!(
            operation(&Method::DELETE, "/api/notifications/user/u1"),
            Ok(Operation::Delete)
        );
        let refusal = find(&Method::POST, "/api/notifications/user/u1").unwrap_err();
        assert_eq!(refusal, ApiError::method_not_allowed(&["GET", "HEAD", "DELETE"]));
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "",
            "/",
            "//",
            "/api",
            "/api/chat",
            "/api/chat/messages/",
            "/api/chat/messages/a_b//",
            "/api//chat/messages/a_b",
        ] {
            assert_eq!(operation(&Method::GET, path), Err(404), "{path}");
        }
    }
}
