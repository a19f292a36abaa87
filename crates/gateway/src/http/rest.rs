//! The REST edge: every route of the client contract, one file per operation below this one.
//!
//! A request is checked in a fixed order: route and method (404, 405), requests per address (429), token (401), whose it is
//! (403), the values (400, 413, 415), whether it is there (404). Paths are matched and decoded here and not by actix, whose
//! decoding of `%2F` and `%25` is not the contract's.

mod access;
mod chats;
mod describe;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod messages;
mod notifications;
mod path;
mod query;
mod route;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use carillon_protocol::problem::{Code, Problem};

pub(super) use self::describe::{CHATS_TAG, NOTIFICATIONS_TAG, describe};
#[cfg(feature = "fuzzing")]
pub use self::fuzzing::fuzz_rest;
pub(crate) use self::route::routes;
use self::{
    access::Caller,
    path::Params,
    query::Query,
    route::{Operation, find},
};

use super::{client, error::ApiError, measure};
use crate::{auth::VerifyToken, limits::RequestQuota, services::Services};

/// What the routes work with; part of the application's data.
pub struct Rest {
    /// The use cases.
    pub services: Arc<Services>,
    /// Who a token names.
    pub verifier: Arc<dyn VerifyToken>,
    /// Requests per address.
    pub limits: Arc<dyn RequestQuota>,
    /// Whether refusals tell their details (`NODE_ENV` is `development`).
    pub development: bool,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("development", &self.development)
            .finish_non_exhaustive()
    }
}

/// Adds the routes as what answers every path that no other service does. The application's data holds the [`Rest`].
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.default_service(web::to(answer));
}

/// A request whose route is known and whose caller is verified.
struct Call<'r> {
    rest: &'r Rest,
    caller: Caller,
    params: Params<'r>,
    query: Query,
}

/// What an operation answers.
type Answer = Result<HttpResponse, ApiError>;

async fn answer(request: HttpRequest, payload: web::Payload, rest: web::Data<Rest>) -> HttpResponse {
    let answered = check_and_run(&rest, &request, payload).await;
    answered.unwrap_or_else(|refusal| refusal.respond(rest.development))
}

async fn check_and_run(rest: &Rest, request: &HttpRequest, payload: web::Payload) -> Answer {
    let (operation, params) = find(request.method(), request.uri().path())?;
    request
        .extensions_mut()
        .insert(measure::Matched(operation.route()));
    rest.limits.request(client::address(request)).map_err(too_many)?;
    let caller = Caller::authenticate(request.headers(), &*rest.verifier)?;
    let query = Query::parse(request.query_string());
    let call = Call {
        rest,
        caller,
        params,
        query,
    };
    let answered = run(operation, &call, request, payload).await;
    answered.map_err(|refusal| {
        if operation.tells_success() {
            refusal.unsuccessful()
        } else {
            refusal
        }
    })
}

async fn run(operation: Operation, call: &Call<'_>, request: &HttpRequest, payload: web::Payload) -> Answer {
    match operation {
        Operation::History => messages::history::answer(call).await,
        Operation::MarkChatRead => messages::mark_read::answer(call).await,
        Operation::ChatboxId => chats::chatbox_id::answer(call),
        Operation::ChatList => chats::list::answer(call).await,
        Operation::UnreadCount => chats::unread_count::answer(call).await,
        Operation::Inbox => notifications::inbox::answer(call).await,
        Operation::Stats => notifications::stats::answer(call).await,
        Operation::Create => notifications::create::answer(call, request, payload).await,
        Operation::MarkRead => notifications::mark_read::answer(call).await,
        Operation::MarkAllRead => notifications::mark_all_read::answer(call).await,
        Operation::Delete => notifications::delete::answer(call).await,
        Operation::CleanUp => notifications::clean_up::answer(call).await,
    }
}

fn too_many(retry_after_ms: u64) -> ApiError {
    Problem::new(Code::RateLimited, "Too many requests")
        .retry_after(retry_after_ms)
        .into()
}

/// A use case's refusal under the route's own text.
fn under(message: &'static str) -> impl FnOnce(Problem) -> ApiError {
    move |problem| problem.under(message).into()
}
