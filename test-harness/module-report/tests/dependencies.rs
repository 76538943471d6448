//! What pgmesh is made of: every crate in the lock file has a licence and a source that `deny.toml`
//! allows. The same as cargo-deny would say, on machines that lack it and without a network.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: a panic is how it reports"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(tree())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn allowed_licences() -> Vec<spdx::Licensee> {
    let policy = std::fs::read_to_string(tree().join("deny.toml")).unwrap();
    let policy: toml::Table = policy.parse().unwrap();
    let allowed = policy["licenses"]["allow"].as_array().unwrap();
    allowed
        .iter()
        .map(|name| spdx::Licensee::parse(name.as_str().unwrap()).unwrap())
        .collect()
}

#[test]
fn every_crate_has_an_allowed_licence() {
    let allowed = allowed_licences();
    let permitted = |package: &Value| {
        let licence = package["license"].as_str().unwrap_or_default();
        let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
        expression.is_ok_and(|expression| {
            expression.evaluate(|needed| allowed.iter().any(|licence| licence.satisfies(needed)))
        })
    };
    for package in packages() {
        assert!(
            permitted(&package),
            "{}: {}",
            package["name"],
            package["license"]
        );
    }
}

#[test]
fn every_crate_comes_from_this_tree_or_from_crates_io() {
    for package in packages() {
        let source = package["source"].as_str().unwrap_or(REGISTRY);
        assert_eq!(source, REGISTRY, "{}", package["name"]);
    }
}
