# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: where things are kept, how a line looks, how long a step took.
# Nothing here changes the machine.

[ -n "${OL_COMMON_LOADED:-}" ] && return 0
OL_COMMON_LOADED=1

OL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# A shell without a home (a bare container) still gets a cache.
if [ -z "${HOME:-}" ]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
  export HOME="${HOME:-/tmp}"
fi
export OL_CACHE="${OL_CACHE:-$HOME/.cache/ol-flows}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$OL_CACHE/target}"
export PATH="$OL_CACHE/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
mkdir -p "$OL_CACHE"

# use_cached_rust: a toolchain that install.sh put into the cache, where the machine had none.
use_cached_rust() {
  [ -x "$OL_CACHE/rust/cargo/bin/cargo" ] || return 0
  export RUSTUP_HOME="$OL_CACHE/rust/rustup" CARGO_HOME="$OL_CACHE/rust/cargo"
  export PATH="$CARGO_HOME/bin:$PATH"
}
use_cached_rust

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  BOLD=$'\033[1m' DIM=$'\033[2m' GREEN=$'\033[32m' RED=$'\033[31m' RESET=$'\033[0m'
else
  BOLD='' DIM='' GREEN='' RED='' RESET=''
fi

# say TEXT: one plain line.
say() { printf '%s\n' "$*"; }

# fail TEXT: the sentence a person needs, then exit code 3 (configuration).
fail() {
  printf '%s%s%s\n' "$RED" "$*" "$RESET" >&2
  exit 3
}

# now_milliseconds: wall clock, for step times.
now_milliseconds() { date +%s%3N; }

# seconds_since MILLISECONDS: elapsed time with one decimal.
seconds_since() {
  local elapsed=$(($(now_milliseconds) - $1))
  printf '%d.%d' $((elapsed / 1000)) $((elapsed % 1000 / 100))
}

# heading TEXT: names the step that starts.
heading() { printf '\n%s▸ %s%s\n' "$BOLD" "$*" "$RESET"; }

# step NAME COMMAND…: runs the command, prints its name and wall time, and remembers both for `step_summary`.
STEP_NAMES=() STEP_SECONDS=()
step() {
  local name=$1 started
  shift
  heading "$name"
  started=$(now_milliseconds)
  "$@"
  STEP_NAMES+=("$name")
  STEP_SECONDS+=("$(seconds_since "$started")")
  printf '%s✓ %s s%s\n' "$GREEN" "${STEP_SECONDS[-1]}" "$RESET"
}

# step_summary: the wall time of every step so far.
step_summary() {
  local index
  for index in "${!STEP_NAMES[@]}"; do
    printf '  %-44s %8s s\n' "${STEP_NAMES[$index]}" "${STEP_SECONDS[$index]}"
  done
}

# as_root COMMAND…: as it is for root, through sudo otherwise; never asks for a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo -n "$@" || fail "'$*' needs root and sudo would ask for a password; run deploy/scripts/install.sh as root once"
  else
    fail "'$*' needs root and there is no sudo; run deploy/scripts/install.sh as root once"
  fi
}

# install_base: packages and toolchain, and the toolchain on the path of this very shell.
install_base() {
  "$OL_ROOT/deploy/scripts/install.sh" base
  use_cached_rust
  hash -r
}

# install_readers: the Python environment that judges the lake and runs Dagster, the one with Spark, Trino, a REST
# catalog, two servers for MongoDB's protocol, a MySQL, what stands for Glue, and the environment of the receiver that is
# built like MIT Learn, whose Django is its own.
install_readers() {
  "$OL_ROOT/deploy/scripts/install.sh" python venv "$OL_ROOT"/tests/{readers,dagster}/requirements.txt
  "$OL_ROOT/deploy/scripts/install.sh" spark venv-spark "$OL_ROOT/tests/readers/spark-requirements.txt"
  "$OL_ROOT/deploy/scripts/install.sh" trino
  "$OL_ROOT/deploy/scripts/install.sh" rest-catalog
  "$OL_ROOT/deploy/scripts/install.sh" mongodb
  "$OL_ROOT/deploy/scripts/install.sh" ferretdb
  "$OL_ROOT/deploy/scripts/install.sh" mysql
  "$OL_ROOT/deploy/scripts/install.sh" python venv-aws "$OL_ROOT/tests/aws/requirements.txt"
  "$OL_ROOT/deploy/scripts/install.sh" python venv-receivers "$OL_ROOT/tests/receivers/requirements.txt"
}

# What tests are built and run with: failpoints compiled into the programs under test, all targets, so that every
# dependency is built once.
TEST_BUILD=(--locked --workspace --features ol-ingest/failpoints,ol-webhook/failpoints)

# build_tests: the test binaries and the programs under test, whose places it exports.
build_tests() {
  (cd "$OL_ROOT" && cargo build --quiet --all-targets "${TEST_BUILD[@]}")
  export OL_PYTHON="$OL_CACHE/venv/bin/python" OL_RECEIVERS_PYTHON="$OL_CACHE/venv-receivers/bin/python"
  export OL_SPARK_PYTHON="$OL_CACHE/venv-spark/bin/python"
  export OL_INGEST_BINARY="$CARGO_TARGET_DIR/debug/ol-ingest" C4GEN_BINARY="$CARGO_TARGET_DIR/debug/c4gen"
  export OL_WEBHOOK_BINARY="$CARGO_TARGET_DIR/debug/ol-webhook"
}

# quietly LOG COMMAND…: keeps the output in LOG, shows its end only when the command fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    printf '%sFailed: %s (whole output in %s)%s\n' "$RED" "$*" "$log" "$RESET" >&2
    return 1
  fi
}

# free_port: a port of the loopback that nobody listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
