//! The packets that wait for a client: bounded in packets and bytes.

use std::collections::VecDeque;

use carillon_protocol::{engine::Frame, socket::Frames};

/// What waits, oldest first. A packet is one frame, or one and its attachments.
#[derive(Debug)]
pub(crate) struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    max_packets: usize,
    max_bytes: usize,
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
    pub(crate) fn push(&mut self, packet: Frames) -> bool {
        let bytes: usize = packet.iter().map(Frame::len).sum();
        let full = self.frames.len() >= self.max_packets || self.bytes + bytes > self.max_bytes;
        if full && !self.frames.is_empty() {
            return false;
        }
        self.bytes += bytes;
        self.frames.extend(packet);
        true
    }

    /// Adds packets, all or none; `false` where they do not fit.
    pub(crate) fn push_all(&mut self, packets: Vec<Frames>) -> bool {
        let frames: usize = packets.iter().map(|packet| packet.len()).sum();
        let bytes: usize = packets.iter().flatten().map(Frame::len).sum();
        if self.frames.len() + frames > self.max_packets || self.bytes + bytes > self.max_bytes {
            return false;
        }
        self.bytes += bytes;
        self.frames.extend(packets.into_iter().flatten());
        true
    }

    /// Adds a packet of the transport itself (a ping), which always fits.
    pub(crate) fn push_control(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Adds what waited in the queue of another node, where it fitted.
    pub(crate) fn restore(&mut self, frames: Vec<Frame>) {
        self.bytes += frames.iter().map(Frame::len).sum::<usize>();
        self.frames.extend(frames);
    }

    /// Moves up to `most` frames, oldest first, to the end of `batch`.
    pub(crate) fn take(&mut self, most: usize, batch: &mut impl Extend<Frame>) {
        let count = most.min(self.frames.len());
        batch.extend(
            self.frames
                .drain(..count)
                .inspect(|frame| self.bytes -= frame.len()),
        );
        if self.frames.is_empty() {
            // A burst is over: an idle connection keeps no buffer.
            self.frames = VecDeque::new();
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn text(length: usize) -> Frames {
        smallvec![Frame::Text("x".repeat(length).into())]
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
        queue.take(1, &mut batch);
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
        queue.take(2, &mut batch);
        queue.take(9, &mut batch);
        assert_eq!(batch.iter().map(Frame::len).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!(queue.bytes, 0);
    }
}
