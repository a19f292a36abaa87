//! Random operations on a store and on a model of it: both must answer alike, and look alike at the end.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use carillon_protocol::{
    chat::{ChatSummary, LastMessage, Pair},
    id::UserId,
    message::{Message, MessageKind, NewMessage},
    notification::{ChatActivity, NewNotification, Notification, NotificationStats},
    time::Timestamp,
};
use carillon_store::{
    Store,
    messages::{AppendOutcome, Appended, HistoryPage, MarkOutcome, MarkedMessage},
};
use proptest::prelude::*;

use super::samples::{at, message, new_id, notification, user};

/// Among them pairs of one name.
const USERS: [&str; 4] = ["a", "b_c", "a_b", "c"];

/// One call. Numbers choose among what is stored, users by their place in [`USERS`].
#[derive(Debug, Clone)]
enum Operation {
    Append {
        sender: usize,
        receiver: usize,
        client_message_id: Option<u8>,
        millis: i64,
    },
    Announce {
        message: usize,
    },
    MarkMessage {
        message: usize,
        reader: usize,
        other: Option<usize>,
        millis: i64,
    },
    MarkChat {
        reader: usize,
        other: usize,
        millis: i64,
    },
    Create {
        from_user: usize,
        to_user: usize,
        millis: i64,
    },
    MarkNotification {
        notification: usize,
        reader: usize,
        other: Option<usize>,
        millis: i64,
    },
    MarkNotifications {
        reader: usize,
        other: usize,
        millis: i64,
    },
    Delete {
        notification: usize,
        owner: usize,
        other: Option<usize>,
    },
    Cleanup {
        millis: i64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let one = || 0..USERS.len();
    let any = || 0..50_usize;
    let millis = || 0..100_i64;
    let other = || proptest::option::weighted(0.2, 0..USERS.len());
    let client_id = || proptest::option::of(0..4_u8);
    prop_oneof![
        8 => (one(), one(), client_id(), millis()).prop_map(|(sender, receiver, client_message_id, millis)| {
            Operation::Append { sender, receiver, client_message_id, millis }
        }),
        1 => any().prop_map(|message| Operation::Announce { message }),
        3 => (any(), one(), other(), millis()).prop_map(|(message, reader, other, millis)| {
            Operation::MarkMessage { message, reader, other, millis }
        }),
        1 => (one(), one(), millis()).prop_map(|(reader, other, millis)| {
            Operation::MarkChat { reader, other, millis }
        }),
        3 => (one(), one(), millis()).prop_map(|(from_user, to_user, millis)| {
            Operation::Create { from_user, to_user, millis }
        }),
        3 => (any(), one(), other(), millis()).prop_map(|(notification, reader, other, millis)| {
            Operation::MarkNotification { notification, reader, other, millis }
        }),
        1 => (one(), one(), millis()).prop_map(|(reader, other, millis)| {
            Operation::MarkNotifications { reader, other, millis }
        }),
        2 => (any(), one(), other()).prop_map(|(notification, owner, other)| {
            Operation::Delete { notification, owner, other }
        }),
        1 => (0..30_i64).prop_map(|millis| Operation::Cleanup { millis }),
    ]
}

/// Compares stores of `open` with the model.
pub(crate) fn check<Kept>(open: impl AsyncFn() -> (Arc<dyn Store>, Kept)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(operations in proptest::collection::vec(operation(), 1..80))| {
        let (store, _kept) = runtime.block_on(open());
        runtime.block_on(async {
            let mut model = Model::default();
            for operation in operations {
                model.apply(&*store, operation).await;
            }
            model.compare(&*store).await;
        });
    });
}

/// What a store holds, in the order it came.
#[derive(Default)]
struct Model {
    messages: Vec<(Message, Appended)>,
    notifications: Vec<Notification>,
    activities: HashMap<Pair, ChatActivity>,
    known: HashSet<Pair>,
}

