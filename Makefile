# Everything needs Go and a C compiler (SQLite). The tests bring up their own
# Redis, RabbitMQ and Python; as root on Debian they also install them.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# SQLite takes most of a minute to compile in each configuration. The checks look
# at the -race one, as the tests do, so that a clean machine compiles it once.
RACE        := GOFLAGS="$${GOFLAGS:-} -race"
STATICCHECK := bin/staticcheck-v0.8.2
TIMEOUT     := 15m
FUZZTIME    ?= 10s

# Modules of their own inside this one, such as interop/gocelery.
NESTED = $(patsubst %/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path './.*/*' -not -path '*/testdata/*'))

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: lint ## everything that must pass: lint, then all tests with the race detector
	UMBEL_TEST_REQUIRED=1 go run ./internal/testenv/run -- $(run-tests)

.PHONY: test-full
test-full: export UMBEL_TEST_FULL := 1
test-full: TIMEOUT := 75m
test-full: test ## the same with the long forms of the tests

# The root module first, then the nested ones.
run-tests = bash -euo pipefail -c ' \
	go test -race -timeout $(TIMEOUT) ./...; \
	for module in $(NESTED); do \
		echo "module $$module"; \
		cd "$(CURDIR)/$$module"; \
		go vet ./...; \
		go test -race -timeout $(TIMEOUT) ./...; \
	done'

.PHONY: lint
lint: $(STATICCHECK) ## gofmt, go vet and staticcheck
	@badly=$$(gofmt -l .); if [ -n "$$badly" ]; then echo "gofmt these files:"; echo "$$badly"; exit 1; fi
	$(RACE) go vet ./...
	$(RACE) $(STATICCHECK) ./...

$(STATICCHECK):
	GOBIN="$(CURDIR)/bin" go install honnef.co/go/tools/cmd/staticcheck@$(@:bin/staticcheck-%=%)
	mv bin/staticcheck $@

.PHONY: build
build: ## build bin/umbel
	go build -o bin/umbel ./cmd/umbel

.PHONY: demo
demo: ## broker, worker, monitor and sample work on http://127.0.0.1:5555
	go run ./cmd/umbel up --demo

# Every fuzz target as "package name".
fuzz-targets = { grep -rE --include='*_test.go' '^func Fuzz' . || true; } \
	| sed -E 's|/[^/]*_test.go:func (Fuzz[A-Za-z0-9_]*).*| \1|' | sort

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@$(fuzz-targets) | while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$package"; \
	done

.PHONY: fuzz-keep
fuzz-keep: ## keep thirty inputs of each target that fuzzing found, for tests
	@found="$$(go env GOCACHE)/fuzz/$$(go list -m)"; \
	$(fuzz-targets) | while read -r package target; do \
		[ -d "$$found/$$package/$$target" ] || continue; \
		kept="$$package/testdata/fuzz/$$target"; mkdir -p "$$kept"; \
		find "$$found/$$package/$$target" -type f -size -2k | sort | awk 'NR <= 30' | xargs -r cp -t "$$kept"; \
	done
