//! Which rooms this node wants to hear of, and which Redis has confirmed.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use carillon_protocol::id::Room;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// How long a room is listened to after its last socket has left: many come back.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    state: Mutex<State>,
    changed: Notify,
    confirmed: Notify,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<Room, Subscription>,
    /// Rooms to subscribe to, in the order in which they came.
    wanted: VecDeque<Room>,
    /// Rooms that were vacated, in order; one that was occupied again is skipped.
    vacated: VecDeque<(Instant, Room)>,
}

#[derive(Debug, Default)]
struct Subscription {
    is_confirmed: bool,
    /// When its last socket left.
    vacated_at: Option<Instant>,
}

impl Subscription {
    const fn is_wanted(&self) -> bool {
        !self.is_confirmed && self.vacated_at.is_none()
    }
}

impl State {
    /// Rooms that come and go while nothing can be subscribed to are wanted many times.
    fn forget_repeated(&mut self) {
        if self.wanted.len() > 2 * self.rooms.len() + 64 {
            let wanted = self.rooms.iter().filter(|(_, room)| room.is_wanted());
            self.wanted = wanted.map(|(room, _)| room.clone()).collect();
        }
    }
}

impl Subscriptions {
    /// `room` has sockets.
    pub(super) fn occupied(&self, room: &Room) {
        let mut state = self.state.lock();
        let known = state.rooms.entry(room.clone()).or_default();
        known.vacated_at = None;
        if known.is_wanted() {
            state.wanted.push_back(room.clone());
            state.forget_repeated();
            drop(state);
            self.changed.notify_one();
        }
    }

    /// `room` has no sockets any more.
    pub(super) fn vacated(&self, room: &Room) {
        let now = Instant::now();
        let mut state = self.state.lock();
        match state.rooms.get_mut(room) {
            Some(known) if known.is_confirmed => {
                known.vacated_at = Some(now);
                state.vacated.push_back((now, room.clone()));
            }
            // Nothing to linger on; if it is being subscribed to, its confirmation finds nobody.
            Some(_) => {
                state.rooms.remove(room);
            }
            None => (),
        }
    }

