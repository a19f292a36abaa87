//! The description of the routes: what each operation's file tells of it, and what all of them have in common.

use carillon_protocol::problem::Code;

use super::{
    chats, messages, notifications,
    path::parameters,
    route::{Operation, ROUTES},
};
use crate::http::openapi::{
    Description, Operations,
    schemas::{self, string},
};

/// The group of the operations on chats and messages.
pub(in crate::http) const CHATS_TAG: &str = "Chats";
/// The group of the operations on notifications.
pub(in crate::http) const NOTIFICATIONS_TAG: &str = "Notifications";

/// Adds every route.
pub(in crate::http) fn describe(operations: &mut Operations) {
    for (method, template, operation) in ROUTES {
        operations.add(method, template, of_route(template, operation));
    }
}

fn of_route(template: &'static str, operation: Operation) -> Description {
    let own = parameters(template).fold(of_operation(operation), with_parameter);
    let (own, tag) = if operation.tells_success() {
        (own.tells_success(), NOTIFICATIONS_TAG)
    } else {
        (own, CHATS_TAG)
    };
    let has_store = own.has_refusal(Code::Unavailable);
    let all = own
        .tag(tag)
        .secured()
        .refuses(Code::Unauthorized, "Access denied, no token provided")
        .refuses(Code::RateLimited, "Too many requests");
    if has_store {
        return all;
    }
    all.refuses(Code::Unavailable, "The node is starting")
}

fn of_operation(operation: Operation) -> Description {
    match operation {
        Operation::History => messages::history::describe(),
        Operation::MarkChatRead => messages::mark_read::describe(),
        Operation::ChatboxId => chats::chatbox_id::describe(),
        Operation::ChatList => chats::list::describe(),
        Operation::UnreadCount => chats::unread_count::describe(),
        Operation::Inbox => notifications::inbox::describe(),
        Operation::Stats => notifications::stats::describe(),
        Operation::Create => notifications::create::describe(),
        Operation::MarkRead => notifications::mark_read::describe(),
        Operation::MarkAllRead => notifications::mark_all_read::describe(),
        Operation::Delete => notifications::delete::describe(),
        Operation::CleanUp => notifications::clean_up::describe(),
    }
    .refuses(Code::Forbidden, "Access denied")
}

fn with_parameter(description: Description, name: &'static str) -> Description {
    match name {
        "userId" => description.path::<schemas::UserId>(name, "Whose it is."),
        "senderId" => description.path::<schemas::UserId>(name, "One of the two users."),
        "receiverId" => description.path::<schemas::UserId>(name, "The other one."),
        "chatboxId" => description.path::<schemas::ChatboxId>(name, "Which chat."),
        _ => description.path_text(
            name,
            "Which notification.",
            string().pattern(Some("^[0-9a-fA-F]{24}$")),
        ),
    }
}
