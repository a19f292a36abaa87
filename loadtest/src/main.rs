//! Loads one node or several from outside, as many clients at once, and says what it cost and whether anything was lost,
//! doubled or out of order. It speaks plain protocols over the wire, so servers of other makes can be measured alike.
//!
//! One thread does it all: on a machine with two cores the servers have the other. It says when that is not enough.

mod client;
mod dialect;
mod fanout;
mod figures;
mod history;
mod http;
mod messages;
mod open;
mod presence;
mod process;
mod ready;
mod relay;
mod report;
mod sequence;
mod steady;
mod token;
mod websocket;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{client::Client, dialect::Dialect, figures::Output, steady::Pace};

#[derive(Debug, Parser)]
#[command(name = "carillon-load", about, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

/// What every scenario needs to know.
#[derive(Debug, Clone, Args)]
struct Target {
    /// Addresses of the nodes; the two of a pair connect to neighbours in this list.
    #[arg(long, required = true, value_delimiter = ',')]
    nodes: Vec<SocketAddr>,
    /// What they speak.
    #[arg(long, value_enum, default_value = "socketio")]
    dialect: Dialect,
    /// The HS256 secret that the nodes believe.
    #[arg(long, env = "JWT_SECRET", default_value = "", hide_env_values = true)]
    secret: String,
    /// Processes whose CPU time and memory are counted, each `name=pid`.
    #[arg(long, value_delimiter = ',')]
    processes: Vec<process::Process>,
    /// Length of the measurement in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

impl Target {
    fn node(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let at = number.checked_rem(self.nodes.len());
        at.and_then(|at| self.nodes.get(at))
            .copied()
            .ok_or_else(|| anyhow::anyhow!("no node to connect to"))
    }

    fn token(&self, user: &str) -> anyhow::Result<String> {
        token::mint(user, &self.secret)
    }

    /// A client of `user` on node `number`.
    async fn connect(&self, number: usize, user: &str) -> anyhow::Result<Client> {
        Client::connect(self.node(number)?, self.dialect, &self.token(user)?).await
    }
}

/// How fast signals are sent.
#[derive(Debug, Clone, Args)]
struct PaceArgs {
    /// How many may be under way: the next are sent as soon as some have arrived. 64 for each pair of a relay, 4 in a fan-out.
    #[arg(long)]
    window: Option<u64>,
    /// How many are sent at a time, in one write, where so many may be.
    #[arg(long, default_value_t = 1)]
    burst: u64,
    /// How many each sender sends a second, whatever arrives; instead of the window.
    #[arg(long, conflicts_with_all = ["window", "burst"])]
    rate: Option<u32>,
}

impl PaceArgs {
    fn pace(&self, usual_window: u64) -> Pace {
        let window = self.window.unwrap_or(usual_window).max(1);
        let burst = self.burst.clamp(1, window);
        self.rate.map_or(Pace::Window { window, burst }, Pace::rate)
    }
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// `typing` from one user to the other, in many pairs.
    Relay {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        pace: PaceArgs,
        /// How many pairs of users.
        #[arg(long, default_value_t = 100)]
        pairs: usize,
    },
    /// `typing` from one socket to all others of a chat.
    Fanout {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        pace: PaceArgs,
        /// How many sockets the chat's two users have in all.
        #[arg(long, default_value_t = 500)]
        sockets: usize,
    },
    /// `sendMessage` at a fixed rate, whatever the answers: latency as its users would see it.
    Messages {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        senders: messages::Senders,
        /// Messages per sender and second.
        #[arg(long, default_value_t = 5)]
        rate: u32,
    },
    /// `sendMessage`, each as soon as the one before is confirmed: durable messages per second.
    Closed {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        senders: messages::Senders,
    },
    /// Sockets that are opened at a rate, stay, and join a room each: errors, CPU and memory.
    Open {
        #[command(flatten)]
        target: Target,
        /// How many sockets in all.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
        /// How many are opened per second.
        #[arg(long, default_value_t = 1_000)]
        rate: u32,
        /// Opened by polling and upgraded, as the official client does by default.
        #[arg(long)]
        polling: bool,
    },
    /// Users who come online at a rate and stay: each is told of all who come after it. The node is to have scope `all`.
    Presence {
        #[command(flatten)]
        target: Target,
        /// How many users.
        #[arg(long, default_value_t = 1_000)]
        users: usize,
        /// How many come per second.
        #[arg(long, default_value_t = 500)]
        rate: u32,
    },
    /// Pages of histories over REST: what each costs.
    History {
        #[command(flatten)]
        target: Target,
        /// The chats, each `name=user,user`.
        #[arg(long = "chat", required = true)]
        chats: Vec<history::Chat>,
    },
    /// Waits until a node that was just started takes clients.
    Ready {
        /// Its address.
        #[arg(long)]
        node: SocketAddr,
        /// When it was started, in seconds since 1970.
        #[arg(long)]
        since: f64,
        #[command(flatten)]
        output: Output,
    },
    /// The medians of what the scenarios put into a file, as tables; fails where a bound is broken.
    Report {
        /// The file.
        figures: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().scenario {
        Scenario::Relay { target, pace, pairs } => relay::run(&target, pace.pace(64), pairs).await,
        Scenario::Fanout {
            target,
            pace,
            sockets,
        } => fanout::run(&target, pace.pace(4), sockets).await,
        Scenario::Messages {
            target,
            senders,
            rate,
        } => messages::open_loop(&target, &senders, rate).await,
        Scenario::Closed { target, senders } => messages::closed_loop(&target, &senders).await,
        Scenario::Open {
            target,
            sockets,
            rate,
            polling,
        } => open::run(&target, sockets, rate, polling).await,
        Scenario::Presence { target, users, rate } => presence::run(&target, users, rate).await,
        Scenario::History { target, chats } => history::run(&target, &chats).await,
        Scenario::Ready { node, since, output } => ready::run(node, since, &output).await,
        Scenario::Report { figures } => {
            let holds = report::run(&figures)?;
            return Ok(if holds {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }?;
    Ok(ExitCode::SUCCESS)
}
