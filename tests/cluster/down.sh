#!/usr/bin/env bash
# Stops what up.sh started: nodes first, so that they drain, then Kafka and PostgreSQL. WIPE=1 also removes the data.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=${FASTN_CLUSTER:-$PWD/target/cluster}
[ -d "$dir" ] || { echo "there is no cluster in $dir" >&2; exit 0; }
export FASTN_SERVICES=$dir/services

running() { [ -s "$dir/$1.pid" ] && grep -aqsE 'fastn|inbox.py' "/proc/$(cat "$dir/$1.pid")/cmdline"; }

for name in a b c inbox; do
  if running $name; then kill "$(cat "$dir/$name.pid")"; fi
done
for name in a b c inbox; do
  for _ in $(seq 300); do running $name || break; sleep 0.1; done
  if running $name; then echo "$name did not drain in 30 s and is killed" >&2; kill -KILL "$(cat "$dir/$name.pid")"; fi
  rm -f "$dir/$name.pid"
done
tests/services/kafka.sh stop ${WIPE:+--wipe}
tests/services/postgres.sh stop ${WIPE:+--wipe}
if [ -n "${WIPE:-}" ]; then rm -rf "$dir"; fi
