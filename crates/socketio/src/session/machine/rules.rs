//! What holds of a machine whatever comes and whenever: for tests and fuzzing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Input, Machine, Output, Outputs};
use crate::config::Config;

/// An input answers with no more than this.
const MOST_OUTPUTS: usize = 3;
/// A machine that is left alone has ended, or stands still, after so many of its deadlines: during an upgrade one comes every
/// 100 ms.
const MOST_DEADLINES: usize = 64;

/// A machine, and what was seen of it.
#[derive(Debug)]
pub(super) struct Watched {
    machine: Machine,
    config: Config,
    now: Instant,
    last_ping: Option<Instant>,
    closed: bool,
    upgraded: bool,
    forgotten: bool,
}

impl Watched {
    /// `machine` was made just now, of `config`.
    pub(super) fn new(machine: Machine, config: Config) -> Self {
        Self {
            machine,
            config,
            now: Instant::now(),
            last_ping: None,
            closed: false,
            upgraded: false,
            forgotten: false,
        }
    }

    /// The time that the machine was told last.
    #[cfg(feature = "fuzzing")]
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Gives the machine an input, `pause` after the one before.
    ///
    /// # Panics
    /// Where it breaks a rule.
    pub(super) fn handle(&mut self, pause: Duration, input: Input) {
        self.now += pause;
        // A heartbeat that another node began goes on here in its own time.
        if matches!(input, Input::Arrived { .. }) {
            self.last_ping = None;
        }
        let shown = format!("{input:?}");
        let outputs = self.machine.handle(input, &self.config, self.now);
        self.check(&outputs, &shown);
    }

    fn check(&mut self, outputs: &Outputs, input: &str) {
        assert!(outputs.len() <= MOST_OUTPUTS, "{input} answers {outputs:?}");
        for output in outputs {
            match output {
                Output::Closed(_) => {
                    assert!(!self.closed, "{input} ends it again");
                    self.closed = true;
                }
                Output::Upgraded | Output::Departing => {
                    assert!(!self.closed && !self.upgraded, "{input} upgrades it again");
                    self.upgraded = true;
                }
                Output::Forget => {
                    assert!(self.closed, "{input} forgets what goes on");
                    self.forgotten = true;
                }
                Output::Refuse => {}
                Output::Ping => {
                    assert!(!self.closed, "{input} pings after the end");
                    let since = self.last_ping.map(|last| self.now - last);
                    let is_early = since.is_some_and(|since| since < self.config.ping_interval);
                    assert!(!is_early, "{input} pings after {since:?}");
                    self.last_ping = Some(self.now);
                }
                output => assert!(!self.closed, "{input} answers {output:?} after the end"),
            }
        }
        assert_eq!(self.machine.is_closed(), self.closed, "{input}");
        let is_waiting = self.machine.deadline().is_some();
        assert!(
            is_waiting || self.closed,
            "nothing would ever end it after {input}"
        );
        assert!(
            !is_waiting || !self.forgotten,
            "forgotten, and waits for more after {input}"
        );
    }

    /// Lets only time go on: nothing is due twice, and nothing goes on for ever.
    ///
    /// # Panics
    /// Where it breaks a rule.
    pub(super) fn leave_alone(mut self) {
        // What is late: a ping, the end of a probe, the end.
        for _ in 0..3 {
            self.handle(Duration::ZERO, Input::Tick);
        }
        for _ in 0..MOST_DEADLINES {
            let Some(deadline) = self.machine.deadline() else {
                assert!(self.closed, "it waits for nothing");
                return;
            };
            assert!(deadline > self.now, "{deadline:?} is due, and stays so");
            self.handle(deadline - self.now, Input::Tick);
        }
        assert!(self.closed, "it goes on with nobody there");
    }
}
