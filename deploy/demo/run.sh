#!/usr/bin/env bash
# The demonstration behind `make demo`: a real application database and an Open edX, with its forum in both of its forms, land
# in an Iceberg lake, and everything it takes is installed, built and started here; then MIT Learn (a receiver that behaves
# like it) is told of the courses. A second run finds all that and takes seconds.
#
#   OL_DEMO_SCALE   size of the demo databases, 1 is about 1.5 and 1.1 million rows (default 1)
#   OL_DEMO_PROFILE demo (default: optimized, quick to build), release (as it ships), or debug: with the programs of the
#                   tests, which a test run builds anyway
#   OL_CACHE        where tools, Python environments and build results are kept (default ~/.cache/ol-flows)
#
# All else lies in .ol/demo below the checkout; `make clean-demo` removes it and stops the server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/postgres.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/mariadb.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/mongodb.sh"

DEMO="$OL_ROOT/.ol/demo"
SCALE="${OL_DEMO_SCALE:-1}"
UNIT=mitxonline/app_postgres
DATABASE=mitxonline
INVENTORY="$DEMO/inventory"
PYTHON="$OL_CACHE/venv/bin/python"
PROFILE="${OL_DEMO_PROFILE:-demo}"
INGEST="$CARGO_TARGET_DIR/$PROFILE/ol-ingest"
WEBHOOK="$CARGO_TARGET_DIR/$PROFILE/ol-webhook"
C4GEN="$CARGO_TARGET_DIR/$PROFILE/c4gen"
STARTED=$(now_milliseconds)

install() {
  install_base
  install_readers
}

build() {
  case $PROFILE in
    demo | release)
      (cd "$OL_ROOT" && cargo build --profile "$PROFILE" --locked -p ol-ingest -p ol-webhook -p c4gen --bins)
      ;;
    debug) build_tests ;;
    *) fail "OL_DEMO_PROFILE is '$PROFILE' and can be demo, release or debug" ;;
  esac
}

# The database is made once; a change of its SQL or of the scale makes it anew.
start_source() {
  local wanted
  postgres_start "$DEMO/postgres"
  wanted=$( (cat "$OL_ROOT"/deploy/demo/{schema,data,constraints}.sql && echo "$SCALE") | sha256sum | cut -d' ' -f1)
  if ! database_is "$DATABASE" "$wanted"; then
    say "Making the demo database (scale $SCALE)"
    database_new "$DATABASE"
    for part in schema data constraints; do
      psql -X -q -d "$DATABASE" -v "scale=$SCALE" -f "$OL_ROOT/deploy/demo/$part.sql"
    done
    database_stamp "$DATABASE" "$wanted"
  fi
  export OL_SOURCE_MITXONLINE_APP_POSTGRES_URL="postgres://$PGUSER:$PGPASSWORD@127.0.0.1:$PG_PORT/$DATABASE"
  psql -X -q -A -t -F ' ' -d "$DATABASE" -c "
    SELECT '  Postgres on port $PG_PORT:', count(*) FILTER (WHERE NOT relispartition) + (SELECT count(*) FROM pg_partitioned_table), 'tables,', sum(reltuples)::bigint, 'rows,', pg_size_pretty(pg_database_size(current_database()))
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
}

# The Open edX is made once in the same way; what the demo changes in it stays.
start_openedx() {
  local wanted
  mariadb_start "$DEMO/mariadb"
  wanted=$( (cat "$OL_ROOT/deploy/demo/openedx.sql" && echo "$SCALE") | sha256sum | cut -d' ' -f1)
  if ! mariadb_is "$wanted"; then
    say "Making the demo Open edX (scale $SCALE)"
    (echo "SET @scale = $SCALE;" && cat "$OL_ROOT/deploy/demo/openedx.sql") | mariadb_sql
    mariadb_sql -e "ANALYZE TABLE edxapp.courseware_studentmodule, edxapp.student_courseenrollment" >/dev/null
    mariadb_stamp "$wanted"
  fi
  export OL_SOURCE_MITXONLINE_OPENEDX_MYSQL_URL="mysql://$MARIADB_USER:$MARIADB_PASSWORD@127.0.0.1:$MARIADB_PORT/edxapp"
  cp "$OL_ROOT/deploy/demo/openedx.yml" "$INVENTORY/units/mitxonline_openedx_mysql.yml"
  mariadb_sql -e "
    SELECT CONCAT('  MariaDB on port $MARIADB_PORT: ', COUNT(*), ' tables, ', SUM(TABLE_ROWS), ' rows, ',
      ROUND(SUM(DATA_LENGTH + INDEX_LENGTH) / 1048576), ' MB')
    FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('edxapp', 'forum')"
}

