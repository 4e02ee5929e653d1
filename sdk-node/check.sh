#!/bin/sh
# Tests the package as users get it: packs it, installs it into a fresh project, and runs everything there.
#
# Against the server that FASTN_URL, FASTN_ACCESS_KEY and FASTN_ACCOUNT_ID name; without FASTN_URL against one of the program
# FASTN_BIN, which `cargo build --bin fastn` makes. It also starts servers that are killed, and those of people's own tests.
# FASTN_SDK_PROFILE=sdk tests an optimized native part. Needs node 20, npm and openssl, and the network once. Names of tests
# as arguments run these alone: `check.sh batcher streams`.
set -eu
cd "$(dirname "$0")"
tree=$(cd .. && pwd)
target=${CARGO_TARGET_DIR:-$tree/target}
work=$target/sdk-node
project=$work/project
mkdir -p "$work"

node generate.mjs --check
FASTN_SDK_PROFILE=${FASTN_SDK_PROFILE:-dev} ./build.sh

# TypeScript is above the project, where it is found and needs to be installed once.
if [ ! -x "$work/node_modules/.bin/tsc" ]; then
    npm install --silent --no-audit --no-fund --prefix "$work" typescript@5 @types/node@20
fi
rm -rf "$project" "$work/from-source"
mkdir -p "$project" "$work/from-source"
for folder in "$project" "$work/from-source"; do echo '{ "private": true }' > "$folder/package.json"; done
(cd "$project" && npm install --silent --no-audit --no-fund --offline "$tree"/sdk-node/dist/*.tgz)
# From the source: the native part is there, so nothing is compiled.
(cd "$work/from-source" && npm install --silent --no-audit --no-fund "$tree/sdk-node" && node -e 'require("@fastn/sdk").createFastnClient')
cp -r tests examples "$project"

"$work/node_modules/.bin/tsc" -p "$project/tests/types/tsconfig.node16.json"
"$work/node_modules/.bin/tsc" -p "$project/tests/types/tsconfig.bundler.json"
echo "sdk-node: the types pass"

export FASTN_TREE="$tree"
if [ -z "${FASTN_BIN:-}" ] && [ -x "$target/debug/fastn" ]; then
    export FASTN_BIN="$target/debug/fastn"
fi
if [ -z "${FASTN_URL:-}" ]; then
    data=$(mktemp -d)
    port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
    "$FASTN_BIN" serve --data "$data" --listen "127.0.0.1:$port" --log-level error > "$data/out" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
    export FASTN_URL="http://127.0.0.1:$port"
    for _ in $(seq 600); do
        curl -fsS -o /dev/null "$FASTN_URL/readyz" 2>/dev/null && break
        kill -0 "$server" 2>/dev/null || { cat "$data/out"; exit 1; }
        sleep 0.1
    done
    FASTN_ACCESS_KEY=$(cat "$data/access.key")
    export FASTN_ACCESS_KEY
fi

cd "$project"
if [ $# -gt 0 ]; then
    set -- $(printf 'tests/%s.test.mjs ' "$@")
else
    set -- tests/*.test.mjs
    [ -z "${FASTN_BIN:-}" ] || set -- "$@" examples/*.test.mjs
fi
# One file after the other: some measure.
node --expose-gc --test --test-concurrency=1 --test-reporter=spec "$@"
echo "sdk-node: ok"
