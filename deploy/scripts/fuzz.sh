#!/usr/bin/env bash
# Fuzzes what ol-webhook reads of foreign bytes (tests/fuzz), every target for SECONDS, and prints what each came to.
# Exit code 2 when one crashed, 130 when one was interrupted. The input of a crash is kept and named, and `fuzz.sh again
# TARGET FILE` runs that alone.
#
# Usage: fuzz.sh [SECONDS [TARGET…]]     20 seconds and all targets unless said otherwise
#        fuzz.sh again TARGET FILE…
#
# The corpus grows from run to run under $OL_CACHE/fuzz/corpus, beginning with tests/fuzz/seeds. libFuzzer needs unstable
# flags of the compiler; RUSTC_BOOTSTRAP allows them to the stable one that builds everything else.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

CARGO_FUZZ_VERSION=0.13.2
FUZZ="$OL_ROOT/tests/fuzz" KEPT="$OL_CACHE/fuzz" BUILT="$OL_CACHE/target-fuzz"
HOST=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p') || true
# What one input may take: a parser that needs more for 16 KiB has no bound.
LIMITS=(-max_len=16384 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=64)

# sanitizer: the one that finds reads out of bounds, where the toolchain brings its runtime.
sanitizer() {
  if compgen -G "$(rustc --print sysroot)/lib/rustlib/$HOST/lib/librustc*_rt.asan.a" >/dev/null; then
    echo address
  else
    echo none
  fi
}

build() {
  install_base
  HOST=$(rustc -vV | sed -n 's/^host: //p')
  "$OL_ROOT/deploy/scripts/install.sh" tool cargo-fuzz "$CARGO_FUZZ_VERSION"
  (cd "$FUZZ" && RUSTC_BOOTSTRAP=1 quietly "$OL_CACHE/log/fuzz-build.log" \
    cargo fuzz build --fuzz-dir . --target "$HOST" --target-dir "$BUILT" --sanitizer "$(sanitizer)")
}

targets() { (cd "$FUZZ/targets" && ls) | sed 's/\.rs$//'; }

run() { # TARGET ARGUMENT…
  local target=$1
  shift
  "$BUILT/$HOST/release/$target" "${LIMITS[@]}" -artifact_prefix="$KEPT/crashes/$target-" "$@"
}

# fuzz TARGET: one line with executions, a second, edges, inputs of the corpus; fails when it crashed.
fuzz() {
  local target=$1 log="$OL_CACHE/log/fuzz-$1.log" code=0 corpus="$KEPT/corpus/$1"
  local arguments=(-max_total_time="$SECONDS_EACH" -print_final_stats=1)
  [ ! -f "$FUZZ/dictionaries/$target" ] || arguments+=(-dict="$FUZZ/dictionaries/$target")
  mkdir -p "$corpus" "$KEPT/crashes"
  run "$target" "${arguments[@]}" "$corpus" "$FUZZ/seeds/$target" >"$log" 2>&1 || code=$?
  awk -v target="$target" '
    / cov: / { for (field = 1; field < NF; field++) if ($field == "cov:") edges = $(field + 1) }
    /^stat::number_of_executed_units:/ { runs = $2 }
    /^stat::average_exec_per_sec:/ { speed = $2 }
    /^stat::peak_rss_mb:/ { memory = $2 }
    END { printf "%-12s %10d executions %8d/s %6d edges %5d MB", target, runs, speed, edges, memory }' "$log"
  printf ' %6d inputs\n' "$(find "$corpus" -type f | wc -l)"
  [ "$code" -eq 0 ] && return 0
  grep -E 'panicked at|^assertion|^ *(left|right):|ERROR:|^SUMMARY|Test unit written to' "$log" | head -n 12 >&2
  # libFuzzer ends with 72 when a signal stopped it, which is no finding, but no proof either.
  [ "$code" -ne 72 ] || { say "$target was interrupted" >&2; exit 130; }
  say "$target crashed; whole output: $log" >&2
  return 1
}

if [ "${1:-}" = again ]; then
  [ $# -ge 3 ] || fail "Name the target and the input: fuzz.sh again TARGET FILE"
  build
  run "$2" "${@:3}"
  exit
fi

SECONDS_EACH=${1:-20}
[[ "$SECONDS_EACH" =~ ^[1-9][0-9]*$ ]] || fail "SECONDS is how long each target runs, not '$SECONDS_EACH'"
CHOSEN=("${@:2}")
[ ${#CHOSEN[@]} -gt 0 ] || mapfile -t CHOSEN < <(targets)
for target in "${CHOSEN[@]}"; do
  [ -f "$FUZZ/targets/$target.rs" ] || fail "There is no target '$target'; there are: $(targets | xargs)"
done

build
CRASHED=()
for target in "${CHOSEN[@]}"; do
  fuzz "$target" || CRASHED+=("$target")
done
[ ${#CRASHED[@]} -eq 0 ] || { say "Crashed: ${CRASHED[*]}" >&2; exit 2; }
