# The door to everything; each target is one line of the README.
.PHONY: help run test check fmt bench bench-schedules bench-cluster bench-sdks sdks soak-sdks fuzz simulate openapi cluster cluster-down faults

export CARGO_INCREMENTAL ?= 0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: ## build and start fastn dev on the example project
	cargo run --bin fastn -- dev examples/github-triage

test: ## install what the tests need and run every test
	tests/run.sh

check: ## format, lints, and drift of derived files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo build -q --workspace
	target/debug/fastn openapi | diff -u docs/openapi.json - || { echo "docs/openapi.json has drifted: run make openapi"; exit 1; }
	target/debug/fastn openapi --access | diff -u docs/ACCESS.md - || { echo "docs/ACCESS.md has drifted: run make openapi"; exit 1; }
	target/debug/fastn openapi --against docs/api/previous.json --accepted docs/api/accepted-breaks.json
	python3 sdk-python/generate.py --check
	node sdk-node/generate.mjs --check
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences were not checked (cargo install cargo-deny)"; fi

fmt: ## format
	cargo fmt --all

openapi: ## write the derived OpenAPI document and the table of who may call what
	cargo build -q --workspace
	target/debug/fastn openapi > docs/openapi.json
	target/debug/fastn openapi --access > docs/ACCESS.md
	python3 sdk-python/generate.py
	node sdk-node/generate.mjs

cluster: ## start three brokers, PostgreSQL and three nodes here, and run the GitHub example through them
	tests/cluster/up.sh

cluster-down: ## stop them; WIPE=1 also removes their data
	tests/cluster/down.sh

faults: ## break a cluster under load in every way that must be survived; FAULT=name for one
	cargo build --bin fastn
	cargo test -p fastn-tests --test faults -- --include-ignored --nocapture --test-threads 1 $(FAULT)

bench: ## measure the main job beside the raw limits of this machine
	cargo run --release --bin fastn -- bench $(BENCH)

bench-schedules: ## measure 100,000 schedules on one node: how late they fire, and what they cost
	cargo run --release -p fastn-scheduler --example schedules_bench -- $(BENCH)

bench-cluster: ## measure a cluster beside what Kafka and PostgreSQL do alone
	tests/cluster/bench.sh $(BENCH)

sdks: ## build the wheel for Python and the packages for Node, for this platform
	sdk-python/build.sh
	sdk-node/build.sh

bench-sdks: ## measure the clients for Rust, Python and Node against one server
	tests/sdks/bench.sh

soak-sdks: ## make a million calls with each client: its memory stays flat
	cargo build --workspace --bin fastn
	FASTN_TEST_CALLS=1000000 cargo test --workspace --test sdk_faults memory_is_flat -- --nocapture
	FASTN_TEST_CALLS=1000000 sdk-python/check.sh tests/test_processes.py -k memory
	FASTN_TEST_CALLS=1000000 sdk-node/check.sh load

fuzz: ## run every fuzz target for a minute each
	fuzz/run.sh 60

simulate: ## run the seeded simulation without end
	FASTN_SIM_FOREVER=1 cargo test -p fastn-pipeline --test simulation -- --nocapture
