#!/usr/bin/env bash
# Installs what is missing to build ("build"), to test ("test"), to measure
# ("bench", "coverage"), to describe ("docs"), to fuzz ("clang", then "fuzzer") and to test beside
# others' mocks ("node", then "peers") keycycle, on Debian and its kin through apt, peers from npm into the
# build folder. Elsewhere it names what is missing and stops.
set -euo pipefail

packages=()
want() { # want COMMAND-THAT-SUCCEEDS-WHEN-THERE PACKAGE
  if ! eval "$1" >/dev/null 2>&1; then packages+=("$2"); fi
}
lib() { want "pkg-config --exists '$1'" "$2"; }

# peer PACKAGE VERSION: from npm into the folder of peers; no script of a package runs.
peer() {
  if grep -qs "\"version\": \"$2\"" "$folder/node_modules/$1/package.json"; then return; fi
  echo "setup: installing $1 of npm into $folder"
  npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix "$folder" \
    "$1@$2" >/dev/null
}
peers() {
  local folder=${KEYCYCLE_BUILD:-build}/peers node
  mkdir -p "$folder"
  peer @copilotkit/aimock 1.43.0
  node=$(command -v node)
  # It needs node 20.15, which Debian 12 and Ubuntu 24.04 lack: npm has that, too.
  if ! node -e 'process.exit(require("zlib").crc32 ? 0 : 1)'; then
    local packed
    packed=$(node -p '"node-" + process.platform + "-" + process.arch')
    peer "$packed" 22.23.3
    node=node_modules/$packed/bin/node
  fi
  ln -sfn "$node" "$folder/node"
}

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
    lib libmariadb libmariadb-dev # loaded when a mysql:// store is opened
    want 'test -e /etc/ssl/certs/ca-certificates.crt' ca-certificates
    ;;
  test)
    want 'command -v lua5.4' lua5.4
    lib cmocka libcmocka-dev
    want 'test -e /usr/bin/busted' lua-busted
    want "lua5.4 -e 'require \"socket.http\"'" lua-socket
    want "lua5.4 -e 'require \"cjson\"'" lua-cjson
    want "lua5.4 -e 'require \"lxp\"'" lua-expat
    # Debian has it for 5.1 only; it runs in any Lua.
    want "LUA_PATH='/usr/share/lua/5.1/?.lua;;' lua5.4 -e 'require \"soap\"'" lua-soap
    want 'command -v luacheck' lua-check
    want "lua5.4 -e 'require \"cqueues\"'" lua-cqueues
    want "lua5.4 -e 'require \"luv\"'" lua-luv
    want 'command -v nginx || test -x /usr/sbin/nginx' nginx-light
    # Programs of others that embed Lua 5.4.
    want 'command -v lighttpd || test -x /usr/sbin/lighttpd' lighttpd
    want 'test -e /usr/lib/lighttpd/mod_magnet.so' lighttpd-modules-lua
    want 'command -v clingo' gringo
    want 'command -v openssl' openssl
    # The bare server: the package with the service brings three times as much.
    want 'command -v mariadbd || test -x /usr/sbin/mariadbd' mariadb-server-core
    want 'command -v my_print_defaults' mariadb-client-core
    want 'test -e /usr/share/i18n/locales/tr_TR' locales # a host with a locale of its own
    want 'command -v valgrind' valgrind
    want 'command -v shellcheck' shellcheck
    ;;
  bench)
    lib 'libevent_openssl openssl' libssl-dev
    want 'command -v openssl' openssl
    want 'command -v taskset' util-linux
    ;;
  coverage)
    want 'command -v gcovr' gcovr
    ;;
  docs) # LDoc's tables need discount, which Debian has for 5.1
    want 'command -v lua5.4' lua5.4
    want 'command -v ldoc' lua-ldoc
    want 'command -v lua5.1' lua5.1
    want "lua5.1 -e 'require \"lfs\" require \"pl.utils\"'" lua-filesystem
    want "lua5.1 -e 'require \"discount\"'" lua-discount
    want 'command -v mandoc' mandoc
    ;;
  clang)
    want 'command -v clang' clang
    ;;
  fuzzer) # its package bears clang's number
    want "find '$(clang -print-resource-dir)' -name '*clang_rt.fuzzer*.a' | grep -q ." \
      "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    ;;
  node)
    want 'command -v node' nodejs
    want 'command -v npm' npm
    ;;
  peers)
    peers
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
          mariadb-connector-c-devel lua libcmocka-devel mariadb-server nginx openssl openssl-devel
          valgrind ShellCheck clang compiler-rt nodejs npm lighttpd lighttpd-mod_magnet clingo
  Arch:   base-devel lua54 curl cjson sqlite libevent mariadb-libs cmocka mariadb nginx openssl valgrind
          shellcheck clang compiler-rt nodejs npm lighttpd clingo
  Alpine: build-base pkgconf lua5.4-dev curl-dev cjson-dev sqlite-dev libevent-dev
          mariadb-connector-c-dev lua5.4 cmocka-dev mariadb nginx openssl openssl-dev valgrind
          shellcheck clang compiler-rt nodejs npm lighttpd lighttpd-mod_magnet clingo
  and, from LuaRocks for Lua 5.4: busted luacheck cqueues luv luasocket lua-cjson luaexpat
          luasoap
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
