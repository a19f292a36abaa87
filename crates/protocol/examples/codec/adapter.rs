//! The messages of nodes, as `crates/testkit/node/adapter-codec.test.js` has them.
//!
//! | `op` | command, besides `dialect` (`classic` or `sharded`) and `nsp` | answer in `ok` |
//! |---|---|---|
//! | `encodeBroadcast` | `uid`, `broadcast` `{event, rooms, except, volatile}`, `kept?` `{offset, id}` | `{channel, payload}` |
//! | `decodeBroadcast` | `payload` | `{uid, broadcast, kept?}` |
//! | `encodeRequest` | `request` `{uid?, id?, operation, …}` | payload |
//! | `decodeRequest` | `payload` | `request` |
//! | `encodeResponse` | `uid`, `response` `{requestId, answer, value?}` | payload |
//! | `decodeResponse` | `payload` | `response` |

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{
        Broadcast, Offset, Received,
        channel::Channels,
        classic,
        cluster::{
            Answer, ClusterRequest, ClusterResponse, HandshakeSummary, Operation, RemoteSocket, Target,
        },
        sharded::{self, Message},
    },
    id::Room,
    time::Timestamp,
    value::{Object, Value},
};

use crate::{list, text};

/// Answers a command of the table above; `None` for any other.
pub(crate) fn answer(op: &str, command: &Value) -> Option<Result<Value>> {
    Some(match op {
        "encodeBroadcast" => encode_broadcast(command),
        "decodeBroadcast" => decode_broadcast(command),
        "encodeRequest" => encode_request(command),
        "decodeRequest" => decode_request(command),
        "encodeResponse" => encode_response(command),
        "decodeResponse" => decode_response(command),
        _ => return None,
    })
}

fn is_sharded(command: &Value) -> Result<bool> {
    Ok(&**text(command, "dialect")? == "sharded")
}

fn payload(command: &Value) -> Result<&Bytes> {
    match command.get("payload") {
        Some(Value::Binary(payload)) => Ok(payload),
        _ => bail!("no payload"),
    }
}

fn encode_broadcast(command: &Value) -> Result<Value> {
    let (uid, nsp) = (text(command, "uid")?, text(command, "nsp")?);
    let broadcast = broadcast(command.get("broadcast").context("no broadcast")?, nsp)?;
    let is_sharded = is_sharded(command)?;
    let payload = match command.get("kept") {
        None if is_sharded => sharded::encode(uid, &broadcast),
        None => classic::encode(uid, &broadcast),
        Some(kept) => {
            let offset = Offset::parse(text(kept, "offset")?).context("no offset")?;
            let id = text(kept, "id")?;
            let template = if is_sharded {
                sharded::encode_kept(uid, &broadcast, id)
            } else {
                classic::encode_kept(uid, &broadcast, id)
            };
            template.fill(offset)
        }
    };
    let channels = Channels::new("socket.io", nsp);
    let channel = if is_sharded {
        channels.of_rooms_sharded(&broadcast.rooms)
    } else {
        channels.of_rooms(&broadcast.rooms)
    };
    Ok(Object::new()
        .with("channel", channel)
        .with("payload", payload)
        .into())
}

fn decode_broadcast(command: &Value) -> Result<Value> {
    let (payload, nsp) = (payload(command)?, text(command, "nsp")?);
    let received = if is_sharded(command)? {
        match sharded::decode(payload, nsp)? {
            Message::Broadcast(received) => received,
            _ => bail!("no broadcast"),
        }
    } else {
        classic::decode(payload, nsp)?
    };
    let Received { uid, broadcast, kept } = received;
    let mut answer = Object::new()
        .with("uid", uid)
        .with("broadcast", broadcast_value(broadcast));
    if let Some(kept) = kept {
        let kept = Object::new()
            .with("offset", kept.offset.to_string())
            .with("id", kept.id);
        answer.push("kept", kept);
    }
    Ok(answer.into())
}

fn encode_request(command: &Value) -> Result<Value> {
    let nsp = text(command, "nsp")?;
    let request = request(command.get("request").context("no request")?, nsp)?;
    let payload = if is_sharded(command)? {
        sharded::encode_request(nsp, &request).context("not in this dialect")?
    } else {
        classic::encode_request(&request)
    };
    Ok(payload.into())
}

