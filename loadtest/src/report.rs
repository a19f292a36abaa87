//! The medians of several rounds: a table of all figures by server, and what became of each bound.

mod bounds;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::Context as _;

use self::bounds::{DEMANDS, Demand, Limit, OURS};
use crate::figures::{SATURATED_SHARE, rounded};

/// Prints the report on a file of figures, as Markdown; whether every bound was measured and holds.
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
pub(crate) fn run(path: &Path) -> anyhow::Result<bool> {
    let text = fs::read_to_string(path).with_context(|| format!("no figures in {}", path.display()))?;
    let medians = Medians::parse(&text)?;
    let bounds = medians.bounds()?;
    println!("{}\n{}", medians.table()?, bounds.table);
    for (server, scenario) in medians.saturated() {
        println!(
            "The generator was saturated in {scenario} of {server}: the server may bear more than that rate."
        );
    }
    println!(
        "{} of {} figures break their bound.",
        bounds.broken,
        DEMANDS.len()
    );
    Ok(bounds.broken == 0)
}

/// The median of each figure over the rounds.
#[derive(Debug)]
struct Medians {
    /// Servers, in the order in which they first came.
    servers: Vec<String>,
    /// Scenarios and figures, likewise.
    figures: Vec<(String, String)>,
    /// By server, scenario and figure.
    values: BTreeMap<(String, String, String), f64>,
}

struct Bounds {
    table: String,
    broken: usize,
}