# openedx COMMAND…: the same of the demo's Open edX.
openedx() { UNIT=mitxonline/openedx_mysql "$@"; }

# An evening at the Open edX, and the run after it, which takes it from the server's binary log.
openedx_changes() {
  mariadb_sql <"$OL_ROOT/deploy/demo/openedx_changes.sql"
  openedx shown run run
}

# The forum as an older Open edX has it. Its server keeps nothing, so it is filled each time, and ends with the demo.
start_forum() {
  mongodb_start "$DEMO/mongodb"
  export OL_SOURCE_MITXONLINE_OPENEDX_MONGODB_URL="mongodb://127.0.0.1:$MONGODB_PORT/cs_comments_service?replicaSet=demo"
  cp "$OL_ROOT/deploy/demo/forum.yml" "$INVENTORY/units/mitxonline_openedx_mongodb.yml"
  say "  A server for MongoDB's protocol on port $MONGODB_PORT:"
  "$PYTHON" "$OL_ROOT/deploy/demo/forum.py" fill "$OL_SOURCE_MITXONLINE_OPENEDX_MONGODB_URL"
}

# forum COMMAND…: the same of the demo's forum.
forum() { UNIT=mitxonline/openedx_mongodb "$@"; }

# An evening at the forum, and the run after it, which takes it from the server's change stream.
forum_changes() {
  "$PYTHON" "$OL_ROOT/deploy/demo/forum.py" change "$OL_SOURCE_MITXONLINE_OPENEDX_MONGODB_URL"
  forum shown run run
}

show() { "$PYTHON" "$OL_ROOT/deploy/demo/show.py" "$@"; }

discover() {
  local unit_file="$INVENTORY/units/mitxonline_app_postgres.yml"
  mkdir -p "$INVENTORY/units"
  "$INGEST" discover --deployment "${UNIT%/*}" --layer "${UNIT#*/}" >"$DEMO/unit.yml"
  mv "$DEMO/unit.yml" "$unit_file"
  say "  ${unit_file#"$OL_ROOT"/} drafted: $(grep -c 'raw_table:' "$unit_file") tables. Left out, by name:"
  sed -n 's/^# - /  /p' "$unit_file"
}

# shown COMMAND FORM [ARGUMENT…]: runs `ol-ingest COMMAND` and shows its document in a form, which tells more than its
# exit code: a table that is refused by name ends a run with 2, and is no failure of the demo.
shown() {
  local code=0 command=$1 form=$2
  shift 2
  "$INGEST" "$command" --output json --inventory "$INVENTORY" --unit "$UNIT" "$@" >"$DEMO/$command.json" || code=$?
  [ -s "$DEMO/$command.json" ] || return "$code"
  show "$form" "$DEMO/$command.json"
}

queries() { show queries "$OL_CATALOG" "ol_warehouse_${OL_ENV}_raw"; }

# The receiver of the demo behaves like MIT Learn, and refuses one course until it is mended.
start_receiver() {
  local line
  export MIT_LEARN_WEBHOOK_SECRET="demo-secret-$RANDOM$RANDOM" OL_OUTBOX="sqlite:$DEMO/outbox.db"
  export OL_WEBHOOK__DELIVERY__RATE_PER_SECOND=0 OL_WEBHOOK__DELIVERY__CONCURRENCY=8
  rm -f "$DEMO"/outbox.db* "$DEMO"/received.jsonl
  POISONED=$("$PYTHON" "$OL_ROOT/deploy/demo/show.py" course "$OL_CATALOG" "ol_warehouse_${OL_ENV}_raw")
  "$WEBHOOK" listen --address 127.0.0.1:0 --output json --journal "$DEMO/received.jsonl" \
    --fault "reject:$POISONED" >"$DEMO/receiver.json" 2>"$DEMO/receiver.log" &
  RECEIVER=$!
  for _ in $(seq 100); do
    line=$(head -n 1 "$DEMO/receiver.json")
    [ -n "$line" ] && break
    kill -0 "$RECEIVER" 2>/dev/null || fail "The receiver did not start: $(cat "$DEMO/receiver.log")"
    sleep 0.1
  done
  MIT_LEARN_BASE_URL="http://$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' <<<"$line")"
  export MIT_LEARN_BASE_URL
  say "  A receiver like MIT Learn at $MIT_LEARN_BASE_URL, which will refuse $POISONED"
}

