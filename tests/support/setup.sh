#!/usr/bin/env bash
# Installs what is missing to build ("build"), to test ("test") and to fuzz
# ("clang", then "fuzzer") keycycle, on Debian and its kin through apt. Elsewhere
# it names what is missing and stops.
set -euo pipefail

packages=()
want() { # want COMMAND-THAT-SUCCEEDS-WHEN-THERE PACKAGE
  if ! eval "$1" >/dev/null 2>&1; then packages+=("$2"); fi
}
lib() { want "pkg-config --exists '$1'" "$2"; }

for part in "$@"; do
  case $part in
  build)
    want 'command -v gcc || command -v cc' gcc
    want "echo '#include <stdio.h>' | cc -E -" libc6-dev
    want 'command -v make' make
    want 'command -v pkg-config' pkg-config
    lib lua5.4 liblua5.4-dev
    lib libcurl libcurl4-openssl-dev
    lib libcjson libcjson-dev
    lib sqlite3 libsqlite3-dev
    lib libevent libevent-dev
    want 'test -e /etc/ssl/certs/ca-certificates.crt' ca-certificates
    ;;
  test)
    want 'command -v lua5.4' lua5.4
    lib cmocka libcmocka-dev
    want 'test -e /usr/bin/busted' lua-busted
    want 'command -v luacheck' lua-check
    want 'command -v nginx || test -x /usr/sbin/nginx' nginx-light
    want 'command -v openssl' openssl
    want 'command -v valgrind' valgrind
    want 'command -v shellcheck' shellcheck
    ;;
  clang)
    want 'command -v clang' clang
    ;;
  fuzzer) # its package bears clang's number
    want "find '$(clang -print-resource-dir)' -name '*clang_rt.fuzzer*.a' | grep -q ." \
      "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    ;;
  *)
    echo "setup: unknown part $part" >&2
    exit 2
    ;;
  esac
done

if [ ${#packages[@]} -eq 0 ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
  cat >&2 <<'TEXT'
setup: something is missing, and this system has no apt. Install by hand:
  Fedora: gcc make pkgconf lua-devel libcurl-devel cjson-devel sqlite-devel libevent-devel
          lua libcmocka-devel nginx openssl valgrind ShellCheck clang compiler-rt
  Arch:   base-devel lua54 curl cjson sqlite libevent cmocka nginx openssl valgrind shellcheck clang compiler-rt
  Alpine: build-base pkgconf lua5.4-dev curl-dev cjson-dev sqlite-dev libevent-dev lua5.4
          cmocka-dev nginx openssl valgrind shellcheck clang compiler-rt
  and, from LuaRocks for Lua 5.4: busted luacheck
TEXT
  echo "setup: missing (Debian's names): ${packages[*]}" >&2
  exit 2
fi

run=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: as root, run: apt-get install ${packages[*]}" >&2
    exit 2
  fi
  run=(sudo)
fi
echo "setup: installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
# Somebody else may be installing: wait for him.
lock=(-o DPkg::Lock::Timeout=300)
"${run[@]}" apt-get "${lock[@]}" update -qq
# A service that a package brings must not start by itself.
"${run[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
  apt-get "${lock[@]}" install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
