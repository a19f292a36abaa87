//! Users who come online at a rate and stay. Each is told of everybody who comes after it: n users make about n²/2 frames.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{
    sync::Notify,
    task::{JoinSet, LocalSet},
    time::Instant,
};

use crate::{
    Target,
    client::Client,
    figures::{Figures, Latencies},
    process::Meter,
};

/// What tells that somebody came, up to the number of the user.
const ONLINE: &[u8] = b"42[\"userStatusChange\",{\"userId\":\"p";
/// After this long without a frame the rest is lost.
const SILENCE: Duration = Duration::from_secs(3);

/// Has `users` come, `rate` a second, and prints what telling everybody cost. Fails where somebody was not told, or twice.
pub(crate) async fn run(target: &Target, users: usize, rate: u32) -> anyhow::Result<()> {
    ensure!(users > 1, "nobody to be told");
    let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
    let crowd = Rc::new(Crowd::new(users)?);
    let meter = Meter::start(&target.processes)?;
    let started = Instant::now();
    for number in 0..users {
        let due = started + Duration::from_secs(1) / rate.max(1) * u32::try_from(number)?;
        let (crowd, target) = (Rc::clone(&crowd), target.clone());
        let come = async move {
            tokio::time::sleep_until(due).await;
            crowd.comes(number);
            let client = target.connect(number, &format!("p{number}")).await?;
            crowd.is_there(number);
            crowd.read(number, client).await
        };
        tasks.spawn_local_on(come, &local);
    }
    let all_are_told = async {
        loop {
            tokio::select! {
                ended = tasks.join_next() => ended.context("nobody is left")???,
                () = crowd.progress.notified() => if crowd.is_over() { return anyhow::Ok(()) },
                () = tokio::time::sleep(SILENCE) => return Ok(()),
            }
        }
    };
    local.run_until(all_are_told).await?;
    let mut figures = Figures::default();
    meter.read(crowd.frames.get(), &mut figures)?;
    figures.count("frames", crowd.frames.get());
    let lost = crowd.expected.get().saturating_sub(crowd.arrived.get());
    figures.count("lost", lost);
    figures.count("doubled", crowd.doubled.get());
    crowd.latencies.borrow().read("", &mut figures);
    figures.publish(&target.output, "presence")?;
    ensure!(
        lost == 0 && crowd.doubled.get() == 0,
        "not everybody was told once"
    );
    Ok(())
}

struct Crowd {
    users: RefCell<Vec<User>>,
    /// How many users have begun to connect, or are there: tells what was before what.
    turn: Cell<u64>,
    /// How many are there.
    connected: Cell<usize>,
    /// Frames that came.
    frames: Cell<u64>,
    /// Of them those that had to come: to who was there before the other began to connect.
    arrived: Cell<u64>,
    expected: Cell<u64>,
    doubled: Cell<u64>,
    /// From when a user knew that it was connected until another was told.
    latencies: RefCell<Latencies>,
    progress: Notify,
}

#[derive(Clone)]
struct User {
    /// The turn at which it began to connect.
    came: u64,
    /// The turn at which it was there, and when.
    there: Option<(u64, Instant)>,
    /// Of whom it was told.
    told: Vec<bool>,
}

impl Crowd {
    fn new(users: usize) -> anyhow::Result<Self> {
        let nobody = User {
            came: 0,
            there: None,
            told: vec![false; users],
        };
        Ok(Self {
            users: RefCell::new(vec![nobody; users]),
            turn: Cell::new(0),
            connected: Cell::new(0),
            frames: Cell::new(0),
            arrived: Cell::new(0),
            expected: Cell::new(0),
            doubled: Cell::new(0),
            latencies: RefCell::new(Latencies::new()?),
            progress: Notify::new(),
        })
    }

    fn next_turn(&self) -> u64 {
        self.turn.set(self.turn.get() + 1);
        self.turn.get()
    }

    fn comes(&self, number: usize) {
        let connected = u64::try_from(self.connected.get()).unwrap_or(u64::MAX);
        self.expected.set(self.expected.get() + connected);
        if let Some(user) = self.users.borrow_mut().get_mut(number) {
            user.came = self.next_turn();
        }
    }

    fn is_there(&self, number: usize) {
        self.connected.set(self.connected.get() + 1);
        if let Some(user) = self.users.borrow_mut().get_mut(number) {
            user.there = Some((self.next_turn(), Instant::now()));
        }
    }

    /// User `number` was told of `other`.
    fn told(&self, number: usize, other: usize) {
        self.frames.set(self.frames.get() + 1);
        let mut users = self.users.borrow_mut();
        let Some(&User { came, there, .. }) = users.get(other) else {
            return;
        };
        let Some(user) = users.get_mut(number) else { return };
        let Some(is_told) = user.told.get_mut(other) else {
            return;
        };
        if std::mem::replace(is_told, true) {
            self.doubled.set(self.doubled.get() + 1);
            return;
        }
        if user.there.is_some_and(|(turn, _)| turn < came) {
            self.arrived.set(self.arrived.get() + 1);
            let took = there.map_or(Duration::ZERO, |(_, since)| since.elapsed());
            self.latencies.borrow_mut().record_duration(took);
        }
    }

    fn is_over(&self) -> bool {
        self.connected.get() == self.users.borrow().len() && self.arrived.get() == self.expected.get()
    }

    async fn read(&self, number: usize, client: Client) -> anyhow::Result<()> {
        let Client {
            dialect,
            mut reader,
            mut writer,
        } = client;
        loop {
            while let Some(packet) = reader.pop()? {
                if let Some(other) = online(packet) {
                    self.told(number, other);
                } else if let Some(pong) = dialect.pong(packet) {
                    writer.send(pong).await?;
                }
            }
            self.progress.notify_one();
            reader.read().await?;
        }
    }
}

/// The number of the user who a packet says came.
fn online(packet: &[u8]) -> Option<usize> {
    let rest = packet.strip_prefix(ONLINE)?;
    let digits = rest.split(|byte| *byte == b'"').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_is_read_from_the_frame() {
        let packet = |event, id| format!("42[\"{event}\",{{\"userId\":\"{id}\",\"status\":\"online\"}}]");
        assert_eq!(online(packet("userStatusChange", "p17").as_bytes()), Some(17));
        for other in [packet("userStatusChange", "x17"), packet("userTyping", "p17")] {
            assert_eq!(online(other.as_bytes()), None);
        }
    }

    #[test]
    fn who_was_there_before_is_told_once_and_others_may_be() {
        let crowd = Crowd::new(3).unwrap();
        crowd.comes(0);
        crowd.is_there(0);
        crowd.comes(1);
        crowd.comes(2);
        crowd.is_there(1);
        crowd.is_there(2);
        assert_eq!(crowd.expected.get(), 2);
        crowd.told(0, 1);
        // It came before this one was there.
        crowd.told(1, 2);
        assert!(!crowd.is_over());
        crowd.told(0, 2);
        assert!(crowd.is_over());
        crowd.told(0, 2);
        assert_eq!((crowd.frames.get(), crowd.doubled.get()), (4, 1));
    }
}