impl Model {
    /// Does `operation` here and in the store.
    async fn apply(&mut self, store: &dyn Store, operation: Operation) {
        match operation {
            Operation::Append {
                sender,
                receiver,
                client_message_id,
                millis,
            } => {
                let mut new = message(USERS[sender], USERS[receiver], "text", millis);
                new.client_message_id = client_message_id.map(|id| id.to_string().into());
                assert_eq!(store.append_message(new.clone()).await.unwrap(), self.append(new));
            }
            Operation::Announce { message } => {
                let Some(chosen) = choose(&mut self.messages, message) else {
                    return;
                };
                store.mark_announced(chosen.0.id).await.unwrap();
                store.flush().await.unwrap();
                chosen.1.outcome = AppendOutcome::Duplicate;
            }
            Operation::MarkMessage {
                message,
                reader,
                other,
                millis,
            } => {
                let Some((chosen, _)) = choose(&mut self.messages, message) else {
                    return;
                };
                let reader = user(USERS[reader]);
                let chat = other.map_or_else(
                    || chosen.pair(),
                    |other| Pair::new(reader.clone(), user(USERS[other])),
                );
                let answer = store
                    .mark_message_read(&chat, chosen.id, &reader, at(millis))
                    .await
                    .unwrap();
                assert_eq!(answer, mark_message(chosen, &chat, &reader, at(millis)));
            }
            Operation::MarkChat {
                reader,
                other,
                millis,
            } => {
                let reader = user(USERS[reader]);
                let chat = Pair::new(reader.clone(), user(USERS[other]));
                let answer = store.mark_chat_read(&chat, &reader, at(millis)).await.unwrap();
                let waiting = self
                    .messages
                    .iter_mut()
                    .map(|(message, _)| message)
                    .filter(|message| {
                        message.pair() == chat && message.receiver == reader && message.read_at.is_none()
                    });
                assert_eq!(
                    answer,
                    waiting.map(|message| message.read_at = Some(at(millis))).count() as u64
                );
            }
            Operation::Create {
                from_user,
                to_user,
                millis,
            } => {
                let new = notification(USERS[from_user], USERS[to_user], millis);
                let answer = store.create_notification(new.clone()).await.unwrap();
                assert_eq!(answer, self.create(new));
            }
            Operation::MarkNotification {
                notification,
                reader,
                other,
                millis,
            } => {
                let Some(chosen) = choose(&mut self.notifications, notification) else {
                    return;
                };
                let reader = user(USERS[reader]);
                let own = chosen.content.pair.clone();
                let chat = other.map_or(own, |other| Pair::new(reader.clone(), user(USERS[other])));
                let id = chosen.content.id;
                let answer = store
                    .mark_notification_read(&chat, id, &reader, at(millis))
                    .await
                    .unwrap();
                if chosen.content.pair != chat || chosen.content.to_user != reader {
                    return assert_eq!(answer, None);
                }
                let activity = self.activities.get_mut(&chat).unwrap();
                if chosen.read_at.is_none() {
                    chosen.read_at = Some(at(millis));
                    activity.updated_at = activity.updated_at.max(at(millis));
                }
                assert_eq!(answer, Some((chosen.clone(), *activity)));
            }
            Operation::MarkNotifications {
                reader,
                other,
                millis,
            } => {
                let reader = user(USERS[reader]);
                let chat = Pair::new(reader.clone(), user(USERS[other]));
                let answer = store
                    .mark_notifications_read(&chat, &reader, at(millis))
                    .await
                    .unwrap();
                assert_eq!(answer, self.mark_notifications(&chat, &reader, at(millis)));
            }
            Operation::Delete {
                notification,
                owner,
                other,
            } => {
                let Some(chosen) = choose(&mut self.notifications, notification) else {
                    return;
                };
                let (id, owner) = (chosen.content.id, user(USERS[owner]));
                let own = chosen.content.pair.clone();
                let chat = other.map_or(own, |other| Pair::new(owner.clone(), user(USERS[other])));
                let before = self.notifications.len();
                self.notifications.retain(|one| {
                    one.content.id != id || one.content.pair != chat || one.content.to_user != owner
                });
                let answer = store.delete_notification(&chat, id, &owner).await.unwrap();
                assert_eq!(answer, self.notifications.len() < before);
            }
            Operation::Cleanup { millis } => {
                let before = self.notifications.len();
                self.notifications
                    .retain(|one| one.content.created_at >= at(millis));
                let deleted = (before - self.notifications.len()) as u64;
                assert_eq!(
                    store.delete_notifications_before(at(millis)).await.unwrap(),
                    deleted
                );
            }
        }
    }

