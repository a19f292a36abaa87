//! What nodes ask each other.

use bytes::Bytes;
use bytestring::ByteString;

use super::{finish, start, write_packet};
use crate::{
    adapter::{
        DecodeError,
        cluster::{ClusterRequest, Operation, Target},
        reader,
        writer::{Flags, Form, Writer},
    },
    value::{Object, Value},
};

/// Writes a request as Node's adapter does; `None` for [`Operation::Sockets`] and [`Operation::AllRooms`], which this dialect
/// does not have. A request has a uid here.
#[must_use]
pub fn encode_request(nsp: &str, request: &ClusterRequest) -> Option<Bytes> {
    let ClusterRequest { uid, id, operation } = request;
    let (kind, form) = shape(operation)?;
    let id = id.as_deref().filter(|_| is_answered(operation));
    let keys = match operation {
        Operation::Fetch(_) | Operation::ServerSideEmit(_) => 1,
        _ => 2,
    };
    let mut writer = start(form, kind, keys + usize::from(id.is_some()), uid.as_deref());
    write_operation(&mut writer, operation, id);
    finish(&mut writer, uid.as_deref(), nsp);
    Some(writer.finish())
}

/// The type's number and the form.
fn shape(operation: &Operation) -> Option<(u64, Form)> {
    match operation {
        Operation::Sockets { .. } | Operation::AllRooms => None,
        Operation::Join { .. } => Some((4, Form::Json)),
        Operation::Leave { .. } => Some((5, Form::Json)),
        Operation::Disconnect { .. } => Some((6, Form::Json)),
        Operation::Fetch(_) => Some((7, Form::Json)),
        Operation::ServerSideEmit(event) => Some((9, Form::for_values(event))),
        Operation::Broadcast { broadcast, .. } => Some((3, Form::for_values(&broadcast.event))),
    }
}

const fn is_answered(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Fetch(_) | Operation::ServerSideEmit(_) | Operation::Broadcast { .. }
    )
}

/// The keys of `data`, in the order of Node's adapter.
fn write_operation(writer: &mut Writer, operation: &Operation, id: Option<&str>) {
    match operation {
        Operation::Sockets { .. } | Operation::AllRooms => {}
        Operation::Join { target, rooms } | Operation::Leave { target, rooms } => {
            write_target(writer, target);
            writer.key("rooms");
            writer.rooms(rooms);
        }
        Operation::Disconnect { target, close } => {
            write_target(writer, target);
            writer.key("close");
            writer.bool(*close);
        }
        Operation::Fetch(target) => {
            write_target(writer, target);
            write_id(writer, id);
        }
        Operation::ServerSideEmit(event) => {
            write_id(writer, id);
            writer.key("packet");
            writer.values(event);
        }
        Operation::Broadcast {
            broadcast,
            timeout_ms,
        } => {
            write_packet(writer, broadcast);
            write_id(writer, id);
            writer.key("opts");
            writer.options(broadcast, Flags::asking(*timeout_ms));
        }
    }
}

/// With `flags`, which Node looks into.
fn write_target(writer: &mut Writer, target: &Target) {
    writer.key("opts");
    writer.open_map(3);
    writer.target(&target.rooms, &target.except);
    writer.key("flags");
    writer.object(&Object::new());
    writer.close_map();
}

fn write_id(writer: &mut Writer, id: Option<&str>) {
    if let Some(id) = id {
        writer.key("requestId");
        writer.text(id);
    }
}

/// Reads the `data` of a request.
pub(super) fn read(
    kind: u64,
    data: &mut Object,
    uid: ByteString,
    nsp: &str,
) -> Result<ClusterRequest, DecodeError> {
    let operation = match kind {
        3 => {
            let (event, options) = reader::take_event(data)?;
            options.into_operation(nsp, event)
        }
        4 => Operation::Join {
            target: reader::take_target(data)?,
            rooms: reader::take_named_rooms(data, "rooms")?,
        },
        5 => Operation::Leave {
            target: reader::take_target(data)?,
            rooms: reader::take_named_rooms(data, "rooms")?,
        },
        6 => Operation::Disconnect {
            target: reader::take_target(data)?,
            close: data.get("close") == Some(&Value::Bool(true)),
        },
        7 => Operation::Fetch(reader::take_target(data)?),
        9 => Operation::ServerSideEmit(reader::take_list(data, "packet")?),
        _ => return Err(DecodeError::UnknownType),
    };
    let id = reader::take_text(data, "requestId").filter(|_| is_answered(&operation));
    let request = ClusterRequest {
        uid: Some(uid),
        id,
        operation,
    };
    request.check_id()
}
