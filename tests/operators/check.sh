#!/usr/bin/env bash
# Alerts, metrics and traces as those who operate fastn see them: a real server, a real mail server, the receivers' own
# libraries, and Prometheus' own tool. Needs the binary of `cargo build`, Python 3 and Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${FASTN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastn-tests}
place=$cache/operators-$(cksum <tests/operators/requirements.txt | cut -d' ' -f1)
if [ ! -e "$place/ready" ]; then
  python3 -m venv "$place"
  "$place/bin/pip" install -q --disable-pip-version-check -r tests/operators/requirements.txt
  touch "$place/ready"
fi
promtool=$(tests/services/promtool.sh | tail -1)
(cd ops/prometheus && "$promtool" check rules alerts.yaml && "$promtool" test rules alerts.test.yaml)
target=${CARGO_TARGET_DIR:-target}
exec "$place/bin/python" tests/operators/check.py "$target/debug/fastn"
