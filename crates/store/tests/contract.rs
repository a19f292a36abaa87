//! What every backend does: one case per fact, each against an empty store of each backend.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract {
    pub(crate) mod chats;
    pub(crate) mod databases;
    pub(crate) mod history;
    pub(crate) mod messages;
    pub(crate) mod model;
    pub(crate) mod notifications;
    pub(crate) mod samples;
}

use std::sync::Arc;

use carillon_store::{
    Store,
    mongo::MongoOptions,
    sqlite::{SqliteOptions, SqliteStore},
};
use contract::databases::Database;
use tempfile::TempDir;

/// A store, and what has to live as long as it.
struct Opened<Kept> {
    store: Arc<dyn Store>,
    _kept: Kept,
}

async fn sqlite() -> Opened<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db"), &SqliteOptions::default()).unwrap();
    Opened {
        store: Arc::new(store),
        _kept: folder,
    }
}

async fn mongo() -> Opened<Database> {
    let database = Database::new();
    Opened {
        store: Arc::new(database.connect(MongoOptions::default()).await),
        _kept: database,
    }
}

/// The cases as tests of one backend: `$open` makes an empty store.
macro_rules! backend {
    ($open:ident: $($subject:ident { $($case:ident)* })*) => {
        $(mod $subject {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let opened = crate::$open().await;
                crate::contract::$subject::$case(opened.store).await;
            })*
        })*

        #[test]
        fn behaves_as_the_model_does() {
            crate::contract::model::check(async || {
                let opened = crate::$open().await;
                (opened.store, opened._kept)
            });
        }
    };
}

/// Every case, once per backend.
macro_rules! suite {
    ($($backend:ident)*) => {
        $(mod $backend {
            backend! { $backend:
                messages {
                    a_message_is_stored_as_sent
                    seq_counts_from_one_per_chat
                    seq_has_no_hole_under_many_writers
                    appends_under_way_together_are_numbered_as_they_began
                    one_that_fails_among_others_is_refused_alone
                    time_never_goes_back_along_seq
                    a_resend_gets_the_first_message
                    the_same_client_id_elsewhere_is_another_message
                    one_of_many_resends_at_once_is_stored
                    an_unannounced_message_is_announced_by_its_resend
                    announcing_what_is_unknown_is_no_error
                    a_failed_append_leaves_nothing
                    a_message_comes_with_its_notification
                    any_text_survives
                }
                history {
                    pages_are_newest_first
                    pages_beyond_the_end_are_empty
                    history_after_is_oldest_first
                    an_unknown_chat_has_an_empty_history
                    marking_counts_the_first_time_only
                    only_the_receiver_marks_and_in_its_chat
                    marking_a_chat_marks_what_its_reader_received
                    a_message_to_oneself_is_never_unread
                }
                notifications {
                    a_notification_is_stored_as_created
                    the_inbox_is_oldest_first_and_its_limit_keeps_the_newest
                    equal_times_are_ordered_by_id
                    the_inbox_holds_the_unread_of_its_user_alone
                    stats_count_read_and_unread
                    marking_needs_the_user_and_the_chat
                    marking_answers_with_the_first_time
                    the_activity_of_a_chat_follows_its_notifications
                    marking_all_leaves_other_users_and_chats
                    deleting_needs_the_user_and_the_chat
                    cleanup_deletes_what_is_older_read_or_not
                    cleanup_of_thousands_counts_them_all
                    a_notification_for_someone_outside_its_chat
                }
                chats {
                    the_list_is_latest_activity_first
                    the_list_shows_the_newest_message_and_what_is_unread
                    a_notification_alone_is_in_no_list
                    unread_is_exact_under_marks_and_appends
                    unread_sums_over_chats
                    pairs_of_one_name_are_two_chats
                    a_chat_stays_known
                    contacts_have_both_written
                    one_is_no_contact_of_oneself
                    ids_of_any_script
                    pings_and_flushes
                    what_was_answered_is_read_at_once
                }
            }
        })*
    };
}

suite! { sqlite mongo }
