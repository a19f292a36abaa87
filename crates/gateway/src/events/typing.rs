//! `typing {chatboxId, isTyping}` → `userTyping` to the others in the room. Bad input is told by the ack alone.

use carillon_protocol::{
    problem::Problem,
    value::{Object, Value},
};

use super::{
    Answer, Caller, Events, Outcome,
    fields::{self, invalid},
};

const FAILED: &str = "Failed to signal typing";

impl Events {
    pub(super) async fn typing(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        self.signal_typing(caller, payload)
            .await
            .map_err(|problem| problem.under(FAILED))?;
        Ok(Outcome::acknowledged(Object::new()))
    }

    async fn signal_typing(&self, caller: &Caller<'_>, payload: &Value) -> Result<(), Problem> {
        let Some(chatbox_id) = fields::present(payload, "chatboxId") else {
            return Err(invalid("chatboxId is missing"));
        };
        let Some(Value::Bool(is_typing)) = payload.get("isTyping") else {
            return Err(invalid("isTyping is no boolean"));
        };
        let (_, chat) = fields::chat_of(chatbox_id, caller.user)?;
        self.services
            .typing
            .signal(caller.user, &chat, *is_typing, caller.socket_room)
            .await
    }
}
