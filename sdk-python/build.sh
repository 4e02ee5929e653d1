#!/usr/bin/env bash
# Builds the wheel for this platform, or for the target named, into sdk-python/dist. Needs Rust and Python from 3.10 on; maturin is
# installed beside the build, once.
#
#   sdk-python/build.sh [--target aarch64-apple-darwin …]
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
tools=${CARGO_TARGET_DIR:-$PWD/../target}/sdk-python/tools
if [ ! -x "$tools/bin/maturin" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
fi
rm -f dist/fastn-*.whl
"$tools/bin/maturin" build --quiet --out dist "$@"
ls dist/fastn-*.whl
