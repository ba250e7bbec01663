# The two that everyone needs: `make run` serves the shipped example, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
CONFIG ?= .
# How long each fuzz target runs.
SECONDS_EACH ?= 30

.PHONY: help run build test acd gates deps lint fmt bench bench-sip fuzz prompts image clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: build ## build the release and serve the shipped example (CONFIG=DIR for another configuration)
	./target/release/strowger run --config $(CONFIG)

build: ## build the release
	$(CARGO) build --release

deps: ## install what the tests need and is missing (apt; root or sudo)
	scripts/test-deps.sh

test: deps ## everything that is automated: format, unit, simulation, the real binary under SIPp and baresip, a little fuzzing
	$(CARGO) fmt --check
	$(CARGO) test --release
	./fuzz/run.sh 5

acd: ## 10,000 random sequences of queue commands against the invariants, 1,000 against the reference, then the figures of a large floor (some minutes)
	$(CARGO) test --release --lib -- --ignored ten_thousand_sequences on_many_random_sequences
	$(CARGO) bench --bench acd

gates: deps ## the gates of reliability against the real binary: malformed messages with 200 calls up, floods, slow peers, fraud, kill -9, memory (a quarter of an hour); prints a table
	CARGO=$(CARGO) scripts/gates.sh

lint: ## format and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt

bench: build ## microbenches, then CPU per operation beside Kamailio and rtpengine (BENCH_QUICK=1: two short runs, no microbenches)
	scripts/test-deps.sh bench
	$(if $(BENCH_QUICK),,$(CARGO) bench --benches)
	benches/side-by-side/sip/sip.py
	benches/side-by-side/rtp/rtp.py $(if $(BENCH_QUICK),--runs 2)

bench-sip: build ## CPU, latency and memory of signalling beside Kamailio, then instructions per operation against what is written down
	scripts/test-deps.sh bench
	benches/side-by-side/sip/sip.py
	$(if $(BENCH_QUICK),,benches/instructions.py)

fuzz: ## run every fuzz target for SECONDS_EACH seconds, on stable
	./fuzz/run.sh $(SECONDS_EACH) all

prompts: ## make the default prompts and music again
	scripts/test-deps.sh prompts
	prompts/build.sh

image: ## build the container image
	docker build -t strowger .

clean: ## remove what was built
	$(CARGO) clean
