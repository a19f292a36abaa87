//! Durable messages: at a fixed rate (what users feel), and as fast as they are acknowledged (what the system bears).
//!
//! Latency counts from the time at which a message was due, so a server that stalls the sender cannot hide it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Target, client,
    client::{Client, PING, PONG, Receiver, Sender},
    cpu::Meter,
    token,
};

/// How long after the last message stragglers are waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Latencies are counted in microseconds, up to a minute.
const LONGEST_MICROS: u64 = 60_000_000;

/// What one sender and its reader have seen.
#[derive(Debug)]
struct Seen {
    acknowledged: u64,
    refused: u64,
    received: u64,
    doubled: u64,
    out_of_order: u64,
    last_seq: u64,
    next: u64,
    to_reader: Histogram<u64>,
    to_sender: Histogram<u64>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            acknowledged: 0,
            refused: 0,
            received: 0,
            doubled: 0,
            out_of_order: 0,
            last_seq: 0,
            next: 0,
            to_reader: Histogram::new_with_max(LONGEST_MICROS, 3)?,
            to_sender: Histogram::new_with_max(LONGEST_MICROS, 3)?,
        })
    }
}

/// One direction of a pair.
struct Lane {
    seen: Mutex<Seen>,
    /// When each message was due, by its number.
    due: Mutex<Vec<Instant>>,
    acks: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
}

/// Sends at a fixed rate and prints latencies and faults.
pub(crate) async fn open_loop(target: &Target, rate: u32) -> anyhow::Result<()> {
    let period = Duration::from_secs(1) / rate.max(1);
    run(target, "messages", Some(period)).await
}

/// Sends each message when the one before is acknowledged and prints how many there were.
pub(crate) async fn closed_loop(target: &Target) -> anyhow::Result<()> {
    run(target, "closed loop", None).await
}

async fn run(target: &Target, name: &str, period: Option<Duration>) -> anyhow::Result<()> {
    let run_id: u32 = rand::random();
    let (mut lanes, mut senders) = (Vec::new(), Vec::new());
    let mut readers = JoinSet::new();
    for number in 0..target.pairs {
        let lane = Arc::new(Lane {
            seen: Mutex::new(Seen::new()?),
            due: Mutex::default(),
            acks: Mutex::default(),
        });
        let (one, other) = (format!("m{run_id}x{number}a"), format!("m{run_id}x{number}b"));
        let chatbox_id = format!("{one}_{other}");
        let writer = client::connect(target.node(number)?, &token::mint(&one, &target.secret)?).await?;
        let mut reader =
            client::connect(target.node(number + 1)?, &token::mint(&other, &target.secret)?).await?;
        reader.join(&chatbox_id).await?;
        let Client {
            sender,
            receiver: acks,
        } = writer;
        let sender = Arc::new(Mutex::new(sender));
        readers.spawn(read_messages(reader, Arc::clone(&lane)));
        readers.spawn(read_acks(acks, Arc::clone(&sender), Arc::clone(&lane)));
        senders.push((sender, other, Arc::clone(&lane)));
        lanes.push(lane);
    }
    let meter = Meter::start(&target.processes)?;
    let started = Instant::now();
    let end = started + Duration::from_secs(target.seconds);
    let mut sending = JoinSet::new();
    for (at, (sender, receiver, lane)) in senders.into_iter().enumerate() {
        // The pairs are spread over the period.
        let offset = period.unwrap_or_default() * u32::try_from(at)? / u32::try_from(target.pairs.max(1))?;
        sending.spawn(send(sender, receiver, lane, started + offset, period, end));
    }
    let mut sent = 0;
    // The senders' halves are kept: a client that closes is no longer waited for.
    let mut kept = Vec::new();
    while let Some(done) = sending.join_next().await {
        let (sender, count) = done??;
        kept.push(sender);
        sent += count;
    }
    let elapsed = started.elapsed().as_secs_f64();
    wait_for_stragglers(&lanes, sent).await;
    report(name, &lanes, sent, elapsed, &meter).await
}

