#!/bin/sh
# Installs what the build and the tests need and this machine lacks. Safe to run again: it does nothing then.
# usage: setup.sh VENV_DIRECTORY [PACKAGE]    a Debian package besides, such as chromium
set -eu
cd "$(dirname "$0")/.."
venv=$1

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# A package for each thing that does not answer.
missing=
need() { package=$1; shift; "$@" >/dev/null 2>&1 || missing="$missing $package"; }
need default-jdk-headless command -v javac
need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
need locales test -e /usr/share/i18n/locales/de_DE
need maven command -v mvn
need openssl command -v openssl
need postgresql-15 test -x /usr/lib/postgresql/15/bin/postgres
need prometheus command -v promtool
need prometheus-alertmanager command -v amtool
need prometheus-postgres-exporter command -v prometheus-postgres-exporter
need python3-venv python3 -c 'import ensurepip, venv'
need skopeo command -v skopeo
need umoci command -v umoci
need util-linux command -v setpriv
[ -z "${2:-}" ] || need "$2" command -v "$2"

install="apt-get install --yes --no-install-recommends$missing"
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    fail "Debian packages are missing; run: sudo sh -c 'apt-get update && $install'"
  fi
  command -v apt-get >/dev/null || fail "no apt-get here; install by hand:$missing"
  say "installing$missing"
  # Debian's postgresql would create and start a cluster of its own; the tests bring theirs.
  no_cluster=/etc/postgresql-common/createcluster.d/pgmesh-setup.conf
  if [ ! -e /etc/postgresql-common ]; then
    mkdir -p "$(dirname $no_cluster)"
    echo 'create_main_cluster = false' >$no_cluster
  else
    no_cluster=
  fi
  # Nor shall a Prometheus of the system's own run from now on (see invoke-rc.d(8)).
  no_services=/usr/sbin/policy-rc.d
  if [ ! -e $no_services ]; then
    printf '#!/bin/sh\nexit 101\n' >$no_services
    chmod +x $no_services
  else
    no_services=
  fi
  trap 'rm -f $no_cluster $no_services' EXIT
  log=$(mktemp)
  { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; fail "apt-get failed; its whole output is in $log"; }
  rm -f "$log" $no_services
  for service in prometheus prometheus-alertmanager prometheus-postgres-exporter; do
    case " $missing " in
      *" $service "*) ! command -v systemctl >/dev/null || systemctl --quiet disable "$service" || true ;;
    esac
  done
fi

command -v cargo >/dev/null || fail "no Rust toolchain; see https://rustup.rs"
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
  say "installing the Rust toolchain that rust-toolchain.toml names"
  rustup toolchain install
fi

if ! cmp -s test-harness/requirements.txt "$venv/requirements.txt"; then
  say "installing Envoy, PostgreSQL 18, Node and the client drivers into $venv"
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --only-binary :all: -r test-harness/requirements.txt
  cp test-harness/requirements.txt "$venv/requirements.txt"
fi
