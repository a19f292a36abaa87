//! The dialect of `createAdapter` (`@socket.io/redis-adapter` 8) and of `@socket.io/redis-emitter` 5.

mod request;
mod response;

use bytes::Bytes;

use super::{
    Broadcast, DecodeError, KeptTemplate, Received, reader,
    writer::{Flags, Form, Writer},
};
use crate::value::{Object, Value};

pub use request::{decode_request, encode_request};
pub use response::{decode_response, encode_response};

/// Writes a broadcast as Node's adapter does: msgpack `[uid, {type: 2, data, nsp}, {rooms, except, flags}]`. It is published
/// to [`Channels::of_rooms`](super::channel::Channels::of_rooms).
///
/// `event` starts with a name that is not reserved, and has at most ten attachments.
#[must_use]
pub fn encode(uid: &str, broadcast: &Broadcast) -> Bytes {
    let (writer, _) = write(uid, broadcast, Flags::default());
    writer.finish()
}

/// As [`encode`], for a broadcast that is kept under `id` (see [`Kept::id`](super::Kept::id)), so never a volatile one: its
/// offset is put in later.
#[must_use]
pub fn encode_kept(uid: &str, broadcast: &Broadcast, id: &str) -> KeptTemplate {
    let (writer, hole) = write(uid, broadcast, Flags::kept(id));
    writer.finish_template(hole)
}

fn write(uid: &str, broadcast: &Broadcast, flags: Flags<'_>) -> (Writer, usize) {
    let mut writer = Writer::new(Form::Msgpack);
    writer.open_array(3);
    writer.text(uid);
    write_packet(&mut writer, broadcast);
    let hole = writer.options(broadcast, flags);
    (writer, hole)
}

/// `{type: 2, data, nsp}`.
fn write_packet(writer: &mut Writer, broadcast: &Broadcast) {
    writer.open_map(3);
    writer.event(&broadcast.event);
    writer.key("nsp");
    writer.text(&broadcast.nsp);
    writer.close_map();
}

/// Who sent a broadcast, without reading the rest of it; `None` where the payload does not start like one.
///
/// ```
/// use carillon_protocol::adapter::classic;
///
/// assert_eq!(classic::peek_uid(b"\x93\xa6lKQJvu\x83\xa4type"), Some("lKQJvu"));
/// ```
#[must_use]
pub fn peek_uid(payload: &[u8]) -> Option<&str> {
    let (uid, length) = match payload {
        [0x93, marker @ 0xa0..=0xbf, rest @ ..] => (rest, marker & 0x1f),
        [0x93, 0xd9, length, rest @ ..] => (rest, *length),
        _ => return None,
    };
    std::str::from_utf8(uid.get(..length.into())?).ok()
}

/// Reads a broadcast that came on a channel of `nsp`.
///
/// `rooms` and `except` may be missing and may have numbers in them, and `flags` may be missing. A broadcast that says
/// nothing about its rooms at all (no options) goes to nobody rather than to everybody.
///
/// # Errors
/// Where it is no broadcast, for another namespace, or an event that clients would refuse.
pub fn decode(payload: &Bytes, nsp: &str) -> Result<Received, DecodeError> {
    let Some(Value::Array(parts)) = reader::read_msgpack(payload) else {
        return Err(DecodeError::Malformed("no list"));
    };
    let mut parts = parts.into_iter();
    let (Some(Value::String(uid)), Some(Value::Object(packet)), Some(Value::Object(options))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(DecodeError::Malformed("no broadcast"));
    };
    check_namespace(&packet, nsp)?;
    let event = reader::read_event(packet)?;
    Ok(reader::read_options(options)?.into_received(uid, nsp, event))
}

