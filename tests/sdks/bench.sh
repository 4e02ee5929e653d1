#!/usr/bin/env bash
# Measures the three SDKs against the same server, one after the other, five rounds: 100,000 events of 1 KiB by each batcher,
# the same events by httpx and by fetch, and the decoding of a page of 1,000 executions beside orjson and JSON.parse.
#
# Needs Python 3 and Node with npm. BENCH_ROUNDS, BENCH_EVENTS and BENCH_REQUESTS change how much is done.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}

say() { printf '== %s\n' "$*" >&2; }

say "build"
cargo build -q --release -p fastn-server --bin fastn
cargo build -q --release -p fastn-sdk --example sdk_bench
wheel=$(sdk-python/build.sh | tail -1)
python3 -m venv "$target/bench-sdks"
"$target/bench-sdks/bin/pip" install --quiet --disable-pip-version-check --force-reinstall "$wheel" httpx orjson
sdk-node/build.sh native >&2

data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$target/release/fastn" serve --data "$data" --listen "127.0.0.1:$port" --log-level error >"$data/out" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
export FASTN_URL=http://127.0.0.1:$port
for _ in $(seq 600); do
  curl -fsS -o /dev/null "$FASTN_URL/readyz" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || { cat "$data/out"; exit 1; }
  sleep 0.1
done
FASTN_ACCESS_KEY=$(cat "$data/access.key"); export FASTN_ACCESS_KEY

for round in $(seq "${BENCH_ROUNDS:-5}"); do
  say "round $round"
  "$target/release/examples/sdk_bench" >>"$data/results"
  "$target/bench-sdks/bin/python" sdk-python/bench.py >>"$data/results"
  node sdk-node/bench.mjs >>"$data/results"
done
python3 tests/sdks/table.py "$data/results"
