//! Events to many that want acks.

use std::time::Duration;

use carillon_protocol::value::Value;
use tokio::time::Instant;

use crate::application::{App, broadcast};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_gives_the_first_argument_of_its_ack_and_all_end_it() {
    let app = App::quiet();
    let (mut one, _a) = app.join("{\"rooms\":[\"r\"]}").await;
    let (mut two, _b) = app.join("{\"rooms\":[\"r\"]}").await;
    let (mut other, _c) = app.join("").await;
    let begun = Instant::now();

    let mut answers = app.hub.ask(&broadcast("who", &["r"], &[]), SECOND);
    assert_eq!(answers.count(), 2);
    assert_eq!(one.text().await, "420[\"who\"]");
    assert_eq!(two.text().await, "420[\"who\"]");
    one.send("430[\"me\",\"and more\"]").await;
    assert_eq!(answers.next().await, Some(Value::from("me")));
    two.send("430[]").await;
    assert_eq!(answers.next().await, Some(Value::Null));

    assert_eq!(answers.next().await, None);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(other.is_silent_for(SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_time_and_takes_no_late_answer() {
    let app = App::quiet();
    let (mut client, _socket) = app.join("").await;
    let begun = Instant::now();

    let mut answers = app.hub.ask(&broadcast("who", &[], &[]), SECOND);
    assert_eq!(client.text().await, "420[\"who\"]");

    assert_eq!(answers.next().await, None);
    assert_eq!(begun.elapsed(), SECOND);
    client.send("430[\"late\"]").await;
    client.send("421[\"echo\"]").await;
    assert_eq!(client.text().await, "431[]");
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn ends_once_those_who_did_not_answer_are_gone() {
    let app = App::quiet();
    let (mut one, _a) = app.join("").await;
    let (mut two, _b) = app.join("").await;

    let mut answers = app.hub.ask(&broadcast("who", &[], &[]), 1_000 * SECOND);
    one.text().await;
    two.text().await;
    one.send("430[1]").await;
    two.hang_up();

    assert_eq!(answers.next().await, Some(Value::Int(1)));
    assert_eq!(answers.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn nobody_to_ask_is_the_end() {
    let app = App::quiet();
    let mut answers = app.hub.ask(&broadcast("who", &[], &[]), SECOND);
    assert_eq!((answers.count(), answers.next().await), (0, None));
}

/// A client may owe a thousand acks. It is asked no more until it answers, or until those who asked have given up.
#[tokio::test(start_paused = true)]
async fn who_owes_too_much_is_not_asked() {
    let app = App::quiet();
    let (mut client, _socket) = app.join("").await;
    let mut asked = Vec::new();
    for number in 0..1_000 {
        asked.push(app.hub.ask(&broadcast("who", &[], &[]), SECOND));
        assert_eq!(client.text().await, format!("42{number}[\"who\"]"));
    }

    assert_eq!(app.hub.ask(&broadcast("who", &[], &[]), SECOND).count(), 0);
    asked.pop();
    assert_eq!(app.hub.ask(&broadcast("who", &[], &[]), SECOND).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_owes_too_many_answers_is_not_asked_further() {
    let app = App::quiet();
    let (mut client, _socket) = app.join("").await;
    let ask = || app.hub.ask(&broadcast("who", &[], &[]), 1_000 * SECOND);
    let mut open = Vec::new();
    for number in 0..1_000 {
        open.push(ask());
        assert_eq!(client.text().await, format!("42{number}[\"who\"]"));
    }

    assert_eq!(ask().count(), 0);
    client.send("430[]").await;
    assert_eq!(open.first_mut().unwrap().next().await, Some(Value::Null));
    assert_eq!(ask().count(), 1);
}
