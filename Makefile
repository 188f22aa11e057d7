# `make help` lists the targets. CI runs `make test` (.ci/run), and nothing that is not here.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build test lint deny docs doc demo fuzz torture sandbox sandbox-down bench load test-matrix

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
SANDBOX_DIR ?= $(TARGET)/sandbox
SANDBOX := python3 tests/sandbox/sandbox.py

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing (Debian packages; needs root or sudo)
	@scripts/setup

build: setup ## the release binary
	$(CARGO) build --release --locked

lint: setup ## formatting, clippy, shell scripts
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path tests/pgwire-hazards/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	shellcheck scripts/setup scripts/demo scripts/demo-broker scripts/demo-provision scripts/check-dependencies scripts/check-roots scripts/fuzz .ci/run

deny: setup ## licences, bans and sources of the dependencies
	scripts/check-dependencies

test: setup ## everything: lint, dependencies, documentation, trust roots, unit and integration tests, the sandbox's own
	@$(MAKE) --no-print-directory lint deny doc
	scripts/check-roots
	DBPROXY_MATRIX=full $(CARGO) test --locked
	scripts/fuzz 5
	$(CARGO) test --locked --manifest-path tests/pgwire-hazards/Cargo.toml --target-dir $(TARGET)/pgwire-hazards
	$(SANDBOX) up --quiet --dir $(TARGET)/sandbox-probe
	probed=0; python3 tests/sandbox/probe.py --dir $(TARGET)/sandbox-probe || probed=$$?; \
	  $(SANDBOX) down --quiet --dir $(TARGET)/sandbox-probe; exit $$probed
	@echo "all tests passed"

test-matrix: setup ## provisioning on PostgreSQL 13 to 18 (`cargo test` alone: the oldest and the newest)
	DBPROXY_MATRIX=full $(CARGO) test --locked --test it provision::versions

fuzz: setup ## fuzz every parser that sees the network (SECONDS=60 for each)
	scripts/fuzz $(or $(SECONDS),60)

torture: setup ## the full torture suite and a long fuzz run: half an hour and more
	DBPROXY_TORTURE=full $(CARGO) test --locked --test it
	FUZZ_AT_ONCE=1 scripts/fuzz $(or $(SECONDS),600)

docs: setup ## write the generated documents anew
	UPDATE_DOCS=1 $(CARGO) test --locked --test it docs

doc: setup ## the API documentation, with the map in src/lib.rs
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

demo: build ## the main job before your eyes
	@scripts/demo

sandbox: build ## start a sandbox and a dbproxy in front of it, in the background
	$(SANDBOX) up --dir $(SANDBOX_DIR) --dbproxy-bin $(TARGET)/release/dbproxy

sandbox-down: ## stop both
	$(SANDBOX) down --dir $(SANDBOX_DIR)

bench: build ## compare with a direct connection and with PgBouncer; what logins cost; microbenchmarks
	scripts/setup --bench
	python3 benches/pgbench.py
	python3 benches/logins.py
	$(CARGO) bench --locked --bench micro

load: build ## 10,000 idle clients, a storm of new ones, a soak of two minutes (20: docs/benchmarks.md)
	python3 benches/load.py idle
	python3 benches/load.py storm
	python3 benches/load.py soak --minutes 2
