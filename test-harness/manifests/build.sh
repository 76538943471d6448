#!/bin/sh
# Builds the program that judges our Kubernetes manifests, and gathers the CustomResourceDefinitions
# that it judges by from the Go modules of their makers (crds.txt: sha256, module, version, path).
# Prints nothing and does nothing when it is there already. usage: build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
sum=$(sha256sum go.mod go.sum crds.txt ./*.go | sha256sum | cut -c1-16)
built=$out/manifests-$sum
[ -d "$built" ] || {
  command -v go >/dev/null || { echo "manifests: no Go toolchain; see https://go.dev/dl" >&2; exit 1; }
  rm -rf "$built.part"
  mkdir -p "$built.part/crds"
  while read -r sha module version path; do
    dir=$(cd / && go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    crd=$built.part/crds/$(basename "$path")
    cp "$dir/$path" "$crd"
    chmod u+w "$crd"
    echo "$sha  $crd" | sha256sum --check --quiet
  done <crds.txt
  go build -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o "$built.part/manifests" .
  mv "$built.part" "$built"
}
ln -sfn "manifests-$sum" "$out/manifests"
