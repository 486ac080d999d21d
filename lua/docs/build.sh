#!/usr/bin/env bash
# make docs: the pages of the library, by LDoc, into BUILD/docs. Any warning fails it.
# usage: build.sh BUILD
set -euo pipefail
source=$1/docs-src
target=$1/docs
run=(ldoc)
# On Debian the library that makes Markdown's tables is for 5.1 only.
if command -v lua5.1 >/dev/null; then run=(lua5.1 "$(command -v ldoc)"); fi

rm -rf "$source" "$target"
mkdir -p "$source" "$target"
cp lua/docs/config.ld "$source"
lua5.4 lua/docs/pages.lua "$source"
target=$(cd "$target" && pwd)
said=$(cd "$source" && "${run[@]}" --fatalwarnings --dir "$target" . 2>&1) || {
  echo "$said" >&2
  exit 1
}
# What it says of markup is no warning to it.
odd=$(grep -v -e '^reading configuration' -e '^output written' <<<"$said" || true)
if [ -n "$odd" ]; then
  echo "$odd" >&2
  exit 1
fi
echo "docs: $target/index.html"
