#!/bin/sh
# Builds the package for this platform.
#
#   build.sh            the native part, then the packages: dist/*.tgz, and dist/npm/ laid out for every platform
#   build.sh native     the native part alone, beside package.json, where the package finds it first
#   build.sh missing    the same, unless a native part is there: what `npm install ./sdk-node` does
#
# FASTN_SDK_PROFILE chooses cargo's profile: `sdk`, optimized, when absent; `dev` uses what the tests have built.
set -eu
cd "$(dirname "$0")"
what=${1:-packages}
profile=${FASTN_SDK_PROFILE:-sdk}
native=fastn.$(node -p 'require("./lib/platform.cjs").platform()').node

if [ "$what" != missing ] || [ ! -f "$native" ]; then
    cargo build --quiet --package fastn-node --profile "$profile"
    folder=$(cargo metadata --format-version 1 --no-deps | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
    [ "$profile" = dev ] && folder=$folder/debug || folder=$folder/$profile
    for built in "$folder"/libfastn_node.so "$folder"/libfastn_node.dylib "$folder"/fastn_node.dll; do
        # A running process may have the old one open, so it is replaced and not written into.
        [ -f "$built" ] && cp "$built" "$native.new" && mv "$native.new" "$native" && break
    done
fi
[ -f "$native" ] || { echo "sdk-node: cargo built no native part" >&2; exit 1; }
[ "$what" = packages ] || exit 0
node pack.mjs
