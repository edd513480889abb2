# Everything that a developer or the CI runs. `make` alone explains itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BUF := tools/buf/node_modules/.bin/buf
EVENTSOURCE := tools/eventsource/node_modules/eventsource/package.json
GOLANGCI := bin/golangci-lint

# The race detector needs cgo, and a vet with -race shares its build cache with the tests.
# How long the tests of a package may take, on a busy machine too.
TEST_TIMEOUT ?= 30m
TEST_FLAGS ?= -race -vet=off -timeout $(TEST_TIMEOUT)

# How long make fuzz takes, all fuzzers together, as 90s, 20m or 1h.
FUZZTIME ?= 20m

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The version of what is released: the binary says it, and the image is tagged and labelled with it.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: build
build: ## Build bin/ssebridge, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags "$$(scripts/ldflags.sh $(VERSION))" -o bin/ssebridge ./cmd/ssebridge

# Where the image is to run.
PLATFORMS ?= linux/amd64 linux/arm64

.PHONY: image
image: ## Write the container image to bin/image, as an OCI layout and as one file, without an engine
	@scripts/image.sh $(VERSION) $(PLATFORMS)

.PHONY: demo
demo: ## Run the demo: a backend, the bridge and a page
	go run ./cmd/ssebridge demo

.PHONY: test
test: deps check-generate check-protos ## Run every check that needs no linter, and all tests with -race
	@TEST_FLAGS="$(TEST_FLAGS)" TEST_TIMEOUT="$(TEST_TIMEOUT)" scripts/test.sh

.PHONY: conformance
conformance: ## Run protobuf's official conformance suite, protobuf → JSON, and install its runner
	@scripts/conformance.sh

.PHONY: fuzz
fuzz: ## Run all fuzzers, for FUZZTIME in all
	@scripts/fuzz.sh $(FUZZTIME) ./bridge/internal/transcode ./bridge/internal/cors ./bridge/internal/tokens

# How long each half of `make soak` lasts: 30m, 90s, 2h.
DURATION ?= 30m

.PHONY: soak
soak: ## Kill, cut and slow down everything under 1,000 clients for DURATION, then play random schedules for DURATION
	cd bench && go run ./soak -duration $(DURATION) $(SOAK_FLAGS)
	@$(MAKE) property

.PHONY: hostile
hostile: ## Run eleven kinds of attackers beside honest clients, in the memory that deploy/ grants, for 20 minutes: HOSTILE_FLAGS="-all 30s -only bodies,reset"
	cd bench && go run ./hostile $(HOSTILE_FLAGS)

.PHONY: rollout
rollout: ## Stop a bridge under 10,000 clients (and over h2c and TLS under 2,000), restart a lone one, reload 100 times: ROLLOUT_FLAGS="-only h2c"
	cd bench && go run ./soak rollout $(ROLLOUT_FLAGS)

.PHONY: paces
paces: ## Bring 60 clients back at one cursor, 4,000 messages behind, with slow clients among them and without, also over h2c and TLS: PACES_FLAGS="-rounds 5"
	cd bench && go run ./soak paces $(PACES_FLAGS)
	go test -vet=off -count=1 -v -run '^TestClientsDoNotWaitForSlowSockets$$' ./bridge -args -pace-clients 60 -pace-behind 4000

.PHONY: bench
bench: ## Measure fanning out against others and write docs/benchmarks.md: 20 minutes, or BENCH_FLAGS="-case fanout-1k-30"
	@scripts/bench.sh $(BENCH_FLAGS)

# How often `make footprint` starts the bridge.
STARTS ?= 21

.PHONY: footprint
footprint: ## Print the time to readiness, memory when idle and of a topic, and the binary's size, and hold them
	@STARTS=$(STARTS) scripts/footprint.sh

.PHONY: property
property: ## Play random schedules of bridge/internal/topic for DURATION
	@scripts/property.sh $(DURATION)

# Some of the systems that the tests do not run on: without epoll, and with words of 32 bits.
PORTABLE := darwin/arm64 windows/amd64 linux/386

.PHONY: portable
portable: ## Build the command for other systems
	@for system in $(PORTABLE); do GOOS=$${system%/*} GOARCH=$${system#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/ssebridge || exit 1; done

.PHONY: architecture
architecture: ## Print the packages with their size and imports, and fail on an import that is not in the table
	@go run ./internal/architecture

.PHONY: words
words: ## Fail on words that the project does not use, and print the words to use instead
	@scripts/words.sh

.PHONY: lint
lint: $(GOLANGCI) $(BUF) portable ## Run golangci-lint, gofmt, go mod tidy, buf lint and buf format, and build for other systems
	scripts/modules.sh $(abspath $(GOLANGCI)) run --config $(abspath .golangci.yml) ./...
	go mod tidy -diff
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	scripts/words.sh
	scripts/blanks.sh
	$(BUF) lint
	$(BUF) format --diff --exit-code proto

.PHONY: generate
generate: $(BUF) ## Generate gen/ from proto/, the chart's copy of the alert rules, and THIRD_PARTY_NOTICES
	$(BUF) generate
	cp deploy/prometheus/rules.yaml deploy/helm/ssebridge/rules.yaml
	cd tools/notices && go run . > notices.new && mv notices.new ../../THIRD_PARTY_NOTICES

.PHONY: check-generate
check-generate: $(BUF) ## Fail when gen/ is not what proto/ generates
	@scripts/check-generate.sh $(BUF)

.PHONY: check-protos
check-protos: $(BUF) ## Run buf lint, and buf breaking against the commit this work began at
	$(BUF) lint
	@scripts/breaking.sh $(BUF)

.PHONY: deps
deps: $(EVENTSOURCE) ## Install what the tests need: a C compiler, Chromium, curl, nginx, HAProxy, Caddy, Apache, Prometheus, systemd-analyze, Node's EventSource
	@scripts/deps.sh

.PHONY: clean
clean: ## Remove what was built and installed in this folder
	rm -rf bin tools/buf/node_modules tools/conformance/node_modules tools/eventsource/node_modules

# buf comes prebuilt from npm, in two seconds; the linter is built once from its pinned module.
# npm install and not npm ci: the lock holds the Linux builds of buf with their hashes, and npm ci
# insists on entries for the other systems' optional builds too.
$(BUF): tools/buf/package.json tools/buf/package-lock.json tools/buf/.npmrc
	cd tools/buf && npm install --no-save
	@touch $@

# A client of the bridge's tests, in pure JavaScript.
$(EVENTSOURCE): tools/eventsource/package.json tools/eventsource/package-lock.json tools/eventsource/.npmrc
	cd tools/eventsource && npm ci
	@touch $@

$(GOLANGCI): tools/lint/go.mod tools/lint/go.sum
	go -C tools/lint build -o $(abspath $@) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
