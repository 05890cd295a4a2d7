#!/usr/bin/env bash
# The measurement behind `make pictures`: the scenes of the architecture site, placed by c4gen, Graphviz, LikeC4 and
# Mermaid; crossings and overlaps counted in the same way in all of them; how long the site takes, and what it weighs.
# Writes tests/bench/runs/pictures.json and the tables of docs/c4gen.md. Installs what it needs.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../../deploy/scripts/common.sh"

HERE="$OL_ROOT/tests/bench/pictures"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

install_base
"$OL_ROOT/deploy/scripts/install.sh" debian graphviz dot
"$OL_ROOT/deploy/scripts/install.sh" browser
"$OL_ROOT/deploy/scripts/install.sh" exports
cd "$OL_ROOT"
# As the tests build it; see deploy/scripts/site.sh.
cargo build --quiet "${TEST_BUILD[@]}" --bin c4gen --test site
c4gen="$CARGO_TARGET_DIR/debug/c4gen"

# milliseconds COMMAND…: the shortest of three runs.
milliseconds() {
  local started least='' took
  for _ in 1 2 3; do
    started=$(now_milliseconds)
    "$@" >"$WORK/said"
    took=$(($(now_milliseconds) - started))
    [ -n "$least" ] && [ "$least" -le "$took" ] || least=$took
  done
  echo "$least"
}

# A root without a kept placement is one that places every picture anew.
mkdir "$WORK/nothing-kept"
kept=$(milliseconds "$c4gen" build --out "$WORK/site" --output json)
report=$(cat "$WORK/said")
cold=$(milliseconds "$c4gen" build --out "$WORK/site-cold" --root "$WORK/nothing-kept")
say "The site from kept placement: $kept ms; with every picture placed anew: $cold ms"

"$c4gen" export --format scenes |
  node "$HERE/main.mjs" all "$OL_CACHE/exports" "$OL_CACHE/browser" >"$WORK/pictures.json"
node "$HERE/write.mjs" "$WORK/pictures.json" "$WORK/site" "$kept" "$cold" "$report"
