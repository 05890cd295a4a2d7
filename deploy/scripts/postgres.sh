# shellcheck shell=bash
# Sourced: a private Postgres in a folder of its own, on a free port of the loopback and a unix socket, for the demo
# and the benchmarks. It never touches a server that the machine already runs.
#
# Postgres refuses to run as root, so root starts it as the user `postgres` (else `nobody`). Where that user cannot
# reach the wanted folder (a checkout below /root), the data moves to a folder of its own below /var/tmp, and a file
# `location` in the wanted folder says where.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# postgres_binaries: the folder of the newest server installed.
postgres_binaries() {
  local binary
  binary=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
  [ -n "$binary" ] || binary=$(command -v initdb) || fail "No Postgres server binaries found; run deploy/scripts/install.sh base"
  dirname "$(readlink -f "$binary")"
}

# postgres_account: the account the server runs as; empty when it is the caller.
postgres_account() {
  [ "$(id -u)" = 0 ] || return 0
  if getent passwd postgres >/dev/null; then printf postgres; else printf nobody; fi
}

# as_postgres COMMAND…: runs it as that account, from a folder every account may enter.
as_postgres() {
  local account
  account=$(postgres_account)
  if [ -z "$account" ]; then
    (cd / && "$@")
  else
    (cd / && setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups -- env HOME=/ LC_ALL=C.UTF-8 "$@")
  fi
}

# postgres_locate FOLDER: sets PG_HOME (data, log, socket), creating it if need be.
postgres_locate() {
  local wanted account
  account=$(postgres_account)
  mkdir -p "$1"
  wanted=$(cd "$1" && pwd -P)
  if [ -f "$wanted/location" ]; then
    PG_HOME=$(cat "$wanted/location")
  elif [ -z "$account" ] || as_postgres test -x "$wanted"; then
    PG_HOME=$wanted
  else
    PG_HOME="/var/tmp/ol-flows-$(printf '%s' "$wanted" | cksum | cut -d' ' -f1)"
    printf '%s\n' "$PG_HOME" >"$wanted/location"
  fi
  mkdir -p "$PG_HOME"
  [ -z "$account" ] || chown "$account" "$PG_HOME"
  # A unix socket's path is limited to 107 bytes, so it does not live below the checkout.
  PG_SOCKET="/tmp/ol-flows-pg-$(printf '%s' "$PG_HOME" | cksum | cut -d' ' -f1)"
}

# postgres_running: whether our server answers; sets PG_PORT.
postgres_running() {
  [ -f "$PG_HOME/data/postmaster.pid" ] || return 1
  PG_PORT=$(sed -n 4p "$PG_HOME/data/postmaster.pid")
  [ -n "$PG_PORT" ] && pg_isready -q -h 127.0.0.1 -p "$PG_PORT"
}

# postgres_start FOLDER: makes the cluster on the first call, starts it, sets PG_PORT and PGPASSWORD.
# Settings that give up crash safety are fine here: the data can be made again.
postgres_start() {
  local binaries
  postgres_locate "$1"
  binaries=$(postgres_binaries)
  export PGUSER=ol_flows PGHOST=127.0.0.1
  if [ ! -f "$PG_HOME/data/PG_VERSION" ]; then
    rm -rf "$PG_HOME/data"
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$PG_HOME/password")
    [ -z "$(postgres_account)" ] || chown "$(postgres_account)" "$PG_HOME/password"
    quietly "$OL_CACHE/log/initdb.log" as_postgres "$binaries/initdb" --pgdata "$PG_HOME/data" \
      --username "$PGUSER" --pwfile "$PG_HOME/password" --auth scram-sha-256 \
      --encoding UTF8 --locale C.UTF-8 --no-sync
  fi
  PGPASSWORD=$(cat "$PG_HOME/password")
  export PGPASSWORD
  if ! postgres_running; then
    PG_PORT=$(free_port)
    as_postgres mkdir -p "$PG_SOCKET"
    quietly "$OL_CACHE/log/pg_ctl.log" as_postgres "$binaries/pg_ctl" start --pgdata "$PG_HOME/data" \
      --log "$PG_HOME/server.log" --wait --timeout 60 --silent --options "\
-p $PG_PORT -k $PG_SOCKET -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
-c synchronous_commit=off -c wal_level=logical -c max_wal_size=4GB -c shared_buffers=256MB \
-c maintenance_work_mem=256MB -c max_connections=100 -c timezone=UTC -c jit=off" ||
      { tail -n 5 "$PG_HOME/server.log" >&2; return 1; }
  fi
  export PGPORT=$PG_PORT
}

# database_is NAME STAMP: whether the database was filled from the sources that STAMP stands for.
# The stamp is the database's comment, so it cannot outlive the data.
database_is() {
  [ "$(psql -X -A -t -d postgres -c "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '$1'")" = "$2" ]
}

# database_new NAME: an empty database in place of the one of that name.
database_new() {
  PGOPTIONS='-c client_min_messages=warning' psql -X -q -d postgres -v ON_ERROR_STOP=1 \
    -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)" -c "CREATE DATABASE $1"
}

# database_stamp NAME STAMP: says that the database is complete.
database_stamp() { psql -X -q -d postgres -v ON_ERROR_STOP=1 -c "COMMENT ON DATABASE $1 IS '$2'"; }

# postgres_stop FOLDER: stops our server, if it runs.
postgres_stop() {
  [ -d "$1" ] || return 0
  postgres_locate "$1"
  if [ -f "$PG_HOME/data/postmaster.pid" ]; then
    as_postgres "$(postgres_binaries)/pg_ctl" stop --pgdata "$PG_HOME/data" --mode immediate --silent || true
  fi
  rm -rf "$PG_SOCKET"
}

# postgres_remove FOLDER: stops it and deletes its data.
postgres_remove() {
  [ -d "$1" ] || return 0
  postgres_stop "$1"
  rm -rf "$PG_HOME" "$1"
}
