//! What nodes ask on the request channel.

use bytes::Bytes;

use super::write_packet;
use crate::{
    adapter::{
        DecodeError,
        cluster::{ClusterRequest, Operation, Target},
        reader,
        writer::{Flags, Form, Writer},
    },
    id::Room,
    value::{Object, Value},
};

/// Writes a request as Node's adapter does: msgpack for [`Operation::Broadcast`], JSON for all others, except that an event
/// with binary for the servers is msgpack too, where Node would lose the binary. Published to
/// [`Channels::request`](crate::adapter::channel::Channels::request).
///
/// ```
/// use carillon_protocol::adapter::{classic, cluster::{ClusterRequest, Operation}};
///
/// let request = ClusterRequest {
///     uid: Some("emitter".into()),
///     id: None,
///     operation: Operation::ServerSideEmit(vec!["ping".into(), 1_u32.into()]),
/// };
/// assert_eq!(classic::encode_request(&request), r#"{"uid":"emitter","type":6,"data":["ping",1]}"#);
/// ```
#[must_use]
pub fn encode_request(request: &ClusterRequest) -> Bytes {
    let ClusterRequest { uid, id, operation } = request;
    let (kind, form, keys) = shape(operation);
    let id = id
        .as_ref()
        .filter(|_| !is_answered_by_old_versions_alone(operation));
    let mut writer = Writer::new(form);
    writer.open_map(1 + keys + usize::from(uid.is_some()) + usize::from(id.is_some()));
    for (key, text) in [("uid", uid.as_ref()), ("requestId", id)] {
        if let Some(text) = text {
            writer.key(key);
            writer.text(text);
        }
    }
    writer.key("type");
    writer.uint(kind);
    write_operation(&mut writer, operation);
    writer.close_map();
    writer.finish()
}

/// The type's number, the form, and how many keys there are besides `uid`, `requestId` and `type`.
fn shape(operation: &Operation) -> (u64, Form, usize) {
    match operation {
        Operation::Sockets { .. } => (0, Form::Json, 1),
        Operation::AllRooms => (1, Form::Json, 0),
        Operation::Join { .. } => (2, Form::Json, 2),
        Operation::Leave { .. } => (3, Form::Json, 2),
        Operation::Disconnect { .. } => (4, Form::Json, 2),
        Operation::Fetch(_) => (5, Form::Json, 1),
        Operation::ServerSideEmit(event) => (6, Form::for_values(event), 1),
        Operation::Broadcast { .. } => (7, Form::Msgpack, 2),
    }
}

const fn is_answered_by_old_versions_alone(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Join { .. } | Operation::Leave { .. } | Operation::Disconnect { .. }
    )
}

fn write_operation(writer: &mut Writer, operation: &Operation) {
    match operation {
        Operation::AllRooms => {}
        Operation::Sockets { rooms } => {
            writer.key("rooms");
            writer.rooms(rooms);
        }
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
        Operation::Fetch(target) => write_target(writer, target),
        Operation::ServerSideEmit(event) => {
            writer.key("data");
            writer.values(event);
        }
        Operation::Broadcast {
            broadcast,
            timeout_ms,
        } => {
            writer.key("packet");
            write_packet(writer, broadcast);
            writer.key("opts");
            writer.options(broadcast, Flags::asking(*timeout_ms));
        }
    }
}

fn write_target(writer: &mut Writer, target: &Target) {
    writer.key("opts");
    writer.open_map(2);
    writer.target(&target.rooms, &target.except);
    writer.close_map();
}

/// Reads a request that came on the request channel of `nsp`, JSON or msgpack. Node takes either for every type.
///
/// Old versions join, leave and disconnect one socket by its id (`sid`): that becomes the room of that name, and the
/// request's id stays, for the node that has the socket to answer.
///
/// # Errors
/// Where it is no request, or an event that clients would refuse.
pub fn decode_request(payload: &Bytes, nsp: &str) -> Result<ClusterRequest, DecodeError> {
    let mut request = reader::read_map(payload)?;
    let kind = request.get("type").and_then(Value::as_u64);
    // Only with options there is nobody to answer a join, leave or disconnect.
    let has_options = has_options(&request);
    let uid = reader::take_text(&mut request, "uid");
    let id = reader::take_text(&mut request, "requestId");
    let operation = match kind {
        Some(0) => Operation::Sockets {
            rooms: reader::take_rooms(&mut request, "rooms")?,
        },
        Some(1) => Operation::AllRooms,
        Some(2) => {
            let (target, rooms) = read_rooms_of_target(&mut request)?;
            Operation::Join { target, rooms }
        }
        Some(3) => {
            let (target, rooms) = read_rooms_of_target(&mut request)?;
            Operation::Leave { target, rooms }
        }
        Some(4) => Operation::Disconnect {
            target: read_target_or_socket(&mut request)?,
            close: request.get("close") == Some(&Value::Bool(true)),
        },
        Some(5) => Operation::Fetch(reader::take_target(&mut request)?),
        Some(6) => Operation::ServerSideEmit(reader::take_list(&mut request, "data")?),
        Some(7) => {
            let (event, options) = reader::take_event(&mut request)?;
            options.into_operation(nsp, event)
        }
        _ => return Err(DecodeError::UnknownType),
    };
    let id = id.filter(|_| !has_options || !is_answered_by_old_versions_alone(&operation));
    ClusterRequest { uid, id, operation }.check_id()
}

