#!/usr/bin/env bash
# A MariaDB server of a test's own: data, socket and certificates are in DIR, which is
# made ready when it is empty. Runs in the foreground, as this process, and dies with
# whoever started it. Prints "pid N" and then what the server logs: "ready for
# connections" when it is.
#   database kc, others are to begin with kc_; user kc, password kcpw; TLS by cert.pem,
#   made out for localhost; other.pem has signed nothing. It syncs nothing to disk: what
#   it has written survives its own end, not the machine's.
# usage: mariadb.sh DIR PORT [OPTION OF mariadbd...]
set -euo pipefail
dir=$1
port=$2
shift 2
export PATH=$PATH:/usr/sbin:/usr/libexec
user=$(id -un)

# certificate NAME
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -keyout "$dir/$1-key.pem" -out "$dir/$1.pem" -subj "/CN=$1" \
    -addext subjectAltName=DNS:localhost 2>/dev/null
}

# To make the system's tables takes a second: once a build folder.
new=$(realpath "${KEYCYCLE_BUILD:-build}")/mariadb
if [ ! -e "$new" ]; then
  mkdir -p "$new.$$"
  mariadb-install-db --no-defaults --user="$user" --datadir="$new.$$" --skip-test-db \
    --auth-root-authentication-method=normal --innodb-log-file-size=4M --debug-no-sync \
    >"$dir/install.log"
  mv -T "$new.$$" "$new" 2>/dev/null || rm -rf "$new.$$" # somebody was faster
fi
if [ ! -e "$dir/data" ]; then
  cp -r "$new" "$dir/data"
  certificate cert
  certificate other
  cat >"$dir/init.sql" <<'SQL'
CREATE DATABASE IF NOT EXISTS kc CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'kc'@'127.0.0.1' IDENTIFIED BY 'kcpw';
CREATE USER IF NOT EXISTS 'kc'@'localhost' IDENTIFIED BY 'kcpw';
GRANT ALL ON `kc%`.* TO 'kc'@'127.0.0.1';
GRANT ALL ON `kc%`.* TO 'kc'@'localhost';
SQL
fi

echo "pid $$"
die=()
if setpriv --pdeathsig KILL true 2>/dev/null; then die=(setpriv --pdeathsig KILL); fi
exec "${die[@]}" mariadbd --no-defaults --user="$user" --datadir="$dir/data" \
  --socket="$dir/socket" --pid-file="$dir/pid" --bind-address=127.0.0.1 --port="$port" \
  --ssl-cert="$dir/cert.pem" --ssl-key="$dir/cert-key.pem" --init-file="$dir/init.sql" \
  --skip-log-bin --skip-name-resolve --innodb-flush-log-at-trx-commit=2 \
  --innodb-buffer-pool-size=32M --innodb-log-file-size=4M --debug-no-sync "$@" 2>&1
