# What can be done here. "make" alone lists it.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

TESTFLAGS ?=
FUZZTIME  ?= 20s
BENCH     ?= .
BENCHTIME ?= 1s
STAY      ?=
UPDATE    ?=

# What make bench and make scale do with what they find: -write puts it into
# the documents. For less: -rows, -rounds, -brief.
BENCHFLAGS ?= -write

# The image, see .ci/image.
IMAGE     ?= localhost/vernegate
VERSION   ?=
PLATFORMS ?=

# The folder of a throw-away Kubernetes and podman, for where there is neither; it may be missing.
export KUBE ?= $(wildcard ../shared/kube)

# Where the tests leave pictures of the status page.
export SCREENSHOTS ?= $(CURDIR)/screenshots

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: build
build: ## Build bin/vernegate, one static binary
	CGO_ENABLED=0 go build -trimpath -o bin/vernegate ./cmd/vernegate

.PHONY: pgo
pgo: ## Write the profile that go build optimises by, from the binary under load: a minute
	go run ./e2e/pgo cmd/vernegate/default.pgo

.PHONY: image
image: ## Build the image IMAGE:VERSION with buildah or docker; PLATFORMS=linux/amd64,linux/arm64 for several
	@IMAGE='$(IMAGE)' VERSION='$(VERSION)' PLATFORMS='$(PLATFORMS)' .ci/image

.PHONY: release
release: ## Make all files of release VERSION (v0.1.0) in dist/
	cd release && go run . build -version '$(or $(VERSION),v0.0.0-unreleased)' -source .. -out ../dist

.PHONY: release-check
release-check: ## Make the release of the last commit twice and compare: every byte has to be the same
	VERSION='$(or $(VERSION),v0.0.0-check)' .ci/release-check

.PHONY: packages-test
packages-test: ## Install, upgrade and remove the packages in a Debian made by debootstrap, or a copy of DEBIAN_ROOT; as root
	cd release && go test -c -tags debian -o ../bin/packages.test .
	cd release && $(if $(filter 0,$(shell id -u)),,sudo env PATH="$$PATH" HOME="$$HOME" DEBIAN_ROOT="$$DEBIAN_ROOT") ../bin/packages.test -test.run PackagesLive -test.v

.PHONY: changelog
changelog: ## Give what is unreleased in CHANGELOG.md the version VERSION and the date of today
	cd release && go run . cut -version '$(VERSION)' -source ..

.PHONY: demo
demo: ## Show the job in this terminal on a throw-away set-up; STAY=1 keeps it running
	STAY=$(STAY) go run ./e2e/demo

.PHONY: test
test: tools-check ## Run all tests with the race detector, end-to-end against Mosquitto (or E2E_BROKER=host:port)
	go test -race -timeout 40m $(TESTFLAGS) ./...
	go test -race -timeout 40m -tags portable $(TESTFLAGS) ./proxy/... # as on systems without epoll
	cd charts && go test $(TESTFLAGS) ./...
	cd release && go test -short $(TESTFLAGS) ./...

.PHONY: e2e-image
e2e-image: ## Build the image and look into it
	.ci/in-box podman go test -tags image -count=1 -v ./e2e/images

.PHONY: e2e-podman
e2e-podman: ## Run the image in a pod of podman: the quick variant of e2e-kube
	.ci/in-box podman go test -tags podman -count=1 -v ./e2e/podman

.PHONY: e2e-kube
e2e-kube: e2e-image e2e-podman ## Install the chart in the Kubernetes of KUBECONFIG, or in a throw-away one, and live through its days
	.ci/in-box run go test -tags kube -count=1 -timeout 30m -v ./e2e/kube

.PHONY: lint
lint: ## Check modules, format, go vet (also for other systems), staticcheck and the workflows
	go mod tidy -diff
	go mod verify
	@unformatted=$$(gofmt -s -l .); [ -z "$$unformatted" ] || { echo "gofmt -s would change: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags image,kube,podman ./e2e/...
	GOOS=darwin go vet ./...
	GOOS=freebsd go vet ./...
	go run $(STATICCHECK) -tags image,kube,podman ./e2e/...
	go run $(STATICCHECK) ./...
	for module in charts release; do (cd $$module && go mod tidy -diff && go mod verify && go vet ./... && go run $(STATICCHECK) ./...) || exit; done
	cd release && go vet -tags debian .
	go run $(ACTIONLINT)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## Compare with the other proxies that are installed, and put that into docs/performance.md: 9 minutes
	go run ./bench compare $(BENCHFLAGS)

.PHONY: scale
scale: build ## Measure how cost grows, and put that into docs/performance.md: 8 minutes
	go run ./bench scale $(BENCHFLAGS)

.PHONY: scale-100k
scale-100k: build ## Hold 100 000 sessions in several processes, and put what that costs into docs/performance.md: 25 minutes
	go run ./bench crowd $(BENCHFLAGS)

.PHONY: peers
peers: ## Install the proxies to compare with, where apt is; elsewhere say what
	@.ci/peers

.PHONY: budget
budget: ## Hold allocations, bytes and (with valgrind) instructions against what they may be; UPDATE=1 writes down what they are
	go test -count=1 -run Budget ./proxy
	go test -count=1 -run Budget -tags portable ./proxy
	go test -count=1 -run Budget ./bench $(if $(UPDATE),-args -update)

.PHONY: microbench
microbench: ## Run the Go benchmarks that match BENCH (all), with their allocations
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

.PHONY: cover
cover: tools-check ## Show what the tests do not reach: coverage.out and its sum
	go test -coverpkg ./... -coverprofile coverage.out ./...
	@go tool cover -func coverage.out | tail -n 1

.PHONY: tools
tools: ## Install what the tests need beside Go, where apt is, and start no service; elsewhere say what
	@.ci/tools
	@.ci/mqttjs

.PHONY: tools-check
tools-check: # Say what of it is missing
	@.ci/tools --check

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf bin dist coverage.out screenshots
