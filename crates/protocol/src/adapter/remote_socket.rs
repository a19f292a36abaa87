//! Sockets of other nodes, in answers of either dialect.

use super::{
    DecodeError,
    cluster::{HandshakeSummary, RemoteSocket},
    reader,
    writer::Writer,
};
use crate::{
    time::Timestamp,
    value::{Object, Value},
};

impl RemoteSocket {
    /// All that may be binary in it.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.data.iter().map(|(_, value)| value)
    }

    fn read(socket: Value) -> Result<Self, DecodeError> {
        let Value::Object(mut socket) = socket else {
            return Err(DecodeError::Malformed("sockets"));
        };
        Ok(Self {
            id: reader::take_text(&mut socket, "id").ok_or(DecodeError::Malformed("socket id"))?,
            handshake: HandshakeSummary::read(
                &reader::take_map(&mut socket, "handshake").unwrap_or_default(),
            ),
            rooms: reader::take_rooms(&mut socket, "rooms")?,
            data: reader::take_map(&mut socket, "data").unwrap_or_default(),
        })
    }
}

impl HandshakeSummary {
    /// Takes over what it has room for; what is missing is empty.
    fn read(handshake: &Object) -> Self {
        let issued = handshake.get("issued").and_then(Value::as_u64);
        let text = |key| {
            handshake
                .get(key)
                .and_then(Value::as_text)
                .cloned()
                .unwrap_or_default()
        };
        let is = |key| handshake.get(key) == Some(&Value::Bool(true));
        Self {
            issued: Timestamp::from_millis(issued.and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0)),
            address: text("address"),
            path: without_query(&text("url")).into(),
            is_secure: is("secure"),
            is_cross_domain: is("xdomain"),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}

/// The list under `sockets`.
pub(super) fn take_sockets(response: &mut Object) -> Result<Vec<RemoteSocket>, DecodeError> {
    let sockets = reader::take_list(response, "sockets")?;
    sockets.into_iter().map(RemoteSocket::read).collect()
}

impl Writer {
    pub(super) fn sockets(&mut self, sockets: &[RemoteSocket]) {
        self.open_array(sockets.len());
        for socket in sockets {
            self.item();
            self.open_map(4);
            self.key("id");
            self.text(&socket.id);
            self.key("handshake");
            self.handshake(&socket.handshake);
            self.key("rooms");
            self.rooms(&socket.rooms);
            self.key("data");
            self.object(&socket.data);
            self.close_map();
        }
        self.close_array();
    }

    /// All nine keys of Node's: tools for operators look into `headers` without asking whether it is there.
    fn handshake(&mut self, handshake: &HandshakeSummary) {
        self.open_map(9);
        self.key("headers");
        self.object(&Object::new());
        self.key("time");
        self.text(&handshake.issued.to_string());
        self.key("address");
        self.text(&handshake.address);
        self.key("xdomain");
        self.bool(handshake.is_cross_domain);
        self.key("secure");
        self.bool(handshake.is_secure);
        self.key("issued");
        self.value(&Value::Int(handshake.issued.as_millis()));
        self.key("url");
        self.text(without_query(&handshake.path));
        self.key("query");
        self.object(&Object::new());
        self.key("auth");
        self.object(&Object::new());
        self.close_map();
    }
}
