//! How metrics are made: one series for each combination of a metric's labels, all of them there from the start, at 0.
//! They are found by numbers, as enums have them, not by their labels' texts.

use std::time::Duration;

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, Result, core::Collector,
};

/// The bounds of all durations in seconds, with the 100 ms that a delivery may take as one of them.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The bounds of what may take long: the life of a connection.
const LONG_SECONDS: [f64; 9] = [
    1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0,
];
/// The bounds of counts.
const COUNTS: [f64; 10] = [0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0];
/// The bounds of sizes in bytes.
const BYTES: [f64; 8] = [16.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0];

/// A label and all its values.
pub(super) type Label<'a> = (&'static str, &'a [&'static str]);

/// A metric with `N` labels.
#[derive(Debug, Clone)]
pub(crate) struct Series<M, const N: usize> {
    cells: Vec<M>,
    sizes: [usize; N],
}

impl<M, const N: usize> Series<M, N> {
    /// The series of these values, by their places among all of each label.
    pub(crate) fn at(&self, place: [usize; N]) -> Option<&M> {
        let places = place.iter().zip(&self.sizes);
        self.cells
            .get(places.fold(0, |index, (at, size)| index * size + at))
    }
}

impl<const N: usize> Series<IntCounter, N> {
    pub(crate) fn inc(&self, place: [usize; N]) {
        if let Some(counter) = self.at(place) {
            counter.inc();
        }
    }

    /// Brings a counter to a total that somebody else keeps.
    pub(super) fn raise(&self, place: [usize; N], total: u64) {
        if let Some(counter) = self.at(place) {
            raise(counter, total);
        }
    }
}

impl<const N: usize> Series<IntGauge, N> {
    pub(super) fn set(&self, place: [usize; N], value: u64) {
        if let Some(gauge) = self.at(place) {
            set(gauge, value);
        }
    }
}

impl<const N: usize> Series<Histogram, N> {
    pub(crate) fn observe(&self, place: [usize; N], duration: Duration) {
        if let Some(histogram) = self.at(place) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

/// Brings a counter to a total. Whoever scrapes sees the sum alone, as a scrape holds the lock.
pub(super) fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// The same for a counter of seconds.
pub(super) fn raise_seconds(counter: &Counter, total: Duration) {
    counter.inc_by((total.as_secs_f64() - counter.get()).max(0.0));
}

pub(super) fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Makes metrics whose names begin with `carillon_`.
#[derive(Debug)]
pub(super) struct Maker<'r>(pub(super) &'r Registry);

impl Maker<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::with_opts(opts(name, help))?)
    }

    /// A counter of seconds, parts of them among them.
    pub(super) fn seconds_counter(&self, name: &str, help: &str) -> Result<Counter> {
        self.register(Counter::with_opts(opts(name, help))?)
    }

    pub(super) fn seconds_gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.register(Gauge::with_opts(opts(name, help))?)
    }

    pub(super) fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
    ) -> Result<Series<IntCounter, N>> {
        let counters = self.register(IntCounterVec::new(opts(name, help), &names(&labels))?)?;
        series(&labels, |values| counters.get_metric_with_label_values(values))
    }

    /// Counters for these pairs of values alone.
    pub(super) fn pairs(
        &self,
        name: &str,
        help: &str,
        labels: [&str; 2],
        values: &[[&str; 2]],
    ) -> Result<Series<IntCounter, 1>> {
        let counters = self.register(IntCounterVec::new(opts(name, help), &labels)?)?;
        let cells = values
            .iter()
            .map(|pair| counters.get_metric_with_label_values(pair));
        Ok(Series {
            cells: cells.collect::<Result<_>>()?,
            sizes: [values.len()],
        })
    }

    /// Makes counters for values of two labels that are not known in advance, each with all values of a third.
    pub(super) fn counters_of<'l>(
        &self,
        name: &str,
        help: &str,
        [first, second]: [&str; 2],
        third: Label<'l>,
    ) -> Result<impl Fn([&str; 2]) -> Result<Series<IntCounter, 1>> + use<'l>> {
        let counters = self.register(IntCounterVec::new(opts(name, help), &[first, second, third.0])?)?;
        Ok(move |[first, second]: [&str; 2]| {
            series(&[third], |values| {
                let all: Vec<_> = [first, second]
                    .into_iter()
                    .chain(values.iter().copied())
                    .collect();
                counters.get_metric_with_label_values(&all)
            })
        })
    }

    /// The same for durations, without a third label.
    pub(super) fn durations_of(
        &self,
        name: &str,
        help: &str,
        labels: [&str; 2],
    ) -> Result<impl Fn([&str; 2]) -> Result<Histogram> + use<>> {
        let opts = histogram_opts(name, help, &SECONDS);
        let histograms = self.register(HistogramVec::new(opts, &labels)?)?;
        Ok(move |values: [&str; 2]| histograms.get_metric_with_label_values(&values))
    }

    pub(super) fn seconds_gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
    ) -> Result<Series<Gauge, N>> {
        let gauges = self.register(GaugeVec::new(opts(name, help), &names(&labels))?)?;
        series(&labels, |values| gauges.get_metric_with_label_values(values))
    }

    pub(super) fn gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
    ) -> Result<Series<IntGauge, N>> {
        let gauges = self.register(prometheus::IntGaugeVec::new(opts(name, help), &names(&labels))?)?;
        series(&labels, |values| gauges.get_metric_with_label_values(values))
    }

    /// A gauge that is always 1 and whose labels say something.
    pub(super) fn info(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<()> {
        let (names, values): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        let info = self.register(GaugeVec::new(opts(name, help), &names)?)?;
        info.get_metric_with_label_values(&values)?.set(1.0);
        Ok(())
    }

    /// A histogram of durations.
    pub(super) fn durations<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
    ) -> Result<Series<Histogram, N>> {
        self.histograms(name, help, labels, &SECONDS)
    }

    /// A histogram of long durations.
    pub(super) fn lifetimes<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
    ) -> Result<Series<Histogram, N>> {
        self.histograms(name, help, labels, &LONG_SECONDS)
    }

    /// A histogram of counts.
    pub(super) fn counts(&self, name: &str, help: &str) -> Result<Histogram> {
        self.register(Histogram::with_opts(histogram_opts(name, help, &COUNTS))?)
    }

    /// A histogram of sizes in bytes.
    pub(super) fn sizes(&self, name: &str, help: &str) -> Result<Histogram> {
        self.register(Histogram::with_opts(histogram_opts(name, help, &BYTES))?)
    }

    fn histograms<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [Label<'_>; N],
        bounds: &[f64],
    ) -> Result<Series<Histogram, N>> {
        let opts = histogram_opts(name, help, bounds);
        let histograms = self.register(HistogramVec::new(opts, &names(&labels))?)?;
        series(&labels, |values| histograms.get_metric_with_label_values(values))
    }

    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("carillon_{name}"), help)
}

