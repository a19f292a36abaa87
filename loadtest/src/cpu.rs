//! CPU time of processes, read from `/proc`.

use std::{fmt::Write as _, fs, str::FromStr};

use anyhow::Context as _;

/// Ticks of `/proc/<pid>/stat` in a second: fixed on Linux for what user space sees.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process whose CPU time is counted.
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

/// CPU time since the start of a measurement.
#[derive(Debug)]
pub(crate) struct Meter(Vec<(Process, f64)>);

impl Meter {
    /// Begins to count, for `processes` and this one.
    pub(crate) fn start(processes: &[Process]) -> anyhow::Result<Self> {
        let own = Process {
            name: "load".to_owned(),
            pid: std::process::id(),
        };
        let all = processes.iter().cloned().chain([own]);
        all.map(|process| Ok((process.clone(), seconds(process.pid)?)))
            .collect::<anyhow::Result<_>>()
            .map(Self)
    }

    /// One line: microseconds of CPU for each of `count` things, in all without this process, then by process.
    pub(crate) fn per(&self, count: u64) -> anyhow::Result<String> {
        let mut line = String::new();
        let mut servers = 0.0;
        for (process, before) in &self.0 {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let micros = (seconds(process.pid)? - before) * 1e6 / count.max(1) as f64;
            if process.pid != std::process::id() {
                servers += micros;
            }
            write!(line, ", {} {micros:.1}", process.name)?;
        }
        Ok(format!("{servers:.1} µs CPU in all servers{line}"))
    }
}

/// User and system time of a process so far, in seconds.
fn seconds(pid: u32) -> anyhow::Result<f64> {
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
