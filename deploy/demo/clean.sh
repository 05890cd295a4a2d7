#!/usr/bin/env bash
# Stops what the demo started and removes what it made; tools and build results in the cache stay.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/postgres.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/mariadb.sh"

postgres_remove "$OL_ROOT/.ol/demo/postgres"
mariadb_remove "$OL_ROOT/.ol/demo/mariadb"
rm -rf "$OL_ROOT/.ol/demo"
rmdir "$OL_ROOT/.ol" 2>/dev/null || true
say "The demo is gone"
