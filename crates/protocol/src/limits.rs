//! The bounds of the wire and of the domain, each with its source. Bounds that an operator can set live in
//! the gateway's settings; these are fixed by the protocol or by the client contract.

/// Largest message in either direction, in bytes: `maxPayload` of the handshake (default of engine.io 6).
pub const MAX_PAYLOAD_BYTES: usize = 1_000_000;
/// Most packets in one polling payload.
pub const MAX_PACKETS_PER_PAYLOAD: usize = 1_000;
/// Most binary attachments of one packet (default of socket.io-parser since 4.2.6, in the client too).
pub const MAX_ATTACHMENTS: usize = 10;
/// Deepest nesting of a JSON or msgpack value; `serde_json` refuses one more.
pub const MAX_DEPTH: usize = 127;
/// Most packets that may wait for one connection.
pub const MAX_QUEUE_PACKETS: usize = 1_024;
/// Most bytes that may wait for one connection.
pub const MAX_QUEUE_BYTES: usize = 1_048_576;

/// Longest user id, in UTF-16 code units.
pub const MAX_USER_ID_UNITS: usize = 128;
/// Longest display name, in UTF-16 code units.
pub const MAX_NAME_UNITS: usize = 256;
/// Longest message, in UTF-16 code units after trimming.
pub const MAX_MESSAGE_UNITS: usize = 1_000;
/// Longest notification text, in UTF-16 code units.
pub const MAX_NOTIFICATION_UNITS: usize = 500;
/// Longest preview in a notification's metadata, in UTF-16 code units.
pub const MAX_PREVIEW_UNITS: usize = 100;
/// Longest `messageId` in a notification's metadata, in UTF-16 code units.
pub const MAX_METADATA_ID_UNITS: usize = 128;
/// Longest `clientMessageId`, in UTF-16 code units.
pub const MAX_CLIENT_MESSAGE_ID_UNITS: usize = 64;
/// How much of a message its notification quotes, in UTF-16 code units.
pub const NOTIFICATION_QUOTE_UNITS: usize = 100;
/// Largest page of a history, in messages; a larger `limit` counts as this.
pub const MAX_PAGE_LIMIT: u32 = 100;
/// Page size where none is asked for.
pub const DEFAULT_PAGE_LIMIT: u32 = 50;
/// Most entries of an inbox or a chat list.
pub const MAX_LIST: u32 = 1_000;
