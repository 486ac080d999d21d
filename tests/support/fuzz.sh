#!/usr/bin/env bash
# Each fuzz target for a while, built by clang with address and undefined checks, as
# many at once as there are processors. What a run finds stays under BUILD/fuzz/found; a
# finding ends it with 1.
# usage: fuzz.sh BUILD   (FUZZ_SECONDS=20 a target)
set -euo pipefail
build=${1:-build}/fuzz
seconds=${FUZZ_SECONDS:-20}
jobs=${JOBS:-1}
checks="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
${MAKE:-make} --no-print-directory -s -j"$jobs" BUILD="$build" CC=clang SAN="$checks" \
  CFLAGS="-O1 -g" fuzz-bins

run() {
  local program=$1 name=$2 log=$3
  # Leaks are looked for once, at the end: after each run that is slow with Lua.
  if "$program" -detect_leaks=0 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=4096 -artifact_prefix="$build/found/$name-" "$build/corpus/$name" \
    "tests/fuzz/seeds/$name" >"$log" 2>&1; then
    echo "ok     fuzz $name: $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$log")s"
  else
    tail -n 40 "$log"
    echo "FAILED fuzz $name"
    touch "$build/failed"
  fi
}

rm -f "$build/failed"
running=0
for program in "$build"/tests/fuzz/fuzz_*; do
  [ -x "$program" ] || continue
  name=$(basename "$program")
  name=${name#fuzz_}
  mkdir -p "$build/corpus/$name" "$build/found"
  if [ "$running" -ge "$jobs" ]; then
    wait -n
    running=$((running - 1))
  fi
  run "$program" "$name" "$build/found/$name.log" &
  running=$((running + 1))
done
wait
[ ! -e "$build/failed" ]
