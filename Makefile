# The two that matter: `make run` builds and starts a member, `make test` passes the tests. Both install what they need first.
SWIFT ?= swift
BUILD_DEPENDENCIES = libnghttp2-dev libssl-dev libsystemd-dev libyaml-dev libcrypt-dev pkg-config python3 python3-venv
RUN_FLAGS ?= --data-dir default.etcd

.PHONY: deb run test build debug unit conformance format lint simulate bench bench-behind bench-compaction bench-proxy bench-reads dependencies clean

run: build
	.build/release/quorate member $(RUN_FLAGS)

build: dependencies
	$(SWIFT) build -c release --product quorate

# .build/quorate_VERSION_ARCHITECTURE.deb
deb: build
	@dpkg -s dpkg-dev binutils chrpath >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq dpkg-dev binutils chrpath
	packaging/build-deb

test: unit conformance

unit: dependencies
	$(SWIFT) test

conformance: build
	Tests/Conformance/run

format:
	$(SWIFT) format -i --recursive --configuration .swift-format Sources Tests Package.swift

lint:
	$(SWIFT) format lint --strict --recursive --configuration .swift-format Sources Tests Package.swift

# Simulated clusters under faults for TIME seconds on all cores; two processes must agree on every bit of a seed first.
TIME ?= 60
SEED ?= 1
simulate: dependencies
	$(SWIFT) build -c release --product quorate-simulate
	test "$$(.build/release/quorate-simulate --seed $(SEED) | cut -d' ' -f1-4 | head -1)" = "$$(.build/release/quorate-simulate --seed $(SEED) | cut -d' ' -f1-4 | head -1)"
	.build/release/quorate-simulate --campaign --time $(TIME) --seed $(SEED)

bench: dependencies
	$(SWIFT) build -c release --product quorate-bench
	.build/release/quorate-bench $(BENCH)

bench-proxy: build
	$(SWIFT) build -c release --product quorate-bench
	Tests/Conformance/run proxy

# What a watcher far behind does to writers.
bench-behind: build
	$(SWIFT) build -c release --product quorate-bench
	Tests/Conformance/run behind

# What the compaction of a million revisions does to writers.
bench-compaction: build
	$(SWIFT) build -c release --product quorate-bench
	Tests/Conformance/run compaction

# How much a client that lists everything disturbs the others; MEGABYTES of data.
bench-reads: build
	Tests/Conformance/run reads $(MEGABYTES)

# Installed only when one is missing, so that a developer without root who has them can build.
dependencies:
	@dpkg -s $(BUILD_DEPENDENCIES) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(BUILD_DEPENDENCIES); }

clean:
	$(SWIFT) package clean
