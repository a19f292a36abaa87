//! `sendMessage {receiverId, message, senderName, receiverName, clientMessageId?}` →
//! `messageSent {messageId, timestamp, chatboxId, seq}`, once the message is durable and announced.

use carillon_protocol::{
    event,
    id::UserId,
    limits,
    problem::{Code, Problem},
    text,
    value::Value,
};

use super::{
    Answer, Caller, Events, Outcome,
    fields::{self, invalid},
};
use crate::services::messages::SendRequest;

const FAILED: &str = "Failed to send message";

impl Events {
    pub(super) async fn send_message(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        let request = read(payload)?;
        // A resend counts, too; what is refused as bad does not.
        self.quota
            .message(caller.user)
            .map_err(|millis| Problem::new(Code::RateLimited, "Too many messages").retry_after(millis))?;
        let message = self
            .services
            .messages
            .send(caller.user, request)
            .await
            .map_err(|problem| problem.under(FAILED))?;
        Ok(Outcome::answered("messageSent", event::message_sent(&message)))
    }
}

/// The checks in the contract's order: what is missing, the text's length, then everything else.
fn read(payload: &Value) -> Result<SendRequest, Problem> {
    let field = |key| fields::present(payload, key);
    let (Some(receiver), Some(message), Some(sender_name), Some(receiver_name)) = (
        field("receiverId"),
        field("message"),
        field("senderName"),
        field("receiverName"),
    ) else {
        return Err(Problem::new(Code::Invalid, "Missing required fields"));
    };
    let trimmed = message.as_text().map(|text| text::trim(text));
    if let Some(text) = trimmed {
        check_length(text)?;
    }
    let client_message_id = field("clientMessageId");

    let rest = || {
        let name = |value, key| fields::bounded_text(value, key, limits::MAX_NAME_UNITS);
        let own_id = |value| fields::id_text(value, "clientMessageId", limits::MAX_CLIENT_MESSAGE_ID_UNITS);
        Ok(SendRequest {
            receiver: UserId::from_value(receiver).map_err(|error| invalid(error.to_string()))?,
            text: trimmed.ok_or_else(|| invalid("message is no text"))?.into(),
            sender_name: name(sender_name, "senderName")?,
            receiver_name: name(receiver_name, "receiverName")?,
            client_message_id: client_message_id.map(own_id).transpose()?,
        })
    };
    rest().map_err(|problem: Problem| problem.under(FAILED))
}

/// Of the trimmed text.
fn check_length(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::new(Code::Invalid, "Message cannot be empty"));
    }
    if text::utf16_len(text) > limits::MAX_MESSAGE_UNITS {
        return Err(Problem::new(
            Code::Invalid,
            "Message too long (max 1000 characters)",
        ));
    }
    Ok(())
}
