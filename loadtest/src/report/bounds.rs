//! What is asked of one node on one core. A bound that is broken fails the report; an aim is only told.

use super::Medians;

/// The server that the bounds are for.
pub(super) const OURS: &str = "carillon";

/// A figure that is asked for.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) scenario: &'static str,
    pub(super) figure: &'static str,
    /// What must be.
    pub(super) bound: Option<Limit>,
    /// What is better still.
    pub(super) aim: Option<Limit>,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// At most this.
    Most(Measure),
    /// At least this.
    Least(Measure),
}

/// Where the number comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    Fixed(f64),
    /// The same figure of another server.
    Peer(&'static str),
    /// Another figure of ours so many times: scenario, figure, factor.
    Times(&'static str, &'static str, f64),
}

impl Limit {
    pub(super) const fn measure(self) -> Measure {
        match self {
            Self::Most(measure) | Self::Least(measure) => measure,
        }
    }

    pub(super) const fn holds(self, value: f64, number: f64) -> bool {
        match self {
            Self::Most(_) => value <= number,
            Self::Least(_) => value >= number,
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Most(_) => "≤",
            Self::Least(_) => "≥",
        }
    }
}

impl Measure {
    /// As a number; none where what it hangs on was not measured.
    pub(super) fn number(self, demand: &Demand, medians: &Medians) -> Option<f64> {
        match self {
            Self::Fixed(number) => Some(number),
            Self::Peer(peer) => medians.get(peer, demand.scenario, demand.figure),
            Self::Times(scenario, figure, factor) => {
                medians.get(OURS, scenario, figure).map(|other| other * factor)
            }
        }
    }

    /// What the number comes from, where it is no fixed one.
    pub(super) fn origin(self) -> String {
        match self {
            Self::Fixed(_) => String::new(),
            Self::Peer(peer) => format!(" ({peer}'s)"),
            Self::Times(scenario, figure, factor) => format!(" ({factor} × {scenario} {figure})"),
        }
    }
}

/// A page of a long history may cost this much more than one of a short history.
const LONG_HISTORY: f64 = 1.25;
/// A long chat takes at least this share of the messages that a short one takes in the same time.
const LONG_CHAT: f64 = 0.8;

/// All of them.
pub(super) const DEMANDS: &[Demand] = &[
    demand("start", "ready_ms", most(300.0)),
    demand("start-1m", "ready_ms", most(300.0)),
    demand("relay", "cpu_us", most(8.5)).aim(Limit::Most(Measure::Peer("socketioxide"))),
    aim("relay", "per_s", least(140_000.0)),
    none("relay", "lost"),
    none("relay", "doubled"),
    none("relay", "out_of_order"),
    demand("relay-rate", "p99_ms", most(5.0)),
    none("relay-rate", "lost"),
    none("relay-rate", "doubled"),
    none("relay-rate", "out_of_order"),
    demand("fanout", "per_s", least(180_000.0)).aim(least(220_000.0)),
    none("fanout", "lost"),
    none("fanout", "doubled"),
    none("fanout", "out_of_order"),
    demand("fanout-rate", "p99_ms", most(15.0)),
    none("fanout-rate", "lost"),
    none("fanout-rate", "doubled"),
    none("fanout-rate", "out_of_order"),
    demand("open", "cpu_us", most(220.0)),
    none("open", "errors"),
    none("open", "missing"),
    demand("open", "in_room_kib", most(20.0)).aim(most(12.0)),
    demand("messages", "p99_ms", most(20.0)),
    none("messages", "lost"),
    none("messages", "unanswered"),
    none("messages", "refused"),
    none("messages", "doubled"),
    none("messages", "out_of_order"),
    none("messages", "holes"),
    demand("closed", "per_s", least(6_000.0)).aim(least(10_000.0)),
    none("closed", "lost"),
    none("closed", "doubled"),
    none("closed", "out_of_order"),
    none("closed", "holes"),
    demand("closed-1m", "per_s", least(6_000.0)).aim(least(10_000.0)),
    demand(
        "closed-1m",
        "per_s",
        Limit::Least(Measure::Times("closed-1k", "per_s", LONG_CHAT)),
    ),
    none("closed-1m", "lost"),
    none("closed-1m", "doubled"),
    none("closed-1m", "out_of_order"),
    none("closed-1m", "holes"),
    long("first_1m_cpu_us", "first_1k_cpu_us"),
    long("deep_1m_cpu_us", "deep_1k_cpu_us"),
    long("after_1m_cpu_us", "after_1k_cpu_us"),
    long("first_1m_p50_ms", "first_1k_p50_ms"),
    long("deep_1m_p50_ms", "deep_1k_p50_ms"),
    long("after_1m_p50_ms", "after_1k_p50_ms"),
];

const fn most(number: f64) -> Limit {
    Limit::Most(Measure::Fixed(number))
}

const fn least(number: f64) -> Limit {
    Limit::Least(Measure::Fixed(number))
}

const fn demand(scenario: &'static str, figure: &'static str, bound: Limit) -> Demand {
    Demand {
        scenario,
        figure,
        bound: Some(bound),
        aim: None,
    }
}

const fn aim(scenario: &'static str, figure: &'static str, aim: Limit) -> Demand {
    Demand {
        scenario,
        figure,
        bound: None,
        aim: Some(aim),
    }
}

const fn none(scenario: &'static str, figure: &'static str) -> Demand {
    demand(scenario, figure, most(0.0))
}

const fn long(of_long: &'static str, of_short: &'static str) -> Demand {
    let bound = Limit::Most(Measure::Times("history", of_short, LONG_HISTORY));
    demand("history", of_long, bound)
}

impl Demand {
    const fn aim(mut self, aim: Limit) -> Self {
        self.aim = Some(aim);
        self
    }
}
