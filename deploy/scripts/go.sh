# shellcheck shell=bash
# Sourced by install.sh: FerretDB, a server of the tests that is written in Go, and the Go that builds it.
#
# Modules come from $GOPROXY, as for every Go program. The digests here say what FerretDB and the toolchain are; those of
# everything else are in FerretDB's own go.sum.

GO_MINIMUM=1.24.3 # of FerretDB's go.mod
GO_INSTALLED=1.24.13 # what is fetched where there is none that is enough; thrown away when FerretDB is built
GO_INSTALLED_SHA256=d2b048367a3d1a748b87f756fa06df12ce3b419e1d5f2a3612acb8950d615f9f

# The last of the first version: the second keeps its documents in a Postgres with an extension that Debian 12 lacks.
FERRETDB=github.com/FerretDB/FerretDB@v1.24.2
FERRETDB_SUM='h1:trrUU0LbmusMbyubhPS1IELncvrIwKrsRT2LW1UUWCw='

# go_toolchain FOLDER: prints a Go program that is new enough: the machine's, or one that is put into FOLDER.
go_toolchain() {
  local folder=$1 have proxy name="golang.org/toolchain@v0.0.1-go$GO_INSTALLED.linux-amd64"
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//') || true
  if [ -n "$have" ] && at_least "$have" "$GO_MINIMUM"; then
    command -v go
    return 0
  fi
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "Go $GO_MINIMUM or newer is missing (found: ${have:-none})"
  proxy=${GOPROXY:-https://proxy.golang.org}
  curl -fsSL --retry 3 -o "$folder/go.zip" "${proxy%%[,|]*}/golang.org/toolchain/@v/${name#*@}.zip" || return 1
  is_digest "$folder/go.zip" "$GO_INSTALLED_SHA256" || fail "The Go that came is not the one that was chosen: its SHA-256 differs"
  python3 -m zipfile -e "$folder/go.zip" "$folder" || return 1
  chmod +x "$folder/$name"/{bin/*,pkg/tool/*/*} || return 1
  printf '%s' "$folder/$name/bin/go"
}

# ferretdb: $OL_CACHE/ferretdb/bin/ferretdb.
ferretdb() {
  local folder="$OL_CACHE/ferretdb" work go
  [ "$("$folder/bin/ferretdb" --version 2>/dev/null | sed -n 's/^version: //p')" = "${FERRETDB#*@}" ] && return 0
  say "Building FerretDB"
  work="$folder/work"
  rm -rf "$folder"
  mkdir -p "$work"
  go=$(go_toolchain "$work") || return 1
  ferretdb_sources "$go" "$work" || return 1
  # A build from a checkout writes its version here.
  printf '%s' "${FERRETDB#*@}" >"$work/source/build/version/version.txt"
  (cd "$work/source" && go_here "$go" "$work" build -o "$folder/bin/ferretdb" ./cmd/ferretdb) || return 1
  rm -rf "$work"
}

# ferretdb_sources GO WORK: its sources in WORK/source, where they can be written to.
ferretdb_sources() {
  local go=$1 work=$2 sum
  go_here "$go" "$work" mod download -json "$FERRETDB" || return 1
  sum=$(sed -n 's/.*"Sum": "\(.*\)".*/\1/p' "$OL_CACHE/log/go.log")
  [ "$sum" = "$FERRETDB_SUM" ] || fail "$FERRETDB is not what was chosen: its sum is $sum"
  cp -r "$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' "$OL_CACHE/log/go.log")" "$work/source"
}

# go_here GO WORK ARGUMENT…: Go with all that it keeps in WORK.
go_here() {
  local go=$1 work=$2
  shift 2
  quietly "$OL_CACHE/log/go.log" env GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-modcacherw GONOSUMDB='*' \
    GOPATH="$work/path" GOMODCACHE="$work/modules" GOCACHE="$work/build" "$go" "$@"
}