fn decode_request(command: &Value) -> Result<Value> {
    let (payload, nsp) = (payload(command)?, text(command, "nsp")?);
    let request = if is_sharded(command)? {
        match sharded::decode(payload, nsp)? {
            Message::Request(request) => request,
            _ => bail!("no request"),
        }
    } else {
        classic::decode_request(payload, nsp)?
    };
    Ok(request_value(request))
}

fn encode_response(command: &Value) -> Result<Value> {
    let response = response(command.get("response").context("no response")?)?;
    let payload = if is_sharded(command)? {
        let (uid, nsp) = (text(command, "uid")?, text(command, "nsp")?);
        sharded::encode_response(uid, nsp, &response).context("not in this dialect")?
    } else {
        classic::encode_response(&response)
    };
    Ok(payload.into())
}

fn decode_response(command: &Value) -> Result<Value> {
    let payload = payload(command)?;
    let response = if is_sharded(command)? {
        match sharded::decode(payload, text(command, "nsp")?)? {
            Message::Response { response, .. } => response,
            _ => bail!("no response"),
        }
    } else {
        classic::decode_response(payload)?
    };
    Ok(response_value(response))
}

fn rooms(value: &Value, key: &str) -> Result<Vec<Room>> {
    let rooms = list(value, key)?.iter();
    rooms
        .map(|room| Ok(Room::new(room.as_text().context("no room")?.clone())))
        .collect()
}

fn room_values(rooms: &[Room]) -> Value {
    rooms
        .iter()
        .map(|room| Value::from(room.as_str().to_owned()))
        .collect::<Vec<_>>()
        .into()
}

fn broadcast(value: &Value, nsp: &ByteString) -> Result<Broadcast> {
    Ok(Broadcast {
        nsp: nsp.clone(),
        event: list(value, "event")?.to_vec(),
        rooms: rooms(value, "rooms")?,
        except: rooms(value, "except")?,
        volatile: value.get("volatile") == Some(&Value::Bool(true)),
    })
}

fn broadcast_value(broadcast: Broadcast) -> Object {
    Object::new()
        .with("event", broadcast.event)
        .with("rooms", room_values(&broadcast.rooms))
        .with("except", room_values(&broadcast.except))
        .with("volatile", broadcast.volatile)
}

fn target(value: &Value) -> Result<Target> {
    let target = value.get("target").context("no target")?;
    Ok(Target {
        rooms: rooms(target, "rooms")?,
        except: rooms(target, "except")?,
    })
}

fn target_value(target: &Target) -> Object {
    Object::new()
        .with("rooms", room_values(&target.rooms))
        .with("except", room_values(&target.except))
}

fn request(value: &Value, nsp: &ByteString) -> Result<ClusterRequest> {
    let operation = match &**text(value, "operation")? {
        "sockets" => Operation::Sockets {
            rooms: rooms(value, "rooms")?,
        },
        "allRooms" => Operation::AllRooms,
        "join" => Operation::Join {
            target: target(value)?,
            rooms: rooms(value, "rooms")?,
        },
        "leave" => Operation::Leave {
            target: target(value)?,
            rooms: rooms(value, "rooms")?,
        },
        "disconnect" => Operation::Disconnect {
            target: target(value)?,
            close: value.get("close") == Some(&Value::Bool(true)),
        },
        "fetch" => Operation::Fetch(target(value)?),
        "serverSideEmit" => Operation::ServerSideEmit(list(value, "event")?.to_vec()),
        "broadcast" => Operation::Broadcast {
            broadcast: broadcast(value.get("broadcast").context("no broadcast")?, nsp)?,
            timeout_ms: value.get("timeout").and_then(Value::as_u64),
        },
        operation => bail!("unknown operation {operation}"),
    };
    let optional = |key| value.get(key).and_then(Value::as_text).cloned();
    Ok(ClusterRequest {
        uid: optional("uid"),
        id: optional("id"),
        operation,
    })
}

