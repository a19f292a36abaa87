//! Fan-out: one socket of a chat types, all others of its two users are shown it.
//!
//! As in the relay, a reader's n-th signal is the sender's n-th. A signal is over when every reader has it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use anyhow::ensure;
use tokio::{
    sync::{Mutex, Notify},
    task::{JoinSet, LocalSet},
    time::Instant,
};

use crate::{
    Target,
    client::Client,
    dialect::Dialect,
    figures::{Figures, Latencies},
    relay::Signals,
    sequence::Sequence,
    steady::{self, Pace, Span, Tally},
    websocket::Writer,
};

const USERS: [&str; 2] = ["fan-a", "fan-b"];
const CHATBOX_ID: &str = "fan-a_fan-b";
/// After this long without a signal the rest of those under way is no longer waited for. They are lost unless they come.
const SILENCE: Duration = Duration::from_secs(3);

/// Connects the sockets, half of them each user's, and prints what a delivery cost and, at a fixed rate, how long it took.
pub(crate) async fn run(target: &Target, pace: Pace, sockets: usize) -> anyhow::Result<()> {
    ensure!(sockets > 1, "nobody to be shown anything");
    let [one, other] = USERS;
    let mut sender = target.connect(0, one).await?;
    // In the room as the others are; what it is shown itself (not by Socket.IO) is not counted.
    sender.join(CHATBOX_ID).await?;
    let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
    let mut readers = Vec::new();
    for number in 1..sockets {
        let user = if number.is_multiple_of(2) { one } else { other };
        let mut reader = target.connect(number, user).await?;
        reader.join(CHATBOX_ID).await?;
        readers.push(reader);
    }
    let span = Span::new(target.seconds);
    let tally = Rc::new(Tally::default());
    let chat = Rc::new(Chat {
        span,
        dialect: target.dialect,
        readers: u64::try_from(readers.len())?,
        tally: Rc::clone(&tally),
        latencies: RefCell::new(Latencies::new()?),
        under_way: RefCell::default(),
        sent: Cell::new(0),
        over: Notify::new(),
    });
    for reader in readers {
        tasks.spawn_local_on(Rc::clone(&chat).read(reader), &local);
    }
    let writer = Rc::new(Mutex::new(sender.writer));
    let signals = Signals::new(target.dialect, one, CHATBOX_ID);
    match pace {
        Pace::Window { window, burst } => {
            tasks.spawn_local_on(
                Rc::clone(&chat).type_within(window, burst, Rc::clone(&writer), signals),
                &local,
            );
        }
        Pace::Period(period) => {
            tasks.spawn_local_on(
                Rc::clone(&chat).type_each(period, Rc::clone(&writer), signals),
                &local,
            );
        }
    }
    let (dialect, pings) = (target.dialect, sender.reader);
    tasks.spawn_local_on(
        async move { Client::answer_pings(dialect, pings, &writer).await },
        &local,
    );
    let mut figures = Figures::default();
    steady::measure(local, tasks, span, &target.processes, &tally, &mut figures).await?;
    let name = match pace {
        Pace::Window { .. } => "fanout",
        Pace::Period(_) => {
            chat.latencies.borrow().read("", &mut figures);
            "fanout-rate"
        }
    };
    figures.publish(&target.output, name)
}

struct Chat {
    span: Span,
    dialect: Dialect,
    readers: u64,
    tally: Rc<Tally>,
    latencies: RefCell<Latencies>,
    /// The latest of the signals that were sent, oldest first.
    under_way: RefCell<VecDeque<UnderWay>>,
    /// How many signals were sent.
    sent: Cell<u64>,
    over: Notify,
}

struct UnderWay {
    due: Instant,
    /// How many readers do not have it yet.
    missing: u64,
}

impl Chat {
    fn send(&self, due: Instant) {
        self.sent.set(self.sent.get() + 1);
        Tally::add(&self.tally.expected, self.readers);
        self.under_way.borrow_mut().push_back(UnderWay {
            due,
            missing: self.readers,
        });
    }

    /// A reader has its `number`-th signal, from 0.
    fn arrived(&self, number: u64) {
        Tally::add(&self.tally.arrived, 1);
        let mut under_way = self.under_way.borrow_mut();
        let newer = self.sent.get().saturating_sub(number);
        let place = u64::try_from(under_way.len())
            .unwrap_or_default()
            .checked_sub(newer);
        let Some(signal) = place
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| under_way.get_mut(place))
        else {
            return;
        };
        signal.missing = signal.missing.saturating_sub(1);
        if signal.due >= self.span.from {
            self.latencies.borrow_mut().record(signal.due);
        }
        while under_way.front().is_some_and(|signal| signal.missing == 0) {
            under_way.pop_front();
            self.over.notify_one();
        }
    }

    /// The next burst when the readers have those before.
    async fn type_within(
        self: Rc<Self>,
        window: u64,
        burst: u64,
        writer: Rc<Mutex<Writer>>,
        signals: Signals,
    ) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        while Instant::now() < self.span.until {
            let under_way = u64::try_from(self.under_way.borrow().len())?;
            let free = window.saturating_sub(under_way);
            if free < burst {
                if tokio::time::timeout(SILENCE, self.over.notified()).await.is_err() {
                    self.under_way.borrow_mut().clear();
                }
                continue;
            }
            signals.from(self.sent.get(), burst, &mut frames);
            let now = Instant::now();
            for _ in 0..burst {
                self.send(now);
            }
            writer.lock().await.write(&frames).await?;
        }
        Ok(())
    }

    async fn type_each(
        self: Rc<Self>,
        period: Duration,
        writer: Rc<Mutex<Writer>>,
        signals: Signals,
    ) -> anyhow::Result<()> {
        let mut frame = Vec::new();
        let mut due = self.span.start;
        while due < self.span.until {
            tokio::time::sleep_until(due).await;
            signals.from(self.sent.get(), 1, &mut frame);
            self.send(due);
            writer.lock().await.write(&frame).await?;
            due += period;
        }
        Ok(())
    }

    async fn read(self: Rc<Self>, client: Client) -> anyhow::Result<()> {
        let Client {
            mut reader,
            mut writer,
            ..
        } = client;
        let (mut number, mut sequence) = (0, Sequence::default());
        loop {
            while let Some(packet) = reader.pop()? {
                if let Some(is_typing) = self.dialect.typing_shown(packet) {
                    self.arrived(number);
                    number += 1;
                    if let Some(fault) = sequence.push(is_typing) {
                        self.tally.fault(fault);
                    }
                } else if let Some(pong) = self.dialect.pong(packet) {
                    writer.send(pong).await?;
                }
            }
            reader.read().await?;
        }
    }
}
