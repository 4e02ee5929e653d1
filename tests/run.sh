#!/usr/bin/env bash
# Installs what the tests need and runs every test. CI calls it through `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}

# The end-to-end tests run the real binary, from the same build.
cargo build --workspace --all-targets
cargo test --workspace --no-fail-fast

# The types of workflows, as an editor checks them, and the API against its own document: they need npm and Python.
if command -v npm >/dev/null; then sh tests/types/check.sh; else echo "npm is missing: the type declarations were not checked"; fi
