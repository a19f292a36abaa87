//! Durable messages: at a fixed rate (what users feel), and as fast as they are confirmed (what the system bears).
//!
//! Latency counts from the time at which a message was due, so a server that stalls the sender cannot hide it. A socket's
//! messages are confirmed in the order in which it sent them, by `messageSent`. No JSON is parsed.

mod ledger;

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::{
    sync::{Mutex, Notify},
    task::{JoinSet, LocalSet},
    time::Instant,
};

use self::ledger::Ledger;
use crate::{
    Target,
    client::Client,
    dialect::{Dialect, after},
    figures::{Figures, Latencies},
    process::Meter,
    steady::Span,
    websocket::{Reader, Writer},
};

/// How long after the last message stragglers are waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether they are there.
const LOOK: Duration = Duration::from_millis(10);
/// Before a sender in a closed loop sends again after a refusal.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Who sends.
#[derive(Debug, Clone, Args)]
pub(crate) struct Senders {
    /// How many send: each in a chat of its own with one reader.
    #[arg(long, default_value_t = 100)]
    pairs: usize,
    /// `SENDER,READER`: instead, that many sockets of one sender, all in one chat with one reader.
    #[arg(long)]
    one_chat: Option<String>,
}

/// Sends at a fixed rate and prints latencies and faults.
pub(crate) async fn open_loop(target: &Target, senders: &Senders, rate: u32) -> anyhow::Result<()> {
    let period = Duration::from_secs(1) / rate.max(1);
    run(target, senders, "messages", Some(period)).await
}

/// Sends each message when the one before is confirmed and prints how many there were.
pub(crate) async fn closed_loop(target: &Target, senders: &Senders) -> anyhow::Result<()> {
    run(target, senders, "closed", None).await
}

async fn run(target: &Target, senders: &Senders, name: &str, period: Option<Duration>) -> anyhow::Result<()> {
    ensure!(
        target.dialect == Dialect::Socketio,
        "only Carillon keeps messages"
    );
    let run = Rc::new(Run {
        ledger: RefCell::new(Ledger::new(senders.pairs)),
        to_sender: RefCell::new(Latencies::new()?),
        to_reader: RefCell::new(Latencies::new()?),
    });
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for chat in chats(senders)? {
        let number = writers.len();
        let mut reader = target.connect(number + 1, &chat.reader).await?;
        reader.join(&chat.chatbox_id()).await?;
        readers.push(reader);
        for _ in 0..chat.sockets {
            let client = target.connect(writers.len(), &chat.sender).await?;
            writers.push((client, chat.reader.clone()));
        }
    }
    let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
    for reader in readers {
        tasks.spawn_local_on(Rc::clone(&run).read(reader), &local);
    }
    let span = Span::new(target.seconds);
    for (number, (client, receiver)) in writers.into_iter().enumerate() {
        let sender = Rc::new(Sender {
            run: Rc::clone(&run),
            number,
            receiver,
            writer: Mutex::new(client.writer),
            unconfirmed: RefCell::default(),
            answered: Notify::new(),
        });
        tasks.spawn_local_on(Rc::clone(&sender).read(client.reader), &local);
        match period {
            Some(period) => {
                // The senders are spread over the period.
                let offset = period * u32::try_from(number)? / u32::try_from(senders.pairs.max(1))?;
                tasks.spawn_local_on(sender.send_each(period, offset, span), &local);
            }
            None => _ = tasks.spawn_local_on(sender.send_in_turn(span), &local),
        }
    }
    let mut figures = Figures::default();
    local
        .run_until(async {
            tokio::select! {
                done = run.measure(target, span, &mut figures) => done,
                error = broken_off(&mut tasks) => error,
            }
        })
        .await?;
    figures.publish(&target.output, name)?;
    ensure!(
        run.ledger.borrow().faults() == 0,
        "messages were lost, doubled or out of order"
    );
    Ok(())
}

/// Senders end with the span; a reader's end is the connection's.
async fn broken_off(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended?.context("a connection ended early")?;
    }
    std::future::pending().await
}

struct Chat {
    sender: String,
    reader: String,
    sockets: usize,
}

impl Chat {
    fn chatbox_id(&self) -> String {
        let (one, other) = (&self.sender, &self.reader);
        if one < other {
            format!("{one}_{other}")
        } else {
            format!("{other}_{one}")
        }
    }
}

/// New chats of this run alone, or the one that is named.
fn chats(senders: &Senders) -> anyhow::Result<Vec<Chat>> {
    if let Some(users) = &senders.one_chat {
        let (sender, reader) = users.split_once(',').context("--one-chat is SENDER,READER")?;
        return Ok(vec![Chat {
            sender: sender.to_owned(),
            reader: reader.to_owned(),
            sockets: senders.pairs,
        }]);
    }
    let run: u32 = rand::random();
    let chat = |number| Chat {
        sender: format!("m{run}x{number}a"),
        reader: format!("m{run}x{number}b"),
        sockets: 1,
    };
    Ok((0..senders.pairs).map(chat).collect())
}

