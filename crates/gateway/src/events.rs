//! What clients ask for over a socket: one file per event, none of which knows a socket.
//!
//! [`Events::handle`] takes an event's name and arguments and answers with an [`Outcome`], which the caller carries out.

mod chat_join;
mod chat_leave;
mod fields;
mod message_read;
mod message_send;
mod online_users;
mod token_refresh;
mod typing;

use std::sync::Arc;

use carillon_protocol::{
    event::Event,
    id::{Room, UserId},
    problem::{Code, Problem},
    time::Timestamp,
    value::{Object, Value},
};

use crate::{
    auth::VerifyToken,
    clock::Clock,
    limits::{ChatQuota, EventQuota},
    services::Services,
};

/// Who asks.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The user whose socket it is.
    pub user: &'a UserId,
    /// The asking socket's own room: what it asks for is told to the others.
    pub socket_room: &'a Room,
    /// How many chats the asking socket may be in.
    pub chats: &'a dyn ChatQuota,
}

impl std::fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("user", self.user)
            .field("socket_room", self.socket_room)
            .finish_non_exhaustive()
    }
}

/// What the asking socket's state becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// What it was.
    None,
    /// It is in this room, too.
    Join(Room),
    /// It is not in this room.
    Leave(Room),
    /// Its token expires at this time; never, where there is none.
    Renew(Option<Timestamp>),
}

/// What comes of an event. The effect comes first, then the reply, then the ack.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The change of the asking socket.
    pub effect: Effect,
    /// An event for the asking socket alone.
    pub reply: Option<Event>,
    /// The arguments of the ack, where the client asked for one.
    pub ack: Vec<Value>,
    /// The kind of the refusal, where it is one.
    pub failure: Option<Code>,
}

impl Outcome {
    /// `payload` as an ack.
    fn acknowledged(payload: impl Into<Value>) -> Self {
        Self {
            effect: Effect::None,
            reply: None,
            ack: vec![payload.into()],
            failure: None,
        }
    }

    /// `payload` as an event and as the ack.
    fn answered(event: &'static str, payload: impl Into<Value>) -> Self {
        let payload = payload.into();
        Self {
            reply: Some(vec![Value::from(event), payload.clone()]),
            ..Self::acknowledged(payload)
        }
    }

    /// The same with an effect.
    fn with_effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }
}

/// What a handler answers. The payload is the event's first argument; more of them are ignored.
type Answer = Result<Outcome, Problem>;

/// The handlers of all events, over a node's use cases.
pub struct Events {
    services: Arc<Services>,
    clock: Arc<dyn Clock>,
    quota: Arc<dyn EventQuota>,
    verifier: Arc<dyn VerifyToken>,
    shows_details: bool,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("shows_details", &self.shows_details)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// Over a node's use cases. `shows_details`: whether clients are told what exactly was wrong (development only).
    #[must_use]
    pub fn new(
        services: Arc<Services>,
        clock: Arc<dyn Clock>,
        quota: Arc<dyn EventQuota>,
        verifier: Arc<dyn VerifyToken>,
        shows_details: bool,
    ) -> Self {
        Self {
            services,
            clock,
            quota,
            verifier,
            shows_details,
        }
    }

    /// Does what the event `name` with the arguments `args` asks for. Nothing in them makes it panic.
    ///
    /// What was begun should be awaited to its end: where this is dropped half-way, a read mark may be stored and not told.
    pub async fn handle(&self, caller: &Caller<'_>, name: &Value, args: &[Value]) -> Outcome {
        if let Err(millis) = self.quota.event(caller.user) {
            return self.refusal(&Problem::new(Code::RateLimited, "Too many events").retry_after(millis));
        }
        let payload = args.first().unwrap_or(&Value::Null);
        let answer = match name.as_text().map(AsRef::as_ref) {
            Some("joinChat") => self.join_chat(caller, payload),
            Some("leaveChat") => self.leave_chat(caller, payload),
            Some("sendMessage") => self.send_message(caller, payload).await,
            Some("markMessageRead") => self.mark_message_read(caller, payload).await,
            Some("getOnlineUsers") => self.online_users(caller).await,
            Some("refreshToken") => self.refresh_token(caller, payload),
            Some("typing") => {
                return self
                    .typing(caller, payload)
                    .await
                    .unwrap_or_else(|problem| self.silence(&problem));
            }
            _ => return self.silence(&Problem::new(Code::Invalid, "Unknown event")),
        };
        answer.unwrap_or_else(|problem| self.refusal(&problem))
    }

    /// A refusal that goes out as an `error` event and as the ack.
    fn refusal(&self, problem: &Problem) -> Outcome {
        let payload = problem.to_value(self.shows_details);
        Outcome {
            reply: Some(vec![Value::from("error"), payload]),
            ..self.silence(problem)
        }
    }

    /// A refusal that only the ack tells.
    fn silence(&self, problem: &Problem) -> Outcome {
        let error = Object::with_capacity(1).with("error", problem.to_value(self.shows_details));
        Outcome {
            failure: Some(problem.code),
            ..Outcome::acknowledged(error)
        }
    }
}

#[cfg(test)]
mod tests;
