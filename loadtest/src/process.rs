//! CPU time and memory of processes, read from `/proc`.

use std::{fs, str::FromStr};

use anyhow::Context as _;
use tokio::time::Instant;

use crate::figures::{Figures, SATURATED_SHARE};

/// Ticks of `/proc/<pid>/stat` in a second: fixed on Linux for what user space sees.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server's process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    name: String,
    pid: u32,
}

impl FromStr for Process {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, pid) = text.split_once('=').context("a process is name=pid")?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().context("a pid is a number")?,
        })
    }
}

/// CPU time and wall time since the start of a measurement.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    load: f64,
    servers: Vec<(Process, f64)>,
}

impl Meter {
    /// Begins to count, for `servers` and this process.
    pub(crate) fn start(servers: &[Process]) -> anyhow::Result<Self> {
        let servers = servers
            .iter()
            .map(|process| Ok((process.clone(), cpu_seconds(process.pid)?)));
        Ok(Self {
            servers: servers.collect::<anyhow::Result<_>>()?,
            load: cpu_seconds(std::process::id())?,
            started: Instant::now(),
        })
    }

    /// Since the start, for `count` things that were done: `per_s`; `cpu_us`, what each cost all servers; `server_share` and
    /// `load_share`, the cores that servers and this process used. With several servers also what each cost one.
    pub(crate) fn read(&self, count: u64, figures: &mut Figures) -> anyhow::Result<()> {
        let elapsed = self.started.elapsed().as_secs_f64();
        let load = (cpu_seconds(std::process::id())? - self.load) / elapsed;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let count = count as f64;
        figures.add("per_s", count / elapsed);
        let mut all = 0.0;
        let mut single = Vec::new();
        for (process, before) in &self.servers {
            let used = cpu_seconds(process.pid)? - before;
            all += used;
            single.push((process, used));
        }
        if !self.servers.is_empty() {
            figures.add("cpu_us", all * 1e6 / count.max(1.0));
            figures.add("server_share", all / elapsed);
        }
        if self.servers.len() > 1 {
            for (process, used) in single {
                figures.add(&format!("cpu_us_{}", process.name), used * 1e6 / count.max(1.0));
            }
        }
        figures.add("load_share", load);
        if load > SATURATED_SHARE {
            figures.note("the generator was saturated: the server may bear more than this rate");
        }
        Ok(())
    }
}

impl Meter {
    /// What each of `count` things cost all servers, in microseconds of CPU, under `name`.
    pub(crate) fn read_cost(&self, count: u64, name: &str, figures: &mut Figures) -> anyhow::Result<()> {
        let mut all = 0.0;
        for (process, before) in &self.servers {
            all += cpu_seconds(process.pid)? - before;
        }
        if !self.servers.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            figures.add(name, all * 1e6 / count.max(1) as f64);
        }
        Ok(())
    }
}

/// Memory that the processes have resident, in KiB.
pub(crate) fn resident_kib(processes: &[Process]) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for process in processes {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let amount = line.and_then(|line| line.split_whitespace().next());
        sum += amount.context("no VmRSS")?.parse::<f64>()?;
    }
    Ok(sum)
}

/// User and system time of a process so far, in seconds.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field after it.
    let (_, fields) = stat
        .rsplit_once(')')
        .context("an unknown form of /proc/<pid>/stat")?;
    let mut ticks = 0.0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}
