//! What the scenarios share that send at a steady pace: when it begins to count, when it ends, how it is broken off.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Context as _;
use tokio::{
    task::{JoinSet, LocalSet},
    time::Instant,
};

use crate::{
    figures::Figures,
    process::{Meter, Process},
    sequence::Fault,
};

/// Before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long what is under way at the end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// For what comes although nothing is missing.
const AFTERMATH: Duration = Duration::from_millis(100);
/// How often it is looked whether it is all there.
const LOOK: Duration = Duration::from_millis(10);

/// How fast is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// `burst` at a time, as long as no more than `window` are under way.
    Window { window: u64, burst: u64 },
    /// One each period, whatever is under way.
    Period(Duration),
}

impl Pace {
    pub(crate) fn rate(per_second: u32) -> Self {
        Self::Period(Duration::from_secs(1) / per_second.max(1))
    }
}

/// The times of a run. Due times before `from` are of the warming up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// When sending begins.
    pub(crate) start: Instant,
    /// When it begins to count.
    pub(crate) from: Instant,
    /// When sending and counting end.
    pub(crate) until: Instant,
}

impl Span {
    pub(crate) fn new(seconds: u64) -> Self {
        let start = Instant::now();
        let from = start + WARM_UP;
        Self {
            start,
            from,
            until: from + Duration::from_secs(seconds),
        }
    }
}

/// What a run counts as it goes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What is to arrive in all.
    pub(crate) expected: Cell<u64>,
    /// What has.
    pub(crate) arrived: Cell<u64>,
    lost: Cell<u64>,
    doubled: Cell<u64>,
    out_of_order: Cell<u64>,
}

impl Tally {
    pub(crate) fn add(counter: &Cell<u64>, count: u64) {
        counter.set(counter.get() + count);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        match fault {
            Fault::Lost(count) => Self::add(&self.lost, count),
            Fault::Doubled(count) => Self::add(&self.doubled, count),
            Fault::OutOfOrder => Self::add(&self.out_of_order, 1),
        }
    }

    /// What has to have arrived and what has, as far as the faults that readers saw explain it.
    const fn balance(&self) -> (u64, u64) {
        (
            self.expected.get() + self.doubled.get(),
            self.arrived.get() + self.lost.get(),
        )
    }

    fn is_complete(&self) -> bool {
        let (should_be, is) = self.balance();
        is >= should_be
    }

    /// Adds the faults: those that readers saw, and what they leave unexplained.
    fn read(&self, figures: &mut Figures) {
        let (should_be, is) = self.balance();
        figures.count("lost", self.lost.get() + should_be.saturating_sub(is));
        figures.count("doubled", self.doubled.get() + is.saturating_sub(should_be));
        figures.count("out_of_order", self.out_of_order.get());
    }
}

/// Runs the tasks over the span; whichever ends early breaks it off. Adds rate, CPU, and what was lost or out of order.
pub(crate) async fn measure(
    local: LocalSet,
    mut tasks: JoinSet<anyhow::Result<()>>,
    span: Span,
    servers: &[Process],
    tally: &Rc<Tally>,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let counted = async {
        tokio::time::sleep_until(span.from).await;
        let (meter, before) = (Meter::start(servers)?, tally.arrived.get());
        tokio::time::sleep_until(span.until).await;
        meter.read(tally.arrived.get() - before, figures)?;
        let patience = Instant::now() + PATIENCE;
        while !tally.is_complete() && Instant::now() < patience {
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(AFTERMATH).await;
        tally.read(figures);
        anyhow::Ok(())
    };
    let broken_off = async {
        // Senders end with the span; a reader's end is the connection's.
        while let Some(ended) = tasks.join_next().await {
            ended?.context("a connection ended early")?;
        }
        std::future::pending().await
    };
    local
        .run_until(async {
            tokio::select! {
                done = counted => done,
                error = broken_off => error,
            }
        })
        .await
}
