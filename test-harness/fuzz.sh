#!/bin/sh
# Runs each fuzz target of the tree for so many seconds; stops at the first that finds something.
# usage: fuzz.sh SECONDS
set -eu
cd "$(dirname "$0")/.."
seconds=$1

cargo fuzz --version >/dev/null 2>&1 || {
  echo 'fuzz: cargo-fuzz is missing; run: cargo install --locked cargo-fuzz' >&2
  exit 1
}
for manifest in plugins/common/*/fuzz/Cargo.toml plugins/*/fuzz/Cargo.toml; do
  [ -e "$manifest" ] || { echo 'fuzz: no targets found under plugins' >&2; exit 1; }
  crate=$(dirname "$(dirname "$manifest")")
  for target in $(cd "$crate" && cargo +nightly fuzz list); do
    echo "fuzz: $crate $target, ${seconds} s"
    (cd "$crate" && cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 -print_final_stats=1)
  done
done
