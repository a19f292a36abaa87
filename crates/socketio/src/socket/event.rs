//! A broadcast on its way to many sockets.

use carillon_protocol::{
    adapter::{Broadcast, Offset},
    socket::{Frames, Parser},
    value::Value,
};
use smallvec::SmallVec;

use crate::{observer::Tracked, session::Outbound};

/// Most different frames of one event that are kept to be shared: both parsers, with an offset and without.
const MAX_KEPT: usize = 4;

/// An event's frames, made once per parser, with and without its offset, and shared by all who get it.
///
/// socket.io-client takes the last argument of any event, if it is text, for the place up to which it has everything. So an
/// event without a place in the log that ends in text is told, to sockets that can be recovered, with the place where they
/// are already.
pub(crate) struct Encoded<'a> {
    broadcast: &'a Broadcast,
    offset: Option<Offset>,
    repeats_offset: bool,
    tracked: Option<Tracked>,
    made: SmallVec<[Made; MAX_KEPT]>,
}

struct Made {
    parser: Parser,
    offset: Option<Offset>,
    frames: Frames,
}

impl<'a> Encoded<'a> {
    pub(crate) fn new(broadcast: &'a Broadcast, offset: Option<Offset>, tracked: Option<Tracked>) -> Self {
        Self {
            broadcast,
            offset,
            tracked,
            repeats_offset: offset.is_none() && matches!(broadcast.event.last(), Some(Value::String(_))),
            made: SmallVec::new(),
        }
    }

    pub(super) const fn offset(&self) -> Option<Offset> {
        self.offset
    }

    pub(super) const fn is_volatile(&self) -> bool {
        self.broadcast.volatile
    }

    pub(super) fn args(&self) -> &'a [Value] {
        &self.broadcast.event
    }

    /// Whether it is told to sockets that can be recovered with the place where they are already.
    pub(super) const fn repeats_offset(&self) -> bool {
        self.repeats_offset
    }

    /// For a socket that speaks `parser` and is at `current`.
    pub(super) fn outbound(&mut self, parser: Parser, is_recoverable: bool, current: Offset) -> Outbound {
        Outbound {
            frames: self.frames(parser, is_recoverable, current),
            tracked: self.tracked,
        }
    }

    fn frames(&mut self, parser: Parser, is_recoverable: bool, current: Offset) -> Frames {
        let told = self.repeats_offset.then_some(current).or(self.offset);
        let offset = told.filter(|_| is_recoverable);
        let known = self
            .made
            .iter()
            .find(|made| made.parser == parser && made.offset == offset);
        if let Some(made) = known {
            return made.frames.clone();
        }
        let Broadcast { nsp, event, .. } = self.broadcast;
        let frames = parser.encode_event(nsp, event, offset, None);
        if self.made.len() == MAX_KEPT {
            self.made.remove(0);
        }
        self.made.push(Made {
            parser,
            offset,
            frames: frames.clone(),
        });
        frames
    }
}
