//! Reading the fields of a payload: what is missing, what is of the wrong type or too long, and which chat is meant.

use bytestring::ByteString;
use carillon_protocol::{
    chat::{self, Pair},
    id::UserId,
    problem::{Code, Problem},
    text,
    value::Value,
};

/// The field `key`; `None` where it is missing: absent, `null` or `''`, and always where the payload is no object.
pub(super) fn present<'a>(payload: &'a Value, key: &str) -> Option<&'a Value> {
    payload.get(key).filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    })
}

/// A value of the wrong type, too long or otherwise none; to be put under the operation's own text.
pub(super) fn invalid(reason: impl Into<String>) -> Problem {
    Problem::new(Code::Invalid, reason)
}

/// A text of at most `max_units` code units.
pub(super) fn bounded_text(value: &Value, key: &str, max_units: usize) -> Result<ByteString, Problem> {
    let text = value
        .as_text()
        .ok_or_else(|| invalid(format!("{key} is no text")))?;
    if text::utf16_len(text) > max_units {
        return Err(invalid(format!("{key} has more than {max_units} characters")));
    }
    Ok(text.clone())
}

/// A text as [`bounded_text`], without control characters.
pub(super) fn id_text(value: &Value, key: &str, max_units: usize) -> Result<ByteString, Problem> {
    let id = bounded_text(value, key, max_units)?;
    if id.chars().any(char::is_control) {
        return Err(invalid(format!("{key} has control characters")));
    }
    Ok(id)
}

/// A `chatboxId` as the client wrote it, and the chat that it names for `user`.
pub(super) fn chat_of(value: &Value, user: &UserId) -> Result<(ByteString, Pair), Problem> {
    let id = value
        .as_text()
        .filter(|id| chat::is_chatbox_id(id))
        .ok_or_else(|| invalid("chatboxId is none"))?;
    let pair =
        Pair::resolve(id, user).ok_or_else(|| Problem::new(Code::Forbidden, "not a chat of this user"))?;
    Ok((id.clone(), pair))
}
