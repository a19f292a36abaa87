//! One Engine.IO session: the state that its transports, its timers and the layer above share.
//!
//! Everything here is synchronous and short: the lock is never held across an await. What waits (a held poll, a
//! WebSocket's writer, the timers) waits on one of two notifications and looks again. Each takes its place among those who
//! wait before it looks, and `notify_waiters` wakes all of them: no change is slept through, and none is left for later.

mod arriving;
mod layer;
mod leaving;
mod machine;
mod measure;
mod polling;
mod queue;
mod reason;
mod transfer;
mod websocket;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use carillon_protocol::{
    engine::{self, Frame, Message, Packet},
    socket::Frames,
    value::Value,
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

pub use layer::{Application, DepartingLayer};
pub use leaving::{Departure, Leaving};
#[cfg(feature = "fuzzing")]
pub use machine::fuzz_session_machine;
pub use polling::{Malformed, Poll, Post};
pub use reason::{CloseReason, Transport};
pub use transfer::{SessionBrief, SessionExport};
pub use websocket::{Incoming, WebSocketLink, WebSocketSink};

pub(crate) use polling::{Work, run_polling};
pub(crate) use websocket::{Role, close_unused, probe_packet, serve};

use crate::{
    config::Config,
    counters::Counters,
    handler::Refusal,
    observer::{Delivery, Tracked},
};
use machine::{Farewell, Input, Machine, Output};
use queue::Queue;

pub(crate) use queue::Outbound;

/// How long a session that may join nothing waits for the CONNECT that it answers so.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(5);

/// What a session holds from its opening until nothing is left of it: its place among those that may be open.
pub trait Place: std::fmt::Debug + Send + Sync {
    /// Why the session may join nothing, where it was only opened to be told so. It is told in answer to its CONNECT, and
    /// ended.
    fn refusal(&self) -> Option<Refusal>;
}

/// What a session was opened with, as far as the layer above may want to know.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// The client's address, as text.
    pub address: String,
    /// Headers of the request that opened the session, names in lower case; only those that the edge passed on.
    pub headers: Vec<(ByteString, ByteString)>,
    /// Its place, where places are counted.
    pub place: Option<Arc<dyn Place>>,
}

impl Handshake {
    /// The first header of this lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| &**value)
    }

    /// Why the session may join nothing.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.place.as_ref()?.refusal()
    }
}

/// What a task that waits for messages is to turn to first.
enum Call {
    Ended(CloseReason),
    Layer,
}

/// Whether a packet was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is in the queue.
    Queued,
    /// The queue is full and the packet volatile.
    Dropped,
    /// The session has ended, perhaps because this packet did not fit.
    Closed,
}

/// One Engine.IO session.
#[derive(Debug)]
pub struct Session {
    sid: ByteString,
    handshake: Handshake,
    owner: OnceLock<ByteString>,
    /// What opened it here.
    opened_by: Transport,
    opened_at: Instant,
    config: Arc<Config>,
    counters: Arc<Counters>,
    state: Mutex<State>,
    /// The layer above is called for.
    calling: AtomicBool,
    /// For the transports that write: something waits in the queue, or the session has ended. Two may wait for a moment:
    /// the poll that an upgrade releases, and the WebSocket.
    outbound: Notify,
    /// For everyone else: a deadline moved, the session has ended, or a WebSocket takes over.
    changed: Notify,
}

struct State {
    machine: Machine,
    queue: Queue,
    farewell: Option<Farewell>,
    /// The held poll is to be answered even with nothing to say.
    release_poll: bool,
    /// The number of the latest probing WebSocket: one that finds another number here is over.
    probe: u64,
    /// From POSTs to the task of a polling session.
    inbox: Option<mpsc::Sender<Work>>,
    /// What that task is to do once a WebSocket has taken over and what was posted is worked off.
    hand_over: Option<HandOver>,
}

