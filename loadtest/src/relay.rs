//! Relayed events: one of a pair types, the other is shown it.
//!
//! For latency a reader's n-th signal is its writer's n-th. Where one is lost the later ones of that pair only seem slower.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

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
    sequence::{Sequence, signal},
    steady::{self, Pace, Span, Tally},
    websocket::{Reader, Writer, encode},
};

/// After this long without a signal those under way no longer count against the window. They are lost unless they come.
const SILENCE: Duration = Duration::from_secs(3);

/// Runs the pairs and prints what a delivery cost and, at a fixed rate, how long it took.
pub(crate) async fn run(target: &Target, pace: Pace, pairs: usize) -> anyhow::Result<()> {
    let mut connected = Vec::new();
    for number in 0..pairs {
        connected.push(Sockets::connect(target, number).await?);
    }
    let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
    let tally = Rc::new(Tally::default());
    let latencies = Rc::new(RefCell::new(Latencies::new()?));
    let span = Span::new(target.seconds);
    for (number, sockets) in connected.into_iter().enumerate() {
        let run = Rc::new(Pair {
            span,
            dialect: target.dialect,
            tally: Rc::clone(&tally),
            latencies: Rc::clone(&latencies),
            under_way: Cell::new(0),
            due: RefCell::default(),
            arrived: Notify::new(),
        });
        let writer = Rc::new(Mutex::new(sockets.typist.writer));
        let pings = (sockets.typist.reader, Rc::clone(&writer));
        let dialect = target.dialect;
        tasks.spawn_local_on(
            async move { Client::answer_pings(dialect, pings.0, &pings.1).await },
            &local,
        );
        tasks.spawn_local_on(Rc::clone(&run).read(sockets.reader), &local);
        let signals = sockets.signals;
        match pace {
            Pace::Window { window, burst } => {
                tasks.spawn_local_on(run.type_within(window, burst, writer, signals), &local);
            }
            Pace::Period(period) => {
                // The pairs are spread over the period.
                let offset = period * u32::try_from(number)? / u32::try_from(pairs)?;
                tasks.spawn_local_on(run.type_each(period, offset, writer, signals), &local);
            }
        }
    }
    let mut figures = Figures::default();
    steady::measure(local, tasks, span, &target.processes, &tally, &mut figures).await?;
    let name = match pace {
        Pace::Window { .. } => "relay",
        Pace::Period(_) => {
            latencies.borrow().read("", &mut figures);
            "relay-rate"
        }
    };
    figures.publish(&target.output, name)
}

/// The two of a pair, connected and, the reader, in the room.
struct Sockets {
    typist: Client,
    reader: Client,
    signals: Signals,
}

/// Frames: on and off.
pub(crate) struct Signals([Vec<u8>; 2]);

impl Signals {
    pub(crate) fn new(dialect: Dialect, user: &str, chatbox_id: &str) -> Self {
        Self([true, false].map(|is_typing| {
            let mut frame = Vec::new();
            encode(&dialect.typing(user, chatbox_id, is_typing), &mut frame);
            frame
        }))
    }

    /// The frames from the `sent`-th on.
    pub(crate) fn from(&self, sent: u64, count: u64, frames: &mut Vec<u8>) {
        frames.clear();
        for number in sent..sent + count {
            let [on, off] = &self.0;
            frames.extend_from_slice(if signal(number) { on } else { off });
        }
    }
}

impl Sockets {
    async fn connect(target: &Target, number: usize) -> anyhow::Result<Self> {
        // Sorted as chat ids are: `…a` before `…b`.
        let (one, other) = (format!("p{number}a"), format!("p{number}b"));
        let chatbox_id = format!("{one}_{other}");
        let typist = target.connect(number, &one).await?;
        let mut reader = target.connect(number + 1, &other).await?;
        reader.join(&chatbox_id).await?;
        Ok(Self {
            typist,
            reader,
            signals: Signals::new(target.dialect, &one, &chatbox_id),
        })
    }
}

struct Pair {
    span: Span,
    dialect: Dialect,
    tally: Rc<Tally>,
    latencies: Rc<RefCell<Latencies>>,
    under_way: Cell<u64>,
    due: RefCell<VecDeque<Instant>>,
    arrived: Notify,
}

impl Pair {
    /// As much as arrived since, a burst in each write.
    async fn type_within(
        self: Rc<Self>,
        window: u64,
        burst: u64,
        writer: Rc<Mutex<Writer>>,
        signals: Signals,
    ) -> anyhow::Result<()> {
        let (mut sent, mut frames) = (0, Vec::new());
        while Instant::now() < self.span.until {
            let free = window.saturating_sub(self.under_way.get());
            if free < burst {
                if tokio::time::timeout(SILENCE, self.arrived.notified())
                    .await
                    .is_err()
                {
                    self.under_way.set(0);
                }
                continue;
            }
            signals.from(sent, burst, &mut frames);
            sent += burst;
            self.under_way.set(self.under_way.get() + burst);
            Tally::add(&self.tally.expected, burst);
            writer.lock().await.write(&frames).await?;
        }
        Ok(())
    }

    async fn type_each(
        self: Rc<Self>,
        period: Duration,
        offset: Duration,
        writer: Rc<Mutex<Writer>>,
        signals: Signals,
    ) -> anyhow::Result<()> {
        let (mut sent, mut frame) = (0, Vec::new());
        let mut due = self.span.start + offset;
        while due < self.span.until {
            tokio::time::sleep_until(due).await;
            self.due.borrow_mut().push_back(due);
            signals.from(sent, 1, &mut frame);
            sent += 1;
            Tally::add(&self.tally.expected, 1);
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
        let mut sequence = Sequence::default();
        loop {
            let arrived = self.take(&mut reader, &mut sequence, &mut writer).await?;
            if arrived > 0 {
                Tally::add(&self.tally.arrived, arrived);
                self.under_way.set(self.under_way.get().saturating_sub(arrived));
                self.arrived.notify_one();
            }
            reader.read().await?;
        }
    }

    /// What was read: how many signals there were.
    async fn take(
        &self,
        reader: &mut Reader,
        sequence: &mut Sequence,
        writer: &mut Writer,
    ) -> anyhow::Result<u64> {
        let mut arrived = 0;
        while let Some(packet) = reader.pop()? {
            let Some(is_typing) = self.dialect.typing_shown(packet) else {
                if let Some(pong) = self.dialect.pong(packet) {
                    writer.send(pong).await?;
                }
                continue;
            };
            arrived += 1;
            if let Some(fault) = sequence.push(is_typing) {
                self.tally.fault(fault);
            }
            if let Some(due) = self.due.borrow_mut().pop_front()
                && due >= self.span.from
            {
                self.latencies.borrow_mut().record(due);
            }
        }
        Ok(arrived)
    }
}
