#!/usr/bin/env bash
# Measures a cluster on this machine, beside what Kafka and PostgreSQL do without fastn. `make bench-cluster` calls it.
#
# Three brokers and PostgreSQL are started fresh in target/bench-cluster (FASTN_BENCH_CLUSTER) and ended afterwards.
# Arguments go to `fastn bench cluster`.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=${FASTN_BENCH_CLUSTER:-$PWD/target/bench-cluster}
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
export FASTN_SERVICES=$dir/services
fastn=${CARGO_TARGET_DIR:-target}/release/fastn

cargo build --release --bin fastn
stop() { tests/services/kafka.sh stop --wipe; tests/services/postgres.sh stop --wipe; }
trap stop EXIT
stop
kafka=$(tests/services/kafka.sh start --nodes 3 | tail -1)
owner=$(tests/services/postgres.sh start | tail -1)
place=${owner#*@}
(umask 077 && head -c 32 /dev/urandom >"$dir/master.key")
"$fastn" migrate --owner "$owner"
FASTN_ACCESS_KEY=fsk_live_$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'); export FASTN_ACCESS_KEY
"$fastn" access-keys create --given --account acc_bench --store "postgres://fastn_app@$place" >/dev/null

"$fastn" bench cluster --log "kafka://$kafka" --store "postgres://fastn_app@$place" \
  --store-projector "postgres://fastn_projector@$place" --master-key "$dir/master.key" "$@"

echo
echo "rows of the projector beside a bare COPY"
cargo test -q --release -p fastn-store --test postgres measure -- --ignored --nocapture | grep rows/s