enum HandOver {
    /// Hand the layer above to the WebSocket.
    Here(oneshot::Sender<Box<dyn Application>>),
    /// Have the layer above made ready for another node, where the WebSocket is.
    Elsewhere(oneshot::Sender<(Value, Box<dyn DepartingLayer>)>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("machine", &self.machine)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What an input calls for beyond the session's own state.
#[derive(Default)]
struct Effects {
    refused: bool,
    answer_probe: bool,
    deliver: Option<Message>,
    /// The upgrade is done: here comes the layer above.
    application: Option<oneshot::Receiver<Box<dyn Application>>>,
    /// The upgrade is done elsewhere: here comes what the layer above has for the other node.
    departing: Option<oneshot::Receiver<(Value, Box<dyn DepartingLayer>)>>,
}

/// Frames to write at once.
#[derive(Default)]
struct Batch {
    frames: SmallVec<[Frame; 8]>,
    /// What is measured of them. Mostly empty: then it takes no memory.
    tracked: Vec<Tracked>,
}

impl Session {
    pub(crate) fn new(
        sid: ByteString,
        transport: Transport,
        handshake: Handshake,
        config: Arc<Config>,
        counters: Arc<Counters>,
    ) -> Self {
        counters.opened(transport);
        let now = Instant::now();
        let mut machine = Machine::new(transport, &config, now);
        if handshake.refusal().is_some() {
            machine = machine.joining_until(now + REFUSED_TIMEOUT);
        }
        Self::over(machine, sid, handshake, config, counters)
    }

    fn over(
        machine: Machine,
        sid: ByteString,
        handshake: Handshake,
        config: Arc<Config>,
        counters: Arc<Counters>,
    ) -> Self {
        let queue = Queue::new(config.queue_packets, config.queue_bytes);
        Self {
            sid,
            handshake,
            owner: OnceLock::new(),
            opened_by: machine.transport(),
            opened_at: Instant::now(),
            config,
            counters,
            state: Mutex::new(State {
                machine,
                queue,
                farewell: None,
                release_poll: false,
                probe: 0,
                inbox: None,
                hand_over: None,
            }),
            calling: AtomicBool::new(false),
            outbound: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// The session id: a secret, since whoever has it may speak for the client.
    #[must_use]
    pub const fn sid(&self) -> &ByteString {
        &self.sid
    }

    /// What it was opened with.
    #[must_use]
    pub const fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Whose it is, once the application has said so: what its requests may be counted by.
    #[must_use]
    pub fn owner(&self) -> Option<&ByteString> {
        self.owner.get()
    }

    /// Says whose it is. The first word counts.
    pub fn set_owner(&self, owner: ByteString) {
        self.owner.get_or_init(|| owner);
    }

    /// When it was opened, or came to this node.
    #[must_use]
    pub const fn opened_at(&self) -> Instant {
        self.opened_at
    }

    /// What it was opened by: WebSocket where it came from another node.
    #[must_use]
    pub const fn opened_by(&self) -> Transport {
        self.opened_by
    }

    /// Bytes that wait for the client.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.state.lock().queue.bytes()
    }

    /// What carries it now.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.state.lock().machine.transport()
    }

    /// Whether a WebSocket may begin an upgrade now: it polls, and no other is at it.
    #[must_use]
    pub fn takes_upgrade(&self) -> bool {
        self.state.lock().machine.takes_probe()
    }

    /// Has a held poll answered, with a noop where there is nothing else, so that the client comes with another one.
    pub fn release_poll(&self) {
        self.input(Input::ReleasePoll);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().machine.is_closed()
    }

    /// Waits until it has ended.
    pub async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Whether it is on its way to another node.
    pub(crate) fn is_moving(&self) -> bool {
        self.state.lock().machine.is_moving()
    }

    /// Feeds the machine a deadline that has passed, though the timer may not have run yet.
    pub(crate) fn catch_up(&self) {
        let mut state = self.state.lock();
        if state
            .machine
            .deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            self.apply(&mut state, Input::Tick);
        }
    }

    /// Whether it has ended and nothing is left for its client.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.machine.is_closed() && state.machine.deadline().is_none()
    }

