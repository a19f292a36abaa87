//! The messages of chats with sockets here: each once, and in the order of `seq`.

use std::{collections::HashMap, sync::Arc};

use carillon_backplane::Place;
use carillon_protocol::{adapter::Broadcast, chat::Pair, id::Room, message::Message, time::Timestamp};
use carillon_store::Store;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    FIRST_PAUSE,
    order::{Arrival, Order, Start},
    outlet::Outlet,
    read,
};
use crate::services::retold;

/// How many messages are read at once.
const PAGE: u32 = 100;
/// How many pages are looked back at for where an outage began.
const PAGES_BACK: u64 = 10;
/// How often the store may lack what was published before it is believed.
const MAX_MISSES: u32 = 5;

/// The chats with sockets here.
pub(super) struct Chats {
    outlet: Arc<Outlet>,
    store: Arc<dyn Store>,
    /// Held for a look alone: it is taken under the lock of the hub's rooms.
    rooms: Mutex<HashMap<Room, Arc<Chat>>>,
}

/// A chat with sockets here.
pub(super) struct Chat {
    pair: Pair,
    occupied_at: Timestamp,
    vacated: CancellationToken,
    /// Held while something is given to the sockets, so that it comes in order.
    order: Mutex<Order>,
}

impl Chats {
    pub(super) fn new(outlet: Arc<Outlet>, store: Arc<dyn Store>) -> Self {
        Self {
            outlet,
            store,
            rooms: Mutex::default(),
        }
    }

    pub(super) fn occupied(&self, room: &Room, pair: Pair, now: Timestamp) {
        let chat = Chat {
            pair,
            occupied_at: now,
            vacated: CancellationToken::new(),
            order: Mutex::new(Order::new()),
        };
        self.rooms.lock().insert(room.clone(), Arc::new(chat));
    }

    pub(super) fn vacated(&self, room: &Room) {
        let chat = self.rooms.lock().remove(room);
        if let Some(chat) = chat {
            chat.vacated.cancel();
        }
    }

    /// Gives a message, unless it was given before. The chat is answered where something before the message is missing: both
    /// are left to [`Chats::fill`].
    pub(super) fn deliver(
        &self,
        room: &Room,
        seq: u64,
        broadcast: &Broadcast,
        place: Place,
    ) -> Option<Arc<Chat>> {
        let chat = self.rooms.lock().get(room).map(Arc::clone);
        let Some(chat) = chat else {
            self.outlet.give(broadcast, place);
            return None;
        };
        let mut order = chat.order.lock();
        match order.arrive(seq) {
            Arrival::Next => self.outlet.give(broadcast, place),
            Arrival::Known | Arrival::Left => {}
            Arrival::AfterGap => {
                drop(order);
                return Some(chat);
            }
        }
        None
    }

    /// In every chat messages may have been missed since `since`: answers those that are to be filled. In the others that
    /// is under way, and looks again.
    pub(super) fn interrupted(&self, since: Timestamp) -> Vec<Arc<Chat>> {
        let mut chats: Vec<_> = self.rooms.lock().values().cloned().collect();
        chats.retain(|chat| chat.order.lock().interrupt(since.max(chat.occupied_at)));
        chats
    }

    /// Gives what is missing in a chat, however long the store takes, unless its last socket leaves. Answers whether nothing
    /// is missing any more, or nobody is left to miss it.
    pub(super) async fn fill(&self, chat: Arc<Chat>) -> bool {
        let filled = chat.vacated.run_until_cancelled(self.fill_up(&chat)).await;
        let is_lacking = filled == Some(false);
        if is_lacking {
            tracing::warn!(
                chat = chat.pair.chatbox_id(),
                "the store lacks messages that were published"
            );
            chat.order.lock().give_up();
        }
        !is_lacking
    }

    /// Answers whether nothing is missing any more: `false` where the store lacks what has come.
    async fn fill_up(&self, chat: &Chat) -> bool {
        let mut misses = 0;
        while misses < MAX_MISSES {
            let start = chat.order.lock().ask();
            let after = match start {
                None => return true,
                Some(Start::After(seq)) => seq,
                Some(Start::Since(bound)) => {
                    let Some(seq) = self.last_before(chat, bound).await else {
                        return false;
                    };
                    chat.order.lock().begin_after(seq);
                    seq
                }
            };
            let Some(stored) = read(|| self.store.history_after(&chat.pair, after, PAGE)).await else {
                return false;
            };
            if self.give(chat, &stored) {
                return true;
            }
            if stored.is_empty() {
                misses += 1;
                tokio::time::sleep(FIRST_PAUSE).await;
            }
        }
        false
    }

    /// Gives what was read; answers whether nothing is missing any more.
    fn give(&self, chat: &Chat, stored: &[Message]) -> bool {
        let mut order = chat.order.lock();
        for message in stored {
            if order.read(message.seq) {
                self.outlet.give(&retold::message(message), Place::Unlogged);
            }
        }
        let is_page_full = stored.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        !is_page_full && order.end()
    }

    /// The `seq` of the newest message before `bound`; 0 where there is none. `None` where the store cannot tell.
    async fn last_before(&self, chat: &Chat, bound: Timestamp) -> Option<u64> {
        let mut oldest = 0;
        for page in 1..=PAGES_BACK {
            let page = read(|| self.store.history_page(&chat.pair, page, PAGE)).await?;
            if let Some(before) = page.messages.iter().find(|message| message.at < bound) {
                return Some(before.seq);
            }
            let Some(last) = page.messages.last() else {
                return Some(0);
            };
            oldest = last.seq.saturating_sub(1);
        }
        Some(oldest)
    }
}
