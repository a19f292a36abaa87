//! `leaveChat {chatboxId}` → `chatLeft {chatboxId, timestamp}`, also where it was never joined.

use carillon_protocol::{
    event,
    problem::{Code, Problem},
    value::Value,
};

use super::{Answer, Caller, Effect, Events, Outcome, fields};

const FAILED: &str = "Failed to leave chat";

impl Events {
    pub(super) fn leave_chat(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        let Some(chatbox_id) = fields::present(payload, "chatboxId") else {
            return Err(Problem::new(Code::Invalid, "Chatbox ID is required"));
        };
        let (chatbox_id, chat) =
            fields::chat_of(chatbox_id, caller.user).map_err(|problem| problem.under(FAILED))?;
        let payload = event::chat_moved(&chatbox_id, self.clock.now());
        Ok(Outcome::answered("chatLeft", payload).with_effect(Effect::Leave(chat.room())))
    }
}