async fn send(
    sender: Arc<Mutex<Sender>>,
    receiver: String,
    lane: Arc<Lane>,
    first: Instant,
    period: Option<Duration>,
    end: Instant,
) -> anyhow::Result<(Arc<Mutex<Sender>>, u64)> {
    let mut number = 0_u64;
    let mut due = first;
    while due < end {
        tokio::time::sleep_until(due).await;
        lane.due.lock().await.push(due);
        let payload = json!({
            "receiverId": receiver, "message": number.to_string(), "senderName": "a", "receiverName": "b",
        });
        let (answered, answer) = oneshot::channel();
        lane.acks.lock().await.insert(number, answered);
        sender
            .lock()
            .await
            .emit("sendMessage", &payload, Some(number))
            .await?;
        number += 1;
        due = match period {
            Some(period) => due + period,
            None => {
                if !answer.await.context("the connection has gone")? {
                    // Refused: not at once again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Instant::now()
            }
        };
    }
    Ok((sender, number))
}

async fn read_acks(
    mut receiver: Receiver,
    ponger: Arc<Mutex<Sender>>,
    lane: Arc<Lane>,
) -> anyhow::Result<()> {
    loop {
        let packet = receiver.next().await?;
        if packet == PING {
            ponger.lock().await.send(PONG.to_owned()).await?;
        }
        let Some(ack) = packet.strip_prefix("43") else {
            continue;
        };
        let digits = ack.find('[').context("an ack without arguments")?;
        let (id, body) = ack.split_at(digits);
        let number: u64 = id.parse()?;
        let stored = body.contains("\"seq\"");
        let due = lane.due.lock().await.get(usize::try_from(number)?).copied();
        {
            let mut seen = lane.seen.lock().await;
            if stored {
                seen.acknowledged += 1;
                if let Some(due) = due {
                    seen.to_sender.saturating_record(micros(due.elapsed()));
                }
            } else {
                seen.refused += 1;
            }
        }
        if let Some(waiting) = lane.acks.lock().await.remove(&number) {
            let _gone = waiting.send(stored);
        }
    }
}

async fn read_messages(reader: Client, lane: Arc<Lane>) -> anyhow::Result<()> {
    let Client {
        sender: mut ponger,
        mut receiver,
    } = reader;
    loop {
        let packet = receiver.next().await?;
        if packet == PING {
            ponger.send(PONG.to_owned()).await?;
            continue;
        }
        let Some(event) = packet
            .strip_prefix("42")
            .filter(|event| event.starts_with("[\"receiveMessage\""))
        else {
            continue;
        };
        let event: Value = serde_json::from_str(event)?;
        let message = event.get(1).context("no payload")?;
        let number: u64 = message
            .get("message")
            .and_then(Value::as_str)
            .context("no text")?
            .parse()?;
        let seq = message.get("seq").and_then(Value::as_u64).context("no seq")?;
        let due = lane.due.lock().await.get(usize::try_from(number)?).copied();
        let mut seen = lane.seen.lock().await;
        seen.received += 1;
        seen.doubled += u64::from(seq == seen.last_seq);
        seen.out_of_order += u64::from(seq < seen.last_seq || number < seen.next);
        seen.last_seq = seen.last_seq.max(seq);
        seen.next = seen.next.max(number + 1);
        if let Some(due) = due {
            seen.to_reader.saturating_record(micros(due.elapsed()));
        }
    }
}

async fn wait_for_stragglers(lanes: &[Arc<Lane>], sent: u64) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let (mut settled, mut received) = (0, 0);
        for lane in lanes {
            let seen = lane.seen.lock().await;
            settled += seen.acknowledged + seen.refused;
            received += seen.received + seen.refused;
        }
        if settled >= sent && received >= sent {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn report(
    name: &str,
    lanes: &[Arc<Lane>],
    sent: u64,
    elapsed: f64,
    meter: &Meter,
) -> anyhow::Result<()> {
    let mut all = Seen::new()?;
    for lane in lanes {
        let seen = lane.seen.lock().await;
        all.acknowledged += seen.acknowledged;
        all.refused += seen.refused;
        all.received += seen.received;
        all.doubled += seen.doubled;
        all.out_of_order += seen.out_of_order;
        all.to_reader.add(&seen.to_reader)?;
        all.to_sender.add(&seen.to_sender)?;
    }
    let lost = all.acknowledged.saturating_sub(all.received);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = all.acknowledged as f64 / elapsed;
    println!(
        "{name}: {rate:.0} durable messages/s, {sent} sent, {} acknowledged, {} refused, {lost} lost, {} doubled, {} out of \
         order; receiveMessage {}; ack {}; {}",
        all.acknowledged,
        all.refused,
        all.doubled,
        all.out_of_order,
        percentiles(&all.to_reader),
        percentiles(&all.to_sender),
        meter.per(all.acknowledged)?
    );
    anyhow::ensure!(
        lost + all.doubled + all.out_of_order == 0,
        "messages were lost, doubled or out of order"
    );
    Ok(())
}

fn percentiles(latency: &Histogram<u64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST_MICROS)
}