impl Medians {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut servers, mut figures) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut rounds: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut field = || fields.next().with_context(|| format!("not a figure: {line}"));
            let (server, scenario, figure, value) = (field()?, field()?, field()?, field()?);
            if !servers.contains(&server) {
                servers.push(server.clone());
            }
            if seen.insert((scenario.clone(), figure.clone())) {
                figures.push((scenario.clone(), figure.clone()));
            }
            let values = rounds.entry((server, scenario, figure)).or_default();
            values.push(value.parse().with_context(|| format!("not a figure: {line}"))?);
        }
        let values = rounds
            .into_iter()
            .map(|(name, values)| Some((name, median(values)?)));
        Ok(Self {
            servers,
            figures,
            values: values.collect::<Option<_>>().context("no figures")?,
        })
    }

    fn get(&self, server: &str, scenario: &str, figure: &str) -> Option<f64> {
        let name = (server.to_owned(), scenario.to_owned(), figure.to_owned());
        self.values.get(&name).copied()
    }

    /// Server and scenario wherever the generator had no more to give.
    fn saturated(&self) -> Vec<(&str, &str)> {
        self.values
            .iter()
            .filter(|((_, _, figure), share)| figure == "load_share" && **share > SATURATED_SHARE)
            .map(|((server, scenario, _), _)| (server.as_str(), scenario.as_str()))
            .collect()
    }

    /// All figures but those that are 0 for every server: faults that there were none of.
    fn table(&self) -> anyhow::Result<String> {
        let mut table = String::from("| scenario | figure |");
        for server in &self.servers {
            write!(table, " {server} |")?;
        }
        writeln!(table, "\n|---|---|{}", "---|".repeat(self.servers.len()))?;
        for (scenario, figure) in &self.figures {
            let values = || {
                self.servers
                    .iter()
                    .map(|server| self.get(server, scenario, figure))
            };
            if values().all(|value| value.is_none_or(|value| value == 0.0)) {
                continue;
            }
            write!(table, "| {scenario} | {figure} |")?;
            for value in values() {
                write!(table, " {} |", value.map(rounded).unwrap_or_default())?;
            }
            writeln!(table)?;
        }
        Ok(table)
    }

    fn bounds(&self) -> anyhow::Result<Bounds> {
        let mut table =
            String::from("| scenario | figure | median | bound | | aim | |\n|---|---|---|---|---|---|---|\n");
        let mut broken = 0;
        for demand in DEMANDS {
            let value = self.get(OURS, demand.scenario, demand.figure);
            let (bound, holds) = self.judge(demand, demand.bound, value);
            let (aim, reached) = self.judge(demand, demand.aim, value);
            let is_broken = value.is_none() || (demand.bound.is_some() && holds != Some(true));
            broken += usize::from(is_broken);
            writeln!(
                table,
                "| {} | {} | {} | {bound} | {} | {aim} | {} |",
                demand.scenario,
                demand.figure,
                value.map_or_else(|| "not measured".to_owned(), rounded),
                match (is_broken, holds) {
                    (true, _) => "**broken**",
                    (false, Some(_)) => "ok",
                    (false, None) => "",
                },
                match reached {
                    Some(true) => "reached",
                    Some(false) => "missed",
                    None => "",
                }
            )?;
        }
        Ok(Bounds { table, broken })
    }

    /// A limit in words, and whether the value keeps to it.
    fn judge(&self, demand: &Demand, limit: Option<Limit>, value: Option<f64>) -> (String, Option<bool>) {
        let judged = limit.and_then(|limit| {
            let number = limit.measure().number(demand, self)?;
            let text = format!("{} {}{}", limit.sign(), rounded(number), limit.measure().origin());
            Some((text, value.map(|value| limit.holds(value, number))))
        });
        judged.unwrap_or_default()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len().is_multiple_of(2) {
        Some(f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper))
    } else {
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::{bounds::Measure, *};

    /// The number of a bound that hangs on no other figure.
    fn fixed(demand: &Demand) -> Option<f64> {
        match demand.bound?.measure() {
            Measure::Fixed(number) => Some(number),
            Measure::Peer(_) | Measure::Times(..) => None,
        }
    }

    fn is_same(one: &Demand, other: &Demand) -> bool {
        (one.scenario, one.figure, fixed(one)) == (other.scenario, other.figure, fixed(other))
    }

    /// A file in which every such figure is what `change` makes of its bound, and the others are as they must be.
    fn file(change: impl Fn(&Demand, f64) -> f64) -> String {
        let mut text = format!("{OURS}\tclosed-1k\tper_s\t6000\n{OURS}\trelay\tper_s\t1\n");
        for demand in DEMANDS {
            let (scenario, figure) = (demand.scenario, demand.figure);
            if let Some(number) = fixed(demand) {
                writeln!(text, "{OURS}\t{scenario}\t{figure}\t{}", change(demand, number)).unwrap();
            }
        }
        for page in ["first", "deep", "after"] {
            for figure in ["1k_cpu_us", "1m_cpu_us", "1k_p50_ms", "1m_p50_ms"] {
                writeln!(text, "{OURS}\thistory\t{page}_{figure}\t100").unwrap();
            }
        }
        text
    }

    #[test]
    fn figures_at_their_bounds_hold() {
        let medians = Medians::parse(&file(|_, number| number)).unwrap();
        let bounds = medians.bounds().unwrap();
        assert_eq!(bounds.broken, 0, "{}", bounds.table);
    }

    #[test]
    fn each_figure_beyond_its_bound_is_broken() {
        for broken in DEMANDS.iter().filter(|demand| fixed(demand).is_some()) {
            let beyond = |demand: &Demand, number: f64| match demand.bound {
                Some(Limit::Most(_)) if is_same(demand, broken) => number + 1.0,
                Some(Limit::Least(_)) if is_same(demand, broken) => number - 0.5,
                _ => number,
            };
            let medians = Medians::parse(&file(beyond)).unwrap();
            assert_eq!(medians.bounds().unwrap().broken, 1, "{broken:?}");
        }
    }

    #[test]
    fn an_aim_that_is_missed_breaks_nothing() {
        let table = Medians::parse(&file(|_, number| number))
            .unwrap()
            .bounds()
            .unwrap()
            .table;
        assert!(
            table.contains("| relay | per_s | 1.00 |  |  | ≥ 140000 | missed |"),
            "{table}"
        );
    }

    #[test]
    fn a_long_history_that_costs_more_is_broken() {
        let text = file(|_, number| number).replace("deep_1m_cpu_us\t100", "deep_1m_cpu_us\t126");
        assert_eq!(Medians::parse(&text).unwrap().bounds().unwrap().broken, 1);
    }

    #[test]
    fn what_was_not_measured_is_broken() {
        let medians = Medians::parse("carillon\tother\tper_s\t1").unwrap();
        assert_eq!(medians.bounds().unwrap().broken, DEMANDS.len());
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        let text = "a\ts\tf\t1\na\ts\tf\t9\na\ts\tf\t2\nb\ts\tf\t1\nb\ts\tf\t2";
        let medians = Medians::parse(text).unwrap();
        assert_eq!(medians.get("a", "s", "f"), Some(2.0));
        assert_eq!(medians.get("b", "s", "f"), Some(1.5));
        assert!(medians.table().unwrap().contains("| s | f | 2.00 | 1.50 |"));
    }

    #[test]
    fn faults_are_left_out_only_where_no_server_had_any() {
        let text = "a\ts\tlost\t0\nb\ts\tlost\t0\na\ts\tdoubled\t0\nb\ts\tdoubled\t1";
        let table = Medians::parse(text).unwrap().table().unwrap();
        assert!(table.contains("| s | doubled | 0 | 1.00 |"), "{table}");
        assert!(!table.contains("lost"), "{table}");
    }

    #[test]
    fn a_saturated_generator_is_told() {
        let text = "a\ts\tload_share\t0.99\na\tt\tload_share\t0.5";
        assert_eq!(Medians::parse(text).unwrap().saturated(), [("a", "s")]);
    }
}
