# Everything that a contributor or CI runs. `make` alone lists it.

SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
LINT    := $(GO) tool -modfile=.ci/lint.mod golangci-lint
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run test soak lint fuzz bench bench-guard profile microbench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-11s %s\n", $$1, $$2}'

build: ## build bin/bellhop, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/bellhop ./cmd/bellhop

run: build ## build, and run everything in one process
	./bin/bellhop demo

# Tests of processes, servers and browsers wait more than they work, so more of them run at a time than there are processors;
# and they have the machine to themselves, for what they wait for comes in time.
END_TO_END := ./cmd/bellhop
PARALLEL   ?= 3
# What holds hostile input within bounds of time and memory, reads thousands of damaged files, or makes thousands of deliveries in
# a bubble is built without -race: the files that say so.
test: ## run all tests with the race detector; goroutine leaks and broken stores fail them
	$(GO) test -race -timeout 8m $$($(GO) list ./... | grep -v '/cmd/bellhop$$')
	$(GO) test -race -timeout 8m -parallel $(PARALLEL) $(END_TO_END)
	unraced=$$(grep -rl --include='*_test.go' '^//go:build !race' .); \
	$(GO) test -timeout 8m -run "^($$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' $$unraced | paste -sd'|'))$$" $$(dirname $$unraced | sort -u)

# Everything is killed, filled up, stopped and cut off under full load; ONLY=name runs one scenario, SOAK_SEED=n kills at other points.
ONLY ?=
soak: ## break everything under full load, for half an hour, and print what was lost
	SOAK=1 $(GO) test -count=1 -timeout 3h -v -run '^TestFaults$$/$(ONLY)' ./cmd/bellhop

lint: ## formatting, go vet, golangci-lint, and govulncheck where its data can be had
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...
	@.ci/vulncheck

fuzz: ## fuzz every target for FUZZTIME (30s) each, one after another
	@set -euo pipefail; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bin/bellhop-bench: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./cmd/bellhop-bench
FORCE:

bench: build bin/bellhop-bench ## measure everything, 3 minutes; BENCHFLAGS=-quick for half a minute, -full for all of it
	./bin/bellhop-bench -bellhop bin/bellhop -json bin/bench.json $(BENCHFLAGS)

bench-guard: bin/bellhop-bench ## fail where throughput is under 0.9 of the last tag's, or else of where this branch began
	BENCH=bin/bellhop-bench .ci/bench-guard $(BASE)

profile: build bin/bellhop-bench ## write CPU, heap, mutex and block profiles of each process to bin/profile
	./bin/bellhop-bench -bellhop bin/bellhop -profile bin/profile $(BENCHFLAGS)

microbench: ## run the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built
	rm -rf bin coverage.out
