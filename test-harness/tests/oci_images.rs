//! The images that `make oci` makes: the same each time, and the very module in them, in both
//! layouts that Istio accepts and as other tools unpack them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_harness::hosts::places::{built_module, tree};

const VERSION: &str = "1.2.3";
const MODULE: &str = "envoy-metrics";

#[track_caller]
fn run(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run `make setup`"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Packs into `directory/name` and gives what was printed.
fn pack(directory: &Path, name: &str) -> String {
    let script = tree().join("test-harness/oci/pack.py");
    let dist = tree().join("dist");
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (script, dist) = (path(&script), path(&dist));
    run(
        "python3",
        &[&script, &dist, name, VERSION, MODULE],
        directory,
    )
}

fn module() -> Vec<u8> {
    fs::read(built_module(MODULE)).expect("the module can be read")
}

#[test]
fn the_same_module_gives_the_same_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = pack(directory.path(), "first");
    let second = pack(directory.path(), "second");
    assert_eq!(first, second.replace("second", "first"));
    let archive = |name: &str| {
        let path = directory.path().join(name).join(format!("{MODULE}.tar"));
        fs::read(path).expect("the archive can be read")
    };
    assert!(archive("first") == archive("second"), "the archives differ");
}

#[test]
fn the_image_unpacks_to_plugin_wasm() {
    let directory = tempfile::tempdir().expect("a directory");
    let printed = pack(directory.path(), "oci");
    // As a container runtime pulls it: by platform.
    let image = format!("oci:oci/{MODULE}:{VERSION}");
    let pull = [
        "copy",
        "--override-os",
        "linux",
        "--override-arch",
        "amd64",
        &image,
    ];
    run(
        "skopeo",
        &[&pull[..], &["oci:pulled:image"]].concat(),
        directory.path(),
    );
    let unpack = ["unpack", "--rootless", "--image", "pulled:image", "bundle"];
    run("umoci", &unpack, directory.path());
    for name in ["plugin.wasm".to_owned(), format!("pgmesh-{MODULE}.wasm")] {
        let unpacked = fs::read(directory.path().join("bundle/rootfs").join(&name));
        assert!(unpacked.expect("it is there") == module(), "{name} differs");
    }
    // The digest that is printed is the one of that image: what `sha256` is compared with.
    let pulled = fs::read_to_string(directory.path().join("pulled/index.json"));
    let pulled: Value = serde_json::from_str(&pulled.expect("an index")).expect("JSON");
    let digest = pulled["manifests"][0]["digest"].as_str().expect("a digest");
    assert!(
        printed.contains(&format!(":{VERSION} {digest}\n")),
        "{printed}"
    );
}

#[test]
fn the_artifact_holds_the_module_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    pack(directory.path(), "oci");
    let archive = format!("oci-archive:oci/{MODULE}.tar:{VERSION}-artifact");
    run(
        "skopeo",
        &["copy", &archive, "dir:pulled"],
        directory.path(),
    );
    let pulled = directory.path().join("pulled");
    let manifest = fs::read_to_string(pulled.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 2, "Istio wants two: {manifest}");
    let content = layers
        .iter()
        .find(|layer| layer["mediaType"] == "application/vnd.module.wasm.content.layer.v1+wasm")
        .expect("a layer of WebAssembly");
    let digest = content["digest"].as_str().expect("a digest");
    let blob = pulled.join(digest.trim_start_matches("sha256:"));
    assert!(
        fs::read(blob).expect("the blob") == module(),
        "the layer differs"
    );
}
