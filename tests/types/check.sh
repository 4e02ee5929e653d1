#!/bin/sh
# Checks the declarations of the runtime API against TypeScript: good.ts must pass, every marked line of bad.ts must fail.
# TypeScript is installed once into .cache/ beside this script.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache="$here/.cache"
if [ ! -x "$cache/node_modules/.bin/tsc" ]; then
  mkdir -p "$cache"
  npm install --silent --no-audit --no-fund --prefix "$cache" typescript@5
fi
"$cache/node_modules/.bin/tsc" --project "$here/tsconfig.json"
echo "types: ok"
