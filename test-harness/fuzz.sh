#!/bin/sh
# Runs each fuzz target of the tree for so many seconds; stops at the first that finds something. Installs
# what no other command of the tree needs: a nightly compiler, and cargo-fuzz in DIRECTORY.
# usage: fuzz.sh DIRECTORY SECONDS [TARGET]
set -eu
mkdir -p "$1"
tools=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
seconds=$2
only=${3:-}
version=0.13.2

rustup which --toolchain nightly rustc >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
installed=$tools/cargo-fuzz-$version
[ -x "$installed/bin/cargo-fuzz" ] ||
  cargo install --quiet --locked --root "$installed" --version "$version" cargo-fuzz
PATH=$installed/bin:$PATH

ran=
for manifest in plugins/common/*/fuzz/Cargo.toml plugins/*/fuzz/Cargo.toml; do
  [ -e "$manifest" ] || continue
  crate=$(dirname "$(dirname "$manifest")")
  for target in $(cd "$crate" && cargo +nightly fuzz list); do
    [ "${only:-$target}" = "$target" ] || continue
    ran=yes
    echo "fuzz: $crate $target, ${seconds} s"
    (cd "$crate" && cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 -print_final_stats=1)
  done
done
[ -n "$ran" ] || { echo "fuzz: no target ${only:-at all} under plugins" >&2; exit 1; }
