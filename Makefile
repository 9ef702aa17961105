# aimux: make help lists what can be made.

SHELL    := /bin/bash
BIN      := $(CURDIR)/.tmp/bin
MODULES  := controlplane dataplane deploy e2e proto shared
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))
GO       ?= go
SEED     ?= 101
DURATION ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build run test check lint fmt generate checkgenerate arch unit rules e2e chaos bench speed fuzz sim plugin train accuracy conformance cluster cluster-down tidy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the binaries into .tmp/bin
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./deploy/cmd/aimux ./controlplane/cmd/aimux-controlplane ./dataplane/cmd/aimux-dataplane

run: ## start everything in one process: data on 127.0.0.1:8080, admin on 127.0.0.1:8081
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/aimux ./deploy/cmd/aimux
	@exec $(BIN)/aimux up

test: check ## everything: lint, generated code, unit tests, end to end; installs what it needs

check: lint checkgenerate rules unit e2e

unit: compiler ## tests of every package but e2e, with the race detector
	$(GO) test -race -timeout 15m $(filter-out ./e2e/...,$(PACKAGES))

rules: ## check Prometheus's configuration and play the cases of its rules
	@deploy/install.sh prometheus promtool
	cd deploy/prometheus && promtool check rules rules.yml && promtool check config prometheus.yml && promtool test rules rules_test.yml

e2e: build compiler $(BIN)/nats-server $(BIN)/otelcol servers ## tests from the street, against one process and against many
	$(GO) test -race -short -timeout 30m ./e2e/...

chaos: build compiler $(BIN)/nats-server $(BIN)/otelcol servers ## all of e2e, with the faults under load whose figures need a quiet machine
	$(GO) test -timeout 30m ./e2e/...

arch: ## who may import whom, purity, the doc sentences
	$(GO) test ./e2e -run 'TestHouse|TestRulesCatch|TestPureRoomsExist'

lint: $(BIN)/golangci-lint ## golangci-lint over every module
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && $(BIN)/golangci-lint run ./...) || exit 1; done

fmt: $(BIN)/golangci-lint $(BIN)/buf ## format Go and proto
	@for module in $(MODULES); do (cd $$module && $(BIN)/golangci-lint fmt ./...); done
	$(BIN)/buf format -w

generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-connect-go ## generate code from proto/
	PATH=$(BIN):$$PATH $(BIN)/buf lint
	PATH=$(BIN):$$PATH $(BIN)/buf generate

checkgenerate: generate ## fail if generated code is not what is committed
	@git diff --exit-code -- proto/gen >/dev/null && test -z "$$(git ls-files --others --exclude-standard proto/gen)" || \
		{ echo "proto/gen differs from what proto/ generates: run make generate and commit"; exit 1; }

bench: ## benchmarks of the request path
	$(GO) test -run '^$$' -bench . -benchmem ./dataplane/... ./shared/... ./controlplane/...

speed: build ## measure what a request costs beside Go's ReverseProxy, and nginx and HAProxy if they are installed; publish the table
	$(GO) run ./e2e/speed -o deploy/docs/speed.md

sim: ## play the cluster's health and the routing strategies under faults: SEED=, DURATION=
	cd controlplane && $(GO) test ./internal/fleet -run TestSimulator -v -count=1 -timeout 0 -seed=$(SEED) -duration=$(DURATION)
	$(GO) run ./shared/sim -seed $(SEED) -o deploy/docs/simulation.md

conformance: ## hold a running gateway to both wire formats, and publish the table
	$(GO) test ./e2e/conformance -count=1 -publish

plugin: ## build the example of a module that orders providers into .tmp/plugin
	@mkdir -p .tmp/plugin
	cd deploy/examples/plugin && GOWORK=off GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -buildmode=c-shared -ldflags='-s -w' -o $(CURDIR)/.tmp/plugin/order.wasm .

train: ## learn the thinking model from its texts
	cd dataplane && $(GO) run ./internal/analyze/reason/train

accuracy: ## measure the thinking model on texts that it has not seen, and publish the tables
	cd dataplane && $(GO) run ./internal/analyze/reason/train -report $(CURDIR)/deploy/docs/accuracy.md

cluster: build $(BIN)/nats-server servers ## start 3 control planes, 3 nodes, NATS and Redis on loopback
	deploy/cluster.sh up

cluster-down: ## stop what make cluster started
	deploy/cluster.sh down

tidy: ## go mod tidy in every module
	@for module in $(MODULES); do (cd $$module && $(GO) mod tidy) || exit 1; done

clean: ## remove what was built
	rm -rf .tmp

.PHONY: compiler servers otelcol
otelcol: $(BIN)/otelcol # the collector that the tests of traces send to

compiler: # the race detector needs one
	@deploy/install.sh cc

servers:
	@deploy/install.sh redis-server curl prometheus promtool

$(BIN)/buf: deploy/tools/buf/go.sum
	@mkdir -p $(BIN)
	cd deploy/tools/buf && GOWORK=off $(GO) build -o $@ github.com/bufbuild/buf/cmd/buf

$(BIN)/golangci-lint: deploy/tools/lint/go.sum
	@mkdir -p $(BIN)
	cd deploy/tools/lint && GOWORK=off $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/protoc-gen-go: proto/go.mod
	@mkdir -p $(BIN)
	$(GO) build -o $@ google.golang.org/protobuf/cmd/protoc-gen-go

$(BIN)/protoc-gen-connect-go: proto/go.mod
	@mkdir -p $(BIN)
	$(GO) build -o $@ connectrpc.com/connect/cmd/protoc-gen-connect-go

$(BIN)/otelcol: deploy/tools/otelcol/main.go deploy/tools/otelcol/go.sum
	@mkdir -p $(BIN)
	cd deploy/tools/otelcol && GOWORK=off $(GO) build -o $@ .

$(BIN)/nats-server: deploy/go.mod
	@mkdir -p $(BIN)
	$(GO) build -o $@ github.com/nats-io/nats-server/v2
