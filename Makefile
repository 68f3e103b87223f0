# What a change is judged by. `make test` is what CI runs (.ci/run).
#
#   make build     static binaries in bin/
#   make firmware  the sensor node's image in bin/firmware/, and how large it is
#   make test      everything CI runs: format, vet, staticcheck, rules of the tree, tests with -race, fuzzing, crash matrix
#   make package   the Debian packages of a release in dist/: amd64, arm64, armhf, the same bytes from the same sources
#   make test-install  what make test does with the packages, alone: lintian, the same bytes twice, their life on a booted Debian, ARM
#   make test-usb  serial adapters unplugged, and the unit's limits, on a Debian with its own kernel in QEMU; needs root, 6 minutes
#   make scale-demo three brokers, an S3 store, two ingests and three engines on this machine, one of them killed; needs Java, 2 minutes
#   make bench     the figures of docs, with this machine's own limits beside them
#   make soak      the heavy counts of the tests and the crash matrix; hours
#   make mutants   takes each fsync, compare and check of the commit points out in turn; the suite must go red each time
#   make vuln      known vulnerabilities of what a release links in, by the newest database, or by that of VULNDB where none answers
#   make fmt       formats
#   make fuzz      fuzzes every target: framing and decoding of AIS FUZZ_SECONDS in total, all others as long
#
# CI=true makes a failure of what is only said to be skipped elsewhere.

SHELL        := /usr/bin/env bash
.SHELLFLAGS  := -eu -o pipefail -c
GO           ?= go
FUZZ_SECONDS ?= 60
RECORDING    ?= $(or $(LANDFALL_CORPUS),../shared/data/ais)/gpsd-contrib-ais-nmea-sample.log.gz
STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# What releases are built with, as Dockerfile says it too: older ones have holes in their standard library.
TOOLCHAIN    := $(shell sed -n 's/^toolchain //p' go.mod)
VULNDB       := golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS      := -s -w -X main.version=$(VERSION) -X landfall/cmd/internal/cli.built=$(shell git log -1 --format=%ct 2>/dev/null)

.PHONY: build firmware package test test-install test-usb scale-demo deps check-format vet staticcheck archtest unit duckdb fuzz crash bench soak mutants vuln fmt clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/landfall-edge ./cmd/landfall-engine ./cmd/landfall

package:
	GOTOOLCHAIN=$(TOOLCHAIN) $(GO) run ./cmd/internal/pack

test-install:
	$(GO) test -count=1 -timeout 30m -v ./cmd/internal/pack

test-usb:
	LANDFALL_USB=1 $(GO) test -count=1 -timeout 30m -v -run TestUnplugged ./cmd/internal/pack

firmware:
	@$(MAKE) --no-print-directory -C firmware BUILD=$(CURDIR)/bin/firmware

# One step after the other: each prints what it found, and the cheap ones come first.
test:
	@$(MAKE) --no-print-directory check-format
	@$(MAKE) --no-print-directory vet
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory archtest
	@$(MAKE) --no-print-directory staticcheck
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory duckdb
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory crash
	@cat tmp/skipped

# Installs what the tests need where that is possible, and lists what it could not.
deps:
	@.ci/deps tmp/skipped

check-format:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags failpoint ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

archtest:
	$(GO) test -count=1 ./cmd/internal/archtest

unit:
	GO='$(GO)' .ci/unit | $(GO) run ./cmd/internal/testreport

# The engine of DuckDB is C++, in a module of its own; where no compiler is, deps has said so.
duckdb:
	@if command -v g++ >/dev/null; then cd sinks/sinktest/goduckdb && CGO_ENABLED=1 $(GO) vet . && CGO_ENABLED=1 $(GO) test -count=1 -v .; fi

fuzz:
	@GO='$(GO)' .ci/fuzz $(FUZZ_SECONDS) 'decoders/(nmea|ais)'
	@GO='$(GO)' .ci/fuzz $(FUZZ_SECONDS) '!decoders/(nmea|ais)'

crash:
	$(GO) test -tags failpoint -vet=off -count=1 -timeout 30m -v ./cmd/internal/crashtest

scale-demo:
	$(GO) run ./cmd/internal/scaledemo

bench: build
	$(GO) run ./cmd/landfall bench --edge bin/landfall-edge $(if $(wildcard $(RECORDING)),--recording $(RECORDING))
	$(GO) test -run '^$$' -bench . -benchmem -p 1 -timeout 1h ./...

soak:
	LANDFALL_SOAK=1 $(GO) test -count=1 -p 1 -timeout 12h ./...
	LANDFALL_SOAK=1 $(GO) test -tags failpoint -count=1 -timeout 12h -v ./cmd/internal/crashtest

# A mutant that only a test with a real part notices survives where that part is missing.
mutants:
	@$(MAKE) --no-print-directory deps
	$(GO) run ./cmd/internal/mutants

# govulncheck ends with 3 when it found something, with 1 when it could not look. Its database is a Go module too.
vuln:
	@export GOTOOLCHAIN=$(TOOLCHAIN); GOBIN=$(CURDIR)/tmp $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.1.4; \
	rc=0; tmp/govulncheck ./... || rc=$$?; \
	if [ $$rc = 1 ]; then \
		dir=$$($(GO) mod download -json $(VULNDB) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
		echo "No newer database answers. By $(VULNDB), built with $(TOOLCHAIN):"; \
		rc=0; tmp/govulncheck -db "file://$$dir/data/osv" ./... || rc=$$?; \
	fi; exit $$rc

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin dist tmp
