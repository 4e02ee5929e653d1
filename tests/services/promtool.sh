#!/usr/bin/env bash
# Prometheus' own `promtool`, which checks rules and runs their tests: taken out of Debian's package, without installing or
# starting Prometheus. Prints its path.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if command -v promtool; then exit; fi
tool=$cache/promtool/promtool
lock_cache
if [ ! -x "$tool" ]; then
  command -v apt-get >/dev/null || die "needs promtool; install Prometheus"
  made=$(mktemp -d "$cache/promtool.XXXXXX")
  trap 'rm -rf "$made"' EXIT
  say "fetching Debian's package prometheus"
  (cd "$made" && { apt-get -qq download prometheus || { apt-get update -qq && apt-get -qq download prometheus; }; }) >&2 \
    || die "apt-get could not fetch prometheus"
  dpkg-deb -x "$made"/prometheus_*.deb "$made/unpacked"
  mkdir -p "$cache/promtool"
  mv "$made/unpacked/usr/bin/promtool" "$tool"
fi
echo "$tool"