/// A packet without namespace is for `/`.
fn check_namespace(packet: &Object, nsp: &str) -> Result<(), DecodeError> {
    let is_same = match packet.get("nsp") {
        None => nsp == "/",
        Some(named) => named.as_text().is_some_and(|named| named == nsp),
    };
    if is_same {
        Ok(())
    } else {
        Err(DecodeError::OtherNamespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapter::{Epoch, Kept, Offset},
        event::Event,
        id::Room,
    };

    fn broadcast(event: Event, rooms: &[&'static str]) -> Broadcast {
        Broadcast {
            nsp: "/".into(),
            event,
            rooms: rooms.iter().map(|room| Room::new(*room)).collect(),
            except: Vec::new(),
            volatile: false,
        }
    }

    fn received(uid: &'static str, broadcast: Broadcast) -> Received {
        Received {
            uid: uid.into(),
            broadcast,
            kept: None,
        }
    }

    fn read(payload: &[u8]) -> Result<Received, DecodeError> {
        decode(&Bytes::copy_from_slice(payload), "/")
    }

    /// A broadcast of `hello` by `n` with these options.
    fn with_options(options: &[u8]) -> Vec<u8> {
        [
            b"\x93\xa1n\x83\xa4type\x02\xa4data\x91\xa5hello\xa3nsp\xa1/",
            options,
        ]
        .concat()
    }

    #[test]
    fn reads_what_node_emitters_send() {
        let to_room = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x93\xa5hello\x01\x81\xa1a\xa1b\xa3nsp\xa1/\x83\xa5rooms\x91\xa5room1\xa5flags\x80\xa6except\x90";
        let event = vec!["hello".into(), Value::Int(1), Object::new().with("a", "b").into()];
        assert_eq!(
            read(to_room),
            Ok(received("emitter", broadcast(event, &["room1"])))
        );

        let to_all = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa5hello\xa5world\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90";
        let event = vec!["hello".into(), "world".into()];
        assert_eq!(read(to_all), Ok(received("emitter", broadcast(event, &[]))));

        let binary = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa3bin\xc4\x03\x01\x02\x03\xa3nsp\xa1/\x83\xa5rooms\x91\xa5room1\xa5flags\x80\xa6except\x90";
        let event = vec!["bin".into(), Bytes::from_static(&[1, 2, 3]).into()];
        assert_eq!(
            read(binary),
            Ok(received("emitter", broadcast(event, &["room1"])))
        );
    }

    #[test]
    fn reads_and_writes_what_node_adapters_send() {
        let bytes = b"\x93\xa6lKQJvu\x83\xa4type\x02\xa4data\x92\xa5hello\xa1x\xa3nsp\xa1/\x83\xa5rooms\x91\xa5room1\xa6except\x90\xa5flags\x80";
        let broadcast = broadcast(vec!["hello".into(), "x".into()], &["room1"]);
        assert_eq!(encode("lKQJvu", &broadcast), bytes[..]);
        assert_eq!(peek_uid(bytes), Some("lKQJvu"));
        assert_eq!(read(bytes), Ok(received("lKQJvu", broadcast)));
    }

    #[test]
    fn a_kept_broadcast_has_a_hole_for_its_offset() {
        let broadcast = broadcast(vec!["hello".into()], &[]);
        let template = encode_kept("n", &broadcast, "a1");
        let head = with_options(b"\x83\xa5rooms\x90\xa6except\x90\xa5flags\x82\xa2id\xa2a1\xa6offset\xb9");
        assert_eq!((&*template.prefix, &*template.suffix), (&*head, &b""[..]));

        let offset = Offset::new(Epoch::parse("k3Zp09aQ").unwrap(), 42).unwrap();
        let kept = Some(Kept {
            offset,
            id: "a1".into(),
        });
        let expected = Received {
            kept,
            ..received("n", broadcast)
        };
        assert_eq!(decode(&template.fill(offset), "/"), Ok(expected));
    }

    #[test]
    fn flags_that_only_look_like_ours_are_ignored() {
        let offset = b"\xa6offset\xb9k3Zp09aQ.0000000000000042";
        let id = b"\xa2id\xa2a1";
        let long_id = [b"\xa2id\xd9\x41".to_vec(), vec![b'a'; 65]].concat();
        let flags: [(u8, &[&[u8]]); 8] = [
            (1, &[offset]),
            (1, &[id]),
            (2, &[offset, b"\xa2id\xa0"]),
            (2, &[offset, b"\xa2id\x01"]),
            (2, &[offset, &long_id]),
            (2, &[b"\xa6offset\xa242", id]),
            (2, &[b"\xa6offset\x2a", id]),
            (3, &[offset, id, b"\xa8volatile\xc3"]),
        ];
        for (count, flags) in flags {
            let options = [b"\x81\xa5flags", &[0x80 | count][..], &flags.concat()].concat();
            let read = read(&with_options(&options)).unwrap();
            assert_eq!(read.kept, None, "{flags:02x?}");
        }
        let options = [b"\x81\xa5flags\x82", &offset[..], id].concat();
        assert!(read(&with_options(&options)).unwrap().kept.is_some());
    }

    #[test]
    fn missing_options_have_their_defaults() {
        for options in [
            &b"\x80"[..],
            b"\x82\xa5rooms\x90\xa5flags\xc0",
            b"\x83\xa5rooms\xc0\xa6except\xd4\x00\x00\xa5flags\x07",
        ] {
            let read = read(&with_options(options));
            assert_eq!(read, Ok(received("n", broadcast(vec!["hello".into()], &[]))));
        }
        let without_namespace = b"\x93\xa1n\x82\xa4type\x02\xa4data\x91\xa5hello\x80";
        assert!(read(without_namespace).is_ok());
        assert_eq!(
            decode(&Bytes::from_static(without_namespace), "/chat"),
            Err(DecodeError::OtherNamespace)
        );
    }

    #[test]
    fn rooms_may_be_numbers() {
        let options = b"\x82\xa5rooms\x93\x05\xd1\xff\x00\xcb\x3f\xe0\0\0\0\0\0\0\xa6except\x91\xcb\x40\x1c\0\0\0\0\0\0";
        let broadcast = read(&with_options(options)).unwrap().broadcast;
        assert_eq!(broadcast.rooms, ["5", "-256", "0.5"].map(Room::new));
        assert_eq!(broadcast.except, ["7"].map(Room::new));
    }

    #[test]
    fn what_says_nothing_usable_about_its_rooms_is_for_nobody() {
        for options in [
            &b"\xc0"[..],
            b"\x90",
            b"\xa5room1",
            b"\x81\xa5rooms\xa5room1",
            b"\x81\xa5rooms\x80",
            b"\x81\xa5rooms\x91\xc0",
            b"\x81\xa5rooms\x91\x91\xa5room1",
            b"\x82\xa5rooms\x90\xa6except\xa5room1",
        ] {
            assert!(
                matches!(read(&with_options(options)), Err(DecodeError::Malformed(_))),
                "{options:02x?}"
            );
        }
        let without_options = b"\x92\xa1n\x83\xa4type\x02\xa4data\x91\xa5hello\xa3nsp\xa1/";
        assert_eq!(read(without_options), Err(DecodeError::Malformed("no broadcast")));
    }

    #[test]
    fn dates_of_node_are_text() {
        let bytes = b"\x93\xa1n\x83\xa4type\x02\xa4data\x95\xa5dates\xd6\xff\x00\x00\x00\x01\xd7\xff\x1d\xcd\x65\x00\x00\x00\x00\x01\xc7\x0c\xff\x07\x73\x59\x40\xff\xff\xff\xff\xff\xff\xff\xff\xc0\xa3nsp\xa1/\x81\xa5rooms\x90";
        let event = Value::Array(read(bytes).unwrap().broadcast.event);
        let json = r#"["dates","1970-01-01T00:00:01.000Z","1970-01-01T00:00:01.125Z","1969-12-31T23:59:59.125Z",null]"#;
        assert_eq!(event.to_json(), json);
    }

    #[test]
    fn what_clients_refuse_is_refused() {
        let of_event = |event: Event| decode(&encode("n", &broadcast(event, &[])), "/");
        let attachments = |count| Value::Array(vec![Bytes::new().into(); count]);
        assert_eq!(
            of_event(vec!["disconnect".into()]),
            Err(DecodeError::ReservedEvent)
        );
        assert_eq!(
            of_event(vec!["a".into(), attachments(4), attachments(7)]),
            Err(DecodeError::TooManyAttachments)
        );
        assert!(of_event(vec!["a".into(), attachments(4), attachments(6)]).is_ok());
        for event in [
            vec![],
            vec![Value::Null],
            vec![Object::new().into()],
            vec![true.into()],
        ] {
            assert_eq!(of_event(event), Err(DecodeError::Malformed("event name")));
        }
        assert!(of_event(vec![Value::Int(5)]).is_ok());
    }

    #[test]
    fn what_ends_node_servers_is_refused_here() {
        let whole = with_options(b"\x80");
        let trailing = [&*whole, b"\xc0"].concat();
        for payload in [
            &b""[..],
            b"\xc0",
            b"\xc1",
            b"\x80",
            b"\x90",
            b"\x91\xa1n",
            b"\x93\xa1n\xc0\x80",
            b"\x93\xc0\xc0\xc0",
            b"garbage",
            br#"["n",{"type":2,"data":["hello"],"nsp":"/"},{}]"#,
            // What the streams adapter publishes on the same channel.
            b"\x84\xa4type\x03\xa4data\x80\xa3uid\xa1n\xa3nsp\xa1/",
            whole.get(..whole.len() - 1).unwrap(),
            &trailing,
        ] {
            assert!(
                matches!(read(payload), Err(DecodeError::Malformed(_))),
                "{payload:02x?}"
            );
        }
    }

    #[test]
    fn packets_other_than_events_are_refused() {
        for kind in [0_u8, 1, 3, 4, 6, 0xc0, 0xff] {
            let mut payload = with_options(b"\x80");
            let at = payload.windows(4).position(|bytes| bytes == b"type").unwrap() + 4;
            payload[at] = kind;
            assert_eq!(read(&payload), Err(DecodeError::Malformed("packet type")));
        }
    }

    #[test]
    fn peeking_takes_any_uid_a_node_may_have() {
        let long = "a".repeat(200);
        for uid in [
            "",
            "lKQJvu",
            "é",
            "0123456789012345678901234567890",
            "01234567890123456789012345678901",
            &long,
        ] {
            let payload = encode(uid, &broadcast(vec!["hello".into()], &[]));
            assert_eq!(peek_uid(&payload), Some(uid));
        }
        for payload in [
            &b""[..],
            b"\x93",
            b"\x93\xa2a",
            b"\x93\xd9\x05a",
            b"\x93\x01",
            b"\x92\xa1a",
            b"\x93\xa1\xff",
        ] {
            assert_eq!(peek_uid(payload), None, "{payload:02x?}");
        }
    }
}
