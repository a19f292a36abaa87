//! Packets out of messages, so that another node can go on in the middle of one.

use carillon_protocol::{
    engine::{Frame, Message},
    socket::{Body, DecodeError, Decoder, Packet, Parser},
};

#[derive(Default)]
pub(super) struct Inlet {
    decoder: Decoder,
    /// The messages of the packet whose attachments are still to come.
    parts: Vec<Message>,
}

impl Inlet {
    /// Goes on after the messages of which another node has read `parts`, the beginning of a packet.
    pub(super) fn resume(parser: Option<Parser>, parts: Vec<Message>) -> Option<Self> {
        let mut inlet = Self::default();
        if let Some(parser) = parser {
            inlet.push(any_message(parser)?).ok()?;
        }
        for part in parts {
            if inlet.push(part).ok()?.is_some() {
                return None;
            }
        }
        Some(inlet)
    }

    /// Takes the next message; answers with a packet once it is whole.
    pub(super) fn push(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        // No other text announces attachments.
        let is_part = match &message {
            Message::Text(text) => text.starts_with(['5', '6']),
            Message::Binary(_) => !self.parts.is_empty(),
        };
        let part = is_part.then(|| message.clone());
        let packet = self.decoder.push(message)?;
        match packet {
            Some(_) => self.parts = Vec::new(),
            None => self.parts.extend(part),
        }
        Ok(packet)
    }

    /// Which parser the connection speaks, once a message has come.
    pub(super) const fn parser(&self) -> Option<Parser> {
        self.decoder.parser()
    }

    /// The beginning of a packet that is not whole.
    pub(super) fn parts(&self) -> &[Message] {
        &self.parts
    }
}

/// A message that tells the parser.
fn any_message(parser: Parser) -> Option<Message> {
    let frames = parser.encode(&Packet {
        nsp: "/".into(),
        body: Body::Disconnect,
    });
    match frames.into_iter().next()? {
        Frame::Text(text) => Some(Message::Text(text.strip_prefix('4')?.into())),
        Frame::Binary(bytes) => Some(Message::Binary(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use carillon_protocol::value::Value;

    use super::*;

    const HEAD: &str = r#"51-["a",{"_placeholder":true,"num":0}]"#;

    #[test]
    fn goes_on_in_the_middle_of_a_packet() {
        let mut old = Inlet::default();
        assert!(old.push(Message::Text("2[\"b\"]".into())).unwrap().is_some());
        assert!(old.parts().is_empty());
        assert_eq!(old.push(Message::Text(HEAD.into())), Ok(None));
        assert_eq!(old.parts(), [Message::Text(HEAD.into())]);

        let mut new = Inlet::resume(old.parser(), old.parts().to_vec()).unwrap();
        let packet = new.push(Message::Binary(vec![1].into())).unwrap().unwrap();
        let args = vec![Value::from("a"), Value::Binary(vec![1].into())];
        assert_eq!(packet.body, Body::Event { args, id: None });
        assert!(new.parts().is_empty());
    }

    #[test]
    fn the_parser_stays_what_it_was() {
        for parser in [Parser::Json, Parser::Msgpack] {
            let mut inlet = Inlet::resume(Some(parser), Vec::new()).unwrap();
            assert_eq!(inlet.parser(), Some(parser));
            let other = match parser {
                Parser::Json => Message::Binary(vec![0x80].into()),
                Parser::Msgpack => Message::Text("2[\"a\"]".into()),
            };
            assert!(inlet.push(other).is_err());
        }
        assert_eq!(Inlet::resume(None, Vec::new()).unwrap().parser(), None);
    }

    #[test]
    fn parts_that_are_none_are_refused() {
        let text = |text: &str| Message::Text(text.into());
        for parts in [
            vec![text("2[\"a\"]")],
            vec![text("x")],
            vec![text(HEAD), text(HEAD)],
        ] {
            assert!(Inlet::resume(Some(Parser::Json), parts).is_none());
        }
    }
}