stop_receiver() {
  [ -n "${RECEIVER:-}" ] && kill "$RECEIVER" 2>/dev/null && wait "$RECEIVER" 2>/dev/null
  RECEIVER=''
}

# Live course runs, in the fields of the payload; the archive's hash is made up, as the demo has no archives.
NOTICES="SELECT courseware_id AS course_id, courseware_id AS course_readable_id,
  'mitxonline/openedx/raw_data/course_xml/' || courseware_id || '/' || lpad(to_hex(id), 64, '0') || '.xml.tar.gz'
    AS content_path
FROM raw__mitxonline__app__postgres__courses_courserun WHERE live"

# notices CODE: sends and delivers, and demands the exit code.
notices() {
  local code=0
  "$WEBHOOK" send --kind content_files --source mitxonline --query "$NOTICES" --deliver --output json \
    >"$DEMO/send.json" 2>>"$DEMO/receiver.log" || code=$?
  [ "$code" = "$1" ] || fail "send ended with $code instead of $1: $(cat "$DEMO/send.json")"
  show send "$DEMO/send.json"
}

dead_letters() { "$WEBHOOK" list --state dead; }

replay() {
  curl -sS --fail -X DELETE -o /dev/null "$MIT_LEARN_BASE_URL/__control__/faults"
  "$WEBHOOK" replay --filter class=permanent --deliver
}

received() {
  stop_receiver
  show received "$DEMO/received.jsonl"
}

# What the flows above said of themselves is compared with what the code declares.
site() {
  rm -f "$DEMO/observed.json"
  "$C4GEN" observe "$OL_FLOW_RECORDS" --out "$DEMO/observed.json" --root "$OL_ROOT"
  (cd "$OL_ROOT" && "$C4GEN" build --out "$DEMO/site" --observed "$DEMO/observed.json")
}

stop() {
  stop_receiver
  mongodb_stop
}

trap stop EXIT

# Loads are seen best into an empty lake.
rm -rf "$DEMO/lake" "$DEMO/flows.jsonl"
mkdir -p "$DEMO/lake"
export OL_LOG="${OL_LOG:-warn}" OL_ENV=dev OL_CATALOG="sqlite:$DEMO/lake/catalog.db" OL_WAREHOUSE="$DEMO/lake/warehouse"
export OL_FLOW_RECORDS="$DEMO/flows.jsonl"
# Masked columns are hashed with it; in production it comes from the secret store.
export OL_MASK_SALT="${OL_MASK_SALT:-the salt of the demonstration}"

step "Install what is missing" install
step "Build ol-ingest, ol-webhook and c4gen" build
step "Start the source" start_source
step "discover: what is in the database" discover
step "plan: how each column lands" shown plan plan
step "run: load it into the lake" shown run run
step "run again: nothing has changed" shown run again
step "verify: source against lake" shown verify verify
step "Start an Open edX on MariaDB" start_openedx
step "run: copy it, at one place of its binary log" openedx shown run run
step "run again after an evening: only what changed, by the log" openedx_changes
step "verify: Open edX against lake" openedx shown verify verify
step "Start its forum on MongoDB" start_forum
step "run: copy the forum, behind a place of its change stream" forum shown run run
step "run again after an evening: only what changed, by the stream" forum_changes
step "verify: forum against lake" forum shown verify verify
step "Query the lake with DuckDB" queries
step "Start a receiver like MIT Learn" start_receiver
step "send: one notice a live course run" notices 2
step "list: the dead letter, with its reason" dead_letters
step "replay: once the receiver is mended" replay
step "send again: unchanged is skipped" notices 0
step "What the receiver saw" received
step "Draw the architecture site" site

# Somebody at a desk sees it at once; elsewhere the address is all there is to show.
open_site() {
  [ -t 1 ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null 2>&1 || return 0
  xdg-open "$SITE" >/dev/null 2>&1 || true
}

SITE="file://$DEMO/site/index.html"
open_site
heading "Done in $(seconds_since "$STARTED") s"
step_summary
cat <<SUMMARY

The site:    $SITE
             labels with a green frame are flows that have just run, with a grey one flows of ours that have not
The lake:    ${DEMO#"$OL_ROOT"/}/lake (catalog.db and warehouse/)
The outbox:  ${DEMO#"$OL_ROOT"/}/outbox.db (OL_OUTBOX=sqlite:PATH ol-webhook list)
The sources: still running on ports $PG_PORT and $MARIADB_PORT; \`make clean-demo\` stops them and removes all of this
SUMMARY
