#!/usr/bin/env bash
# The measurements behind `make bench`: installs what they need, starts a private Postgres and MariaDB with the data, runs
# bench.py.
#
#   OL_BENCH_ONLY         only cases whose names begin so; `webhook`, `maintain` and `mysql` need no Postgres (default: all)
#   OL_BENCH_SCALE        scale factor: 1 is 6 million rows of TPC-H's lineitem, 50,000 webhooks (default 1)
#   OL_BENCH_TABLES       tables that are maintained (default 1300)
#   OL_BENCH_REPETITIONS  interleaved repetitions of floor and ours, at least 3 (default 3)
#   OL_BENCH_PEERS        0 leaves dlt out (default 1)
#   OL_BENCH_PEER_SECONDS after which a load of dlt is given up (default 900)
#   OL_BENCH_PROFILE      how the programs are built: release, demo or dev; only figures of the first say anything, the
#                         others try the measurements themselves and leave latest.json alone (default: release, and
#                         demo for ol-webhook)
#   OL_BENCH_FLAT         1 loads lineitem at ten times the scale too, to see that memory stays flat (default 0)
#
# The generated data stays in $OL_CACHE/bench for the next run; delete that folder to have it made anew.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/scripts/postgres.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/scripts/mariadb.sh"

TPCHGEN_VERSION=4.0.0
SCALE="${OL_BENCH_SCALE:-1}"
export OL_BENCH_FOLDER="$OL_CACHE/bench"
export OL_BENCH_SCALE="$SCALE"
mkdir -p "$OL_BENCH_FOLDER"

# measured PREFIX: whether a case whose name begins so is asked for.
measured() { [[ "$1" == "${OL_BENCH_ONLY:-}"* || "${OL_BENCH_ONLY:-}" == "$1"* ]]; }

needs_postgres() { measured postgres || measured noop; }
needs_mariadb() { measured mysql; }

stop() {
  local code=$?
  postgres_stop "$OL_BENCH_FOLDER/postgres"
  mariadb_stop "$OL_BENCH_FOLDER/mariadb"
  (cd "$OL_BENCH_FOLDER" && rm -rf lake reload csv peer webhook)
  exit "$code"
}

install() {
  install_base
  ! measured webhook || "$OL_ROOT/deploy/scripts/install.sh" debian wrk wrk
  ! measured maintain || install_readers
  ! needs_mariadb || "$OL_ROOT/deploy/scripts/install.sh" debian mariadb-client mariadb-binlog
  needs_postgres || needs_mariadb || return 0
  "$OL_ROOT/deploy/scripts/install.sh" tool tpchgen-cli "$TPCHGEN_VERSION"
  [ "${OL_BENCH_PEERS:-1}" = 0 ] ||
    "$OL_ROOT/deploy/scripts/install.sh" python venv-bench "$OL_ROOT/tests/bench/requirements.txt"
}

# What is measured of ol-webhook is its outbox and the network, which optimizing across crates does not touch; with it,
# linking DataFusion takes a quarter of an hour.
INGEST_PROFILE="${OL_BENCH_PROFILE:-release}" WEBHOOK_PROFILE="${OL_BENCH_PROFILE:-demo}"
build() {
  ! measured webhook ||
    (cd "$OL_ROOT" && cargo build --profile "$WEBHOOK_PROFILE" --locked -p ol-webhook --bins)
  ! needs_postgres && ! needs_mariadb && ! measured cold_start && ! measured maintain ||
    (cd "$OL_ROOT" && cargo build --profile "$INGEST_PROFILE" --locked -p ol-ingest --bins)
  ! measured maintain ||
    (cd "$OL_ROOT" && cargo build "${TEST_BUILD[@]}" --example many_tables --example commit_latency)
}

# programs PROFILE: where cargo puts what it builds.
programs() { printf '%s/%s' "$CARGO_TARGET_DIR" "${1/#dev/debug}"; }

# load DATABASE SCALE WIDE-ROWS: makes the database once; a change of what goes in makes it anew.
load() {
  local database=$1 scale=$2 wide_rows=$3 stamp
  stamp="$(sha256sum <"$OL_ROOT/tests/bench/tables.sql" | cut -c1-16) $scale $wide_rows $TPCHGEN_VERSION"
  database_is "$database" "$stamp" && return 0
  rm -rf "$OL_BENCH_FOLDER/csv"
  mkdir -p "$OL_BENCH_FOLDER/csv"
  database_new "$database"
  psql -X -q -d "$database" -v "wide_rows=$wide_rows" -f "$OL_ROOT/tests/bench/tables.sql" >/dev/null
  tpchgen-cli csv --scale-factor "$scale" --tables lineitem --quiet --no-progress \
    --output-dir "$OL_BENCH_FOLDER/csv"
  psql -X -q -d "$database" -v ON_ERROR_STOP=1 \
    -c "\\copy lineitem FROM '$OL_BENCH_FOLDER/csv/lineitem.csv' WITH (FORMAT csv, HEADER)"
  psql -X -q -d "$database" -c "VACUUM (ANALYZE)" -c CHECKPOINT
  rm -rf "$OL_BENCH_FOLDER/csv"
  database_stamp "$database" "$stamp"
}

