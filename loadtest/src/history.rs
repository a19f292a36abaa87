//! Pages of histories over REST: what a page costs, in chats of different length.

use std::{fmt::Write as _, str::FromStr, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Target,
    figures::{Figures, Latencies},
    http::Http,
    process::Meter,
};

/// Messages on a page, as the contract has it without a `limit`.
const PAGE: usize = 50;

/// A chat with a history of at least two pages.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    /// What its figures are called by.
    name: String,
    reader: String,
    chatbox_id: String,
}

impl FromStr for Chat {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, users) = text.split_once('=').context("a chat is name=user,user")?;
        let (one, other) = users.split_once(',').context("a chat is name=user,user")?;
        ensure!(one < other, "the users of a chat are named in their order");
        Ok(Self {
            name: name.to_owned(),
            reader: one.to_owned(),
            chatbox_id: format!("{one}_{other}"),
        })
    }
}

/// Reads the first page, a page at the far end and the messages after the middle of each chat, again and again on one
/// connection; prints for each how long it took and what it cost the node. Each kind gets its part of the time.
pub(crate) async fn run(target: &Target, chats: &[Chat]) -> anyhow::Result<()> {
    let mut http = Http::new(target.node(0)?);
    let mut kinds = Vec::new();
    for chat in chats {
        let token = target.token(&chat.reader)?;
        let path = format!("/api/chat/messages/{}", chat.chatbox_id);
        let first = http.get(&format!("{path}?page=1"), Some(&token)).await?;
        let first: Value = serde_json::from_str(&first)?;
        let number = |key| first.get(key).and_then(Value::as_u64).context("no such chat");
        let (pages, total) = (number("totalPages")?, number("totalMessages")?);
        // The last page may hold few.
        let deep = pages.saturating_sub(1).max(1);
        for (kind, query) in [
            ("first", "page=1".to_owned()),
            ("deep", format!("page={deep}")),
            ("after", format!("afterSeq={}", total / 2)),
        ] {
            kinds.push(Kind {
                name: format!("{kind}_{}", chat.name),
                path: format!("{path}?{query}"),
                token: token.clone(),
            });
        }
    }
    let each = Duration::from_secs(target.seconds) / u32::try_from(kinds.len())?;
    let mut figures = Figures::default();
    for kind in &kinds {
        kind.measure(&mut http, target, each, &mut figures).await?;
    }
    figures.publish(&target.output, "history")
}

struct Kind {
    name: String,
    path: String,
    token: String,
}

impl Kind {
    async fn measure(
        &self,
        http: &mut Http,
        target: &Target,
        length: Duration,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        self.check(&http.get(&self.path, Some(&self.token)).await?)?;
        let meter = Meter::start(&target.processes)?;
        let (mut count, mut latencies) = (0, Latencies::new()?);
        let end = Instant::now() + length;
        while Instant::now() < end {
            let asked = Instant::now();
            http.get(&self.path, Some(&self.token)).await?;
            latencies.record(asked);
            count += 1;
        }
        let mut name = self.name.clone();
        name.write_char('_')?;
        meter.read_cost(count, &format!("{name}cpu_us"), figures)?;
        latencies.read(&name, figures);
        Ok(())
    }

    /// The answer is a full page without a hole.
    fn check(&self, answer: &str) -> anyhow::Result<()> {
        let answer: Value = serde_json::from_str(answer)?;
        let messages = answer
            .get("messages")
            .and_then(Value::as_array)
            .context("no messages")?;
        let numbers: Option<Vec<u64>> = messages
            .iter()
            .map(|message| message.get("seq")?.as_u64())
            .collect();
        let numbers = numbers.context("a message without seq")?;
        ensure!(
            numbers.len() == PAGE,
            "{}: {} messages on the page",
            self.name,
            numbers.len()
        );
        let is_whole = numbers
            .iter()
            .zip(numbers.iter().skip(1))
            .all(|(one, next)| one.abs_diff(*next) == 1);
        ensure!(is_whole, "{}: a hole in {numbers:?}", self.name);
        Ok(())
    }
}
