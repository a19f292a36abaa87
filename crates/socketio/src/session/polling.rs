//! The polling transport: a held GET takes what waits, a POST brings packets, one task per session works them off.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::engine::{Frame, Message, Packet, payload};
use tokio::sync::mpsc;

use crate::observer::Delivery;

use super::{Application, CloseReason, HandOver, Session, Transport, machine::Input};

/// A GET of a session. Dropped without an answer, it ends the session: the client's connection went.
#[derive(Debug)]
pub struct Poll {
    session: Arc<Session>,
    answered: bool,
}

impl Poll {
    /// Waits until there is something for the client; answers with the payload. `None` where the session has gone over to
    /// WebSocket: a client has no poll under way when it says that it upgrades, so this one is refused.
    pub async fn payload(mut self) -> Option<ByteString> {
        let session = Arc::clone(&self.session);
        loop {
            let outbound = session.outbound.notified();
            if let Some(frames) = self.take() {
                return (!frames.is_empty()).then(|| payload::encode(&frames));
            }
            outbound.await;
        }
    }

    /// Takes what there is. The poll is over with it: what comes after it is for the next one.
    fn take(&mut self) -> Option<Vec<Frame>> {
        let mut state = self.session.state.lock();
        let is_over = state.machine.transport() == Transport::WebSocket;
        let (mut frames, mut tracked) = (Vec::new(), Vec::new());
        if !is_over {
            self.session
                .take(&mut state, usize::MAX, &mut frames, &mut tracked);
        }
        if let Some(farewell) = state.farewell.filter(|_| !is_over) {
            frames.push(if farewell.noop { Frame::NOOP } else { Frame::CLOSE });
        } else if frames.is_empty() && state.release_poll {
            frames.push(Frame::NOOP);
        }
        if frames.is_empty() && !is_over {
            return None;
        }
        state.release_poll = false;
        self.answered = true;
        self.session.apply(&mut state, Input::PollAnswered);
        let counters = &self.session.counters;
        counters.sent(Transport::Polling, &frames);
        counters.tracked(tracked, Delivery::Written);
        Some(frames)
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if !self.answered {
            self.session.input(Input::PollAborted);
        }
    }
}

/// A POST of a session. Dropped without an answer, it ends the session: the client's connection went.
#[derive(Debug)]
pub struct Post {
    session: Arc<Session>,
    answered: bool,
}

/// The payload of a POST held a packet that is none; the session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload has an invalid packet")]
pub struct Malformed;

impl Post {
    /// Takes the request's body. When it returns, its messages are with the session, in order; a packet that ends the
    /// session does so once those before it are worked off, and nothing after it counts.
    ///
    /// # Errors
    /// Where a packet cannot be read: the session has ended.
    pub async fn receive(mut self, body: ByteString) -> Result<(), Malformed> {
        self.session
            .counters
            .bytes_received(Transport::Polling, body.len());
        let mut batch = Vec::new();
        for packet in payload::decode(&body, self.session.config.max_packets_per_payload) {
            let (end, outcome) = match packet {
                Ok(packet @ (Packet::Close | Packet::Ping(_))) => (Input::Packet(packet), Ok(())),
                Ok(packet) => {
                    batch.extend(self.session.input(Input::Packet(packet)).deliver);
                    continue;
                }
                Err(_) => (Input::Malformed, Err(Malformed)),
            };
            self.hand_in(Work::Messages(batch)).await;
            if self.hand_in(Work::End(end)).await {
                self.session.ended().await;
            }
            self.answer();
            return outcome;
        }
        self.hand_in(Work::Messages(batch)).await;
        self.answer();
        Ok(())
    }

    /// Waits until the session has ended, whether the body is there or not.
    pub async fn session_ended(&self) {
        self.session.ended().await;
    }

    /// Ends the request without its body (it was too large): the session stays.
    pub fn reject(mut self) {
        self.answer();
    }

