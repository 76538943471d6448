#!/bin/sh
# Builds the trace store that the tests ask for spans: Jaeger, from its own Go modules, as go.sum pins
# them. Prints nothing and does nothing when it is there already. usage: build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/jaeger"
sum=$(sha256sum go.mod go.sum | sha256sum | cut -c1-16)
[ -x "$out/jaeger-$sum" ] || {
  command -v go >/dev/null || { echo "stores: no Go toolchain; see https://go.dev/dl" >&2; exit 1; }
  go build -mod=readonly -trimpath -o "$out/jaeger-$sum" github.com/jaegertracing/jaeger/cmd/all-in-one
}
ln -sf "jaeger-$sum" "$out/jaeger"
