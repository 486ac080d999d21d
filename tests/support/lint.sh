#!/usr/bin/env bash
# make lint: floors, sizes, banned calls, warnings, luacheck, shellcheck.
# usage: lint.sh DIR
set -uo pipefail
dir=${1:-.}
here=$(cd "$(dirname "$0")" && pwd)
status=0

lua5.4 "$here/lint.lua" "$dir" || status=1

flags=(-std=c11 -D_GNU_SOURCE -Isrc -Itests -fsyntax-only -Werror -Wall -Wextra
  -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla)
read -ra packages < <(pkg-config --cflags lua5.4 libcurl libcjson sqlite3)
if pkg-config --exists libmariadb; then
  read -ra mysql < <(pkg-config --cflags libmariadb)
  packages+=(-DKC_HAVE_MYSQL "${mysql[@]/#-I/-isystem}")
fi
cd "$dir" || exit 2
while IFS= read -r file; do
  case $file in
  src/net/server.c | src/lua/server.c) pkg-config --exists libevent || continue ;;
  src/store/mysql_link.c | */test_mysql_*.c) pkg-config --exists libmariadb || continue ;;
  esac
  gcc "${flags[@]}" "${packages[@]}" "$file" || status=1
done < <(find src tests -name '*.c' -not -path 'tests/fixtures/*' | LC_ALL=C sort)

# The public header, as others' compilers read it.
header=(-Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only)
if [ -e src/keycycle.h ]; then
  gcc -std=c11 "${header[@]}" -x c src/keycycle.h || status=1
  if command -v g++ >/dev/null; then
    for standard in c++11 c++17 c++20; do
      g++ -std=$standard "${header[@]}" -Wold-style-cast -x c++ src/keycycle.h || status=1
    done
  fi
fi

if [ -d lua ] && command -v luacheck >/dev/null; then
  luacheck --no-color -q lua scripts tests || status=1
fi
if command -v shellcheck >/dev/null; then
  scripts=(.ci/run tests/support/*.sh lua/docs/*.sh)
  for file in "${scripts[@]}"; do
    if [ -e "$file" ]; then shellcheck "$file" || status=1; fi
  done
fi
[ $status -eq 0 ] && echo "lint: clean"
exit $status
