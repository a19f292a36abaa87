//! Relayed events at saturation: one of a pair types, the other is shown it.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Semaphore},
    task::LocalSet,
    time::Instant,
};

use crate::{
    Target,
    client::{self, Client, PING, PONG},
    cpu::Meter,
    token,
};

/// After this long without a signal those under way count as lost.
const SILENCE: Duration = Duration::from_secs(3);

/// What the pairs have seen.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    delivered: AtomicU64,
    lost: AtomicU64,
    out_of_order: AtomicU64,
}

/// Runs the pairs and prints what a delivery cost.
pub(crate) async fn run(target: &Target, window: u32) -> anyhow::Result<()> {
    let tally = Rc::new(Tally::default());
    let mut pairs = Vec::new();
    for number in 0..target.pairs {
        pairs.push(Pair::connect(target, number).await?);
    }
    let local = LocalSet::new();
    for pair in pairs {
        pair.start(&local, window, &tally);
    }
    let measure = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let meter = Meter::start(&target.processes)?;
        let (before, started) = (tally.delivered.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(Duration::from_secs(target.seconds)).await;
        let delivered = tally.delivered.load(Ordering::Relaxed) - before;
        let elapsed = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = delivered as f64 / elapsed;
        println!(
            "relay: {rate:.0} deliveries/s, {} lost, {} out of order; {}",
            tally.lost.load(Ordering::Relaxed),
            tally.out_of_order.load(Ordering::Relaxed),
            meter.per(delivered)?
        );
        anyhow::Ok(())
    };
    local.run_until(measure).await
}

struct Pair {
    chatbox_id: String,
    typist: Client,
    reader: Client,
}

impl Pair {
    async fn connect(target: &Target, number: usize) -> anyhow::Result<Self> {
        // Sorted as chat ids are: `…a` before `…b`.
        let (one, other) = (format!("p{number}a"), format!("p{number}b"));
        let chatbox_id = format!("{one}_{other}");
        let typist = client::connect(target.node(number)?, &token::mint(&one, &target.secret)?).await?;
        let mut reader =
            client::connect(target.node(number + 1)?, &token::mint(&other, &target.secret)?).await?;
        reader.join(&chatbox_id).await?;
        Ok(Self {
            chatbox_id,
            typist,
            reader,
        })
    }

    fn start(self, local: &LocalSet, window: u32, tally: &Rc<Tally>) {
        let credits = Rc::new(Semaphore::new(usize::try_from(window).unwrap_or(1)));
        let Client {
            sender,
            receiver: mut pings,
        } = self.typist;
        let Client {
            sender: mut ponger,
            mut receiver,
        } = self.reader;
        let sender = Rc::new(Mutex::new(sender));
        let signal = |is_typing: bool| {
            format!(
                "42[\"typing\",{{\"chatboxId\":\"{}\",\"isTyping\":{is_typing}}}]",
                self.chatbox_id
            )
        };
        let signals = [signal(true), signal(false)];
        let (credit, sent, typist) = (Rc::clone(&credits), Rc::clone(tally), Rc::clone(&sender));
        local.spawn_local(async move {
            for text in signals.iter().cycle() {
                let Ok(permit) = credit.acquire().await else {
                    return;
                };
                permit.forget();
                sent.sent.fetch_add(1, Ordering::Relaxed);
                if typist.lock().await.send(text.clone()).await.is_err() {
                    return;
                }
            }
        });
        local.spawn_local(async move {
            while let Ok(packet) = pings.next().await {
                if packet == PING && sender.lock().await.send(PONG.to_owned()).await.is_err() {
                    return;
                }
            }
        });
        let tally = Rc::clone(tally);
        local.spawn_local(async move {
            let mut expected = true;
            loop {
                let Ok(packet) = tokio::time::timeout(SILENCE, receiver.next()).await else {
                    let missing = usize::try_from(window).unwrap_or(1) - credits.available_permits();
                    tally
                        .lost
                        .fetch_add(u64::try_from(missing).unwrap_or(0), Ordering::Relaxed);
                    credits.add_permits(missing);
                    continue;
                };
                let Ok(packet) = packet else { return };
                if packet == PING {
                    if ponger.send(PONG.to_owned()).await.is_err() {
                        return;
                    }
                    continue;
                }
                if !packet.starts_with("42[\"userTyping\"") {
                    continue;
                }
                tally.delivered.fetch_add(1, Ordering::Relaxed);
                let is_typing = packet.contains("\"isTyping\":true");
                if is_typing != expected {
                    tally.out_of_order.fetch_add(1, Ordering::Relaxed);
                }
                expected = !is_typing;
                credits.add_permits(1);
            }
        });
    }
}
