//! The messages of chats with sockets here: each once, and in the order of `seq`.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use carillon_backplane::Offset;
use carillon_protocol::{adapter::Broadcast, chat::Pair, event, id::Room, message::Message, time::Timestamp};
use carillon_store::Store;
use parking_lot::Mutex;

use super::{Deliver, read};
use crate::services::broadcast;

/// How many messages are read at once.
const PAGE: u32 = 100;
/// How many pages are looked back at for where an outage began.
const PAGES_BACK: u64 = 10;
/// How many messages may wait in a chat for those before them. With more, all of them are read from the store instead.
const MAX_HELD: usize = 256;
/// How often the store may lack what was published before it is believed.
const MAX_MISSES: u32 = 5;

/// The chats with sockets here.
pub(super) struct Chats {
    deliver: Deliver,
    store: Arc<dyn Store>,
    /// Held for a look alone: it is taken under the lock of the hub's rooms.
    rooms: Mutex<HashMap<Room, Arc<Chat>>>,
}

/// A chat with sockets here.
pub(super) struct Chat {
    pair: Pair,
    occupied_at: Timestamp,
    is_vacated: AtomicBool,
    /// Held while something is given to the sockets, so that it comes in order.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The `seq` of the last message that was given; `None` before the first.
    last: Option<u64>,
    /// What came while something before it is missing.
    held: Option<Held>,
}

#[derive(Default)]
struct Held {
    messages: Vec<(u64, Broadcast)>,
    /// Something that is not among them is in the store.
    more_is_stored: bool,
}

impl Held {
    fn push(&mut self, seq: u64, broadcast: &Broadcast) {
        if self.messages.len() == MAX_HELD {
            self.messages.clear();
            self.more_is_stored = true;
        }
        self.messages.push((seq, broadcast.clone()));
    }
}

impl State {
    /// Whether `seq` was not given yet; it counts as given from now on.
    fn advance(&mut self, seq: u64) -> bool {
        let is_new = self.last.is_none_or(|last| seq > last);
        if is_new {
            self.last = Some(seq);
        }
        is_new
    }

    fn is_next(&self, seq: u64) -> bool {
        self.last.is_none_or(|last| seq <= last.saturating_add(1))
    }
}

impl Chats {
    pub(super) fn new(deliver: Deliver, store: Arc<dyn Store>) -> Self {
        Self {
            deliver,
            store,
            rooms: Mutex::default(),
        }
    }

    pub(super) fn occupied(&self, room: &Room, pair: Pair, now: Timestamp) {
        let chat = Chat {
            pair,
            occupied_at: now,
            is_vacated: AtomicBool::new(false),
            state: Mutex::default(),
        };
        self.rooms.lock().insert(room.clone(), Arc::new(chat));
    }

    pub(super) fn vacated(&self, room: &Room) {
        if let Some(chat) = self.rooms.lock().remove(room) {
            chat.is_vacated.store(true, Ordering::Release);
        }
    }

    /// Gives what is no message of a chat.
    pub(super) fn pass_on(&self, broadcast: &Broadcast, offset: Option<&Offset>) {
        (self.deliver)(broadcast, offset);
    }

    /// Gives a message, unless it was given before. The chat is answered where something before the message is missing: the
    /// message then waits for [`Chats::fill`].
    pub(super) fn deliver(
        &self,
        room: &Room,
        seq: u64,
        broadcast: &Broadcast,
        offset: Option<&Offset>,
    ) -> Option<Arc<Chat>> {
        let chat = self.rooms.lock().get(room).map(Arc::clone);
        let Some(chat) = chat else {
            (self.deliver)(broadcast, offset);
            return None;
        };
        let mut state = chat.state.lock();
        if let Some(held) = &mut state.held {
            held.push(seq, broadcast);
            return None;
        }
        if !state.is_next(seq) {
            let mut held = Held::default();
            held.push(seq, broadcast);
            state.held = Some(held);
            drop(state);
            return Some(chat);
        }
        if state.advance(seq) {
            (self.deliver)(broadcast, offset);
        }
        None
    }

    /// Every chat, in which from now on messages wait for [`Chats::fill`]. A chat that is being filled is read once more.
    pub(super) fn all_behind(&self) -> Vec<Arc<Chat>> {
        let mut chats: Vec<_> = self.rooms.lock().values().cloned().collect();
        chats.retain(|chat| {
            let mut state = chat.state.lock();
            let is_being_filled = state.held.is_some();
            state.held.get_or_insert_default().more_is_stored |= is_being_filled;
            !is_being_filled
        });
        chats
    }

    /// Gives what is missing in a chat, then what waits for it. In a chat without any message given yet, what is missing is
    /// newer than `since`, and than the first socket here.
    pub(super) async fn fill(&self, chat: Arc<Chat>, since: Timestamp) {
        if chat.state.lock().last.is_none() {
            let last = self.last_before(&chat, since.max(chat.occupied_at)).await;
            chat.state.lock().last = last;
        }
        let mut misses = 0;
        while !chat.is_vacated.load(Ordering::Acquire) {
            let last = chat.state.lock().last;
            let stored = match last {
                Some(last) => read(|| self.store.history_after(&chat.pair, last, PAGE)).await,
                None => None,
            };
            let Some(stored) = stored else { break };
            if self.give(&chat, &stored, misses == MAX_MISSES) {
                return;
            }
            if stored.is_empty() {
                misses += 1;
                tokio::time::sleep(super::FIRST_PAUSE).await;
            }
        }
        if !chat.is_vacated.load(Ordering::Acquire) {
            self.release(&mut chat.state.lock());
        }
    }

    /// Gives what was read, and what waits where nothing is missing before it any more, or `anyway`; answers whether it did.
    fn give(&self, chat: &Chat, stored: &[Message], anyway: bool) -> bool {
        let mut state = chat.state.lock();
        for message in stored.iter().filter(|message| state.advance(message.seq)) {
            let room = chat.pair.room();
            (self.deliver)(
                &broadcast(event::receive_message(message), vec![room], Vec::new()),
                None,
            );
        }
        let is_page_full = stored.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        let State { last, held } = &mut *state;
        let Some(held) = held else { return true };
        let is_more_stored = std::mem::take(&mut held.more_is_stored) || is_page_full;
        let first_new = held
            .messages
            .iter()
            .map(|(seq, _)| *seq)
            .find(|seq| Some(*seq) > *last);
        let is_gap = first_new.is_some_and(|seq| !state.is_next(seq));
        if (is_more_stored || is_gap) && !anyway {
            return false;
        }
        self.release(&mut state);
        true
    }

    /// Gives what waits.
    fn release(&self, state: &mut State) {
        let held = state.held.take().unwrap_or_default();
        for (seq, broadcast) in held.messages {
            if state.advance(seq) {
                (self.deliver)(&broadcast, None);
            }
        }
    }

    /// The `seq` of the newest message before `bound`; 0 where there is none. `None` where the store does not tell.
    async fn last_before(&self, chat: &Chat, bound: Timestamp) -> Option<u64> {
        let mut oldest = None;
        for page in 1..=PAGES_BACK {
            let page = read(|| self.store.history_page(&chat.pair, page, PAGE)).await?;
            if let Some(before) = page.messages.iter().find(|message| message.at < bound) {
                return Some(before.seq);
            }
            let Some(last) = page.messages.last() else {
                return Some(0);
            };
            oldest = Some(last.seq.saturating_sub(1));
        }
        oldest
    }
}
