# shellcheck shell=bash
# Sourced: a private MariaDB in a folder of its own, on a free port of the loopback, for the demo and the benchmarks. It
# never touches a server that the machine already runs.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# mariadb_locate FOLDER: sets MARIADB_HOME (data, log, password) and what the names of its sockets begin with.
mariadb_locate() {
  mkdir -p "$1"
  MARIADB_HOME=$(cd "$1" && pwd -P)
  # A unix socket's path is limited to 107 bytes, so it does not live below the checkout.
  MARIADB_SOCKET="/tmp/ol-flows-mariadb-$(printf '%s' "$MARIADB_HOME" | cksum | cut -d' ' -f1)"
}

# mariadb_sql [OPTION…]: runs SQL from its arguments or its standard input, fields separated by tabs.
mariadb_sql() {
  MYSQL_PWD=$MARIADB_PASSWORD mariadb --no-defaults --default-character-set=utf8mb4 --batch --skip-column-names \
    --host=127.0.0.1 --port="$MARIADB_PORT" --user="$MARIADB_USER" "$@"
}

# mariadb_start FOLDER: makes the server on the first call, starts it, sets MARIADB_PORT and MARIADB_PASSWORD.
# Settings that give up crash safety are fine here: the data can be made again.
mariadb_start() {
  local account=()
  mariadb_locate "$1"
  # As root it starts only when it is told to be root.
  [ "$(id -u)" != 0 ] || account=(--user=root)
  if [ ! -f "$MARIADB_HOME/made" ]; then
    rm -rf "$MARIADB_HOME/data"
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$MARIADB_HOME/password")
    TMPDIR="$MARIADB_HOME" quietly "$OL_CACHE/log/mariadb-install-db.log" mariadb-install-db --no-defaults --skip-test-db \
      --auth-root-authentication-method=normal --datadir="$MARIADB_HOME/data" "${account[@]}"
    touch "$MARIADB_HOME/made"
  fi
  MARIADB_USER=ol_flows MARIADB_PASSWORD=$(cat "$MARIADB_HOME/password")
  export MARIADB_USER MARIADB_PASSWORD MARIADB_PORT
  if [ -f "$MARIADB_HOME/port" ] && MARIADB_PORT=$(cat "$MARIADB_HOME/port") && mariadb_sql -e 'SELECT 1' >/dev/null 2>&1; then
    return 0
  fi
  MARIADB_PORT=$(free_port)
  (umask 077 && cat >"$MARIADB_HOME/init.sql") <<SQL
CREATE OR REPLACE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO '$MARIADB_USER'@'%' WITH GRANT OPTION;
SQL
  # The log is what lets several connections share one view. A server that starts removes every temporary table of its folder for
  # them, also those of another server.
  nohup /usr/sbin/mariadbd --no-defaults "${account[@]}" --datadir="$MARIADB_HOME/data" --socket="$MARIADB_SOCKET-$MARIADB_PORT.sock" \
    --pid-file="$MARIADB_HOME/server.pid" --tmpdir="$MARIADB_HOME" --init-file="$MARIADB_HOME/init.sql" --port="$MARIADB_PORT" \
    --bind-address=127.0.0.1 --skip-name-resolve --log-bin=binlog --server-id=1 --binlog-format=ROW --sync-binlog=0 \
    --binlog-row-metadata=FULL --expire-logs-days=1 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 \
    --innodb-buffer-pool-size=256M --innodb-log-file-size=256M --character-set-server=utf8mb4 --max-allowed-packet=64M \
    >"$MARIADB_HOME/server.log" 2>&1 &
  for _ in $(seq 300); do
    if mariadb_sql -e 'SELECT 1' >/dev/null 2>&1; then
      printf '%s' "$MARIADB_PORT" >"$MARIADB_HOME/port"
      return 0
    fi
    sleep 0.1
  done
  tail -n 5 "$MARIADB_HOME/server.log" >&2
  return 1
}

# mariadb_is STAMP: whether the server was filled from the sources that STAMP stands for.
mariadb_is() { [ "$(cat "$MARIADB_HOME/stamp" 2>/dev/null)" = "$1" ]; }

# mariadb_stamp STAMP: says that its data is complete.
mariadb_stamp() { printf '%s' "$1" >"$MARIADB_HOME/stamp"; }

# mariadb_stop FOLDER: stops our server, if it runs.
mariadb_stop() {
  local process
  [ -d "$1" ] || return 0
  mariadb_locate "$1"
  if [ -f "$MARIADB_HOME/server.pid" ]; then
    process=$(cat "$MARIADB_HOME/server.pid")
    kill "$process" 2>/dev/null || true
    for _ in $(seq 300); do
      kill -0 "$process" 2>/dev/null || break
      sleep 0.1
    done
  fi
  rm -f "$MARIADB_SOCKET"-*.sock "$MARIADB_HOME/port"
}

# mariadb_remove FOLDER: stops it and deletes its data.
mariadb_remove() {
  [ -d "$1" ] || return 0
  mariadb_stop "$1"
  rm -rf "$1"
}
