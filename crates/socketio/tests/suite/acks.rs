//! Acks, both ways.

use std::{sync::Arc, time::Duration};

use carillon_protocol::value::Value;
use carillon_socketio::{AckError, CloseReason};
use tokio::time::Instant;

use crate::{
    application::{App, TestSocket},
    transport::Client,
};

const SECOND: Duration = Duration::from_secs(1);

async fn ask(socket: &TestSocket) -> Result<Vec<Value>, AckError> {
    socket.emit_with_ack(&[Value::from("ask")], SECOND).await
}

/// A socket and its client, which has been asked this often and did not answer.
async fn asked(
    app: &App,
    times: usize,
) -> (
    Client,
    TestSocket,
    Vec<tokio::task::JoinHandle<Result<Vec<Value>, AckError>>>,
) {
    let (mut client, socket) = app.join("").await;
    let tasks = tokio_util::task::TaskTracker::new();
    let mut asking = Vec::new();
    for number in 0..times {
        let socket = Arc::clone(&socket);
        asking.push(tasks.spawn(async move { ask(&socket).await }));
        assert_eq!(client.text().await, format!("42{number}[\"ask\"]"));
    }
    (client, socket, asking)
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_the_handlers_answer() {
    let app = App::quiet();
    let (mut client, _socket) = app.join("").await;

    client.send("4212[\"echo\",1,{\"a\":[]}]").await;
    client.send("42[\"echo\",2]").await;
    client.send("4213[\"echo\"]").await;

    assert_eq!(client.text().await, "4312[1,{\"a\":[]}]");
    assert_eq!(client.text().await, "4313[]");
}

#[tokio::test(start_paused = true)]
async fn answers_go_to_who_asked_in_any_order() {
    let app = App::quiet();
    let (client, _socket, mut asking) = asked(&app, 3).await;

    client.send("432[\"c\"]").await;
    client.send("430[]").await;
    client.send("431[\"b\",1]").await;

    let mut answers = Vec::new();
    for task in asking.drain(..) {
        answers.push(task.await.unwrap().unwrap().len());
    }
    assert_eq!(answers, [0, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_late_a_second_and_an_unknown_answer_are_ignored() {
    let app = App::quiet();
    let start = Instant::now();
    let (mut client, socket, mut asking) = asked(&app, 1).await;

    assert_eq!(asking.remove(0).await.unwrap(), Err(AckError::Timeout));
    assert_eq!(start.elapsed(), SECOND);
    client.send("430[\"late\"]").await;
    client.send("430[\"second\"]").await;
    client.send("4377[\"unknown\"]").await;

    let answering = async {
        assert_eq!(client.text().await, "421[\"ask\"]");
        client.send("431[\"in time\"]").await;
    };
    let (answer, ()) = tokio::join!(ask(&socket), answering);
    assert_eq!(answer, Ok(vec![Value::from("in time")]));
}

#[tokio::test(start_paused = true)]
async fn who_asked_is_told_at_once_that_the_socket_is_gone() {
    for leaves in [true, false] {
        let app = App::quiet();
        let start = Instant::now();
        let (mut client, socket, mut asking) = asked(&app, 1).await;

        if leaves {
            client.send("41").await;
        } else {
            client.hang_up();
        }

        assert_eq!(asking.remove(0).await.unwrap(), Err(AckError::Closed));
        assert_eq!(ask(&socket).await, Err(AckError::Closed));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn pending_acks_are_bounded_and_those_given_up_do_not_count() {
    let app = App::quiet();
    let (client, socket, mut asking) = asked(&app, 1_000).await;

    assert_eq!(ask(&socket).await, Err(AckError::TooMany));
    client.send("430[]").await;
    assert_eq!(asking.remove(0).await.unwrap(), Ok(vec![]));
    for task in asking {
        assert_eq!(task.await.unwrap(), Err(AckError::Timeout));
    }

    assert_eq!(ask(&socket).await, Err(AckError::Timeout));
    socket.close(CloseReason::ForcedClose);
    assert_eq!(ask(&socket).await, Err(AckError::Closed));
}
