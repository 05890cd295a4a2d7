#!/usr/bin/env bash
# Kills ol-ingest at N random moments of a load from SOURCE and demands after each that the lake opens, shows the old or
# the new table, and that the next run completes. Prints one JSON line; `seed` repeats the same moments (OL_SEED).
#
# Usage: kill.sh postgres N
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SOURCE=${1:-postgres} KILLS=${2:-20}
[ "$SOURCE" = postgres ] || fail "There is no source '$SOURCE' to kill a load from; SOURCE=postgres"
[[ "$KILLS" =~ ^[1-9][0-9]*$ ]] || fail "N is the number of kills, not '$KILLS'"

cd "$OL_ROOT"
{
  install_base
  install_readers
  build_tests
} >&2
LOG="$OL_CACHE/log/kill.log"
mkdir -p "$(dirname "$LOG")"
if ! OL_KILLS="$KILLS" cargo test --quiet "${TEST_BUILD[@]}" --test it -- \
  --exact kill::kills_at_random_moments_lose_and_double_nothing --nocapture >"$LOG" 2>&1; then
  tail -n 40 "$LOG" >&2
  exit 2
fi
# The test harness may have written on the same line before it.
grep -o '{"source".*}' "$LOG"
