#!/bin/sh
# Compares pg-sql with libpg_query over a folder of SQL, or runs the oracle's own tests.
# usage: run.sh VENV_DIRECTORY FOLDER | run.sh VENV_DIRECTORY --test
set -eu
[ $# -eq 2 ] && [ -n "$2" ] || { echo 'usage: make oracle SQL=<folder of .sql files>' >&2; exit 2; }
mkdir -p "$1"
venv=$(cd "$1" && pwd)
[ "$2" = --test ] || sql=$(cd "$2" && pwd)
cd "$(dirname "$0")"

libclang=$venv/libclang
if ! cmp -s requirements.txt "$libclang/requirements.txt"; then
  python3 -m pip install --quiet --root-user-action ignore --disable-pip-version-check --require-hashes --only-binary :all: \
    --target "$libclang" -r requirements.txt
  cp requirements.txt "$libclang/requirements.txt"
fi
LIBCLANG_PATH=$libclang/clang/native
# The wheel has the library alone; the compiler's own headers come from gcc.
BINDGEN_EXTRA_CLANG_ARGS=-I$(gcc -print-file-name=include)
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../target}/oracle
export LIBCLANG_PATH BINDGEN_EXTRA_CLANG_ARGS CARGO_TARGET_DIR
if [ "$2" = --test ]; then exec cargo test --quiet --locked; fi
exec cargo run --quiet --locked -- "$sql"
