#!/usr/bin/env bash
# The Lua specs under valgrind: no leak, no invalid access.
# usage: valgrind.sh BUILD
set -euo pipefail
build=${1:-build}
export KEYCYCLE_BUILD=$build LUA_CPATH="$build/?.so;;"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! valgrind -q --leak-check=full --error-exitcode=9 lua5.4 /usr/bin/busted \
  --helper=tests/support/helper.lua -v -o TAP tests/lua >"$log" 2>&1; then
  cat "$log"
  echo "valgrind: failed"
  exit 1
fi
echo "valgrind: $(grep -c '^ok ' "$log") specs clean"
