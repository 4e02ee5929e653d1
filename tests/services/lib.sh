# What the scripts of this folder share: places, locks, packages, processes. Sourced, never run.
# FASTN_SERVICES  data, pid files and locks of one set of servers (default: <repo>/target/services); two sets run side by side
# FASTN_CACHE     what was fetched, shared by all sets (default: ~/.cache/fastn-tests)
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
services=${FASTN_SERVICES:-$(cd "$here/../.." && pwd)/target/services}
cache=${FASTN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastn-tests}
mkdir -p "$services" "$cache"
services=$(cd "$services" && pwd)

say() { echo "$(basename "$0"): $*" >&2; }
die() { say "$*"; exit 1; }

# lock NAME: one caller at a time; whoever starts a server must close it there with 9>&-
lock() { exec 9>"$services/$1.lock"; flock 9; }

# lock_cache: for a download that several sets want at once
lock_cache() { exec 8>"$cache/lock"; flock 8; }
unlock_cache() { exec 8>&-; }

# install PROGRAM PACKAGE...: from Debian, if the program is missing and we may
install() {
  local program=$1; shift
  command -v "$program" >/dev/null && return
  [ "$(id -u)" = 0 ] || die "needs $program; install it: apt-get install $*"
  say "installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 \
    || die "apt-get could not install $*"
}

# listening PORT [ADDRESS]: does anything answer there
listening() { (exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null; }

# free_port FIRST STEP OFFSET...: the first FIRST+n*STEP at which every port +OFFSET is free, kept for $dir until that is
# gone. A server that is down for a while keeps its port: whoever still speaks to it must not meet a stranger's.
# shellcheck disable=SC2154 # dir belongs to the script that sources this
free_port() {
  local port=$1 step=$2 offset busy owner; shift 2
  exec 7>"$cache/ports.lock"; flock 7
  for _ in $(seq 50); do
    owner=$(cat "$cache/port-$port" 2>/dev/null || true)
    busy=0; if [ "$owner" != "$dir" ] && [ -d "$owner" ]; then busy=1; fi
    for offset in "$@"; do if listening $((port + offset)); then busy=1; fi; done
    [ $busy = 1 ] || { echo "$dir" >"$cache/port-$port"; echo "$port"; exec 7>&-; return; }
    port=$((port + step))
  done
  die "no free port from $1 on"
}

# running PIDFILE WORD: is that process alive and does its command line hold WORD (pids are used again)
running() { [ -s "$1" ] && grep -aqs -- "$2" "/proc/$(cat "$1")/cmdline"; }

# await SECONDS COMMAND...: until the command succeeds
await() {
  local until=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt "$until" ] || return 1; sleep 0.1; done
}

# maven ARGUMENTS...: quietly; its progress is no answer of ours
maven() { install mvn maven; mvn -q -B -Dstyle.color=never "$@" >&2; }
