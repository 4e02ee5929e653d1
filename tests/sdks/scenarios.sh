#!/usr/bin/env bash
# Runs every scenario by the clients for Rust, Python and Node against a server that is there.
#
#   scenarios.sh URL FILE_OF_THE_ACCESS_KEY
#
# The clients are those that `sdk-python/check.sh` and `sdk-node/check.sh` have installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
FASTN_URL=$1 FASTN_ACCESS_KEY=$(cat "$2")
export FASTN_URL FASTN_ACCESS_KEY FASTN_TREE=$PWD

cargo test -q --workspace --test sdk_scenarios every_scenario -- --exact
"$target/sdk-python/venv/bin/python" -m pytest -p no:cacheprovider sdk-python/tests/test_scenarios.py
(cd "$target/sdk-node/project" && node --test tests/scenarios.test.mjs)
