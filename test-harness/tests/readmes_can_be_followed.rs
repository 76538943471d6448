//! What the READMEs under `envoy-configs` tell a reader to do can be done, and does no harm: what is applied or
//! deleted is there, nothing that holds data goes with it, and each folder says what, when, how to verify
//! and how to remove.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use test_harness::hosts::places::tree;
use test_harness::manifests::{folder, from_folder, judged, kustomizations};
use test_harness::shipped;

/// The folders with a README of their own.
const FOLDERS: [&str; 10] = [
    "cilium",
    "collector",
    "consul",
    "envoy",
    "grafana",
    "istio",
    "kubernetes",
    "linkerd",
    "operators",
    "prometheus",
];

/// Every README that tells how to apply something, and the folder it is in. Of the first, the part that does.
fn readmes() -> Vec<(PathBuf, String)> {
    let read = |below: PathBuf| {
        let text = fs::read_to_string(below.join("README.md")).expect("it can be read");
        (below, text)
    };
    let (root, text) = read(tree().to_owned());
    let part = text.split("\n## ").find(|it| it.starts_with("Roll it out"));
    let mut found = vec![(root, part.expect("it is there").to_owned())];
    found.extend(FOLDERS.map(|name| read(folder().join(name))));
    found
}

/// What a README tells to apply or to delete is there, and can be built.
#[test]
fn what_a_reader_is_told_to_apply_can_be_applied() {
    let mut applied = 0;
    for (below, text) in readmes() {
        let words: Vec<&str> = text
            .split(|it: char| it.is_whitespace() || it == '`')
            .collect();
        for window in words.windows(2) {
            let [option, path] = window else { continue };
            if !["-k", "-f"].contains(option) || path.contains("...") {
                continue;
            }
            let path = path.trim_end_matches([';', '.', ',']);
            // Some start from the root of the repository, and say so by the path.
            let from = if path.starts_with("envoy-configs/") {
                tree()
            } else {
                &below
            };
            let path = from.join(path);
            assert!(path.exists(), "README of {below:?}: no {path:?}");
            if *option == "-k" {
                let path = path.canonicalize().expect("it is there");
                judged(&["build", &from_folder(&path)]);
            }
            applied += 1;
        }
    }
    assert!(applied > 10, "only {applied}");
}

/// What a README tells to delete by its name is one of ours, and not whatever else of its kind is there.
#[test]
fn what_a_reader_is_told_to_delete_is_ours() {
    let mut ours = BTreeSet::new();
    for name in manifests_below(&folder()) {
        let text = fs::read_to_string(name).expect("it can be read");
        ours.extend(text.split_whitespace().map(str::to_owned));
    }
    let mut deleted = 0;
    for (below, text) in readmes() {
        for rest in text.split("kubectl delete ").skip(1) {
            let command = rest.split(['`', '\n', '#', ';']).next().unwrap_or_default();
            assert!(!command.contains("--all"), "{below:?}: {command}");
            let mut words = command.split_whitespace();
            // By a folder or a file: those are looked at above.
            if words.next().is_none_or(|kind| kind.starts_with('-')) {
                continue;
            }
            while let Some(word) = words.next() {
                if word.starts_with('-') {
                    words.next();
                    continue;
                }
                assert!(ours.contains(word), "{below:?}: {command}: {word}");
                deleted += 1;
            }
        }
    }
    assert!(deleted > 10, "only {deleted}");
}

fn manifests_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => manifests_below(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect()
}

/// Whoever deletes a namespace deletes the volumes and Secrets in it; and `kubectl delete -k` deletes
/// all that a kustomization makes.
#[test]
fn no_kustomization_makes_what_holds_data() {
    let all = kustomizations(&folder());
    assert!(all.len() > 20, "{all:?}");
    for name in all {
        let built = judged(&["build", &name]);
        for kind in ["Namespace", "PersistentVolumeClaim", "Secret"] {
            let made = built.lines().any(|line| line == format!("kind: {kind}"));
            assert!(!made, "{name} makes a {kind}");
        }
    }
}

#[test]
fn every_folder_says_what_when_how_to_verify_and_how_to_remove() {
    for name in FOLDERS {
        let readme = shipped::file(&format!("{name}/README.md"));
        for part in ["When", "Verify", "Remove"] {
            let how = format!("How to {}", part.to_lowercase());
            let told = readme.lines().any(|line| {
                let line = line.trim_start_matches('#').trim_start();
                line.starts_with(part) || line.starts_with(&how)
            });
            assert!(told, "{name}/README.md has no {part}");
        }
    }
}

/// What `kubernetes/README.md` says a container takes is what its manifest gives it.
#[test]
fn the_table_of_resources_tells_what_the_manifests_give() {
    let readme = shipped::file("kubernetes/README.md");
    for (row, manifest, container) in [
        ("Envoy, ours", "kubernetes/overlays/envoy-sidecar", "envoy"),
        ("postgres_exporter", "kubernetes/base", "exporter"),
        (
            "Fluent Bit per node",
            "kubernetes/observability/logs",
            "fluent-bit",
        ),
        (
            "Collector",
            "kubernetes/observability/collector",
            "collector",
        ),
    ] {
        let told = readme
            .lines()
            .find(|line| line.starts_with(&format!("| {row} |")))
            .unwrap_or_else(|| panic!("no row {row}"));
        let built = judged(&["build", manifest]);
        let given = resources(&built, container).unwrap_or_else(|| panic!("no {container}"));
        let cell = |text: &str| format!("| {text} |");
        let quantity = |value: &Value| {
            let text = value.as_str().expect("a quantity");
            text.replace("Mi", " MiB").replace("Gi", " GiB")
        };
        let requests = &given["requests"];
        let asked = format!(
            "{}, {}",
            quantity(&requests["cpu"]),
            quantity(&requests["memory"])
        );
        assert!(told.contains(&cell(&asked)), "{told} is not {asked}");
        let limit = quantity(&given["limits"]["memory"]);
        assert!(told.contains(&limit), "{told} has no {limit}");
    }
}

/// The resources of the first container of this name.
fn resources(documents: &str, container: &str) -> Option<Value> {
    documents
        .split("\n---\n")
        .map(test_harness::rules::parse)
        .find_map(|object| {
            let spec = &object["spec"]["template"]["spec"];
            ["initContainers", "containers"].iter().find_map(|list| {
                let found = spec[*list].as_array()?.iter();
                let mut named = found.filter(|it| it["name"] == container);
                named.next().map(|it| it["resources"].clone())
            })
        })
}