# changes ROWS: a database whose one table is updated and followed; a copy of the wide table with its key.
changes() {
  database_is bench_changes "$1" && return 0
  database_new bench_changes
  pg_dump -d bench -t courseware_studentmodule | psql -X -q -d bench_changes -v ON_ERROR_STOP=1 >/dev/null
  psql -X -q -d bench_changes -c "ALTER TABLE courseware_studentmodule ADD PRIMARY KEY (id)" -c "VACUUM (ANALYZE)"
  database_stamp bench_changes "$1"
}

# merged ROWS: a database whose one table is changed in parts; lineitem with its key, and with the column by which others
# find what changed.
merged() {
  database_is bench_merge "$1" && return 0
  database_new bench_merge
  pg_dump -d bench -t lineitem | psql -X -q -d bench_merge -v ON_ERROR_STOP=1 >/dev/null
  psql -X -q -d bench_merge -v ON_ERROR_STOP=1 \
    -c "ALTER TABLE lineitem ADD modified timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00'" \
    -c "ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber)" -c "VACUUM (ANALYZE)"
  database_stamp bench_merge "$1"
}

# mysql_data: the same two tables on MariaDB, made once.
mysql_data() {
  local stamp wide_rows
  mariadb_start "$OL_BENCH_FOLDER/mariadb"
  stamp="$(sha256sum <"$OL_ROOT/tests/bench/tables_mysql.sql" | cut -c1-16) $SCALE $TPCHGEN_VERSION"
  mariadb_is "$stamp" && return 0
  wide_rows=$(awk -v scale="$SCALE" 'BEGIN { printf "%d", scale * 1000000 }')
  rm -rf "$OL_BENCH_FOLDER/csv"
  mkdir -p "$OL_BENCH_FOLDER/csv"
  tpchgen-cli csv --scale-factor "$SCALE" --tables lineitem --quiet --no-progress --output-dir "$OL_BENCH_FOLDER/csv"
  {
    # What is made here is not told to the server's own log.
    echo "SET SESSION sql_log_bin = 0, time_zone = '+00:00', unique_checks = 0, @wide_rows = $wide_rows;"
    echo "DROP DATABASE IF EXISTS bench; CREATE DATABASE bench CHARACTER SET utf8mb4; USE bench;"
    cat "$OL_ROOT/tests/bench/tables_mysql.sql"
    echo "LOAD DATA LOCAL INFILE '$OL_BENCH_FOLDER/csv/lineitem.csv' INTO TABLE lineitem FIELDS TERMINATED BY ','
      OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\n' IGNORE 1 LINES;"
    echo "ANALYZE TABLE lineitem, courseware_studentmodule;"
  } | mariadb_sql --local-infile=1 >/dev/null
  rm -rf "$OL_BENCH_FOLDER/csv"
  mariadb_stamp "$stamp"
}

source_data() {
  postgres_start "$OL_BENCH_FOLDER/postgres"
  load bench "$SCALE" "$(awk -v scale="$SCALE" 'BEGIN { printf "%d", scale * 1000000 }')"
  ! measured postgres_cdc && ! measured postgres_latency || changes "$SCALE"
  ! measured postgres_merge || merged "$SCALE"
  if [ "${OL_BENCH_FLAT:-0}" = 1 ]; then
    load bench_large "$(awk -v scale="$SCALE" 'BEGIN { print scale * 10 }')" 1
  fi
}

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
step "Install what is missing" install
step "Build ol-ingest and ol-webhook" build
unset PGPORT MARIADB_PORT # servers of ours, or none
! needs_postgres || step "Make the data (scale $SCALE)" source_data
! needs_mariadb || step "Make the data on MariaDB (scale $SCALE)" mysql_data
step "Measure" python3 "$OL_ROOT/tests/bench/bench.py" --release "$(programs "$INGEST_PROFILE")" \
  --webhook "$(programs "$WEBHOOK_PROFILE")/ol-webhook" --examples "$CARGO_TARGET_DIR/debug/examples"
