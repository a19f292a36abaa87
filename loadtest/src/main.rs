//! Loads one node or several from outside, as many clients at once, and says what it cost and whether anything was lost,
//! doubled or out of order. It speaks plain Socket.IO over WebSocket, so servers of other makes can be measured alike.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod client;
mod connect;
mod cpu;
mod http;
mod messages;
mod relay;
mod token;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

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
    /// The HS256 secret that the nodes believe.
    #[arg(long, env = "JWT_SECRET", default_value = "")]
    secret: String,
    /// Processes whose CPU time is counted, each `name=pid`.
    #[arg(long, value_delimiter = ',')]
    processes: Vec<cpu::Process>,
    /// How many pairs of users.
    #[arg(long, default_value_t = 100)]
    pairs: usize,
    /// Length of the measurement in seconds, after one second of warming up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Target {
    fn node(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let at = number.checked_rem(self.nodes.len());
        at.and_then(|at| self.nodes.get(at))
            .copied()
            .ok_or_else(|| anyhow::anyhow!("no node to connect to"))
    }
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// `typing` from one user to the other, as fast as the window allows: relayed events at saturation.
    Relay {
        #[command(flatten)]
        target: Target,
        /// How many signals of a pair may be under way.
        #[arg(long, default_value_t = 64)]
        window: u32,
    },
    /// `sendMessage` at a fixed rate, whatever the answers: latency as its users would see it.
    Messages {
        #[command(flatten)]
        target: Target,
        /// Messages per pair and second.
        #[arg(long, default_value_t = 5)]
        rate: u32,
    },
    /// `sendMessage`, each as soon as the one before is acknowledged: durable messages per second.
    Closed {
        #[command(flatten)]
        target: Target,
    },
    /// Sockets that open by polling, go over to WebSocket and stay.
    Connect {
        #[command(flatten)]
        target: Target,
        /// How many sockets in all.
        #[arg(long, default_value_t = 4_500)]
        sockets: usize,
        /// How many are opened per second.
        #[arg(long, default_value_t = 300)]
        rate: u32,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().scenario {
        Scenario::Relay { target, window } => relay::run(&target, window).await,
        Scenario::Messages { target, rate } => messages::open_loop(&target, rate).await,
        Scenario::Closed { target } => messages::closed_loop(&target).await,
        Scenario::Connect {
            target,
            sockets,
            rate,
        } => connect::run(&target, sockets, rate).await,
    }
}
