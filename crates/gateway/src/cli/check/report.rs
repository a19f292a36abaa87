//! The report, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::finding::{Finding, Outcome};
use crate::settings::{
    Loaded, Source,
    table::{self, Setting},
};

/// What stands for a setting without a value.
const NOTHING: &str = "-";
/// How far values and findings stand to the right of what they belong to.
const COLUMN: usize = 24;

/// The settings and what was found.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) findings: &'a [Finding],
}

impl Report<'_> {
    /// Lines for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("Carillon {}\n", env!("CARGO_PKG_VERSION"));
        for group in table::GROUPS {
            let _ = writeln!(text, "\n{}", group.heading);
            for setting in group.settings {
                let value = self.value(setting);
                let value = if value.is_empty() { NOTHING } else { &value };
                let source = self.loaded.source(setting);
                let _ = writeln!(text, "  {:COLUMN$} {value}  [{source}]", setting.key());
            }
        }
        text.push_str("\nChecks\n");
        for finding in self.findings {
            let Finding { what, found, .. } = finding;
            let outcome = finding.outcome.as_str();
            let _ = writeln!(text, "  {outcome:8} {what:15} {found}");
            if let Some(advice) = &finding.advice {
                let _ = writeln!(text, "  {:COLUMN$} → {advice}", "");
            }
        }
        let _ = write!(text, "\n{}", self.sum());
        text
    }

    /// One object: `{version, settings: [{key, value, secret, source}], checks: [{what, outcome, found, advice}]}`.
    pub(super) fn json(&self) -> String {
        let settings: Vec<Json> = table::all()
            .map(|setting| {
                let value = Some(self.value(setting)).filter(|value| !value.is_empty());
                let source = self.loaded.source(setting).to_string();
                json!({ "key": setting.key(), "value": value, "secret": setting.secret, "source": source })
            })
            .collect();
        let checks = self.findings.iter().map(|finding| {
            let Finding {
                what, found, advice, ..
            } = finding;
            json!({ "what": what, "outcome": finding.outcome.as_str(), "found": found, "advice": advice })
        });
        let checks: Vec<Json> = checks.collect();
        let version = env!("CARGO_PKG_VERSION");
        json!({ "version": version, "settings": settings, "checks": checks }).to_string()
    }

    fn value(&self, setting: &Setting) -> String {
        let value = setting.show(&self.loaded.settings);
        // The development secret is made when a node starts, not by this.
        if setting.env == "JWT_SECRET" && value.is_empty() && self.loaded.settings.dev {
            return format!("(hidden, {})", Source::Development);
        }
        value
    }

    fn sum(&self) -> String {
        let count = |outcome| {
            let of_it = self.findings.iter().filter(|finding| finding.outcome == outcome);
            of_it.count()
        };
        let warnings = count(Outcome::Warning);
        let plural = if warnings == 1 { "" } else { "s" };
        let (ok, failed) = (count(Outcome::Ok), count(Outcome::Failed));
        format!("{ok} ok, {warnings} warning{plural}, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, Flags};

    fn loaded() -> Loaded {
        let environment = Environment::from_iter([
            ("JWT_SECRET", "hunter2 hunter2 hunter2 hunter2 hunter2"),
            ("MONGODB_URI", "mongodb://me:hunter2@db/chat"),
            ("REDIS_URL", "redis://:hunter2@cache"),
            ("CARILLON_CLUSTER_SECRET", "hunter2 hunter2 hunter2"),
            ("FRONTEND_URL", "https://b.example,https://a.example"),
        ]);
        let flags = Flags {
            values: [("port", String::from("4001"))].into(),
            ..Flags::default()
        };
        Loaded::read(&flags, &environment).unwrap()
    }

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("port", "4001 is free"),
            Finding::warning("limits", "off", "switch them on"),
            Finding::failed("Redis", "it is away", "start it"),
        ]
    }

    #[test]
    fn people_see_values_their_sources_and_what_to_do_but_no_secret() {
        let (loaded, findings) = (loaded(), findings());
        let report = Report {
            loaded: &loaded,
            findings: &findings,
        };
        let text = report.text();
        for line in [
            "\nNetwork\n",
            "  port                     4001  [flag]\n",
            "  bind                     0.0.0.0  [default]\n",
            "  internal_port            -  [default]\n",
            "  frontend_url             https://a.example,https://b.example  [environment]\n",
            "  mongodb_uri              mongodb://me:***@db/chat  [environment]\n",
            "  redis_url                redis://***@cache  [environment]\n",
            "  jwt_secret               (hidden)  [environment]\n",
            "\nChecks\n",
            "  ok       port            4001 is free\n",
            "  warning  limits          off\n                           → switch them on\n",
            "\n1 ok, 1 warning, 1 failed",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("hunter") && !report.json().contains("hunter"));
    }

    #[test]
    fn programs_get_the_same() {
        let (loaded, findings) = (loaded(), findings());
        let report: Json = serde_json::from_str(
            &Report {
                loaded: &loaded,
                findings: &findings,
            }
            .json(),
        )
        .unwrap();
        let port = json!({ "key": "port", "value": "4001", "secret": false, "source": "flag" });
        assert_eq!(report["settings"][0], port);
        assert_eq!(report["settings"].as_array().unwrap().len(), table::all().count());
        assert_eq!(
            report["checks"][2],
            json!({ "what": "Redis", "outcome": "failed", "found": "it is away", "advice": "start it" })
        );
    }
}
