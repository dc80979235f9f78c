# Everything that is done with this tree. "make help" lists it.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    = -s -w -X dist.example/cmd.version=$(VERSION)
BUILD      = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)"
BIN        = bin/dist
FUZZTIME  ?= 10s
TORTURE   ?= 30s
SOAK      ?= 60s
POWER     ?= 100
BENCH     ?= .
SYSTEMS    = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# What runs several things at once, and so is worth the race detector's time.
RACE       = ./sign/... ./gc/... ./budgets/... ./bundle/... ./plugin/... ./layer/... ./unpack/... ./content/... ./db/... ./blobstore/... ./registryclient/... ./registryserver/... ./client/... ./cmd/...

.DEFAULT_GOAL := help
.PHONY: help run build test crash soak ci lint fmt race fuzz bench bench-peers e2e e2e-cosign cross docs picture release

help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: build ## show the main job on real content: pack, serve, pull, compare
	@GO="$(GO)" ./.ci/demo.sh $(BIN)

build: ## build the static binary bin/dist
	@mkdir -p bin
	$(BUILD) -o $(BIN) ./cmd/dist

test: ## run all tests (no network, no root)
	CGO_ENABLED=0 .ci/inmemory.sh $(GO) test -timeout 900s ./...

crash: ## kill every command at every step of its protocols, in every way, of which make test takes a sample
	DIST_KILLS=all $(GO) test -count=1 -timeout 900s -run '^TestKilledAtEveryPoint$$' ./testscripts
	DIST_KILLS=all $(GO) test -count=1 -timeout 900s -run '^TestACrashAnywhereLosesNothingThatWasPromised$$' ./blobstore

soak: ## kill commands at random beside collections for SOAK (60s), cut the power in POWER (100) ways; SEED=n replays
	DIST_TORTURE=$(SOAK) DIST_SEED=$(SEED) $(GO) test -count=1 -timeout 0 -run '^TestKilledAtRandom$$' -v ./testscripts
	DIST_POWER=$(POWER) DIST_SEED=$(SEED) $(GO) test -count=1 -timeout 0 -run '^TestThePowerGoes$$' -v ./blobstore

ci: lint test race cross crash ## what has to pass before anything is merged

lint: ## check formatting, vet, staticcheck and module files
	@unformatted="$$($(GO) tool gofumpt -l .)" || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck -checks all ./...
	$(GO) mod verify

fmt: ## format all Go files
	$(GO) tool gofumpt -w .

race: ## run the tests of what is concurrent under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 900s $(RACE)

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@for pkg in $$($(GO) list ./...); do \
		targets="$$($(GO) test -list '^Fuzz' $$pkg)" || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

bench: build ## run the benchmarks; crane and oras are measured beside dist where they are installed
	DIST_BINARY="$(CURDIR)/$(BIN)" $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-peers: build ## measure dist beside crane, oras, regctl, skopeo and umoci; ROWS=regexp picks some, RUNS=3 rounds
	PATH="$$PATH:$(CURDIR)/bin/e2e:$$($(GO) env GOPATH)/bin" DIST_BENCH_PEERS=1 DIST_BINARY="$(CURDIR)/$(BIN)" \
		$(GO) test -count=1 -timeout 3600s -run '^TestSideBySide' -v ./testscripts | grep -v '^ *\(===\|---\)'

e2e: build ## test the static binary, also with the programs of others (CONTRIBUTING.md)
	@PATH="$$PATH:$(CURDIR)/bin/e2e:$$($(GO) env GOPATH)/bin"; for program in umoci debootstrap runc crun newuidmap dockerd cosign; do \
		command -v $$program >/dev/null || echo "$$program is absent: what meets it is left out"; \
	done; [ "$$(id -u)" = 0 ] || echo "not root: unpacking beside umoci and tar is left out"
	PATH="$$PATH:$(CURDIR)/bin/e2e:$$($(GO) env GOPATH)/bin" DIST_E2E=1 DIST_TORTURE=$(TORTURE) \
		DIST_BINARY="$(CURDIR)/$(BIN)" $(GO) test -count=1 -timeout 1800s ./testscripts
	PATH="$$PATH:$(CURDIR)/bin/e2e:$$($(GO) env GOPATH)/bin" DIST_E2E=1 \
		$(GO) test -count=1 -timeout 1200s -run '^TestTwoClonesMakeTheSameBytes$$' -v ./internal/release
	$(MAKE) soak

e2e-cosign: build ## let cosign verify what dist signs, and the other way, without a network
	@export PATH="$$PATH:$(CURDIR)/bin/e2e:$$($(GO) env GOPATH)/bin"; \
	if ! command -v cosign >/dev/null; then \
		echo "left out, since cosign is missing: go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.1"; \
		exit 0; \
	fi; \
	$(GO) test -c -o bin/testscripts.test ./testscripts && cd testscripts && \
		DIST_E2E=1 DIST_BINARY="$(CURDIR)/$(BIN)" \
		../.ci/alone.sh ../bin/testscripts.test -test.run '^TestCosign$$' -test.timeout 900s

cross: ## build for every system and processor that is supported
	@for target in $(SYSTEMS); do \
		echo "build $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/dist || exit 1; \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; \
	done

docs: ## write docs/cli anew from the program's own flags and texts
	DIST_WRITE_DOCS=1 $(GO) test -count=1 -run '^TestReferenceIsCurrent$$' ./cmd

picture: build ## take the pictures of a terminal in docs/ anew, of a real run
	$(GO) run ./internal/picture -dist $(BIN) -o docs

release: ## make bin/release of a clean clone: archives, packages, sums, list of modules; KEY=label-or-file signs
	$(GO) run ./internal/release -systems "$(SYSTEMS)" $(if $(KEY),-key "$(KEY)")
