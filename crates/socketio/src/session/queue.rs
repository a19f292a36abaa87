//! The packets that wait for a client: bounded in packets and bytes.

use std::collections::VecDeque;

use carillon_protocol::{engine::Frame, socket::Frames};

use crate::observer::Tracked;

/// What waits, oldest first. A packet is one frame, or one and its attachments.
#[derive(Debug)]
pub(crate) struct Queue {
    frames: VecDeque<Waiting>,
    bytes: usize,
    max_packets: usize,
    max_bytes: usize,
}

/// A packet for a client.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) frames: Frames,
    /// Whether its way is measured.
    pub(crate) tracked: Option<Tracked>,
}

/// A frame; the last one of a packet whose way is measured says so.
#[derive(Debug)]
struct Waiting {
    frame: Frame,
    tracked: Option<Tracked>,
}

impl From<Frames> for Outbound {
    fn from(frames: Frames) -> Self {
        Self {
            frames,
            tracked: None,
        }
    }
}

impl From<Frame> for Waiting {
    fn from(frame: Frame) -> Self {
        Self { frame, tracked: None }
    }
}

impl Queue {
    pub(crate) const fn new(max_packets: usize, max_bytes: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            max_packets,
            max_bytes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether more than half of what may wait does.
    pub(crate) fn is_half_full(&self) -> bool {
        self.frames.len() > self.max_packets / 2 || self.bytes > self.max_bytes / 2
    }

    /// Adds a packet; `false` where it does not fit. An empty queue takes a packet of any size.
    pub(crate) fn push(&mut self, packet: Outbound) -> bool {
        let bytes: usize = packet.frames.iter().map(Frame::len).sum();
        let full = self.frames.len() >= self.max_packets || self.bytes + bytes > self.max_bytes;
        if full && !self.frames.is_empty() {
            return false;
        }
        self.bytes += bytes;
        self.append(packet);
        true
    }

    /// Adds packets, all or none; `false` where they do not fit.
    pub(crate) fn push_all(&mut self, packets: Vec<Outbound>) -> bool {
        let frames: usize = packets.iter().map(|packet| packet.frames.len()).sum();
        let bytes: usize = packets
            .iter()
            .flat_map(|packet| &packet.frames)
            .map(Frame::len)
            .sum();
        if self.frames.len() + frames > self.max_packets || self.bytes + bytes > self.max_bytes {
            return false;
        }
        self.bytes += bytes;
        packets.into_iter().for_each(|packet| self.append(packet));
        true
    }

    fn append(&mut self, packet: Outbound) {
        self.frames.extend(packet.frames.into_iter().map(Waiting::from));
        if let Some(last) = self.frames.back_mut() {
            last.tracked = packet.tracked;
        }
    }

    /// Adds a packet of the transport itself (a ping), which always fits.
    pub(crate) fn push_control(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame.into());
    }

    /// Adds what waited in the queue of another node, where it fitted.
    pub(crate) fn restore(&mut self, frames: Vec<Frame>) {
        self.bytes += frames.iter().map(Frame::len).sum::<usize>();
        self.frames.extend(frames.into_iter().map(Waiting::from));
    }

    /// Moves up to `most` frames, oldest first, to the end of `batch`, and to `tracked` what is measured of them.
    pub(crate) fn take(
        &mut self,
        most: usize,
        batch: &mut impl Extend<Frame>,
        tracked: &mut impl Extend<Tracked>,
    ) {
        let count = most.min(self.frames.len());
        let taken = self.frames.drain(..count).map(|waiting| {
            self.bytes -= waiting.frame.len();
            tracked.extend(waiting.tracked);
            waiting.frame
        });
        batch.extend(taken);
        if self.frames.is_empty() {
            // A burst is over: an idle connection keeps no buffer.
            self.frames = VecDeque::new();
        }
    }

    /// Drops everything; answers what was measured of it.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Tracked> + use<> {
        self.bytes = 0;
        let dropped = std::mem::take(&mut self.frames);
        dropped.into_iter().filter_map(|waiting| waiting.tracked)
    }

    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn text(length: usize) -> Outbound {
        let frames: Frames = smallvec![Frame::Text("x".repeat(length).into())];
        frames.into()
    }

    #[test]
    fn is_bounded_in_packets_and_bytes() {
        let mut queue = Queue::new(3, 10);
        assert!(queue.push(text(4)) && queue.push(text(4)));
        assert!(!queue.push(text(3)));
        assert!(queue.push(text(2)));
        assert!(!queue.push(text(0)));
    }

    #[test]
    fn an_empty_queue_takes_a_packet_of_any_size() {
        let mut queue = Queue::new(3, 10);
        assert!(queue.push(text(100)));
        assert!(!queue.push(text(1)));
        let mut batch = Vec::new();
        queue.take(1, &mut batch, &mut Vec::new());
        assert!(queue.is_empty() && queue.push(text(10)));
    }

    #[test]
    fn packets_that_belong_together_fit_all_or_none() {
        let mut queue = Queue::new(3, 10);
        assert!(!queue.push_all(vec![text(6), text(5)]));
        assert!(!queue.push_all(vec![text(1), text(1), text(1), text(1)]));
        assert!(queue.is_empty());
        assert!(queue.push_all(vec![text(6), text(3)]));
        assert!(!queue.push_all(vec![text(1), text(1)]));
        assert!(queue.push_all(vec![text(1)]));
    }

    #[test]
    fn gives_frames_in_order() {
        let mut queue = Queue::new(10, 100);
        queue.push(text(1));
        queue.push_control(Frame::PING);
        queue.push(text(2));
        let mut batch = Vec::new();
        queue.take(2, &mut batch, &mut Vec::new());
        queue.take(9, &mut batch, &mut Vec::new());
        assert_eq!(batch.iter().map(Frame::len).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn what_is_measured_comes_with_the_last_frame_of_its_packet() {
        let mut queue = Queue::new(10, 100);
        let tracked = Tracked {
            path: crate::Path::Local,
            since: tokio::time::Instant::now(),
        };
        let frames: Frames = smallvec![Frame::PING, Frame::PING];
        queue.push(Outbound {
            frames,
            tracked: Some(tracked),
        });
        queue.push(text(1));

        let (mut batch, mut seen) = (Vec::new(), Vec::new());
        queue.take(1, &mut batch, &mut seen);
        assert!(seen.is_empty());
        queue.take(1, &mut batch, &mut seen);
        assert_eq!(seen, [tracked]);
        assert_eq!(queue.clear().count(), 0);
        assert_eq!(queue.bytes(), 0);
    }
}
