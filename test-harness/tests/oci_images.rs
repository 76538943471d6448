//! The images that `make oci` makes: the same each time, and the very module in them, in both
//! layouts that Istio accepts and as other tools unpack them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_harness::hosts::places::{built_module, tree};

const VERSION: &str = "1.2.3";
/// Every module that `make oci` packs.
const MODULES: [&str; 4] = [
    "envoy-metrics",
    "envoy-policy",
    "fluentbit-filter",
    "otel-processor",
];

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
    let arguments = [&[script.as_str(), &dist, name, VERSION], &MODULES[..]].concat();
    run("python3", &arguments, directory)
}

fn module(name: &str) -> Vec<u8> {
    fs::read(built_module(name)).expect("the module can be read")
}

#[test]
fn all_that_make_oci_packs_is_here() {
    // Asked of `make`, which alone knows what its variables stand for.
    let ask = [
        "--silent",
        "--no-print-directory",
        "--eval",
        "packed:; @echo $(MODULES)",
        "packed",
    ];
    let packed = run("make", &ask, tree());
    assert_eq!(packed.trim_end(), MODULES.join(" "));
}

#[test]
fn the_same_module_gives_the_same_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = pack(directory.path(), "first");
    let second = pack(directory.path(), "second");
    assert_eq!(first, second.replace("second", "first"));
    assert_eq!(first.lines().count(), 2 * MODULES.len(), "{first}");
    for module in MODULES {
        let archive = |name: &str| {
            let path = directory.path().join(name).join(format!("{module}.tar"));
            fs::read(path).expect("the archive can be read")
        };
        assert!(archive("first") == archive("second"), "{module} differs");
    }
}

#[test]
fn the_image_unpacks_to_plugin_wasm() {
    let directory = tempfile::tempdir().expect("a directory");
    let printed = pack(directory.path(), "oci");
    for name in MODULES {
        // As a container runtime pulls it: by platform.
        let image = format!("oci:oci/{name}:{VERSION}");
        let platform = ["--override-os", "linux", "--override-arch", "amd64"];
        let pulled = format!("oci:pulled-{name}:image");
        let pull = [&["copy"], &platform[..], &[&image, &pulled]].concat();
        run("skopeo", &pull, directory.path());
        let (image, bundle) = (format!("pulled-{name}:image"), format!("bundle-{name}"));
        let unpack = ["unpack", "--rootless", "--image", &image, &bundle];
        run("umoci", &unpack, directory.path());
        let root = directory.path().join(&bundle).join("rootfs");
        for file in ["plugin.wasm".to_owned(), format!("pgmesh-{name}.wasm")] {
            let unpacked = fs::read(root.join(&file)).expect("it is there");
            assert!(unpacked == module(name), "{name}: {file} differs");
        }
        // The digest that is printed is the one of that image: what `sha256` is compared with.
        let index = directory.path().join(format!("pulled-{name}/index.json"));
        let index = fs::read_to_string(index).expect("an index");
        let index: Value = serde_json::from_str(&index).expect("JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
        let line = format!("oci/{name}:{VERSION} {digest}\n");
        assert!(printed.contains(&line), "{line}{printed}");
    }
}

#[test]
fn the_artifact_holds_the_module_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    pack(directory.path(), "oci");
    for name in MODULES {
        let archive = format!("oci-archive:oci/{name}.tar:{VERSION}-artifact");
        let to = format!("dir:pulled-{name}");
        run("skopeo", &["copy", &archive, &to], directory.path());
        let pulled = directory.path().join(format!("pulled-{name}"));
        let manifest = fs::read_to_string(pulled.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 2, "Istio wants two: {manifest}");
        let wasm = "application/vnd.module.wasm.content.layer.v1+wasm";
        let content = layers.iter().find(|layer| layer["mediaType"] == wasm);
        let content = content.expect("a layer of WebAssembly");
        let digest = content["digest"].as_str().expect("a digest");
        let blob = fs::read(pulled.join(digest.trim_start_matches("sha256:")));
        assert!(blob.expect("the blob") == module(name), "{name} differs");
    }
}
