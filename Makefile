# Everything that CI does is a target here; CI calls the same targets (see .ci/run).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO      ?= go
BIN     := bin/registry-bridge
MODULES := . e2e hack/monitoring hack/release tools
CHART   := deploy/helm/registry-bridge

# Downloads and built tools live outside the checkout, so that a clean checkout does not build them again.
CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/registry-bridge-lab
# The tools are built once for each content of the tools module and each Go version.
TOOLS   := $(CACHE)/tools/$(shell { cat tools/go.mod tools/go.sum; $(GO) env GOVERSION; } | cksum | cut -d' ' -f1)
TOOL     = $(TOOLS)/$(notdir $(1))

# How long each fuzz target runs beyond its committed corpus; nothing by default, 20 s in CI.
FUZZTIME ?= $(if $(CI),20s)
# Benchmarks to run, and how often.
BENCH      ?= .
BENCHCOUNT ?= 10
# What `make soak` does more of than `make e2e`: faults injected, kills of the bridge, and minutes without any change.
FAULTS ?= 1000
KILLS  ?= 500
# How often the leader of three replicas is killed, and how often it is stopped beyond its lease.
LEADERS ?= 50
IDLE   ?= 10m

# The race detector needs cgo, and that a C compiler.
HAVE_CC := $(shell command -v "$$($(GO) env CC)" >/dev/null 2>&1 && echo yes)
RACE    := $(if $(HAVE_CC),-race)

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Build and test

.PHONY: build
build: ## Build bin/registry-bridge.
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/registry-bridge

.PHONY: test
test: build ## Build, and run all tests that need only Go (with the race detector when there is a C compiler).
	@echo "race detector: $(if $(RACE),on,OFF: it needs a C compiler and there is none)"
	$(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE) -timeout 5m ./...
	$(GO) -C hack/release test ./...
	$(GO) -C hack/monitoring test -timeout 5m ./...
	@$(if $(FUZZTIME),$(MAKE) fuzz FUZZTIME=$(FUZZTIME),echo "fuzzing: committed corpus only (make fuzz FUZZTIME=20s for more)")

.PHONY: test-race
test-race: ## Run the tests that need only Go with the race detector; fails without a C compiler.
	CGO_ENABLED=1 $(GO) test -race -timeout 5m ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s).
	@hack/fuzz.sh $(or $(FUZZTIME),20s)

.PHONY: e2e
e2e: build ## Run the suites against real servers (prepared once); CLUSTER=off leaves out those that need root on Linux.
	cd e2e && $(GO) test -count=1 -timeout 30m $(if $(filter off,$(CLUSTER)),$$($(GO) list ./... | grep -v -e '/e2e/node$$' -e '/e2e/wire$$' -e '/e2e/lab/network$$'),./...)

.PHONY: e2e-lab
e2e-lab: ## Prepare the real servers that `make e2e` starts, and nothing else.
	cd e2e && $(GO) run ./lab/prepare

.PHONY: e2e-kind
e2e-kind: ## Run the chart in a cluster of kind, with Istio's charts: needs Docker on Linux, kind, kubectl and helm, and is not part of CI.
	hack/e2e-kind.sh

.PHONY: soak
soak: build ## Inject FAULTS (1000) faults before a real ZooKeeper, kill the bridge KILLS (500) times and its leader LEADERS (50) times, idle for IDLE (10m), judged by the oracle.
	cd e2e && $(GO) test -count=1 -timeout 0 -v -run '^Test(Faults|Idle)$$' ./faults -faults $(FAULTS) -idle $(IDLE)
	cd e2e && $(GO) test -count=1 -timeout 0 -v -run '^TestCluster$$/^BridgeKilled$$' ./cluster -kills $(KILLS)
	cd e2e && $(GO) test -count=1 -timeout 0 -v -run '^TestLeader$$' ./replicas -kills $(LEADERS) -restarts 10
	cd e2e && $(GO) test -count=1 -timeout 0 -v -run '^TestIdle$$' ./figures -idle $(IDLE)

.PHONY: bench
bench: build ## Run the benchmarks on one core, BENCHCOUNT (10) times, and measure the binary; BENCH selects.
	GOMAXPROCS=1 $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) -timeout 60m ./...
	cd e2e && $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 60m ./figures

.PHONY: cover
cover: ## Measure test coverage, per package and in total; out/coverage.html shows the lines.
	@mkdir -p out
	$(GO) test -coverprofile out/coverage.out ./api/... ./internal/...
	@$(GO) tool cover -html out/coverage.out -o out/coverage.html
	@$(GO) tool cover -func out/coverage.out | tail -1

.PHONY: mutation
mutation: $(call TOOL,gremlins) ## Change the code of translate and plan, and see whether a test notices (minutes; not in CI).
	$(call TOOL,gremlins) unleash --threshold-efficacy 85 ./internal/translate
	$(call TOOL,gremlins) unleash --threshold-efficacy 85 ./internal/sync/plan

.PHONY: demo
demo: build ## Show in under a minute what happens when a registry changes, fails and comes back empty.
	@$(GO) run ./hack/demo

##@ Release

# Name of the image; its tag, when that should not be the version; and what it is built for.
IMAGE ?= ghcr.io/registry-bridge/registry-bridge
TAG   ?=
ARCHS ?= amd64 arm64
# Makes the parts of a release from the binaries; paths are relative to hack/release.
RELEASE  = $(GO) -C hack/release run .
BINARIES = $(ARCHS:%=../../out/linux-%/registry-bridge)

.PHONY: release-binaries
release-binaries:
	@for arch in $(ARCHS); do echo "building for linux/$$arch"; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -buildvcs=true -ldflags='-s -w' -o out/linux-$$arch/registry-bridge ./cmd/registry-bridge; done