    fn answer(&mut self) {
        self.answered = true;
        self.session.input(Input::PostAnswered);
    }

    /// Answers whether the session's task will get it: not after the session's end, nor after its upgrade.
    async fn hand_in(&self, work: Work) -> bool {
        let inbox = self.session.state.lock().inbox.clone();
        match inbox {
            Some(inbox) if !work.is_empty() => inbox.send(work).await.is_ok(),
            _ => false,
        }
    }
}

/// What a POST brings to the task of its session.
#[derive(Debug)]
pub(crate) enum Work {
    Messages(Vec<Message>),
    /// What ends the session, once all that came before it is worked off.
    End(Input),
}

impl Work {
    const fn is_empty(&self) -> bool {
        matches!(self, Self::Messages(messages) if messages.is_empty())
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if !self.answered {
            self.session.input(Input::PostAborted);
        }
    }
}

impl Session {
    /// Begins a GET; `None` where it breaks the rules (a second one at once, or after an upgrade).
    #[must_use]
    pub fn poll(self: &Arc<Self>) -> Option<Poll> {
        let refused = self.input(Input::Poll).refused;
        (!refused).then(|| Poll {
            session: Arc::clone(self),
            answered: false,
        })
    }

    /// Begins a POST; `None` where it breaks the rules (a second one at once, or after an upgrade).
    #[must_use]
    pub fn post(self: &Arc<Self>) -> Option<Post> {
        let refused = self.input(Input::Post).refused;
        (!refused).then(|| Post {
            session: Arc::clone(self),
            answered: false,
        })
    }
}

/// Runs a session that was opened by polling, until it is over or a WebSocket has taken it over.
pub(crate) async fn run_polling(
    session: Arc<Session>,
    application: Box<dyn Application>,
    inbox: mpsc::Receiver<Work>,
) {
    let timers = session.run_timers();
    let work = work_off(&session, application, inbox);
    tokio::pin!(timers, work);
    tokio::select! {
        outcome = &mut work => if outcome == WorkEnd::Closed {
            timers.await;
        },
        () = &mut timers => { work.await; }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkEnd {
    Closed,
    HandedOver,
}

async fn work_off(
    session: &Session,
    mut application: Box<dyn Application>,
    mut inbox: mpsc::Receiver<Work>,
) -> WorkEnd {
    loop {
        let changed = session.changed.notified();
        if session.take_call() {
            application.called().await;
            continue;
        }
        let (hand_over, farewell) = {
            let mut state = session.state.lock();
            (state.hand_over.take(), state.farewell)
        };
        if hand_over.is_some() {
            inbox.close();
        }
        // What was handed in before the end of the session, or before a WebSocket took over, comes first.
        while let Ok(work) = inbox.try_recv() {
            work_one(session, &mut *application, work).await;
        }
        if let Some(hand_over) = hand_over {
            match hand_over {
                // A WebSocket that is gone already takes nothing: the session ends below, or by its timers.
                HandOver::Here(taker) => match taker.send(application) {
                    Ok(()) => return WorkEnd::HandedOver,
                    Err(back) => application = back,
                },
                // Who waited may have given up: the session then ends.
                HandOver::Elsewhere(taker) => drop(application.depart().map(|layer| taker.send(layer))),
            }
        } else if let Some(farewell) = farewell {
            match farewell.reason {
                CloseReason::Moved => application.moved().await,
                reason => application.closed(reason).await,
            }
            return WorkEnd::Closed;
        } else {
            tokio::select! {
                Some(work) = inbox.recv() => work_one(session, &mut *application, work).await,
                () = changed => {}
            }
        }
    }
}

async fn work_one(session: &Session, application: &mut dyn Application, work: Work) {
    match work {
        Work::Messages(messages) => {
            for message in messages {
                session.room_for_answers().await;
                application.message(message).await;
            }
        }
        Work::End(input) => _ = session.input(input),
    }
}
