#!/bin/sh
# Builds the Collector that the tests run modules in, from its own Go modules, as go.sum pins them.
# Prints nothing and does nothing when it is there already. The clouds that Prometheus can discover targets
# in are left out: they are half of the program. usage: build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
sum=$(sha256sum build.sh go.mod go.sum main.go wasm/*.go | sha256sum | cut -c1-16)
[ -x "$out/collector-$sum" ] || {
  command -v go >/dev/null || { echo "collector: no Go toolchain; see https://go.dev/dl" >&2; exit 1; }
  go build -tags remove_all_sd -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o "$out/collector-$sum" .
}
ln -sf "collector-$sum" "$out/collector"
