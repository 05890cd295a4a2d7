#!/usr/bin/env bash
# Draws the architecture site from what the crates declare.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_base
cd "$OL_ROOT"
cargo run --locked --quiet --release -p c4gen -- build --out .ol/site
say "Open .ol/site/index.html in a browser"
