#!/usr/bin/env bash
# Builds the wheel, installs it in a fresh virtual environment, and tries all of it against the server that FASTN_URL and
# FASTN_ACCESS_KEY name, or against one of this build's binary. Arguments go to pytest.
#
# Needs Python from 3.10 on, openssl, and the network once. `cargo build --bin fastn` makes the binary.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/../target}
export FASTN_BIN=${FASTN_BIN:-$target/debug/fastn}
[ -x "$FASTN_BIN" ] || { echo "sdk-python: $FASTN_BIN is not there: cargo build --bin fastn" >&2; exit 1; }
wheel=$(./build.sh --profile "${FASTN_SDK_PROFILE:-dev}" | tail -1)

venv=$target/sdk-python/venv
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$wheel" -r tests/requirements.txt

if [ -z "${FASTN_URL:-}" ]; then
    data=$(mktemp -d)
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$FASTN_BIN" serve --data "$data" --listen "127.0.0.1:$port" --allow-private-addresses --log-level error > "$data/out" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
    export FASTN_URL=http://127.0.0.1:$port
    for _ in $(seq 600); do
        curl -fsS -o /dev/null "$FASTN_URL/readyz" 2>/dev/null && break
        kill -0 "$server" 2>/dev/null || { cat "$data/out"; exit 1; }
        sleep 0.1
    done
    FASTN_ACCESS_KEY=$(cat "$data/access.key")
    export FASTN_ACCESS_KEY
fi
"$venv/bin/python" -m pytest -p no:cacheprovider "$@"
echo "sdk-python: ok"
