//! `joinChat {chatboxId}` → `chatJoined {chatboxId, timestamp}`. A chat needs no creating.

use carillon_protocol::{
    event,
    problem::{Code, Problem},
    value::Value,
};

use super::{Answer, Caller, Effect, Events, Outcome, fields};

const FAILED: &str = "Failed to join chat";

impl Events {
    pub(super) fn join_chat(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        let Some(chatbox_id) = fields::present(payload, "chatboxId") else {
            return Err(Problem::new(Code::Invalid, "Chatbox ID is required"));
        };
        let (chatbox_id, chat) =
            fields::chat_of(chatbox_id, caller.user).map_err(|problem| problem.under(FAILED))?;
        let room = chat.room();
        caller
            .chats
            .join(&room)
            .map_err(|millis| Problem::new(Code::RateLimited, "Too many chats").retry_after(millis))?;
        let payload = event::chat_moved(&chatbox_id, self.clock.now());
        Ok(Outcome::answered("chatJoined", payload).with_effect(Effect::Join(room)))
    }
}
