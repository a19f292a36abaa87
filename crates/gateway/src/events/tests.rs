//! Each row of the contract's tables, asked as a client asks.

mod chats;
mod messages;
mod others;

use std::sync::atomic::{AtomicU32, Ordering};

use carillon_protocol::value::Value;

use super::*;
use crate::{
    auth::{Identity, Role, TokenError, VerifyToken},
    limits::{ChatQuota, EventQuota},
    services::{
        presence::Scope,
        testing::{Node, user},
    },
};

/// A node's events, and what is around them.
struct Desk {
    node: Node,
    events: Events,
    budget: Arc<Budget>,
}

impl Desk {
    fn new() -> Self {
        Self::with(Scope::All, false)
    }

    fn with(scope: Scope, shows_details: bool) -> Self {
        let node = Node::new(scope);
        let budget = Arc::new(Budget {
            events: AtomicU32::new(1_000),
            messages: AtomicU32::new(1_000),
            chats: AtomicU32::new(1_000),
        });
        let events = Events::new(
            node.services.clone(),
            node.clock.clone(),
            budget.clone(),
            Arc::new(Tokens),
            shows_details,
        );
        Self { node, events, budget }
    }

    /// Asks as `who`, from a socket in room `<who>-socket`, with arguments as a JSON list.
    async fn ask_all(&self, who: &str, name: impl Into<Value>, args: &str) -> Outcome {
        let Value::Array(args) = Value::from_json(args).unwrap() else {
            panic!("arguments are a list")
        };
        let (user, socket_room) = (user(who), Room::new(format!("{who}-socket")));
        let caller = Caller {
            user: &user,
            socket_room: &socket_room,
            chats: &*self.budget,
        };
        self.events.handle(&caller, &name.into(), &args).await
    }

    /// Asks with one argument.
    async fn ask(&self, who: &str, name: &'static str, payload: &str) -> Outcome {
        self.ask_all(who, name, &format!("[{payload}]")).await
    }
}

/// How many events, messages and chats are still let through, whoever they are of.
struct Budget {
    events: AtomicU32,
    messages: AtomicU32,
    chats: AtomicU32,
}

impl Budget {
    fn take(left: &AtomicU32) -> Result<(), u64> {
        let take = |left: u32| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map(|_| ())
            .map_err(|_| 50)
    }
}

impl EventQuota for Budget {
    fn event(&self, _user: &UserId) -> Result<(), u64> {
        Self::take(&self.events)
    }

    fn message(&self, _user: &UserId) -> Result<(), u64> {
        Self::take(&self.messages)
    }
}

impl ChatQuota for Budget {
    fn join(&self, _chat: &Room) -> Result<(), u64> {
        Self::take(&self.chats)
    }
}

/// `ann@5000` names ann until 5,000 ms, `ann` names ann for ever, `@` nobody.
struct Tokens;

impl VerifyToken for Tokens {
    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        match token {
            "expired" => return Err(TokenError::Expired),
            "forged" => return Err(TokenError::Invalid),
            _ => {}
        }
        let (name, expires_at) = token.split_once('@').unwrap_or((token, ""));
        Ok(Identity {
            user: UserId::parse(name.to_owned()).ok(),
            role: Role::User,
            expires_at: expires_at.parse().ok().map(Timestamp::from_millis),
        })
    }
}

fn json(values: &[Value]) -> String {
    Value::Array(values.to_vec()).to_json()
}

/// That the outcome is a refusal with this text and code, as an `error` event and as the ack.
#[track_caller]
fn assert_refused(outcome: &Outcome, message: &str, code: &str) {
    let payload = format!(r#"{{"message":"{message}","code":"{code}"}}"#);
    assert_eq!(
        json(outcome.reply.as_deref().unwrap()),
        format!(r#"["error",{payload}]"#)
    );
    assert_eq!(json(&outcome.ack), format!(r#"[{{"error":{payload}}}]"#));
    assert_eq!(outcome.effect, Effect::None);
    assert_eq!(outcome.failure.unwrap().as_str(), code);
}

/// That the ack alone tells of a refusal.
#[track_caller]
fn assert_silent(outcome: &Outcome, message: &str, code: &str) {
    assert_eq!(
        json(&outcome.ack),
        format!(r#"[{{"error":{{"message":"{message}","code":"{code}"}}}}]"#)
    );
    assert_eq!((&outcome.reply, &outcome.effect), (&None, &Effect::None));
    assert_eq!(outcome.failure.unwrap().as_str(), code);
}

/// What no event's payload may be.
const NO_OBJECTS: [&str; 7] = ["", "null", "7", "true", r#""ann_bob""#, r#"["ann_bob"]"#, "{}"];