struct Run {
    ledger: RefCell<Ledger>,
    to_sender: RefCell<Latencies>,
    to_reader: RefCell<Latencies>,
}

impl Run {
    async fn measure(&self, target: &Target, span: Span, figures: &mut Figures) -> anyhow::Result<()> {
        tokio::time::sleep_until(span.from).await;
        let before = self.ledger.borrow().stored();
        let meter = Meter::start(&target.processes)?;
        tokio::time::sleep_until(span.until).await;
        meter.read(self.ledger.borrow().stored() - before, figures)?;
        let patience = Instant::now() + PATIENCE;
        while !self.ledger.borrow().is_settled() && Instant::now() < patience {
            tokio::time::sleep(LOOK).await;
        }
        self.to_sender.borrow().read("", figures);
        self.to_reader.borrow().read("reader_", figures);
        self.ledger.borrow().read(figures);
        Ok(())
    }

    /// What a chat's reader gets.
    async fn read(self: Rc<Self>, client: Client) -> anyhow::Result<()> {
        let Client {
            mut reader,
            mut writer,
            dialect,
        } = client;
        let mut order = ledger::Order::default();
        loop {
            while let Some(packet) = reader.pop()? {
                if packet.starts_with(b"42[\"receiveMessage\"") {
                    let received = Received::parse(packet).context("an unknown form of receiveMessage")?;
                    let mut ledger = self.ledger.borrow_mut();
                    let due = ledger.received(received.sender, received.number, received.seq, &mut order)?;
                    self.to_reader.borrow_mut().record(due);
                } else if let Some(pong) = dialect.pong(packet) {
                    writer.send(pong).await?;
                }
            }
            reader.read().await?;
        }
    }
}

struct Sender {
    run: Rc<Run>,
    number: usize,
    receiver: String,
    writer: Mutex<Writer>,
    /// When each message was due that is not yet answered, in their order.
    unconfirmed: RefCell<VecDeque<Instant>>,
    answered: Notify,
}

impl Sender {
    async fn send_each(self: Rc<Self>, period: Duration, offset: Duration, span: Span) -> anyhow::Result<()> {
        let mut due = span.start + offset;
        while due < span.until {
            tokio::time::sleep_until(due).await;
            self.send(due).await?;
            due += period;
        }
        Ok(())
    }

    async fn send_in_turn(self: Rc<Self>, span: Span) -> anyhow::Result<()> {
        while Instant::now() < span.until {
            let refused = self.run.ledger.borrow().refused_of(self.number);
            self.send(Instant::now()).await?;
            self.answered.notified().await;
            if self.run.ledger.borrow().refused_of(self.number) > refused {
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        Ok(())
    }

    async fn send(&self, due: Instant) -> anyhow::Result<()> {
        let number = self.run.ledger.borrow_mut().sent(self.number, due);
        self.unconfirmed.borrow_mut().push_back(due);
        let event = format!(
            "42[\"sendMessage\",{{\"receiverId\":\"{}\",\"message\":\"{}.{number}\",\"senderName\":\"a\",\"receiverName\":\"b\"}}]",
            self.receiver, self.number
        );
        self.writer.lock().await.send(&event).await
    }

    /// What the sender gets.
    async fn read(self: Rc<Self>, mut reader: Reader) -> anyhow::Result<()> {
        loop {
            while let Some(packet) = reader.pop()? {
                let is_stored = packet.starts_with(b"42[\"messageSent\"");
                if is_stored || packet.starts_with(b"42[\"error\"") {
                    let due = self.unconfirmed.borrow_mut().pop_front();
                    let due = due.context("more answers than messages")?;
                    let seq = after(packet, b"\"seq\":").and_then(leading_number);
                    self.run.ledger.borrow_mut().answered(self.number, seq)?;
                    if is_stored {
                        self.run.to_sender.borrow_mut().record(due);
                    }
                    self.answered.notify_one();
                } else if let Some(pong) = Dialect::Socketio.pong(packet) {
                    self.writer.lock().await.send(pong).await?;
                }
            }
            reader.read().await?;
        }
    }
}

/// What tells one message from all others: `"message":"SENDER.NUMBER"` and `"seq":SEQ` of its packet.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    sender: usize,
    number: usize,
    seq: u64,
}

impl Received {
    fn parse(packet: &[u8]) -> Option<Self> {
        let text = after(packet, b"\"message\":\"")?;
        Some(Self {
            sender: usize::try_from(leading_number(text)?).ok()?,
            number: usize::try_from(leading_number(after(text, b".")?)?).ok()?,
            seq: leading_number(after(packet, b"\"seq\":")?)?,
        })
    }
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_text_and_seq_in_any_order_of_keys() {
        let packet = br#"42["receiveMessage",{"messageId":"6","seq":12,"message":"3.45","senderName":"a"}]"#;
        let known = Received {
            sender: 3,
            number: 45,
            seq: 12,
        };
        assert_eq!(Received::parse(packet), Some(known));
        assert_eq!(
            Received::parse(br#"42["receiveMessage",{"message":"3.45"}]"#),
            None
        );
    }
}
