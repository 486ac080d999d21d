#!/usr/bin/env bash
# Runs every test of the build folder and ends with "N passed, N failed".
# usage: run_tests.sh BUILD [unit]   ("unit": the C tests only)
set -uo pipefail
build=${1:-build}
export KEYCYCLE_BUILD=$build
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# count NAME PASSED FAILED STATUS: a program that ends badly, or runs nothing,
# has failed, whatever it says.
count() {
  local ok=$2 bad=$3
  if [ "$4" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  if [ "$bad" -gt 0 ]; then
    echo "FAILED $1 ($ok passed, $bad failed, exit $4)"
    cat "$output"
  else
    echo "ok     $1 ($ok)"
  fi
}

matches() { grep -cE "$1" "$output" || true; }

unit() {
  "$1" >"$output" 2>&1
  local status=$?
  count "$1" "$(matches '^\[       OK \]')" "$(matches '^\[  FAILED  \] [a-z_]')" $status
}

# specs NAME FOLDER COMMAND...
specs() {
  local name=$1 folder=$2
  shift 2
  "$@" /usr/bin/busted --helper=tests/support/helper.lua -o TAP "$folder" >"$output" 2>&1
  local status=$?
  count "$name" "$(matches '^ok ')" "$(matches '^not ok ')" $status
}

for program in "$build"/tests/unit/*/test_*; do
  [ -x "$program" ] && unit "$program"
done
if [ "${2:-all}" = all ]; then
  export LUA_CPATH="$build/?.so;;"
  specs "specs in lua5.4" tests/lua lua5.4
  if [ -x "$build/asan/keycycle" ]; then
    specs "specs in the sanitized host" tests/lua "$build/asan/keycycle"
  fi
  specs "integration" tests/integration "$build/keycycle"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