fn has_options(request: &Object) -> bool {
    request.get("opts").is_some_and(|options| *options != Value::Null)
}

/// `opts`, or the `sid` of old versions. Neither is no reason to mean everybody.
fn read_target_or_socket(request: &mut Object) -> Result<Target, DecodeError> {
    if has_options(request) {
        return reader::take_target(request);
    }
    let sid = reader::take_text(request, "sid").ok_or(DecodeError::Malformed("opts"))?;
    Ok(Target {
        rooms: vec![Room::new(sid)],
        except: Vec::new(),
    })
}

/// Whom, and the `rooms` or, in old versions, the one `room`.
fn read_rooms_of_target(request: &mut Object) -> Result<(Target, Vec<Room>), DecodeError> {
    let target = read_target_or_socket(request)?;
    let rooms = match (request.remove("rooms"), request.remove("room")) {
        (Some(Value::Array(rooms)), _) | (None, Some(Value::Array(rooms))) => rooms,
        (None, Some(room)) => vec![room],
        _ => return Err(DecodeError::Malformed("rooms")),
    };
    let rooms: Result<Vec<_>, _> = rooms
        .into_iter()
        .map(|name| reader::room(name, "rooms"))
        .collect();
    Ok((target, rooms?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Broadcast;

    fn rooms(names: &[&'static str]) -> Vec<Room> {
        names.iter().map(|name| Room::new(*name)).collect()
    }

    fn target(names: &[&'static str]) -> Target {
        Target {
            rooms: rooms(names),
            except: Vec::new(),
        }
    }

    fn request(uid: Option<&'static str>, id: Option<&'static str>, operation: Operation) -> ClusterRequest {
        ClusterRequest {
            uid: uid.map(Into::into),
            id: id.map(Into::into),
            operation,
        }
    }

    fn read(payload: &[u8]) -> Result<ClusterRequest, DecodeError> {
        decode_request(&Bytes::copy_from_slice(payload), "/")
    }

    #[test]
    fn reads_and_writes_what_node_sends() {
        let with_acks = Operation::Broadcast {
            broadcast: Broadcast {
                nsp: "/".into(),
                event: vec!["q".into(), "arg".into()],
                rooms: rooms(&["room1"]),
                except: Vec::new(),
                volatile: false,
            },
            timeout_ms: Some(500),
        };
        let vectors: [(&[u8], ClusterRequest); 9] = [
            (
                br#"{"uid":"n","requestId":"r","type":0,"rooms":["room1"]}"#,
                request(Some("n"), Some("r"), Operation::Sockets { rooms: rooms(&["room1"]) }),
            ),
            (
                br#"{"uid":"n","requestId":"r","type":1}"#,
                request(Some("n"), Some("r"), Operation::AllRooms),
            ),
            (
                br#"{"type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["r2","r3"]}"#,
                request(
                    None,
                    None,
                    Operation::Join { target: target(&["room1"]), rooms: rooms(&["r2", "r3"]) },
                ),
            ),
            (
                br#"{"uid":"n","type":3,"opts":{"rooms":[],"except":[]},"rooms":["r2"]}"#,
                request(Some("n"), None, Operation::Leave { target: target(&[]), rooms: rooms(&["r2"]) }),
            ),
            (
                br#"{"uid":"n","type":4,"opts":{"rooms":["a"],"except":[]},"close":true}"#,
                request(Some("n"), None, Operation::Disconnect { target: target(&["a"]), close: true }),
            ),
            (
                br#"{"uid":"n","requestId":"r","type":5,"opts":{"rooms":["a"],"except":[]}}"#,
                request(Some("n"), Some("r"), Operation::Fetch(target(&["a"]))),
            ),
            (
                br#"{"uid":"emitter","type":6,"data":["ping",1,"a"]}"#,
                request(
                    Some("emitter"),
                    None,
                    Operation::ServerSideEmit(vec!["ping".into(), Value::Int(1), "a".into()]),
                ),
            ),
            (
                br#"{"uid":"lKQJvu","requestId":"akLRWm","type":6,"data":["pingack",5]}"#,
                request(
                    Some("lKQJvu"),
                    Some("akLRWm"),
                    Operation::ServerSideEmit(vec!["pingack".into(), Value::Int(5)]),
                ),
            ),
            (
                b"\x85\xa3uid\xa6lKQJvu\xa9requestId\xa67fGndT\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x92\xa1q\xa3arg\xa3nsp\xa1/\xa4opts\x83\xa5rooms\x91\xa5room1\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x01\xf4",
                request(Some("lKQJvu"), Some("7fGndT"), with_acks),
            ),
        ];
        for (bytes, request) in vectors {
            assert_eq!(encode_request(&request), bytes);
            assert_eq!(read(bytes), Ok(request));
        }
    }

    #[test]
    fn every_type_is_read_in_either_form() {
        for json in [
            r#"{"uid":"n","requestId":"r","type":0}"#,
            r#"{"type":2,"opts":{"rooms":[5]},"rooms":["r2"]}"#,
            r#"{"uid":"n","requestId":"r","type":7,"packet":{"type":2,"data":["a"]},"opts":{}}"#,
        ] {
            let msgpack = Value::from_json(json).unwrap().to_msgpack();
            assert_eq!(read(&msgpack), read(json.as_bytes()));
            assert!(read(&msgpack).is_ok(), "{json}");
        }
    }

    #[test]
    fn old_versions_mean_one_socket() {
        let join = Operation::Join {
            target: target(&["sid1"]),
            rooms: rooms(&["a"]),
        };
        let leave = Operation::Leave {
            target: target(&["sid1"]),
            rooms: rooms(&["a", "b"]),
        };
        let disconnect = Operation::Disconnect {
            target: target(&["sid1"]),
            close: false,
        };
        for (json, operation) in [
            (r#"{"requestId":"r","type":2,"sid":"sid1","room":"a"}"#, join),
            (
                r#"{"requestId":"r","type":3,"sid":"sid1","room":["a","b"]}"#,
                leave,
            ),
            (r#"{"requestId":"r","type":4,"sid":"sid1"}"#, disconnect),
        ] {
            assert_eq!(read(json.as_bytes()), Ok(request(None, Some("r"), operation)));
        }
    }

    #[test]
    fn nobody_waits_for_an_answer_to_a_join_with_options() {
        let json = br#"{"requestId":"r","type":4,"opts":{"rooms":["a"]},"close":true}"#;
        let operation = Operation::Disconnect {
            target: target(&["a"]),
            close: true,
        };
        assert_eq!(read(json), Ok(request(None, None, operation)));
    }

    #[test]
    fn an_event_for_servers_keeps_its_binary() {
        let event = vec!["a".into(), Bytes::from_static(&[1]).into()];
        let request = request(Some("n"), None, Operation::ServerSideEmit(event));
        let bytes = encode_request(&request);
        assert_eq!(bytes.first(), Some(&0x83));
        assert_eq!(decode_request(&bytes, "/"), Ok(request));
    }

    #[test]
    fn refuses_what_is_no_request() {
        for payload in [
            &b""[..],
            b"{",
            b"\xc0",
            b"[]",
            b"{}",
            br#"{"type":8,"requestId":"r","clientCount":1}"#,
            br#"{"type":"2"}"#,
            br#"{"type":-1}"#,
            br#"{"uid":"n","type":1}"#,
            br#"{"requestId":5,"type":1}"#,
            br#"{"type":2,"rooms":["a"]}"#,
            br#"{"type":2,"opts":null,"rooms":["a"]}"#,
            br#"{"type":2,"opts":5,"rooms":["a"]}"#,
            br#"{"type":2,"opts":{"rooms":"a"},"rooms":["a"]}"#,
            br#"{"type":2,"opts":{"rooms":["a"]}}"#,
            br#"{"type":2,"opts":{"rooms":["a"]},"rooms":[null]}"#,
            br#"{"type":4,"close":true}"#,
            br#"{"type":4,"sid":5,"close":true}"#,
            br#"{"requestId":"r","type":5}"#,
            br#"{"type":6}"#,
            br#"{"type":6,"data":{}}"#,
            br#"{"requestId":"r","type":7,"opts":{}}"#,
            br#"{"requestId":"r","type":7,"packet":{"type":2,"data":["a"]}}"#,
            br#"{"type":7,"packet":{"type":2,"data":["a"]},"opts":{}}"#,
            br#"{"requestId":"r","type":7,"packet":{"type":2,"data":["connect"]},"opts":{}}"#,
        ] {
            assert!(read(payload).is_err(), "{}", String::from_utf8_lossy(payload));
        }
    }
}
