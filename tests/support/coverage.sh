#!/usr/bin/env bash
# How much of src/ and of lua/ the tests run, line by line: fails under 90 % of either.
# usage: coverage.sh BUILD, a build with --coverage; KEYCYCLE_MISSED=1 names the lines of
# Lua that were not run; what is missed of src/ stands in BUILD/coverage.txt
set -uo pipefail
build=${1:-build/cov}
KEYCYCLE_LINES=$(mktemp -d)
export KEYCYCLE_LINES
trap 'rm -rf "$KEYCYCLE_LINES"' EXIT
status=0

find "$build" -name '*.gcda' -delete
preload=$(realpath "$build/tests/support/lines.so")
env LD_PRELOAD="$preload" tests/support/run_tests.sh "$build" sanitized || status=1

gcovr --root . --object-directory "$build" --filter 'src/' --exclude 'src/host/txt2c.c' \
 --txt "$build/coverage.txt" \
  --print-summary --fail-under-line 90 >"$build/coverage.sum" || status=1
grep lines: "$build/coverage.sum" | sed 's/^/src\/: /'
lua5.4 tests/support/lines.lua "$KEYCYCLE_LINES" 90 | sort -n || status=1
exit $status
