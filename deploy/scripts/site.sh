#!/usr/bin/env bash
# Writes what is checked in of the architecture, from what the crates declare: the model, the placement of the diagrams,
# the site.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_base
cd "$OL_ROOT"
cargo run --locked --quiet --release -p c4gen -- export
cargo run --locked --quiet --release -p c4gen -- build --out docs/architecture
say "Open docs/architecture/index.html in a browser"
