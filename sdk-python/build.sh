#!/usr/bin/env bash
# Builds the wheel for this platform, or for the target named, into sdk-python/dist, and prints its name. Needs Rust, and Python from
# 3.10 on; maturin is installed beside the build, once.
#
#   sdk-python/build.sh [--target aarch64-apple-darwin …]
#   sdk-python/build.sh --venv DIR      makes DIR a virtual environment with the wheel and what bench.py needs, and prints its Python
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
tools=${CARGO_TARGET_DIR:-$PWD/../target}/sdk-python/tools
venv=
if [ "${1:-}" = --venv ]; then venv=$2; shift 2; fi
if [ ! -x "$tools/bin/maturin" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
fi
rm -f dist/fastn-*.whl
"$tools/bin/maturin" build --quiet --out dist "$@" >&2
if [ -z "$venv" ]; then
    ls "$PWD"/dist/fastn-*.whl
    exit
fi
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check httpx orjson >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/fastn-*.whl >&2
echo "$venv/bin/python"
