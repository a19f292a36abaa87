//! What nodes answer each other.

use bytes::Bytes;

use super::{finish, start};
use crate::{
    adapter::{
        DecodeError,
        cluster::{Answer, ClusterResponse, RemoteSocket},
        reader,
        remote_socket::take_sockets,
        writer::Form,
    },
    value::Object,
};

/// Writes the answer of the node `uid` as Node's adapter does; `None` for [`Answer::SocketIds`], [`Answer::Rooms`] and
/// [`Answer::Done`], which this dialect does not have.
#[must_use]
pub fn encode_response(uid: &str, nsp: &str, response: &ClusterResponse) -> Option<Bytes> {
    let ClusterResponse { request_id, answer } = response;
    let (kind, form) = shape(answer)?;
    let mut writer = start(form, kind, 2, Some(uid));
    writer.key("requestId");
    writer.text(request_id);
    match answer {
        Answer::SocketIds(_) | Answer::Rooms(_) | Answer::Done => {}
        Answer::Sockets(sockets) => {
            writer.key("sockets");
            writer.sockets(sockets);
        }
        Answer::ClientCount(count) => {
            writer.key("clientCount");
            writer.uint(*count);
        }
        Answer::ServerSideEmit(value) | Answer::Ack(value) => {
            writer.key("packet");
            writer.value(value);
        }
    }
    finish(&mut writer, Some(uid), nsp);
    Some(writer.finish())
}

/// The type's number and the form.
fn shape(answer: &Answer) -> Option<(u64, Form)> {
    match answer {
        Answer::SocketIds(_) | Answer::Rooms(_) | Answer::Done => None,
        Answer::Sockets(sockets) => {
            Some((8, Form::for_values(sockets.iter().flat_map(RemoteSocket::values))))
        }
        Answer::ServerSideEmit(value) => Some((10, Form::for_values([value]))),
        Answer::ClientCount(_) => Some((11, Form::Json)),
        Answer::Ack(value) => Some((12, Form::for_values([value]))),
    }
}

/// Reads the `data` of an answer.
pub(super) fn read(kind: u64, data: &mut Object) -> Result<ClusterResponse, DecodeError> {
    let request_id = reader::take_text(data, "requestId").ok_or(DecodeError::Malformed("requestId"))?;
    let answer = match kind {
        8 => Answer::Sockets(take_sockets(data)?),
        10 => Answer::ServerSideEmit(data.remove("packet").unwrap_or_default()),
        11 => Answer::ClientCount(reader::take_uint(data, "clientCount")?),
        12 => Answer::Ack(data.remove("packet").unwrap_or_default()),
        _ => return Err(DecodeError::UnknownType),
    };
    Ok(ClusterResponse { request_id, answer })
}