fn histogram_opts(name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec())
}

fn names<const N: usize>(labels: &[Label<'_>; N]) -> [&'static str; N] {
    labels.map(|(name, _)| name)
}

/// Every combination of the labels' values, the last label's values changing fastest.
fn series<M, const N: usize>(
    labels: &[Label<'_>; N],
    make: impl Fn(&[&str]) -> Result<M>,
) -> Result<Series<M, N>> {
    let mut combinations = vec![Vec::new()];
    for (_, values) in labels {
        let longer = |before: &Vec<&'static str>| {
            let before = before.clone();
            values.iter().map(move |value| {
                let mut longer = before.clone();
                longer.push(*value);
                longer
            })
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    Ok(Series {
        cells: combinations
            .iter()
            .map(|values| make(values))
            .collect::<Result<_>>()?,
        sizes: labels.map(|(_, values)| values.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_the_places_of_its_values() {
        let registry = Registry::new();
        let labels: [Label<'_>; 2] = [("a", &["x", "y"]), ("b", &["1", "2", "3"])];
        let counters = Maker(&registry).counters("test_total", "Test.", labels).unwrap();

        counters.inc([1, 0]);
        counters.raise([0, 2], 7);
        counters.raise([0, 2], 7);
        counters.inc([2, 0]);

        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            r#"carillon_test_total{a="x",b="1"} 0"#,
            r#"carillon_test_total{a="x",b="3"} 7"#,
            r#"carillon_test_total{a="y",b="1"} 1"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(text.lines().count(), 2 + 6);
    }

    #[test]
    fn a_tenth_of_a_second_is_a_bound() {
        let registry = Registry::new();
        let durations = Maker(&registry).durations("test_seconds", "Test.", []).unwrap();
        durations.observe([], Duration::from_millis(100));
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        assert!(
            text.contains(r#"carillon_test_seconds_bucket{le="0.1"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"carillon_test_seconds_bucket{le="0.075"} 0"#),
            "{text}"
        );
    }
}
