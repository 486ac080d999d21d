#!/usr/bin/env bash
# Each fuzz target for a while, built by clang with address and undefined checks.
# What a run finds stays under BUILD/fuzz/NAME; a finding ends it with 1.
# usage: fuzz.sh BUILD   (FUZZ_SECONDS=20 a target)
set -euo pipefail
build=${1:-build}/fuzz
seconds=${FUZZ_SECONDS:-20}
checks="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
${MAKE:-make} --no-print-directory -s BUILD="$build" CC=clang SAN="$checks" \
  CFLAGS="-O1 -g" fuzz-bins
status=0
for program in "$build"/tests/fuzz/fuzz_*; do
  [ -x "$program" ] || continue
  name=$(basename "$program")
  name=${name#fuzz_}
  mkdir -p "$build/corpus/$name" "$build/found"
  log=$build/found/$name.log
  # Leaks are looked for once, at the end: after each run that is slow with Lua.
  if "$program" -detect_leaks=0 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
    -artifact_prefix="$build/found/$name-" "$build/corpus/$name" "tests/fuzz/seeds/$name" \
    >"$log" 2>&1; then
    echo "ok     fuzz $name: $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$log")s"
  else
    echo "FAILED fuzz $name"
    tail -n 40 "$log"
    status=1
  fi
done
exit $status
