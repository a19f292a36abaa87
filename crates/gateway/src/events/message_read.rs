//! `markMessageRead {messageId, chatboxId}` → `messageRead {messageId, readBy, timestamp}` to the others in the room, and
//! as the ack.

use carillon_protocol::{
    event,
    id::ObjectId,
    limits,
    problem::{Code, Problem},
    value::Value,
};

use super::{Answer, Caller, Events, Outcome, fields};

const FAILED: &str = "Failed to mark message as read";

impl Events {
    pub(super) async fn mark_message_read(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        let field = |key| fields::present(payload, key);
        let (Some(message), Some(chatbox_id)) = (field("messageId"), field("chatboxId")) else {
            return Err(Problem::new(
                Code::Invalid,
                "Message ID and Chatbox ID are required",
            ));
        };
        self.mark(caller, message, chatbox_id)
            .await
            .map_err(|problem| problem.under(FAILED))
    }

    async fn mark(&self, caller: &Caller<'_>, message: &Value, chatbox_id: &Value) -> Answer {
        let message = fields::id_text(message, "messageId", limits::MAX_METADATA_ID_UNITS)?;
        let (_, chat) = fields::chat_of(chatbox_id, caller.user)?;
        let Some(message) = ObjectId::parse(&message) else {
            return Err(Problem::new(Code::NotFound, "no message has such an id"));
        };
        let except = Some(caller.socket_room.clone());
        let at = self
            .services
            .messages
            .mark_read(caller.user, &chat, message, except)
            .await?;
        Ok(Outcome::acknowledged(event::message_read(
            message,
            caller.user,
            at,
        )))
    }
}
