#!/bin/sh
# Unpacks the PostgreSQL 18 server that pom.xml pins (jars.txt: sha256, jar), which is built with TLS.
# Prints nothing and does nothing when it is there already. usage: build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
built=$out/postgres-tls-$(sha256sum pom.xml jars.txt | sha256sum | cut -c1-16)
[ -d "$built" ] || {
  case $(uname -m) in
    x86_64) machine=amd64 ;;
    aarch64) machine=arm64v8 ;;
    *) echo "postgres-tls: there is none for $(uname -m)" >&2; exit 1 ;;
  esac
  command -v mvn >/dev/null || { echo "postgres-tls: no mvn; see https://maven.apache.org/install.html" >&2; exit 1; }
  rm -rf "$built.part"
  mvn --quiet --batch-mode -Dstyle.color=never -Dmachine=$machine --file pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$built.part"
  sums=$(grep -- "-$machine-" jars.txt)
  (cd "$built.part" && echo "$sums" | sha256sum --check --quiet)
  python3 - "$built.part" <<'PYTHON'
import pathlib, sys, tarfile, zipfile
directory = pathlib.Path(sys.argv[1])
(jar,) = directory.glob("*.jar")
with zipfile.ZipFile(jar) as archive:
    (inner,) = (name for name in archive.namelist() if name.endswith(".txz"))
    with tarfile.open(fileobj=archive.open(inner), mode="r|xz") as tree:
        tree.extractall(directory, filter="data")
jar.unlink()
PYTHON
  mv "$built.part" "$built"
}
ln -sfn "$(basename "$built")" "$out/postgres-tls"
