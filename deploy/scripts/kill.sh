#!/usr/bin/env bash
# Kills a program at N moments and demands after it that nothing is lost. Prints one JSON line; `seed` repeats the same
# moments (OL_SEED).
#
# Usage: kill.sh SOURCE N
#   postgres       ol-ingest at random moments of following changes, while two writers write: what is in the lake is
#                  right, the source was told no more than that, and the last run brings in the rest
#   mysql          the same over the binary log of a MySQL, which is killed, too
#   mariadb        the same over that of a MariaDB
#   mongodb        the same over the change stream of a server that is a replica set of one member, whose connections break
#   postgres-full  ol-ingest at random moments of a load: the lake opens, shows the old or the new table, and the next
#                  run completes
#   webhook        ol-webhook between any two steps of send, record and acknowledge, and at random moments: every message
#                  arrives, no entity goes back, what arrives twice arrives under the same id
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SOURCE=${1:-postgres} KILLS=${2:-20}
case $SOURCE in
  postgres) TEST=cdc::kill::kills_at_random_moments_lose_and_double_nothing ;;
  mysql | mariadb) TEST=mysql::capture::kill::$SOURCE::kills_at_random_moments_lose_and_double_nothing ;;
  mongodb) TEST=mongodb::capture::kill::kills_at_random_moments_lose_and_double_nothing ;;
  postgres-full) TEST=kill::kills_at_random_moments_lose_and_double_nothing ;;
  webhook) TEST=webhook::kill::kills_between_any_two_steps_lose_nothing_and_reorder_nothing ;;
  *) fail "There is no '$SOURCE' to kill; SOURCE=postgres, SOURCE=mysql, SOURCE=mariadb, SOURCE=mongodb, SOURCE=postgres-full or SOURCE=webhook" ;;
esac
[[ "$KILLS" =~ ^[1-9][0-9]*$ ]] || fail "N is the number of kills, not '$KILLS'"

cd "$OL_ROOT"
{
  install_base
  install_readers
  build_tests
} >&2
LOG="$OL_CACHE/log/kill.log"
mkdir -p "$(dirname "$LOG")"
if ! OL_KILLS="$KILLS" OL_WEBHOOK_KILLS="$KILLS" cargo test --quiet "${TEST_BUILD[@]}" --test it -- \
  --exact "$TEST" --nocapture >"$LOG" 2>&1; then
  tail -n 40 "$LOG" >&2
  exit 2
fi
# The test harness may have written on the same line before it.
grep -o '{"source".*}' "$LOG"
