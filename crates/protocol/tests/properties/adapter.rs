//! What nodes tell each other: what is written is read again, is one whole value, and nothing from outside panics.

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{
        Broadcast, Epoch, Kept, OFFSET_WIDTH, Offset, Received,
        channel::Channels,
        classic,
        cluster::{
            Answer, ClusterRequest, ClusterResponse, HandshakeSummary, Operation, RemoteSocket, Target,
        },
        sharded::{self, Echo, Message},
    },
    id::Room,
    socket::is_event,
    time::Timestamp,
    value::{Object, Value},
};
use proptest::prelude::*;

use crate::common;

proptest! {
    #[test]
    fn a_broadcast_survives_either_dialect(uid in common::text(), broadcast in broadcast()) {
        let received = Received { uid: uid.clone(), broadcast, kept: None };
        let written = classic::encode(&uid, &received.broadcast);
        prop_assert_eq!(classic::peek_uid(&written), Some(&*uid));
        prop_assert_eq!(classic::decode(&written, &received.broadcast.nsp), Ok(received.clone()));

        let written = sharded::encode(&uid, &received.broadcast);
        prop_assert!(Echo::new(&uid, &received.broadcast.nsp).is(&written));
        let nsp = received.broadcast.nsp.clone();
        prop_assert_eq!(sharded::decode(&written, &nsp), Ok(Message::Broadcast(received)));
    }

    #[test]
    fn a_broadcast_is_one_msgpack_list_of_three(broadcast in broadcast()) {
        let written = classic::encode("lKQJvu", &broadcast);
        let mut rest = &*written;
        let value = rmpv::decode::read_value(&mut rest).unwrap();
        prop_assert!(rest.is_empty());
        let parts = value.as_array().unwrap();
        prop_assert_eq!(parts.len(), 3);
        let keys = |part: &rmpv::Value| {
            let map = part.as_map().unwrap();
            map.iter().map(|(key, _)| key.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(keys(&parts[1]), ["type", "data", "nsp"]);
        prop_assert_eq!(keys(&parts[2]), ["rooms", "except", "flags"]);
    }

    #[test]
    fn a_kept_broadcast_survives_its_splicing(broadcast in kept_broadcast(), kept in kept()) {
        let spliced = |prefix: &Bytes, suffix: &Bytes| -> Bytes {
            [&**prefix, kept.offset.to_string().as_bytes(), &**suffix].concat().into()
        };
        let received = Received { uid: "lKQJvu".into(), broadcast, kept: Some(kept.clone()) };

        let template = classic::encode_kept("lKQJvu", &received.broadcast, &kept.id);
        let written = spliced(&template.prefix, &template.suffix);
        prop_assert_eq!(&written, &template.fill(kept.offset));
        prop_assert_eq!(classic::decode(&written, &received.broadcast.nsp), Ok(received.clone()));

        let template = sharded::encode_kept("lKQJvu", &received.broadcast, &kept.id);
        let written = spliced(&template.prefix, &template.suffix);
        prop_assert_eq!(&written, &template.fill(kept.offset));
        let nsp = received.broadcast.nsp.clone();
        prop_assert_eq!(sharded::decode(&written, &nsp), Ok(Message::Broadcast(received)));
    }

    #[test]
    fn a_request_survives_either_dialect(request in request()) {
        let written = classic::encode_request(&request);
        prop_assert_eq!(classic::decode_request(&written, "/"), Ok(request.clone()));
        if let Some(written) = sharded::encode_request("/", &request) {
            prop_assert_eq!(sharded::decode(&written, "/"), Ok(Message::Request(request)));
        }
    }

    #[test]
    fn an_answer_survives_either_dialect(uid in common::text(), request_id in common::text(), answer in answer()) {
        let response = ClusterResponse { request_id, answer };
        let written = classic::encode_response(&response);
        prop_assert_eq!(classic::decode_response(&written), Ok(response.clone()));
        if let Some(written) = sharded::encode_response(&uid, "/", &response) {
            prop_assert_eq!(sharded::decode(&written, "/"), Ok(Message::Response { uid, response }));
        }
    }

    #[test]
    fn a_broadcast_cut_short_is_refused(broadcast in broadcast(), at in any::<prop::sample::Index>()) {
        for written in [classic::encode("lKQJvu", &broadcast), sharded::encode("lKQJvu", &broadcast)] {
            let cut = written.slice(..at.index(written.len()));
            prop_assert!(classic::decode(&cut, &broadcast.nsp).is_err());
            prop_assert!(sharded::decode(&cut, &broadcast.nsp).is_err());
        }
    }

    #[test]
    fn no_damaged_message_breaks_a_decoder(broadcast in broadcast(), request in request(), answer in answer(), at in any::<prop::sample::Index>(), byte: u8) {
        let response = ClusterResponse { request_id: "r".into(), answer };
        let written = [
            Some(classic::encode("lKQJvu", &broadcast)),
            Some(classic::encode_request(&request)),
            Some(classic::encode_response(&response)),
            Some(sharded::encode("lKQJvu", &broadcast)),
            sharded::encode_request("/", &request),
            sharded::encode_response("lKQJvu", "/", &response),
        ];
        for written in written.into_iter().flatten() {
            let mut damaged = written.to_vec();
            damaged[at.index(written.len())] = byte;
            read_as_anything(&damaged.into());
        }
    }

    #[test]
    fn no_bytes_break_a_decoder(bytes in common::bytes(), json in r#"\{("(type|opts|rooms|data|uid|nsp|requestId|packet|sockets)":[\[\]{}"0-9a,:null]{0,6},?){0,6}\}"#) {
        read_as_anything(&bytes);
        read_as_anything(&json.into());
    }

    #[test]
    fn no_text_breaks_an_offset(text in any::<String>(), near in "[a-zA-Z0-9]{7,9}[.,][0-9]{15,17}") {
        for text in [text, near] {
            if let Some(offset) = Offset::parse(&text) {
                prop_assert_eq!(offset.to_string(), text);
            }
        }
    }

    #[test]
    fn every_offset_has_its_width(offset in offset()) {
        let text = offset.to_string();
        prop_assert_eq!(text.len(), OFFSET_WIDTH);
        prop_assert_eq!(&offset.to_bytes(), text.as_bytes());
        prop_assert_eq!(Offset::parse(&text), Some(offset));
    }

    #[test]
    fn a_channel_gives_its_room_back(room in common::text(), other in common::text()) {
        let channels = Channels::new("socket.io", "/");
        let of_one = channels.of_rooms(&[Room::new(room.clone())]);
        prop_assert_eq!(channels.room_in(&of_one), Some(&*room));
        let _ = channels.room_in(&other);
    }
}

fn read_as_anything(payload: &Bytes) {
    let _ = classic::peek_uid(payload);
    let _ = classic::decode(payload, "/");
    let _ = classic::decode_request(payload, "/");
    let _ = classic::decode_response(payload);
    let _ = sharded::decode(payload, "/");
    let _ = Echo::new("lKQJvu", "/").is(payload);
}

fn rooms() -> impl Strategy<Value = Vec<Room>> {
    prop::collection::vec(common::text().prop_map(Room::new), 0..4)
}

fn event() -> impl Strategy<Value = Vec<Value>> {
    (common::text(), prop::collection::vec(common::value(), 0..3))
        .prop_map(|(name, args)| {
            std::iter::once(Value::String(name))
                .chain(args)
                .collect::<Vec<_>>()
        })
        .prop_filter("clients refuse it", |event| {
            is_event(event) && event.iter().map(Value::count_binary).sum::<usize>() <= 10
        })
}

fn broadcast() -> impl Strategy<Value = Broadcast> {
    let nsp = prop_oneof![Just("/".to_owned()), "/[^,]{0,12}"].prop_map(ByteString::from);
    (nsp, event(), rooms(), rooms(), any::<bool>()).prop_map(|(nsp, event, rooms, except, volatile)| {
        Broadcast {
            nsp,
            event,
            rooms,
            except,
            volatile,
        }
    })
}

fn kept_broadcast() -> impl Strategy<Value = Broadcast> {
    broadcast().prop_map(|broadcast| Broadcast {
        volatile: false,
        ..broadcast
    })
}

fn offset() -> impl Strategy<Value = Offset> {
    let number = prop_oneof![0..=1_u64 << 53, 0_u64..300];
    ("[a-zA-Z0-9]{8}", number).prop_filter_map("no offset", |(epoch, number)| {
        Offset::new(Epoch::parse(&epoch)?, number)
    })
}

fn kept() -> impl Strategy<Value = Kept> {
    let id = prop_oneof!["[a-zA-Z0-9_-]{1,64}", "[\"\\\\é]{1,16}"];
    (offset(), id).prop_map(|(offset, id)| Kept {
        offset,
        id: id.into(),
    })
}

fn target() -> impl Strategy<Value = Target> {
    (rooms(), rooms()).prop_map(|(rooms, except)| Target { rooms, except })
}

/// With an id where there has to be one, and none where none is sent.
fn request() -> impl Strategy<Value = ClusterRequest> {
    let operation = prop_oneof![
        rooms().prop_map(|rooms| Operation::Sockets { rooms }),
        Just(Operation::AllRooms),
        (target(), rooms()).prop_map(|(target, rooms)| Operation::Join { target, rooms }),
        (target(), rooms()).prop_map(|(target, rooms)| Operation::Leave { target, rooms }),
        (target(), any::<bool>()).prop_map(|(target, close)| Operation::Disconnect { target, close }),
        target().prop_map(Operation::Fetch),
        event().prop_map(Operation::ServerSideEmit),
        (broadcast(), any::<Option<u64>>()).prop_map(|(broadcast, timeout_ms)| {
            let nsp = "/".into();
            Operation::Broadcast {
                broadcast: Broadcast { nsp, ..broadcast },
                timeout_ms,
            }
        }),
    ];
    (common::text(), common::text(), operation, any::<bool>()).prop_map(
        |(uid, id, operation, is_answered)| {
            let has_id = match operation {
                Operation::Join { .. } | Operation::Leave { .. } | Operation::Disconnect { .. } => false,
                Operation::ServerSideEmit(_) => is_answered,
                _ => true,
            };
            ClusterRequest {
                uid: Some(uid),
                id: has_id.then_some(id),
                operation,
            }
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        prop::collection::vec(common::text(), 1..4).prop_map(Answer::SocketIds),
        rooms().prop_map(Answer::Rooms),
        Just(Answer::Done),
        prop::collection::vec(socket(), 0..3).prop_map(Answer::Sockets),
        common::value().prop_map(Answer::ServerSideEmit),
        any::<u64>().prop_map(Answer::ClientCount),
        common::value().prop_map(Answer::Ack),
    ]
}

fn socket() -> impl Strategy<Value = RemoteSocket> {
    let data = (common::text(), common::value()).prop_map(|(key, value)| {
        let mut data = Object::new();
        data.push(key, value);
        data
    });
    let handshake = (
        0_i64..4_000_000_000_000,
        common::text(),
        "/[a-z./]{0,9}",
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(issued, address, path, is_secure, is_cross_domain)| HandshakeSummary {
                issued: Timestamp::from_millis(issued),
                address,
                path: path.into(),
                is_secure,
                is_cross_domain,
            },
        );
    (common::text(), handshake, rooms(), data).prop_map(|(id, handshake, rooms, data)| RemoteSocket {
        id,
        handshake,
        rooms,
        data,
    })
}
