#!/usr/bin/env bash
# Every proof, one after the other: half an hour. Ends with 1 where one of them has found
# something; each has said what, and with which seed.
# usage: run.sh BUILD [NAME...], of:
#   kill       kill.lua over killing.lua and book.lua; its processes: load.lua, look.lua
#   outage     outage.lua over outages.lua; its processes: busy.lua, look.lua
#   processes  processes.lua over sharing.lua; its processes: taker.lua
#   million    million.lua; its processes: fill.c, wake.lua
set -uo pipefail
build=$1
shift
export KEYCYCLE_BUILD=$build
status=0
names=("$@")
[ $# -gt 0 ] || names=(kill outage processes million)
databases=(sqlite)
if PATH=$PATH:/usr/sbin:/usr/libexec command -v mariadbd >/dev/null; then databases+=(mariadb); fi

proof() {
  local name=$1
  shift
  "$build/keycycle" "tests/proof/$name.lua" "$@" || { status=1; return 1; }
}

kill_proof() {
  local kills=1000 seed first second
  [ "$1" = sqlite ] || kills=200
  seed=$(date +%s)
  # Two at a time: a process that is to be killed mostly waits.
  proof kill --db "$1" --kills $((kills / 2)) --seed "$seed" &
  first=$!
  proof kill --db "$1" --kills $((kills - kills / 2)) --seed $((seed + 1)) &
  second=$!
  wait "$first" || status=1
  wait "$second" || status=1
}

# Only who may mount has a small disk.
disk_proof() {
  local dir
  dir=$(mktemp -d)
  if mount -t tmpfs -o size=16m tmpfs "$dir" 2>/dev/null; then
    proof outage --db sqlite --fail disk --dir "$dir"
    umount "$dir"
  else
    echo "outage sqlite disk: left out, since a disk cannot be mounted here"
  fi
  rmdir "$dir"
}

outage_proof() {
  local fails=(lock full) fail
  [ "$1" = sqlite ] || fails=(stop crash freeze)
  for fail in "${fails[@]}"; do proof outage --db "$1" --fail "$fail"; done
  if [ "$1" = sqlite ]; then disk_proof; else proof outage --db "$1" --fail crash --crashes 20; fi
}

for name in "${names[@]}"; do
  for database in "${databases[@]}"; do
    case $name in
    kill) kill_proof "$database" ;;
    outage) outage_proof "$database" ;;
    processes)
      proof processes --db "$database"
      proof processes --db "$database" --headers yes
      ;;
    million) [ "$database" != sqlite ] || proof million ;;
    *)
      echo "run.sh: there is no proof $name" >&2
      exit 2
      ;;
    esac
  done
done
exit $status
