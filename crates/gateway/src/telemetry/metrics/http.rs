//! Requests over HTTP, by the template of their route.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge, Result};

use super::series::{Label, Maker, Series};

const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Method and template of a route: `("GET", "/api/chat/messages/{chatboxId}")`.
pub type Route = (&'static str, &'static str);

/// What is no route of the node.
pub const OTHER: Route = ("other", "other");

/// Metrics of HTTP requests.
#[derive(Debug)]
pub struct Http {
    routes: Vec<OfRoute>,
    in_flight: IntGauge,
}

#[derive(Debug)]
struct OfRoute {
    route: Route,
    requests: Series<IntCounter, 1>,
    durations: Histogram,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Http {
    /// For these routes; [`OTHER`] is added.
    pub(super) fn new(maker: &Maker<'_>, routes: impl IntoIterator<Item = Route>) -> Result<Self> {
        let statuses: Label<'_> = ("status", &STATUSES);
        let requests = maker.counters_of(
            "http_requests_total",
            "Requests answered, by class of status. A WebSocket is one request (1xx), a held poll is one.",
            ["method", "route"],
            statuses,
        )?;
        let durations = maker.durations_of(
            "http_request_duration_seconds",
            "From a request to the head of its answer; polls wait for something to tell.",
            ["method", "route"],
        )?;
        let of_route = |route: Route| {
            let (method, template) = route;
            Ok(OfRoute {
                route,
                requests: requests([method, template])?,
                durations: durations([method, template])?,
            })
        };
        Ok(Self {
            routes: routes
                .into_iter()
                .chain([OTHER])
                .map(of_route)
                .collect::<Result<_>>()?,
            in_flight: maker.gauge(
                "http_requests_in_flight",
                "Requests under way, held polls among them.",
            )?,
        })
    }

    /// A request has come.
    #[must_use]
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request was answered with `status`.
    pub fn answered(&self, route: Route, status: u16, took: Duration) {
        let known = self.routes.iter().find(|known| known.route == route);
        let Some(known) = known.or_else(|| self.routes.last()) else {
            return;
        };
        if let Some(class) = usize::from(status / 100).checked_sub(1) {
            known.requests.inc([class]);
        }
        known.durations.observe(took.as_secs_f64());
    }
}
