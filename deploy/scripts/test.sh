#!/usr/bin/env bash
# The tests behind `make test` (all of them) and `make check` (what needs no running server).
# Every server a test starts is private to it: own folder, own port, ended with the test.
#
# The last line of `all` is `N passed, N failed`: the sum over all test binaries. A test that was ignored or filtered
# out, and a run without tests, count as failure.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

CARGO_DENY_VERSION=0.20.2
LOG="$OL_CACHE/log"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
cd "$OL_ROOT"

install() {
  install_base
  install_readers
  deploy/scripts/install.sh browser
  deploy/scripts/install.sh tool cargo-deny "$CARGO_DENY_VERSION"
}

# Without room a server or a lake fails in the middle of a test, and the test cannot tell why. What cargo built of us for
# other commits and clones stays until somebody removes it; it can be built again.
ROOM_GIGABYTES=25
room() {
  if [ "$(free_gigabytes)" -lt "$ROOM_GIGABYTES" ]; then
    say "Less than $ROOM_GIGABYTES GB are free; what was built of this project before is removed"
    cargo clean --quiet --locked --workspace
  fi
  local free
  free=$(free_gigabytes)
  say "$free GB are free"
  [ "$free" -ge "$ROOM_GIGABYTES" ] || say "Tests may fail for want of room: they and their programs take $ROOM_GIGABYTES GB"
}

# free_gigabytes: on the disk of the programs or that of the temporary folders, whichever has less.
free_gigabytes() {
  mkdir -p "$CARGO_TARGET_DIR"
  df --output=avail --block-size=1GB "$CARGO_TARGET_DIR" "${TMPDIR:-/tmp}" | tail -n +2 | sort -n | awk 'NR == 1 { print $1 }'
}

formats() { cargo fmt --all --check; }

lints() { cargo clippy --locked --quiet --workspace --all-targets -- -D warnings; }

# Licences, sources and bans are in the lock file; advisories need a database from outside, which not every machine
# reaches.
supply_chain() {
  cargo deny --log-level error --locked check bans licenses sources
  if timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1; then
    cargo deny --log-level error --locked check advisories
  else
    say "Advisories are not checked: the advisory database cannot be reached from here"
  fi
}

documentation() {
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --workspace --no-deps
}

architecture() { "$C4GEN_BINARY" check; }

# Sums the result lines of all test binaries; TESTS_PASSED and TESTS_FAILED are for the last line.
TESTS_PASSED=0 TESTS_FAILED=0
rust_tests() {
  local output="$LOG/cargo-test.log" code=0 ignored filtered
  mkdir -p "$LOG"
  cargo test --no-fail-fast "${TEST_BUILD[@]}" 2>&1 | tee "$output" | show_progress || code=$?
  read -r TESTS_PASSED TESTS_FAILED ignored filtered < <(awk '
    /^test result:/ {
      for (field = 1; field <= NF; field++) {
        if ($field == "passed;") passed += $(field - 1)
        if ($field == "failed;") failed += $(field - 1)
        if ($field == "ignored;") ignored += $(field - 1)
        if ($field == "filtered") filtered += $(field - 1)
      }
    }
    END { print passed + 0, failed + 0, ignored + 0, filtered + 0 }' "$output")
  if [ "$code" -ne 0 ] || [ "$TESTS_FAILED" -gt 0 ]; then
    say "Whole output: $output"
    return 1
  fi
  [ "$ignored" -eq 0 ] || { say "$ignored tests are ignored; an ignored test proves nothing"; return 1; }
  [ "$filtered" -eq 0 ] || { say "$filtered tests were filtered out"; return 1; }
  [ "$TESTS_PASSED" -gt 0 ] || { say "No test ran"; return 1; }
}

# show_progress: one line a test binary, and all of what failed.
show_progress() {
  awk '
    /^test .* \.\.\. ok$/ { next }
    /^(running [0-9]+ tests?|)$/ { next }
    /^ +(Compiling|Downloaded|Downloading|Blocking) / { next }
    { print; fflush() }'
}

# A run that a signal ended has proven nothing, whatever code the shell comes out with.
COMPLETED=0
closing() {
  local code=$?
  [ "$code" -ne 0 ] || [ "$COMPLETED" = 1 ] || code=1
  heading "Times"
  step_summary
  # A step before the tests that failed leaves no counts; it is one failure.
  [ "$code" -eq 0 ] || [ "$TESTS_FAILED" -gt 0 ] || TESTS_FAILED=1
  printf '\n%d passed, %d failed\n' "$TESTS_PASSED" "$TESTS_FAILED"
  exit "$code"
}

case ${1:-all} in
  check)
    step "Install what is missing" install
    step "Formats" formats
    step "Lints" lints
    step "Licences, sources, bans" supply_chain
    ;;
  all)
    trap closing EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    step "Install what is missing" install
    step "Room on the disk" room
    step "Formats" formats
    step "Lints" lints
    step "Licences, sources, bans" supply_chain
    step "Documentation" documentation
    step "Build" build_tests
    step "Declared architecture" architecture
    step "Tests" rust_tests
    COMPLETED=1
    ;;
  *) fail "Unknown part '$1': all or check" ;;
esac
