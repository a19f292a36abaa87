//! The picture of `docs/architecture.md`, read from the manifests: who may name whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// A crate of the workspace, with what its manifest names.
#[derive(Debug, Default)]
struct Crate {
    /// Crates of the workspace, for whatever purpose.
    ours: BTreeSet<String>,
    /// Foreign crates that end up in its users' builds.
    foreign: BTreeSet<String>,
}

/// Every crate by its name without `carillon-`.
fn workspace() -> Result<BTreeMap<String, Crate>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages")?;

    let mut crates = BTreeMap::new();
    for package in packages {
        let mut found = Crate::default();
        for dependency in package["dependencies"].as_array().context("no dependencies")? {
            let name = dependency["name"].as_str().context("no name")?;
            if let Some(ours) = name.strip_prefix("carillon-") {
                found.ours.insert(ours.to_owned());
            } else if dependency["kind"].is_null() {
                found.foreign.insert(name.to_owned());
            }
        }
        let name = package["name"].as_str().context("no name")?;
        let name = name
            .strip_prefix("carillon-")
            .context("a crate is not named carillon-…")?;
        crates.insert(name.to_owned(), found);
    }
    Ok(crates)
}

#[test]
fn crates_name_only_those_below_them() -> Result<()> {
    let allowed = [
        ("backplane", &["protocol"][..]),
        ("fuzz", &["backplane", "gateway", "protocol", "socketio"]),
        ("gateway", &["backplane", "protocol", "socketio", "store"][..]),
        ("load", &[][..]),
        ("protocol", &[][..]),
        ("socketio", &["protocol"][..]),
        ("store", &["protocol"][..]),
        ("testkit", &["protocol"][..]),
    ];

    let crates = workspace()?;

    let names: Vec<_> = crates.keys().map(String::as_str).collect();
    assert_eq!(names, allowed.map(|(name, _)| name));
    for (name, allowed) in allowed {
        for dependency in &crates[name].ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_gateway_alone_sees_all_four() -> Result<()> {
    let crates = workspace()?;

    let seen: Vec<_> = crates["gateway"].ours.iter().map(String::as_str).collect();
    assert_eq!(seen, ["backplane", "protocol", "socketio", "store"]);
    Ok(())
}

#[test]
fn what_each_crate_must_not_know() -> Result<()> {
    let kept_out = [
        (
            "protocol",
            &["tokio", "actix-web", "rusqlite", "rand", "tracing"][..],
        ),
        (
            "socketio",
            &["actix-web", "actix-ws", "rusqlite", "jsonwebtoken"][..],
        ),
        ("store", &["actix-web", "jsonwebtoken"][..]),
        ("backplane", &["actix-web", "rusqlite", "jsonwebtoken"][..]),
    ];

    let crates = workspace()?;

    for (name, kept_out) in kept_out {
        for foreign in kept_out {
            assert!(
                !crates[name].foreign.contains(*foreign),
                "{name} must not depend on {foreign}"
            );
        }
    }
    Ok(())
}
