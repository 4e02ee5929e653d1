#!/usr/bin/env bash
# A whole cluster on this machine: three Kafka brokers, PostgreSQL, and three processes of `fastn serve` with different
# roles; then the GitHub example through it. `make cluster` calls it; `make cluster-down` ends what it started.
#
# Everything lies in target/cluster (FASTN_CLUSTER). FASTN_CLUSTER_PORT (7410) is the first of its ports.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=${FASTN_CLUSTER:-$PWD/target/cluster}
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
export FASTN_SERVICES=$dir/services
port=${FASTN_CLUSTER_PORT:-7410}
target=${CARGO_TARGET_DIR:-target}
[ "${target:0:1}" = / ] || target=$PWD/$target
fastn=$target/debug/fastn
example=examples/github-triage
account=acc_demo

say() { printf '== %s\n' "$*" >&2; }

say "build"
cargo build -q --workspace

say "three Kafka brokers and PostgreSQL"
kafka=$(tests/services/kafka.sh start --nodes 3 | tail -1)
superuser=$(tests/services/postgres.sh start | tail -1)

say "keys and schema"
umask 077
[ -s "$dir/master.key" ] || head -c 32 /dev/urandom >"$dir/master.key"
[ -s "$dir/password" ] || head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$dir/password"
password=$(cat "$dir/password")
tests/services/postgres.sh psql -Atqc "select 1 from pg_database where datname = 'fastn'" | grep -q 1 \
  || tests/services/postgres.sh psql -qc 'create database fastn'
place=${superuser#*@}; place=${place%/*}/fastn
export FASTN_LOG=kafka://$kafka
export FASTN_STORE=postgres://fastn_app:$password@$place FASTN_STORE_PROJECTOR=postgres://fastn_projector:$password@$place
FASTN_APPLICATION_PASSWORD=$password FASTN_PROJECTOR_PASSWORD=$password "$fastn" migrate --owner "${superuser%/*}/fastn" >&2
if [ ! -s "$dir/access.key" ]; then
  echo "fsk_live_$(head -c 30 /dev/urandom | base64 | tr '+/' '-_')" >"$dir/access.key"
fi
FASTN_ACCESS_KEY=$(cat "$dir/access.key"); export FASTN_ACCESS_KEY
"$fastn" access-keys create --given --account $account --data "$dir/none" >/dev/null

# node NAME PORT ROLES: starts one process
node() {
  local name=$1 at=127.0.0.1:$2 pid=$dir/$1.pid
  if [ -s "$pid" ] && grep -aqs "$fastn" "/proc/$(cat "$pid")/cmdline"; then return; fi
  setsid nohup "$fastn" serve --node "$name" --roles "$3" --listen "$at" --internal-listen "127.0.0.1:$(($2 + 10))" \
    --master-key "$dir/master.key" --data "$dir/$name" --account $account \
    --allow-private-addresses true >>"$dir/$name.txt" 2>&1 </dev/null &
  echo $! >"$pid"
}

# ready NAME PORT: waits until the node is ready
ready() {
  local until=$((SECONDS + 120))
  until curl -fs -o /dev/null "http://127.0.0.1:$2/readyz"; do
    kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null || { tail -5 "$dir/$1.txt" >&2; echo "node $1 ended" >&2; exit 1; }
    [ $SECONDS -lt $until ] || { tail -5 "$dir/$1.txt" >&2; echo "node $1 is not ready in time" >&2; exit 1; }
    sleep 0.2
  done
}

say "three nodes"
node a "$port" ingest,api
node b $((port + 1)) pipeline,scheduler
node c $((port + 2)) pipeline,projector
ready a "$port"; ready b $((port + 1)); ready c $((port + 2))

say "the board that the example tells"
if ! { [ -s "$dir/inbox.pid" ] && kill -0 "$(cat "$dir/inbox.pid")" 2>/dev/null; }; then
  setsid nohup python3 tests/cluster/inbox.py $((port + 4)) "$dir/inbox.txt" >"$dir/inbox.out" 2>&1 </dev/null &
  echo $! >"$dir/inbox.pid"
fi

say "the GitHub example"
export FASTN_URL=http://127.0.0.1:$port FASTN_ACCOUNT_ID=$account FASTN_TENANT_ID=cus_acme FASTN_DEV_URL=http://127.0.0.1:$((port + 4))
"$fastn" apply -f $example >&2
before=$("$fastn" executions list --json | grep -c '"status": *"completed"' || true)
secret="It's a Secret to Everybody"
for payload in issues.opened pull_request.opened; do
  "$fastn" send --webhook github --github-secret "$secret" --github-event "${payload%.*}" --file $example/payloads/$payload.json >&2
done
until=$((SECONDS + 60)); wanted=$((before < 2 ? 2 : before))
until [ "$("$fastn" executions list --json | grep -o '"status": *"completed"' | wc -l)" -ge "$wanted" ]; do
  [ $SECONDS -lt $until ] || { echo "the example did not complete in time; see $dir/*.txt" >&2; exit 1; }
  sleep 0.5
done
"$fastn" executions list

cat <<T

The cluster runs.
  API and ingest   $FASTN_URL          node a: ingest, api
  node b           http://127.0.0.1:$((port + 1))          pipeline, scheduler
  node c           http://127.0.0.1:$((port + 2))          pipeline, projector
  Kafka            $kafka
  PostgreSQL       ${superuser%/*}/fastn
  access key       $FASTN_ACCESS_KEY
  output           $dir/a.txt, b.txt, c.txt; what the board was told: inbox.txt

  export FASTN_URL=$FASTN_URL FASTN_ACCOUNT_ID=$account FASTN_TENANT_ID=cus_acme FASTN_ACCESS_KEY=$FASTN_ACCESS_KEY
  $fastn executions list

make cluster-down stops it; make cluster-down WIPE=1 also removes its data.
T
