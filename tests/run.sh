#!/usr/bin/env bash
# Installs what the tests need and runs every test. CI calls it through `make test`.
#
# Needs Rust, a C compiler and cmake; npm for the type declarations, Python 3 for schemathesis.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}

step() { printf '\n== %s\n' "$*"; }

step "build everything once; the end-to-end tests run the binary of this build"
cargo build --workspace --all-targets

step "every Rust test"
cargo test --workspace --no-fail-fast

step "the simulation finds each rule that is broken on purpose"
cargo test -p fastn-pipeline --features sabotage --test simulation finds_sabotage -- --nocapture

step "the type declarations of workflows, as an editor checks them"
sh tests/types/check.sh

step "the API against its own document"
tests/api/check.sh

step "all tests passed"
