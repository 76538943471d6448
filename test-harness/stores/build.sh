#!/bin/sh
# Builds what the tests and the demo ask for spans and log lines: Jaeger and Loki, from their own Go
# modules, as each go.sum pins them. Prints nothing and does nothing for one that is there already.
# usage: build.sh DIRECTORY {jaeger|loki}...
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
for store in "$@"; do
  cd "$here/$store"
  program=$(sed -n 's/^import _ "\(.*\)"$/\1/p' "$store.go")
  sum=$(cat go.mod go.sum "$store.go" | sha256sum | cut -c1-16)
  [ -x "$out/$store-$sum" ] || {
    command -v go >/dev/null || { echo "stores: no Go toolchain; see https://go.dev/dl" >&2; exit 1; }
    echo "stores: building $store, a few minutes" >&2
    go build -mod=readonly -trimpath -ldflags=-s -o "$out/$store-$sum" "$program"
  }
  ln -sf "$store-$sum" "$out/$store"
done
