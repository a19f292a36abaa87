use carillon_protocol::value::Value;
use futures_util::FutureExt as _;
use rand::RngExt as _;
use tokio::task::JoinHandle;

use super::*;
use crate::services::{
    presence::Scope,
    testing::{Node, UNSTORABLE, pair, request, user},
};

type Answer = JoinHandle<Result<Message>>;

/// Bob sends to Ann, in a task of his own.
fn send(node: &Node, text: &str, client_message_id: Option<&'static str>) -> Answer {
    let messages = Arc::clone(&node.services.messages);
    let request = SendRequest {
        client_message_id: client_message_id.map(Into::into),
        ..request("ann", text)
    };
    node.tasks
        .spawn(async move { messages.send(&user("bob"), request).await })
}

/// Has everything that was begun go as far as it can.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn texts(node: &Node) -> Vec<String> {
    let messages = &node.services.messages;
    let (stored, _) = messages
        .history_after(&pair("ann", "bob"), 0, 10_000)
        .await
        .unwrap();
    assert!(
        stored
            .iter()
            .map(|message| message.seq)
            .eq(1..=stored.len() as u64)
    );
    stored.iter().map(|message| message.text.to_string()).collect()
}

/// The texts of what was announced, in that order.
fn announced(node: &Node) -> Vec<String> {
    let text = |event: &[Value]| {
        event[1]
            .get("message")
            .and_then(Value::as_text)
            .unwrap()
            .to_string()
    };
    let announced = node.announced.take();
    let messages = announced
        .iter()
        .filter(|it| it.event[0] == Value::from("receiveMessage"));
    messages.map(|it| text(&it.event)).collect()
}

/// Nothing runs on, and no chat is worked off.
async fn nothing_is_left(node: &Node) {
    node.tasks.close();
    node.tasks.wait().await;
    let sends = &node.services.messages.sends;
    assert!(matches!(
        sends.add(pair("ann", "bob"), sending("probe").0),
        Added::First(_)
    ));
}

fn sending(text: &str) -> (Sending, oneshot::Receiver<Sent>) {
    let (reply, answer) = oneshot::channel();
    let sending = Sending {
        sender: user("bob"),
        request: request("ann", text),
        accepted_at: Instant::now(),
        span: Span::none(),
        reply,
    };
    (sending, answer)
}

#[tokio::test]
async fn what_comes_while_a_chat_is_stored_is_stored_together_and_announced_in_order() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let answers: Vec<Answer> = (0..300)
        .map(|number| send(&node, &number.to_string(), None))
        .collect();
    settle().await;
    drop(held);

    for (number, answer) in answers.into_iter().enumerate() {
        let message = answer.await.unwrap().unwrap();
        assert_eq!(
            (message.seq, message.text),
            (number as u64 + 1, number.to_string().into())
        );
    }
    let expected: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(announced(&node), expected);
    assert_eq!(texts(&node).await, expected);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_alone() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let answers = ["one", UNSTORABLE, "two", UNSTORABLE, "three"].map(|text| send(&node, text, None));
    settle().await;
    drop(held);

    let mut seqs = Vec::new();
    for answer in answers {
        seqs.push(
            answer
                .await
                .unwrap()
                .map(|message| message.seq)
                .map_err(|it| it.code),
        );
    }
    assert_eq!(
        seqs,
        [Ok(1), Err(Code::Internal), Ok(2), Err(Code::Internal), Ok(3)]
    );
    assert_eq!(announced(&node), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_store_that_goes_refuses_all_that_wait_and_the_next_are_stored() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let answers: Vec<Answer> = (0..5).map(|_| send(&node, "lost", None)).collect();
    settle().await;
    node.store.set_down(true);
    drop(held);
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap_err().code, Code::Unavailable);
    }
    node.store.set_down(false);

    assert_eq!(send(&node, "kept", None).await.unwrap().unwrap().seq, 1);
    assert_eq!(announced(&node), ["kept"]);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn a_sender_who_goes_leaves_no_message_unannounced_and_nobody_waiting() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let begun = send(&node, "begun", None);
    settle().await;
    let untried = send(&node, "untried", None);
    let after = send(&node, "after", None);
    settle().await;
    begun.abort();
    untried.abort();
    settle().await;
    drop(held);

    assert_eq!(after.await.unwrap().unwrap().seq, 2);
    assert_eq!(announced(&node), ["begun", "after"]);
    assert_eq!(texts(&node).await, ["begun", "after"]);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn resends_in_one_batch_find_the_first_and_announce_it_once() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let first = send(&node, "first", None);
    settle().await;
    let resends: Vec<Answer> = (0..9).map(|_| send(&node, "again", Some("k"))).collect();
    settle().await;
    drop(held);

    first.await.unwrap().unwrap();
    for resend in resends {
        assert_eq!(resend.await.unwrap().unwrap().seq, 2);
    }
    assert_eq!(announced(&node), ["first", "again"]);
}

