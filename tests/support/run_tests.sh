#!/usr/bin/env bash
# Runs every test of the build folder and ends with "N passed, N failed".
# usage: run_tests.sh BUILD [unit|eager|sanitized|peers|threads]
#   unit: the C tests only; eager: the Lua specs only; sanitized: nothing in the
#   stock lua5.4, which cannot load a sanitized module; peers: only what runs beside
#   others' mocks; threads: only the host with a Lua state in each thread
#   A program that runs for longer than KEYCYCLE_TEST_LIMIT seconds (900) hangs: it is
#   aborted, and its output ends with the test that it was in.
set -uo pipefail
# Specs send SIGINT, which a shell that began us in the background has made ignored.
if [ -z "${KEYCYCLE_SIGINT:-}" ] && env --default-signal=INT true 2>/dev/null; then
  exec env --default-signal=INT KEYCYCLE_SIGINT=1 "$0" "$@"
fi
build=${1:-build}
export KEYCYCLE_BUILD=$build
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
# An abort says where in C a sanitized program was.
export ASAN_OPTIONS=$ASAN_OPTIONS:handle_abort=1
limit=${KEYCYCLE_TEST_LIMIT:-900}
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

# within COMMAND...: what it says goes into the file.
within() {
  timeout --foreground --signal=ABRT --kill-after=10 "$limit" "$@" >"$output" 2>&1
  local status=$?
  if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "it hangs: aborted after $limit s" >>"$output"
    echo "what else runs:"
    ps -eo pid,ppid,etimes,stat,wchan:20,args
  fi
  return $status
}

matches() { grep -cE "$1" "$output" || true; }

unit() {
  within "$1"
  local status=$?
  count "$1" "$(matches '^\[       OK \]')" "$(matches '^\[  FAILED  \] [a-z_]')" $status
}

# specs NAME FOLDER LUA [OPTION OF BUSTED...]
specs() {
  local name=$1 folder=$2 lua=$3
  shift 3
  within "$lua" /usr/bin/busted --helper=tests/support/helper.lua -v -o TAP "$@" "$folder"
  local status=$?
  count "$name" "$(matches '^ok ')" "$(matches '^not ok ')" $status
}

# A process for each file and each Lua, since all that lives is walked at each
# collection. What makes no object of C says the same whenever that comes: left out.
eager() {
  local file files lua status
  files=$(env -u KEYCYCLE_EAGER_GC lua5.4 /usr/bin/busted \
    --helper=tests/support/helper.lua --exclude-tags=pure --list tests/lua 2>"$output" |
    grep -oE '^tests/lua/[a-z_]+\.lua:' | tr -d : | sort -u)
  status=$?
  if [ $status -ne 0 ] || [ -z "$files" ]; then count "list of specs" 0 1 $status; fi
  for file in $files; do
    for lua in lua5.4 "$build/asan/keycycle"; do
      specs "$file in $(basename "$lua")" "$file" "$lua" --exclude-tags=pure
    done
  done
}

if [[ "${2:-all}" != @(eager|peers|threads) ]]; then
  for program in "$build"/tests/unit/*/test_*; do
    [ -x "$program" ] && unit "$program"
  done
fi
export LUA_CPATH="$build/?.so;;"
case ${2:-all} in
all)
  specs "specs in lua5.4" tests/lua lua5.4
  specs "specs in the sanitized host" tests/lua "$build/asan/keycycle"
  specs "integration" tests/integration "$build/keycycle"
  ;;
eager) eager ;;
sanitized)
  specs "specs in the host" tests/lua "$build/keycycle"
  specs "integration" tests/integration "$build/keycycle" --exclude-tags=plain
  ;;
threads)
  specs "states in threads" tests/integration/host_c_spec.lua "$build/keycycle" \
    --filter="states in threads"
  ;;
peers)
  specs "peers" tests/peers "$build/keycycle"
  ;;
esac

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