    fn append(&mut self, new: NewMessage) -> Appended {
        let chat = new.pair();
        let before = self.messages.iter().find(|(message, _)| {
            message.sender == new.sender
                && message.pair() == chat
                && new.client_message_id.is_some()
                && message.client_message_id == new.client_message_id
        });
        if let Some((message, appended)) = before {
            return Appended {
                message: message.clone(),
                ..appended.clone()
            };
        }
        let newest = self.history(&chat).last().cloned();
        let time = newest.as_ref().map_or(new.at, |newest| newest.at.max(new.at));
        let message = Message {
            id: new.id,
            seq: newest.map_or(1, |newest| newest.seq + 1),
            read_at: (new.sender == new.receiver).then_some(time),
            sender: new.sender,
            receiver: new.receiver,
            sender_name: new.sender_name,
            receiver_name: new.receiver_name,
            text: new.text,
            kind: MessageKind::Text,
            at: time,
            client_message_id: new.client_message_id,
            edited_at: None,
        };
        let stored = self.create(NewNotification {
            created_at: time,
            ..new.notification
        });
        let notification = stored.content.id;
        let resent = Appended {
            message: message.clone(),
            notification,
            outcome: AppendOutcome::DuplicateUnannounced,
        };
        self.messages.push((message.clone(), resent));
        Appended {
            message,
            notification,
            outcome: AppendOutcome::Stored,
        }
    }

    fn create(&mut self, new: NewNotification) -> Notification {
        let time = new.created_at;
        self.known.insert(new.pair.clone());
        let first = ChatActivity {
            created_at: time,
            last_notification_at: time,
            updated_at: time,
        };
        let activity = self.activities.entry(new.pair.clone()).or_insert(first);
        activity.created_at = activity.created_at.min(time);
        activity.last_notification_at = activity.last_notification_at.max(time);
        activity.updated_at = activity.updated_at.max(time);
        let created = Notification {
            content: new,
            read_at: None,
        };
        self.notifications.push(created.clone());
        created
    }

    fn mark_notifications(&mut self, chat: &Pair, reader: &UserId, time: Timestamp) -> u64 {
        let mut marked = 0;
        for one in &mut self.notifications {
            if one.content.pair == *chat && one.content.to_user == *reader && one.read_at.is_none() {
                one.read_at = Some(time);
                marked += 1;
            }
        }
        if marked > 0 {
            let activity = self.activities.get_mut(chat).unwrap();
            activity.updated_at = activity.updated_at.max(time);
        }
        marked
    }

    /// Messages of a chat, oldest first.
    fn history(&self, chat: &Pair) -> Vec<Message> {
        self.messages
            .iter()
            .map(|(message, _)| message)
            .filter(|one| one.pair() == *chat)
            .cloned()
            .collect()
    }

    /// Compares everything that can be seen.
    async fn compare(&self, store: &dyn Store) {
        for (place, one) in USERS.iter().enumerate() {
            self.compare_user(store, &user(one)).await;
            for other in &USERS[place..] {
                self.compare_chat(store, &Pair::new(user(one), user(other))).await;
            }
        }
        let missing = store.notification(new_id()).await.unwrap();
        assert_eq!(missing, None);
    }

