//! The judge of the manifests under `envoy-configs`: `test-harness/manifests`, a Go program, since the
//! definitions, CEL rules and the typed APIs of Kubernetes, Istio and Envoy are Go's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::hosts::places::tree;

/// Where the manifests are.
pub fn folder() -> PathBuf {
    tree().join("envoy-configs")
}

/// Runs the judge in [`folder`]. Panics when it has not been built.
#[track_caller]
pub fn judge(arguments: &[&str]) -> Output {
    let program = tree().join(".cache/manifests/manifests");
    assert!(
        program.exists(),
        "no {}: run `make stores`",
        program.display()
    );
    Command::new(program)
        .current_dir(folder())
        .args(arguments)
        .output()
        .expect("the judge runs")
}

/// What the judge prints. Panics when it has found a fault.
#[track_caller]
pub fn judged(arguments: &[&str]) -> String {
    let output = judge(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The definitions that the judge knows custom resources by.
pub fn definitions() -> String {
    let path = tree().join(".cache/manifests/crds");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A plugin as a manifest configures it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Of the WasmPlugin or TrafficExtension.
    pub name: String,
    /// `envoy-metrics` or `envoy-policy`.
    pub module: String,
    /// Its `pluginConfig`.
    pub configuration: Value,
}

/// The plugins of a manifest, in order.
#[track_caller]
pub fn plugins(manifest: &str) -> Vec<Plugin> {
    let found: Value = serde_json::from_str(&judged(&["plugins", manifest])).expect("JSON");
    let found = found.as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    found
        .iter()
        .map(|plugin| Plugin {
            name: text(&plugin["name"]),
            module: text(&plugin["image"]),
            configuration: plugin["config"].clone(),
        })
        .collect()
}

/// Every kustomization below a folder of the tree that can be built by itself, by its path from
/// [`folder`].
#[track_caller]
pub fn kustomizations(below: &Path) -> BTreeSet<String> {
    kustomizations_of_kind(below, "Kustomization")
}

/// Every component below a folder: what an overlay builds on something else.
#[track_caller]
pub fn components(below: &Path) -> BTreeSet<String> {
    kustomizations_of_kind(below, "Component")
}

fn kustomizations_of_kind(below: &Path, kind: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("kustomization.yaml") {
                let text = fs::read_to_string(&path).expect("it can be read");
                if text.contains(&format!("\nkind: {kind}\n")) {
                    found.insert(from_folder(path.parent().expect("a folder")));
                }
            }
        }
    }
    found
}

/// A path as the judge, which runs in [`folder`], is given it.
pub fn from_folder(path: &Path) -> String {
    let (root, above) = (folder(), tree());
    let name = match path.strip_prefix(&root) {
        Ok(below) => below.to_owned(),
        Err(_) => Path::new("..").join(path.strip_prefix(above).expect("in the tree")),
    };
    name.to_str().expect("a path in UTF-8").to_owned()
}
