# Every target explains itself: `make help`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Where rustup puts cargo, also when `make setup` has only just put it there.
export PATH := $(PATH):$(HOME)/.cargo/bin

K6_URL ?= http://127.0.0.1:4000
CARGO_DENY_VERSION := 0.20.2
NODE_TESTS := crates/testkit/node
SHELL_SCRIPTS := $(wildcard scripts/*) .ci/run loadtest/bench loadtest/cluster-bench $(addprefix deploy/dev/,common.bash program redis redis-cluster mongodb cluster ferretdb/build ferretdb/postgresql)

.PHONY: help setup run cluster build openapi test check fmt fmt-check clippy doc deny scripts-check conformance k6 bench screenshots bench-cluster reference fuzz fuzz-check clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: Rust, Node packages of the tests
	@scripts/setup

run: ## Build a node and start it for development on 127.0.0.1:4000, with no other server
	@scripts/setup rust
	env -u CARILLON_CACHE_DIR cargo run --bin carillon -- serve --dev

cluster: $(if $(CARILLON_BIN),,build) ## Start three nodes with Redis and a database behind HAProxy on 127.0.0.1:4000; CARILLON_BIN=... runs another build
	@deploy/dev/cluster

build: ## Build the optimised binary, target/release/carillon
	@scripts/setup rust
	cargo build --release --bin carillon

openapi: ## Write the description of the routes anew, docs/api/openapi.json
	@scripts/setup rust
	cargo build --quiet --bin carillon
	$${CARGO_TARGET_DIR:-target}/debug/carillon openapi > docs/api/openapi.json

test: ## Run every test, Rust and JavaScript; the last line sums them up
	@scripts/setup
	@scripts/test

check: fmt-check clippy fuzz-check doc deny scripts-check ## Everything but the tests: format, lints, docs, licences, scripts

fmt: ## Format the Rust sources
	cargo fmt --all

fmt-check:
	@scripts/setup rust
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

# The programs of the targets; clippy has checked what they call.
fuzz-check:
	cargo check --locked --quiet -p carillon-fuzz --features libfuzzer --bins

doc: ## Build the Rust documentation, broken links refused
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

deny: ## Check licences, sources and bans of the dependencies
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION)
	cargo deny --log-level error check bans licenses sources

scripts-check:
	@for script in $(SHELL_SCRIPTS); do bash -n "$$script" || exit 1; done
	@for script in loadtest/*.js; do node --check --input-type=module - < "$$script" || exit 1; done
	@for script in $(NODE_TESTS)/*.js $(NODE_TESTS)/cluster/*.js $(NODE_TESTS)/three-nodes/*.js crates/gateway/console/*.js crates/gateway/console/views/*.js loadtest/peers/*.mjs; do node --check "$$script" || exit 1; done

conformance: ## Run the official protocol suites: SUITES=<checkout of socketio/socket.io>
	@scripts/conformance "$(SUITES)"

k6: ## Run loadtest/smoke.js against a running node: K6_URL=..., JWT_SECRET=... unless it runs with --dev
	@scripts/k6 run --env URL=$(K6_URL) --env JWT_SECRET="$${JWT_SECRET:-}" loadtest/smoke.js

bench: build ## Figures of one node against what is asked of it, peers beside it in the same rounds (docs/benchmarks.md)
	@scripts/setup
	cargo build --release --locked -p carillon-load
	cargo build --release --locked -p carillon-store --example seed_chat
	cargo build --release --locked --manifest-path loadtest/peers/socketioxide/Cargo.toml --target-dir $${CARGO_TARGET_DIR:-target}
	built=$$(cd "$${CARGO_TARGET_DIR:-target}/release" && pwd); \
	cd loadtest/peers/centrifuge && go build -buildvcs=false -o "$$built/peer-centrifuge" . || echo 'peer-centrifuge was not built'
	loadtest/bench

screenshots: ## Make the pictures of the README anew (docs/images)
	@scripts/setup
	cargo build --locked --bin carillon
	chromium=$$(deploy/dev/program chromium) && CARILLON_TEST_CHROMIUM=$$chromium CARILLON_BIN=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/carillon \
	  node $(NODE_TESTS)/screenshots.js docs/images

bench-cluster: build ## Figures of a cluster on this machine, socketioxide and Node beside it in the same run (docs/benchmarks.md)
	@scripts/setup
	cargo build --release --locked -p carillon-load
	cargo build --release --locked --manifest-path loadtest/peers/socketioxide/Cargo.toml --target-dir $${CARGO_TARGET_DIR:-target}
	loadtest/cluster-bench

fuzz: ## Fuzz every decoder and the session machine: FUZZ_SECONDS in all (an hour), on one core
	@scripts/setup rust
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600) scripts/fuzz

reference: ## Write the documents and help texts of the settings anew from their table
	@scripts/setup rust
	cargo run --quiet --bin carillon -- settings markdown > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	cargo run --quiet --bin carillon -- settings toml > deploy/carillon.toml.new && mv deploy/carillon.toml.new deploy/carillon.toml
	INSTA_UPDATE=always cargo test --quiet -p carillon-gateway --lib cli::tests

clean: ## Remove everything that was built or installed here
	cargo clean
	rm -rf .cache $(NODE_TESTS)/node_modules