    async fn compare_chat(&self, store: &dyn Store, chat: &Pair) {
        let history = self.history(chat);
        let total = history.len() as u64;
        assert_eq!(store.history_after(chat, 0, 1000).await.unwrap(), history);
        let newest_first: Vec<Message> = history.iter().rev().cloned().collect();
        for page in 1..=total / 7 + 2 {
            let from = usize::try_from((page - 1) * 7).unwrap();
            let messages = newest_first.iter().skip(from).take(7).cloned().collect();
            assert_eq!(
                store.history_page(chat, page, 7).await.unwrap(),
                HistoryPage { messages, total }
            );
        }
        let senders: BTreeSet<&UserId> = history.iter().map(|message| &message.sender).collect();
        let both_wrote = senders.contains(chat.first()) && senders.contains(chat.second());
        assert_eq!(store.are_contacts(chat).await.unwrap(), both_wrote);
        assert_eq!(
            store.chat_is_known(chat).await.unwrap(),
            self.known.contains(chat)
        );
    }

    async fn compare_user(&self, store: &dyn Store, id: &UserId) {
        let waits = |message: &&Message| message.receiver == *id && message.read_at.is_none();
        let waiting = self
            .messages
            .iter()
            .map(|(message, _)| message)
            .filter(waits)
            .count() as u64;
        assert_eq!(store.unread_count(id).await.unwrap(), waiting);

        let mut chats = Vec::new();
        let mut contacts = BTreeSet::new();
        for other in USERS {
            let pair = Pair::new(id.clone(), user(other));
            let history = self.history(&pair);
            let Some(last) = history.last() else { continue };
            let last_message = LastMessage {
                text: last.text.clone(),
                at: last.at,
                sender_name: last.sender_name.clone(),
            };
            let unread = history.iter().filter(waits).count() as u64;
            chats.push(ChatSummary {
                pair,
                last_message,
                unread,
            });
            let wrote = |writer: &UserId| history.iter().any(|message| message.sender == *writer);
            if user(other) != *id && wrote(id) && wrote(&user(other)) {
                contacts.insert(user(other));
            }
        }
        assert_eq!(BTreeSet::from_iter(store.contacts(id).await.unwrap()), contacts);
        let mut listed = store.chats_of(id, 100).await.unwrap();
        assert!(listed.is_sorted_by(|one, next| one.last_message.at >= next.last_message.at));
        // Chats of one moment may come in any order.
        listed.sort_by_key(|chat| chat.pair.key());
        chats.sort_by_key(|chat| chat.pair.key());
        assert_eq!(listed, chats);

        self.compare_inbox(store, id).await;
    }

    async fn compare_inbox(&self, store: &dyn Store, id: &UserId) {
        let own: Vec<_> = self
            .notifications
            .iter()
            .filter(|one| one.content.to_user == *id)
            .cloned()
            .collect();
        let active: HashSet<_> = own.iter().map(|one| &one.content.pair).collect();
        let mut unread: Vec<_> = own.iter().filter(|one| one.read_at.is_none()).cloned().collect();
        unread.sort_by_key(|one| (one.content.created_at, one.content.id));
        let stats = NotificationStats {
            total: own.len() as u64,
            unread: unread.len() as u64,
            active_chats: active.len() as u64,
        };
        assert_eq!(store.notification_stats(id).await.unwrap(), stats);
        assert_eq!(store.unread_notifications(id, 1000).await.unwrap(), unread);
        let newest = unread.get(unread.len().saturating_sub(3)..).unwrap_or_default();
        assert_eq!(store.unread_notifications(id, 3).await.unwrap(), newest);
        for one in own {
            assert_eq!(store.notification(one.content.id).await.unwrap(), Some(one));
        }
    }
}

/// What number `chosen` stands for, where there is anything.
fn choose<Item>(items: &mut [Item], chosen: usize) -> Option<&mut Item> {
    let place = chosen.checked_rem(items.len())?;
    items.get_mut(place)
}

fn mark_message(message: &mut Message, chat: &Pair, reader: &UserId, time: Timestamp) -> MarkOutcome {
    if message.pair() != *chat {
        return MarkOutcome::Unknown;
    }
    if message.receiver != *reader {
        return MarkOutcome::NotReceiver;
    }
    let first = message.read_at.is_none();
    let read_at = *message.read_at.get_or_insert(time);
    MarkOutcome::Marked(MarkedMessage { read_at, first })
}