#[tokio::test]
async fn a_resend_announces_what_could_not_be_in_the_same_batch() {
    let node = Node::new(Scope::All);
    node.backplane.set_down(true);
    let both = ["one", "again"].map(|text| send(&node, text, Some("k")));
    for answer in both {
        assert_eq!(answer.await.unwrap().unwrap().seq, 1);
    }
    assert!(announced(&node).is_empty());
    node.backplane.set_down(false);

    send(&node, "again", Some("k")).await.unwrap().unwrap();
    assert_eq!(announced(&node), ["one"]);
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_refused() {
    let node = Node::new(Scope::All);
    let held = node.store.hold_appends().await;
    let mut answers = vec![send(&node, "begun", None)];
    settle().await;
    answers.extend((0..1_024).map(|_| send(&node, "waits", None)));
    settle().await;

    let refused = send(&node, "too many", None).await.unwrap().unwrap_err();
    drop(held);

    assert_eq!(
        (refused.code, refused.retry_after_ms),
        (Code::Unavailable, Some(1_000))
    );
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(announced(&node).len(), 1_025);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_whenever_the_others_are_stored_once_and_announced_in_order() {
    for _ in 0..20 {
        let node = Node::new(Scope::All);
        let mut waiting = Vec::new();
        for number in 0..200_u32 {
            let answer = send(&node, &number.to_string(), None);
            match rand::rng().random_range(0..8) {
                0 => answer.abort(),
                1 => drop(answer),
                2 => {
                    tokio::task::yield_now().await;
                    answer.abort();
                }
                _ => waiting.push((number, answer)),
            }
        }
        let mut confirmed = Vec::new();
        for (number, answer) in waiting {
            let message = answer.await.unwrap().unwrap();
            assert_eq!(message.text, number.to_string());
            confirmed.push((message.seq, message.text.to_string()));
        }
        nothing_is_left(&node).await;

        let stored = texts(&node).await;
        assert_eq!(announced(&node), stored);
        for (seq, text) in confirmed {
            assert_eq!(stored[usize::try_from(seq).unwrap() - 1], text);
        }
        let mut once = stored.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), stored.len());
    }
}

#[tokio::test]
async fn the_end_of_the_node_gives_up_who_waits() {
    let node = Node::new(Scope::All);
    let messages = &node.services.messages;
    let (sending, answer) = sending("one");
    let Added::First(work) = messages.sends.add(pair("ann", "bob"), sending) else {
        panic!("it is the first");
    };
    let waits = send(&node, "two", None);
    settle().await;
    drop(work);

    assert!(answer.await.is_err());
    assert_eq!(waits.await.unwrap().unwrap_err().code, Code::Unavailable);
    assert_eq!(send(&node, "three", None).await.unwrap().unwrap().seq, 1);
}

#[tokio::test]
async fn work_begins_in_order_and_its_outcomes_keep_it() {
    let begun = parking_lot::Mutex::new(Vec::new());
    let work = (0..100_u32).map(|number| {
        let begun = &begun;
        async move {
            begun.lock().push(number);
            for _ in 0..number % 7 {
                tokio::task::yield_now().await;
            }
            number
        }
    });

    let outcomes = all_begun_in_order(work.collect()).await;

    assert_eq!(outcomes, (0..100).collect::<Vec<_>>());
    assert_eq!(begun.into_inner(), outcomes);
    assert!(
        all_begun_in_order(Vec::<std::future::Ready<()>>::new())
            .now_or_never()
            .unwrap()
            .is_empty()
    );
}