    /// Waits until a room may be waiting for its subscription.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// At most `limit` rooms to subscribe to now. [`Subscriptions::confirm`] has to follow, or [`Subscriptions::lose`].
    pub(super) fn take_wanted(&self, limit: usize) -> Vec<Room> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(room) = state.wanted.pop_front()
        {
            if state.rooms.get(&room).is_some_and(Subscription::is_wanted) {
                taken.push(room);
            }
        }
        taken
    }

    /// At most `limit` rooms that have had no socket for a while, forgotten by this call.
    pub(super) fn take_abandoned(&self, limit: usize) -> Vec<Room> {
        let mut state = self.state.lock();
        let mut abandoned = Vec::new();
        while abandoned.len() < limit
            && let Some((at, room)) = state.vacated.pop_front_if(|(at, _)| at.elapsed() >= LINGER)
        {
            let is_abandoned = state
                .rooms
                .get(&room)
                .is_some_and(|known| known.vacated_at == Some(at));
            if is_abandoned && state.rooms.remove(&room).is_some_and(|known| known.is_confirmed) {
                abandoned.push(room);
            }
        }
        abandoned
    }

    /// Redis sends what is published to `rooms`.
    pub(super) fn confirm(&self, rooms: &[Room]) {
        let mut state = self.state.lock();
        for room in rooms {
            // One that was vacated and given up meanwhile is given up again.
            let known = state.rooms.entry(room.clone()).or_insert_with(|| Subscription {
                is_confirmed: false,
                vacated_at: Some(Instant::now()),
            });
            known.is_confirmed = true;
            if let Some(at) = known.vacated_at {
                state.vacated.push_back((at, room.clone()));
            }
        }
        drop(state);
        self.confirmed.notify_waiters();
    }

    /// The connection is gone, and every subscription with it. All rooms with sockets are wanted; who waits looks again.
    pub(super) fn lose(&self) {
        let mut state = self.state.lock();
        let State {
            rooms,
            wanted,
            vacated,
        } = &mut *state;
        rooms.retain(|_, room| {
            room.is_confirmed = false;
            room.is_wanted()
        });
        *wanted = rooms.keys().cloned().collect();
        vacated.clear();
        drop(state);
        self.confirmed.notify_waiters();
    }

    /// Whether what is published to `room` comes here.
    pub(super) fn is_confirmed(&self, room: &Room) -> bool {
        let state = self.state.lock();
        state.rooms.get(room).is_some_and(|known| known.is_confirmed)
    }

    /// Whether `room` has sockets here that do not hear of it yet.
    pub(super) fn is_pending(&self, room: &Room) -> bool {
        self.state
            .lock()
            .rooms
            .get(room)
            .is_some_and(Subscription::is_wanted)
    }

    /// How many rooms are confirmed.
    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        state.rooms.values().filter(|room| room.is_confirmed).count()
    }

    /// Waits until all of `rooms` are confirmed, or `is_over`.
    pub(super) async fn attend(&self, rooms: &[Room], is_over: impl Fn() -> bool) -> bool {
        loop {
            let news = self.confirmed.notified();
            if rooms.iter().all(|room| self.is_confirmed(room)) {
                return true;
            }
            if is_over() {
                return false;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &'static str) -> Room {
        Room::new(name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_left_only_when_nobody_came_back() {
        let subscriptions = Subscriptions::default();
        for name in ["a", "b"] {
            subscriptions.occupied(&room(name));
        }
        let wanted = subscriptions.take_wanted(10);
        subscriptions.confirm(&wanted);
        assert_eq!((wanted.len(), subscriptions.len()), (2, 2));
        assert!(subscriptions.take_wanted(10).is_empty());

        subscriptions.vacated(&room("a"));
        subscriptions.vacated(&room("b"));
        subscriptions.occupied(&room("b"));
        tokio::time::advance(LINGER).await;
        assert_eq!(subscriptions.take_abandoned(10), [room("a")]);
        assert!(!subscriptions.is_confirmed(&room("a")) && subscriptions.is_confirmed(&room("b")));
    }

    #[test]
    fn rooms_that_come_and_go_without_redis_leave_nothing_behind() {
        let subscriptions = Subscriptions::default();
        for n in 0..10_000 {
            let other = Room::new(n.to_string());
            for room in [&room("same"), &other] {
                subscriptions.occupied(room);
                subscriptions.vacated(room);
            }
        }
        let state = subscriptions.state.lock();
        assert!(state.rooms.is_empty() && state.vacated.is_empty());
        assert!(state.wanted.len() <= 65);
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_that_was_vacated_before_its_confirmation_is_given_up() {
        let subscriptions = Subscriptions::default();
        subscriptions.occupied(&room("a"));
        let wanted = subscriptions.take_wanted(10);
        subscriptions.vacated(&room("a"));
        subscriptions.confirm(&wanted);
        tokio::time::advance(LINGER).await;
        assert_eq!(subscriptions.take_abandoned(10), [room("a")]);
    }

    #[tokio::test]
    async fn who_attends_waits_for_these_rooms_or_the_end() {
        let subscriptions = Subscriptions::default();
        subscriptions.occupied(&room("a"));
        let rooms = [room("a")];
        let (attended, ()) = tokio::join!(subscriptions.attend(&rooms, || false), async {
            tokio::task::yield_now().await;
            subscriptions.confirm(&[room("b")]);
            tokio::task::yield_now().await;
            subscriptions.confirm(&rooms);
        });
        assert!(attended);

        subscriptions.lose();
        assert!(!subscriptions.attend(&rooms, || true).await);
        assert_eq!(subscriptions.take_wanted(10), rooms);
    }
}
