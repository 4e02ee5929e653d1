# The door to everything; each target is one line of the README.
.PHONY: run test check bench fmt

run: ## build and start fastn dev on the example project
	cargo run --bin fastn -- dev examples/github-triage

test: ## install what the tests need and run every test
	cargo test --workspace

check: ## format, lints, licences, drift of derived files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt:
	cargo fmt --all
