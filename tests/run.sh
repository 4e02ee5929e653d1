#!/usr/bin/env bash
# Installs what the tests need and runs every test. CI calls it through `make test`.
#
# Needs Rust, a C compiler and cmake; npm for the type declarations, Python 3 for schemathesis. Kafka, PostgreSQL and the
# schema registry are fetched and started by tests/services/, and stopped at the end; FASTN_KEEP_SERVICES=1 leaves them.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}

step() { printf '\n== %s\n' "$*"; }

stop_services() {
  [ -z "${FASTN_KEEP_SERVICES:-}" ] || return 0
  for service in kafka postgres registry; do tests/services/$service.sh stop || true; done
}
trap stop_services EXIT

step "Kafka, PostgreSQL and the schema registry, in the background of the build"
for service in kafka postgres registry; do
  tests/services/$service.sh start >/dev/null || echo "$service does not start: its tests will tell" >&2 &
done

step "build everything once; the end-to-end tests run the binary of this build"
cargo build --workspace --all-targets

wait
step "every Rust test"
cargo test --workspace --no-fail-fast

step "the simulation finds each rule that is broken on purpose"
cargo test -p fastn-pipeline --features sabotage --test simulation finds_sabotage -- --nocapture

step "the type declarations of workflows, as an editor checks them"
sh tests/types/check.sh

step "the API against its own document"
tests/api/check.sh

step "the topics, as consumers in Python and Node read them"
tests/consumers/check.sh

step "webhooks, as the providers' own libraries send them"
tests/senders/check.sh
step "alerts, metrics and traces, as operators and their receivers get them"
tests/operators/check.sh

step "the client for Python, as its users install it"
sdk-python/check.sh
step "the client for Node, as its users install it"
sdk-node/check.sh

step "a whole cluster, as make cluster starts it, and every scenario through the three clients"
FASTN_CLUSTER_PORT=17410 tests/cluster/up.sh
tests/sdks/scenarios.sh http://127.0.0.1:17410 target/cluster/access.key
WIPE=1 tests/cluster/down.sh

step "all tests passed"