fn request_value(request: ClusterRequest) -> Value {
    let mut value = Object::new();
    for (key, text) in [("uid", request.uid), ("id", request.id)] {
        if let Some(text) = text {
            value.push(key, text);
        }
    }
    let operation = |name: &'static str| Object::new().with("operation", name);
    let fields = match request.operation {
        Operation::Sockets { rooms } => operation("sockets").with("rooms", room_values(&rooms)),
        Operation::AllRooms => operation("allRooms"),
        Operation::Join { target, rooms } => operation("join")
            .with("target", target_value(&target))
            .with("rooms", room_values(&rooms)),
        Operation::Leave { target, rooms } => operation("leave")
            .with("target", target_value(&target))
            .with("rooms", room_values(&rooms)),
        Operation::Disconnect { target, close } => operation("disconnect")
            .with("target", target_value(&target))
            .with("close", close),
        Operation::Fetch(target) => operation("fetch").with("target", target_value(&target)),
        Operation::ServerSideEmit(event) => operation("serverSideEmit").with("event", event),
        Operation::Broadcast {
            broadcast,
            timeout_ms,
        } => operation("broadcast")
            .with("broadcast", broadcast_value(broadcast))
            .with("timeout", timeout_ms),
    };
    for (key, field) in fields.iter() {
        value.push(key.clone(), field.clone());
    }
    value.into()
}

fn response(value: &Value) -> Result<ClusterResponse> {
    let content = || value.get("value").cloned().unwrap_or_default();
    let answer = match &**text(value, "answer")? {
        "socketIds" => {
            let ids = list(value, "value")?.iter();
            let ids: Result<_> = ids.map(|id| Ok(id.as_text().context("no id")?.clone())).collect();
            Answer::SocketIds(ids?)
        }
        "rooms" => Answer::Rooms(rooms(value, "value")?),
        "done" => Answer::Done,
        "sockets" => {
            let sockets: Result<_> = list(value, "value")?.iter().map(socket).collect();
            Answer::Sockets(sockets?)
        }
        "serverSideEmit" => Answer::ServerSideEmit(content()),
        "clientCount" => Answer::ClientCount(content().as_u64().context("no count")?),
        "ack" => Answer::Ack(content()),
        answer => bail!("unknown answer {answer}"),
    };
    Ok(ClusterResponse {
        request_id: text(value, "requestId")?.clone(),
        answer,
    })
}

fn response_value(response: ClusterResponse) -> Value {
    let (answer, value) = match response.answer {
        Answer::SocketIds(ids) => (
            "socketIds",
            ids.into_iter().map(Value::from).collect::<Vec<_>>().into(),
        ),
        Answer::Rooms(rooms) => ("rooms", room_values(&rooms)),
        Answer::Done => ("done", Value::Null),
        Answer::Sockets(sockets) => (
            "sockets",
            sockets.into_iter().map(socket_value).collect::<Vec<_>>().into(),
        ),
        Answer::ServerSideEmit(value) => ("serverSideEmit", value),
        Answer::ClientCount(count) => ("clientCount", count.into()),
        Answer::Ack(value) => ("ack", value),
    };
    Object::new()
        .with("requestId", response.request_id)
        .with("answer", answer)
        .with("value", value)
        .into()
}

fn socket(value: &Value) -> Result<RemoteSocket> {
    let issued = value.get("issued").and_then(Value::as_u64).context("no issued")?;
    let Some(Value::Object(data)) = value.get("data") else {
        bail!("no data");
    };
    Ok(RemoteSocket {
        id: text(value, "id")?.clone(),
        handshake: HandshakeSummary {
            issued: Timestamp::from_millis(i64::try_from(issued)?),
            address: text(value, "address")?.clone(),
            path: text(value, "path")?.clone(),
            is_secure: value.get("isSecure") == Some(&Value::Bool(true)),
            is_cross_domain: value.get("isCrossDomain") == Some(&Value::Bool(true)),
        },
        rooms: rooms(value, "rooms")?,
        data: data.clone(),
    })
}

fn socket_value(socket: RemoteSocket) -> Value {
    let handshake = socket.handshake;
    Object::new()
        .with("id", socket.id)
        .with("issued", handshake.issued.as_millis())
        .with("address", handshake.address)
        .with("path", handshake.path)
        .with("isSecure", handshake.is_secure)
        .with("isCrossDomain", handshake.is_cross_domain)
        .with("rooms", room_values(&socket.rooms))
        .with("data", socket.data)
        .into()
}
