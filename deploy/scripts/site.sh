#!/usr/bin/env bash
# Writes what is checked in of the architecture, from what the crates declare: the model, the placement of the diagrams,
# the site.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_base
cd "$OL_ROOT"
# As the tests build it: `c4gen` links every service, which nobody wants to compile once more for this.
cargo build --quiet "${TEST_BUILD[@]}" --bin c4gen --test site
c4gen="$CARGO_TARGET_DIR/debug/c4gen"
"$c4gen" export
"$c4gen" build --out docs/architecture
say "Open docs/architecture/index.html in a browser"
