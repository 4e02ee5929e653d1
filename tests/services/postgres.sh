#!/usr/bin/env bash
# A real PostgreSQL (Debian's package, a cluster of its own) on loopback, for tests. The last line of `start` is the URL of
# its superuser. Roles log in without a check of their password (trust), so a URL may carry any.
#
#   postgres.sh start [--port P] [--also ADDRESS] | stop [--wipe] | kill | psql ARGUMENTS...
#
# As root it runs as `nobody`. With --also it listens on ADDRESS too, for the network of that address. `kill` ends it at once, as a crash would. FASTN_POSTGRES_PORT is the default port.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=$services/postgres
# Where the data lie; elsewhere if `nobody` can't enter this folder, as in a clone below /root.
data=$(cat "$dir/place" 2>/dev/null || echo "$dir/data")
export LC_ALL=C

bin() { find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1; }
port() { cat "$dir/port"; }
url() { echo "postgres://postgres@127.0.0.1:$(port)/postgres"; }

# PostgreSQL refuses to run as root.
as_server() {
  if [ "$(id -u)" != 0 ]; then (cd / && "$@" 9>&-); return; fi
  (cd / && setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME=/tmp "$@" 9>&-)
}

fetch() {
  [ -n "$(bin)" ] && return
  [ "$(id -u)" = 0 ] || die "needs PostgreSQL; install it: apt-get install postgresql"
  # Debian makes and starts a cluster of its own on 5432 unless it is told not to.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  install initdb postgresql
}

create() {
  if ! { mkdir -p "$data" && chmod 711 "$dir" && as_server test -x "$dir"; }; then
    data=/var/tmp/fastn-postgres-$(cksum <<<"$dir" | cut -d' ' -f1)
    echo "$data" >"$dir/place"
  fi
  mkdir -p "$data"; chmod 700 "$data"
  [ "$(id -u)" != 0 ] || chown nobody "$data"
  as_server "$(bin)/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.out" 2>&1 || die "initdb failed, see $dir/initdb.out"
  as_server tee -a "$data/postgresql.auto.conf" >/dev/null <<C
unix_socket_directories = '$data'
max_connections = 200
shared_buffers = '128MB'
C
  echo 'host all all samenet trust' | as_server tee -a "$data/pg_hba.conf" >/dev/null
}

up() { as_server "$(bin)/pg_ctl" -D "$data" status >/dev/null 2>&1; }

start() {
  local wanted=${FASTN_POSTGRES_PORT:-} addresses=127.0.0.1
  while [ $# -gt 0 ]; do
    case $1 in --port) wanted=$2;; --also) addresses+=,$2;; *) die "start: unknown option $1";; esac; shift 2
  done
  lock postgres; fetch; mkdir -p "$dir"
  [ -s "$data/PG_VERSION" ] || create
  if ! up; then
    echo "${wanted:-$(free_port "$(cat "$dir/port" 2>/dev/null || echo 28432)" 1 0)}" >"$dir/port"
    [ "$addresses" = 127.0.0.1 ] && [ -s "$dir/addresses" ] || echo "$addresses" >"$dir/addresses"
    as_server "$(bin)/pg_ctl" -D "$data" -l "$data/log" -o "-p $(port) -h $(cat "$dir/addresses")" -w -t 60 start >/dev/null || { tail -20 "$data/log" >&2; die "PostgreSQL did not start"; }
    say "started in $SECONDS s"
  fi
  url
}

# stop MODE [--wipe]
stop() {
  lock postgres
  if [ -s "$data/PG_VERSION" ] && up; then as_server "$(bin)/pg_ctl" -D "$data" -m "$1" -w stop >/dev/null; say "stopped ($1)"; fi
  if [ "${2:-}" = --wipe ]; then rm -rf "$data" "$dir"; fi
}

case ${1:-} in
  start) shift; start "$@";;
  stop) stop fast "${2:-}";;
  kill) stop immediate;;
  psql) shift; "$(bin)/psql" -X -v ON_ERROR_STOP=1 "$(url)" "$@";;
  *) sed -n '2,7p' "$0" >&2; exit 2;;
esac
