#!/usr/bin/env bash
# Runs every fuzz target for SECONDS (default 30), or only those named: fuzz/run.sh 60 webhook path
#
# Plain cargo on stable: the flags are those of cargo-fuzz without the address sanitizer, which needs a nightly and finds
# little in code without `unsafe`. A crash stops the run, and its input is left in fuzz/artifacts/<target>/.
# Again with one input: fuzz/run.sh 0 <target> builds, then fuzz/target/…/<target> <file> runs it.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:-30}"
shift || true
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    mapfile -t targets < <(sed -n '/^\[\[bin\]\]/{n;s/^name = "\(.*\)"/\1/p}' Cargo.toml)
fi

triple="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR="${CARGO_FUZZ_TARGET_DIR:-$PWD/target}"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
# With --target, build scripts and procedural macros stay without instrumentation.
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
cargo build --release --target "$triple" "${bins[@]}"

[ "$seconds" -gt 0 ] || exit 0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "fuzz $target: $seconds s"
    if ! "$CARGO_TARGET_DIR/$triple/release/$target" "corpus/$target" "seeds/$target" \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="artifacts/$target/" >"artifacts/$target/run.txt" 2>&1; then
        tail -40 "artifacts/$target/run.txt"
        echo "fuzz $target: FAILED, the input is in fuzz/artifacts/$target/" >&2
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  inputs tried: /p' "artifacts/$target/run.txt"
done