    /// Queues a packet for the client. A full queue drops a volatile packet; any other ends the session as a slow
    /// consumer. Never waits.
    pub fn send(&self, packet: Frames, volatile: bool) -> Sent {
        self.send_tracked(packet.into(), volatile)
    }

    /// The same for a packet whose way may be measured.
    pub(crate) fn send_tracked(&self, packet: Outbound, volatile: bool) -> Sent {
        let tracked = packet.tracked;
        let mut state = self.state.lock();
        if state.machine.is_closed() {
            self.counters.tracked(tracked, Delivery::DroppedClosed);
            return Sent::Closed;
        }
        let was_empty = state.queue.is_empty();
        if !state.queue.push(packet) {
            self.counters.did_not_fit(volatile);
            if volatile {
                return Sent::Dropped;
            }
            self.counters.tracked(tracked, Delivery::DroppedSlow);
            self.apply(&mut state, Input::Close(CloseReason::SlowConsumer));
            return Sent::Closed;
        }
        drop(state);
        if was_empty {
            self.outbound.notify_waiters();
        }
        Sent::Queued
    }

    /// Queues packets that belong together; where they do not fit, none of them ([`Sent::Dropped`]).
    pub(crate) fn send_all(&self, packets: Vec<Outbound>) -> Sent {
        let mut state = self.state.lock();
        if state.machine.is_closed() {
            return Sent::Closed;
        }
        if !state.queue.push_all(packets) {
            return Sent::Dropped;
        }
        drop(state);
        self.outbound.notify_waiters();
        Sent::Queued
    }

    /// Most packets that may wait for the client.
    pub(crate) fn queue_packets(&self) -> usize {
        self.config.queue_packets
    }

    /// Ends the session. What is queued still goes out, as far as the client takes it.
    pub fn close(&self, reason: CloseReason) {
        self.input(Input::Close(reason));
    }

    /// Ends the session at `at`, whatever else happens; `None` lifts it.
    pub fn expire_at(&self, at: Option<Instant>) {
        self.input(Input::ExpireAt(at));
    }

