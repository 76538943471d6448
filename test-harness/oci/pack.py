#!/usr/bin/env python3
"""Packs each built module as OCI images, for `make oci`.

usage: pack.py DIST OUT VERSION MODULE...

OUT/<module> becomes an OCI layout folder and OUT/<module>.tar the same as one archive, with two
images in it, the two layouts that Istio accepts:

  VERSION           one layer, a compressed tar with plugin.wasm; also what a Kubernetes image volume
                    mounts, where the module is called pgmesh-<module>.wasm, too. The same layer
                    stands for each platform, since container runtimes pull by theirs
  VERSION-artifact  the module itself as a layer of the WebAssembly content type

The same modules give the same digests on any day: no times and no owners. Prints the digest that
`sha256` of a WasmPlugin or TrafficExtension takes: of the image for linux/amd64, which Istio pulls
on every platform.
"""

import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

CONTENT = "application/vnd.module.wasm.content.layer.v1+wasm"
CONFIG = "application/vnd.module.wasm.config.v1+json"
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ARCHITECTURES = ("amd64", "arm64")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


class Layout:
    """An OCI image layout: content by digest, and an index that names images."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        self.images = []

    def add(self, media_type, blob):
        name = digest(blob)
        (self.blobs / name.removeprefix("sha256:")).write_bytes(blob)
        return {"mediaType": media_type, "digest": name, "size": len(blob)}

    def manifest(self, config, layers, annotations):
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": annotations,
        }
        return self.add(MANIFEST, canonical(manifest))

    def tag(self, name, content):
        self.images.append({**content, "annotations": {"org.opencontainers.image.ref.name": name}})

    def close(self, archive):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.images}
        (self.folder / "index.json").write_bytes(canonical(index))
        (self.folder / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))
        with tarfile.open(archive, "w") as tar:
            for path in sorted(self.folder.rglob("*")):
                if path.is_file():
                    add_file(tar, str(path.relative_to(self.folder)), path.read_bytes())


def add_file(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(content))


def layer(module, wasm):
    """plugin.wasm, and the same file under the name that our configurations use."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        add_file(tar, "plugin.wasm", wasm)
        link = tarfile.TarInfo(f"pgmesh-{module}.wasm")
        link.type = tarfile.LNKTYPE
        link.linkname = "plugin.wasm"
        link.mode = 0o644
        tar.addfile(link)
    return packed.getvalue()


def pack(dist, out, version, module):
    wasm = (dist / f"pgmesh-{module}.wasm").read_bytes()
    layout = Layout(out / module)
    annotations = {
        "org.opencontainers.image.title": f"pgmesh-{module}",
        "org.opencontainers.image.version": version,
    }
    tar = layer(module, wasm)
    packed = layout.add(IMAGE_LAYER, gzip.compress(tar, 9, mtime=0))
    images = []
    for architecture in ARCHITECTURES:
        platform = {"os": "linux", "architecture": architecture}
        rootfs = {"type": "layers", "diff_ids": [digest(tar)]}
        config = layout.add(IMAGE_CONFIG, canonical({**platform, "config": {}, "rootfs": rootfs}))
        image = layout.manifest(config, [packed], annotations)
        images.append({**image, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}
    layout.tag(version, layout.add(INDEX, canonical(index)))
    settings = layout.add(CONFIG, canonical({"type": "envoy_proxy", "abiVersions": ["v0-2-1"]}))
    artifact = layout.manifest(settings, [settings, layout.add(CONTENT, wasm)], annotations)
    layout.tag(f"{version}-artifact", artifact)
    layout.close(out / f"{module}.tar")
    print(f"{out / module}:{version} {images[0]['digest']}")
    print(f"{out / module}:{version}-artifact {artifact['digest']}")


def main():
    dist, out, version, *modules = sys.argv[1:]
    for module in modules:
        pack(Path(dist), Path(out), version, module)


main()