.PHONY: image
image: release-binaries licenses ## Build the image without Docker: out/image has an OCI layout, and archives for containerd and Docker.
	@rm -rf out/image
	@$(RELEASE) image -out ../../out/image -name $(IMAGE) -tag '$(TAG)' -notices ../../out/THIRD_PARTY_NOTICES $(BINARIES)

.PHONY: image-check
image-check: image ## Build the image, and run the program from it in a root that holds nothing else.
	$(GO) -C hack/release test -count=1 -run '^TestBuilt$$' ./image -layout ../../../out/image/oci

.PHONY: licenses
licenses: ## Collect the licences of all that is linked in (out/THIRD_PARTY_NOTICES); fails on one that is not allowed.
	@$(RELEASE) notices -out ../../out/THIRD_PARTY_NOTICES

.PHONY: sbom
sbom: release-binaries ## Write the bill of materials (CycloneDX) of the binaries in the image: out/sbom.
	@for arch in $(ARCHS); do $(RELEASE) sbom -out ../../out/sbom/registry-bridge-linux-$$arch.cdx.json ../../out/linux-$$arch/registry-bridge; done

# The tag that is checked out, without its v; what is between tags is no version of a chart.
CHART_VERSION ?= $(or $(patsubst v%,%,$(shell git describe --exact-match --tags 2>/dev/null)),0.0.0-snapshot)
# Where the chart is published, and the program that packages it: the version that the suites render it with.
CHARTS ?= oci://ghcr.io/registry-bridge/charts
HELM   ?= $(GO) run helm.sh/helm/v4/cmd/helm@v4.3.1

.PHONY: chart
chart: ## Package the chart into out/chart, with the version of the tag that is checked out (builds Helm, minutes).
	@rm -rf out/chart
	$(HELM) package $(CHART) --version $(CHART_VERSION) --app-version $(CHART_VERSION) --destination out/chart

# 2.18 and later need Go 1.27. It is no part of the tools module: its hundreds of dependencies would be those of every other tool.
GORELEASER = $(GO) run github.com/goreleaser/goreleaser/v2@v2.16.0

.PHONY: release
release: image-check chart ## Publish the tag that is checked out: a draft on GitHub, the image and the chart. The workflow "release" runs it.
	@hack/release/notes.sh "$$(git describe --exact-match --tags)" >out/release-notes.md
	$(GORELEASER) release --clean --release-notes out/release-notes.md
	@$(RELEASE) push -layout ../../out/image/oci
	$(HELM) push out/chart/registry-bridge-$(CHART_VERSION).tgz $(CHARTS)

.PHONY: release-snapshot
release-snapshot: image-check chart ## Build what a release consists of, and upload nothing (builds GoReleaser and Helm, minutes).
	$(GORELEASER) check
	$(GORELEASER) release --clean --snapshot

##@ Keep it clean

.PHONY: verify
verify: lint generate tidy image-check ## What CI checks besides the tests: lint, generated files, go.mod, licences, and the image.
	@hack/check-clean.sh

.PHONY: lint
lint: $(call TOOL,golangci-lint) ## Run the linters over all modules.
	@hack/check-source.sh
	$(call TOOL,golangci-lint) run ./...
	cd e2e && $(call TOOL,golangci-lint) run --config ../.golangci.yml ./...
	cd hack/release && $(call TOOL,golangci-lint) run --config ../../.golangci.yml ./...
	cd hack/monitoring && $(call TOOL,golangci-lint) run --config ../../.golangci.yml ./...

.PHONY: fmt
fmt: $(call TOOL,golangci-lint) ## Format the Go code.
	$(call TOOL,golangci-lint) fmt ./...
	cd e2e && $(call TOOL,golangci-lint) fmt --config ../.golangci.yml ./...
	cd hack/release && $(call TOOL,golangci-lint) fmt --config ../../.golangci.yml ./...
	cd hack/monitoring && $(call TOOL,golangci-lint) fmt --config ../../.golangci.yml ./...

.PHONY: generate
generate: $(call TOOL,controller-gen) ## Generate what is generated from Go types: deep copies, the CRD, the reference pages.
	$(call TOOL,controller-gen) object crd paths=./api/... output:crd:dir=$(CHART)/files/crds
	$(GO) generate ./...

.PHONY: golden
golden: ## Rewrite the golden files of all packages that have some; look at the diff.
	$(GO) test $$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' api internal cmd | xargs -r -n1 dirname | sort -u | sed 's|^|./|') -update
	cd e2e && $(GO) test ./chart -run '^TestGolden$$' -update

.PHONY: tidy
tidy: ## Tidy go.mod and go.sum of all modules.
	@for m in $(MODULES); do echo "go mod tidy in $$m"; (cd $$m && $(GO) mod tidy); done

.PHONY: vulncheck
vulncheck: $(call TOOL,govulncheck) ## Look for known vulnerabilities (needs https://vuln.go.dev).
	$(call TOOL,govulncheck) ./...

.PHONY: clean
clean: ## Remove what was built in the checkout; the caches outside stay.
	rm -rf bin out

# One rule for each tool: name and package.
$(TOOLS)/controller-gen: PACKAGE := sigs.k8s.io/controller-tools/cmd/controller-gen
$(TOOLS)/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/gremlins: PACKAGE := github.com/go-gremlins/gremlins/cmd/gremlins
$(TOOLS)/govulncheck: PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/controller-gen $(TOOLS)/golangci-lint $(TOOLS)/gremlins $(TOOLS)/govulncheck:
	@echo "building $(notdir $@) into $(TOOLS), once (about two minutes for golangci-lint)"
	@mkdir -p $(TOOLS)
	@cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o $@.new.$$$$ $(PACKAGE) && mv $@.new.$$$$ $@