    /// Has the layer above look after itself, once it is done with the message it has: [`Application::called`].
    pub fn call_layer(&self) {
        self.calling.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the layer above was called for since the last time.
    pub(crate) fn take_call(&self) -> bool {
        self.calling.load(Ordering::Relaxed) && self.calling.swap(false, Ordering::AcqRel)
    }

    /// A namespace was joined: the session no longer ends by the connect timeout.
    pub(crate) fn joined(&self) {
        self.input(Input::Joined);
    }

    pub(crate) fn open_packet(&self) -> Frame {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        engine::Handshake {
            sid: &self.sid,
            upgrade: self.transport() == Transport::Polling,
            ping_interval_ms: millis(self.config.ping_interval),
            ping_timeout_ms: millis(self.config.ping_timeout),
            max_payload: self.config.max_payload,
        }
        .to_frame()
    }

    pub(crate) fn set_inbox(&self, inbox: mpsc::Sender<Work>) {
        self.state.lock().inbox = Some(inbox);
    }

    fn input(&self, input: Input) -> Effects {
        self.apply(&mut self.state.lock(), input)
    }

    fn apply(&self, state: &mut State, input: Input) -> Effects {
        let mut effects = Effects::default();
        self.measure(state, &input);
        // Messages, the many, never bring a deadline forward.
        let is_message = matches!(input, Input::Packet(Packet::Message(_)));
        let deadline = (!is_message).then(|| state.machine.deadline()).flatten();
        for output in state.machine.handle(input, &self.config, Instant::now()) {
            match output {
                Output::Refuse => effects.refused = true,
                Output::Deliver(message) => effects.deliver = Some(message),
                Output::AnswerProbe => effects.answer_probe = true,
                Output::Ping => {
                    state.queue.push_control(Frame::PING);
                    self.outbound.notify_waiters();
                }
                Output::ReleasePoll => {
                    state.release_poll = true;
                    self.outbound.notify_waiters();
                }
                Output::Upgraded => {
                    let (sender, receiver) = oneshot::channel();
                    effects.application = Some(receiver);
                    self.leave_polling(state, HandOver::Here(sender));
                }
                Output::Departing => {
                    let (sender, receiver) = oneshot::channel();
                    effects.departing = Some(receiver);
                    self.leave_polling(state, HandOver::Elsewhere(sender));
                }
                Output::CloseProbe => {
                    state.probe += 1;
                    self.counters.upgrade(false);
                    self.changed.notify_waiters();
                }
                Output::Closed(farewell) => {
                    if !farewell.flush {
                        let delivery = match farewell.reason {
                            CloseReason::SlowConsumer => Delivery::DroppedSlow,
                            _ => Delivery::DroppedClosed,
                        };
                        self.counters.tracked(state.queue.clear(), delivery);
                    }
                    state.farewell = Some(farewell);
                    self.counters
                        .closed(self.opened_by, farewell.reason, self.opened_at.elapsed());
                    self.outbound.notify_waiters();
                    self.changed.notify_waiters();
                }
                Output::Forget => self.changed.notify_waiters(),
            }
        }
        if deadline.is_some() && state.machine.deadline() < deadline {
            self.changed.notify_waiters();
        }
        effects
    }

    fn leave_polling(&self, state: &mut State, hand_over: HandOver) {
        state.inbox = None;
        state.hand_over = Some(hand_over);
        self.counters.upgrade(true);
        self.outbound.notify_waiters();
        self.changed.notify_waiters();
    }

    /// Waits until the session has ended; answers why.
    async fn ended(&self) -> CloseReason {
        loop {
            let changed = self.changed.notified();
            if let Some(farewell) = self.state.lock().farewell {
                return farewell.reason;
            }
            changed.await;
        }
    }

    /// Waits until there is something that comes before the next message.
    async fn call(&self) -> Call {
        loop {
            let changed = self.changed.notified();
            if let Some(farewell) = self.state.lock().farewell {
                return Call::Ended(farewell.reason);
            }
            if self.take_call() {
                return Call::Layer;
            }
            changed.await;
        }
    }

    /// Feeds the machine its deadlines until the session is over.
    async fn run_timers(&self) {
        loop {
            let changed = self.changed.notified();
            let Some(deadline) = self.state.lock().machine.deadline() else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => { self.input(Input::Tick); }
                () = changed => {}
            }
        }
    }

    /// Takes frames to write, and tells who waits for room in the queue.
    fn take(
        &self,
        state: &mut State,
        most: usize,
        batch: &mut impl Extend<Frame>,
        tracked: &mut impl Extend<Tracked>,
    ) {
        let was_half_full = state.queue.is_half_full();
        state.queue.take(most, batch, tracked);
        if was_half_full && !state.queue.is_half_full() {
            self.changed.notify_waiters();
        }
    }

    /// Waits until the client has taken so much of what waits for it that there is room for an answer. So a client that
    /// asks faster than it reads is slowed, not closed, as long as it reads.
    async fn room_for_answers(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                // While it moves nothing is taken: it waits for what is said here to be done.
                let stands = state.machine.is_closed() || state.machine.is_moving();
                if stands || !state.queue.is_half_full() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Waits for frames to write over WebSocket; an empty batch means that the session has ended and all is written.
    async fn next_batch(&self) -> Batch {
        loop {
            let outbound = self.outbound.notified();
            if let Some(batch) = self.take_batch() {
                return batch;
            }
            outbound.await;
        }
    }

    /// Frames to write now, an empty batch where none is to come; `None` where there is nothing to write yet.
    fn take_batch(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        let mut batch = Batch::default();
        let capacity = batch.frames.inline_size();
        self.take(&mut state, capacity, &mut batch.frames, &mut batch.tracked);
        (!batch.frames.is_empty() || state.farewell.is_some()).then_some(batch)
    }
}
