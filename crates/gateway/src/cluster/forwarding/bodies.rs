//! Bodies of forwarded POSTs that came too slowly to go along with the first question: the POST is open at its session's
//! node, and waits for its body.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_backplane::NodeTag;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{MARGIN, READ_TIMEOUT};
use crate::http::body::BodyError;

/// How long a body waits for its POST, which was sent before it.
const POST_TIMEOUT: Duration = Duration::from_secs(2);

type Read = Result<ByteString, BodyError>;
type Waiting = HashMap<(NodeTag, u64), oneshot::Sender<Read>>;

/// The POSTs that wait for their body, by the node that they came to and its number for them.
#[derive(Default)]
pub(super) struct Bodies {
    waiting: Arc<Mutex<Waiting>>,
    /// Another POST waits.
    opened: Notify,
}

impl Bodies {
    /// Waits for a body. It is expected from the call on, and no longer once the future is dropped.
    pub(super) fn expect(&self, from: NodeTag, number: u64) -> impl Future<Output = Read> + use<> {
        let (sender, receiver) = oneshot::channel();
        let key = (from, number);
        self.waiting.lock().insert(key.clone(), sender);
        self.opened.notify_waiters();
        let place = Place {
            waiting: Arc::clone(&self.waiting),
            key,
        };
        async move {
            let _place = place;
            // The other node gives up reading before this, and says so.
            let arrived = tokio::time::timeout(READ_TIMEOUT + MARGIN, receiver).await;
            arrived
                .ok()
                .and_then(Result::ok)
                .unwrap_or(Err(BodyError::Broken))
        }
    }

    /// A body has arrived: returns once its POST has it, or will not come for it.
    pub(super) async fn arrived(&self, from: NodeTag, number: u64, read: Read) {
        let key = (from, number);
        let finding = async {
            loop {
                let opened = self.opened.notified();
                if let Some(waiting) = self.waiting.lock().remove(&key) {
                    return waiting;
                }
                opened.await;
            }
        };
        if let Ok(waiting) = tokio::time::timeout(POST_TIMEOUT, finding).await {
            // Where the POST has ended just now, so has its interest in the body.
            let _unread = waiting.send(read);
        }
    }
}

/// A place in the map, freed when its POST ends, however it does.
struct Place {
    waiting: Arc<Mutex<Waiting>>,
    key: (NodeTag, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Read {
        Ok(text.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_finds_the_post_that_its_node_opened() {
        let bodies = Bodies::default();
        let (first, second) = (bodies.expect("a".into(), 1), bodies.expect("b".into(), 1));

        bodies.arrived("c".into(), 1, body("4forged")).await;
        bodies.arrived("b".into(), 1, body("4b")).await;
        bodies.arrived("a".into(), 1, body("4a")).await;

        assert_eq!((first.await, second.await), (body("4a"), body("4b")));
        assert!(bodies.waiting.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_overtakes_its_post_waits_for_it() {
        let bodies = Bodies::default();
        let post = async {
            tokio::task::yield_now().await;
            bodies.expect("a".into(), 1).await
        };
        let ((), read) = tokio::join!(bodies.arrived("a".into(), 1, body("4a")), post);
        assert_eq!(read, body("4a"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_a_post_that_ends_without_its_body() {
        let bodies = Bodies::default();
        drop(bodies.expect("a".into(), 1));
        assert_eq!(bodies.expect("a".into(), 2).await, Err(BodyError::Broken));
        assert!(bodies.waiting.lock().is_empty());
    }
}
