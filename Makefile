# Postrider. Needs Go alone; where a C compiler is there too, tests run with the race detector. The tests install the services that they start.

GO    ?= go
CODE  := cmd core examples plugins proto sdk

# The race detector needs cgo, and go itself knows whether it has a compiler for that.
CGO   := $(shell $(GO) env CGO_ENABLED)
RACE  := $(if $(filter 1,$(CGO)),-race,)

# The suites that inject faults, by parts of the names of their tests; the same run in make test, shorter. One of them alone: make chaos SUITE=KilledInTurn
SUITE ?= NothingIsLost|NothingAcknowledgedIsLost|FailsToSync|FailingSync|FullDisk|Overload|IdleAndSlow

.DEFAULT_GOAL := help
.PHONY: help build run test punctual simulate chaos fuzz check allocations bench compare generate format vet staticcheck macos fresh tidy imports race-notice

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

build: ## bin/postrider, bin/plugins/ and bin/examples/
	@mkdir -p bin/plugins bin/examples
	$(GO) build -o bin/postrider ./cmd/postrider
	$(GO) build -o bin/plugins/ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./plugins/...)
	$(GO) build -o bin/examples/ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./examples/...)

run: build ## see an order become a webhook; Ctrl-C ends it
	@bin/postrider demo

# Tests that start real binaries build them by themselves, which the cache of test results can't see: hence -count=1. Services that tests need are
# installed where that is possible; else the tests that need them fail, or are left out, saying so, with SKIP_SERVICES=1.
test: race-notice ## all tests, with the race detector where a C compiler is
	@.ci/services install
	@status=0; $(GO) test $(RACE) -count=1 -timeout 10m ./... || status=$$?; \
	$(if $(RACE),$(MAKE) -s allocations || status=$$?;) $(MAKE) -s punctual || status=$$?; .ci/services missing && exit $$status

# The race detector allocates for itself, so these tests are left out where it runs, and made up for here.
allocations: ## what each seam of the hot path allocates per event is within its budget
	$(GO) test -count=1 -run AllocatesNo\|AllocateNo ./core/... ./sdk/... ./plugins/...

# Alone and without the race detector, which both take time that retries would be blamed for.
punctual: ## 10,000 retries on RabbitMQ come within 5 % of their delay, or 200 ms
	POSTRIDER_ALONE=1 $(GO) test -count=1 -run RetriesComeOnTime ./core/rabbitmq

simulate: ## 10,000 simulated lives of the dispatcher, each another course of failures; POSTRIDER_SEEDS says how many
	$(GO) test -count=1 -v -run Simulation ./core/dispatch

# One suite at a time: each has the machine to itself, as its figures say. A suite that is not there, or may not run, has no row: no row at all is a failure.
chaos: ## the crash suites at full length, and one table of what was injected, accepted, lost; takes about 45 minutes; SUITE= runs one
	@.ci/services install
	@table=$$(mktemp) && status=0 && \
	POSTRIDER_CHAOS_TABLE=$$table POSTRIDER_KILLS=200 POSTRIDER_EVENTS=50000 POSTRIDER_CUTS=200 POSTRIDER_SECONDS=300 POSTRIDER_BROKER_KILLS=100 POSTRIDER_BROKER_EVENTS=50000 POSTRIDER_OUTAGE_SECONDS=60 POSTRIDER_CONNECTIONS=10000 POSTRIDER_PLUGIN_KILLS=500 \
	$(GO) test -count=1 -p 1 -parallel 1 -timeout 100m -run '$(SUITE)' ./core/bolt ./cmd/postrider/endtoend || status=$$?; \
	test -s $$table || { echo "no suite ran: the test of none has SUITE=$(SUITE) in its name (core/coretest/chaos/README.md lists them)" >&2; status=1; }; \
	echo; echo '| faults | events accepted | lost | duplicated | at most | attempts burnt | at work again after |'; echo '|---|---|---|---|---|---|---|'; \
	cat $$table; rm -f $$table; SKIP_SERVICES=1 .ci/services missing; exit $$status

# One target at a time, because go test takes one only; what a run finds is kept under testdata/fuzz of its package, where go test runs it from then on.
FUZZTIME ?= 10s
fuzz: ## every fuzz target, FUZZTIME each (10s): what is given by strangers, plugins and publishers, made up
	@for dir in $$(grep -rl '^func Fuzz' --include=*_test.go $(CODE) | xargs -n 1 dirname | sort -u); do \
		targets=$$($(GO) test -list '^Fuzz' ./$$dir) || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$dir || exit 1; \
		done; \
	done

check: format vet staticcheck macos fresh tidy imports ## all that is not a test: format, vet, staticcheck, that it builds for macOS, generated code, go.mod, import rules
	@echo "check: all is well"

# RUNS is how often each short scenario is measured. BenchmarkBacklog takes as long a backlog as it is told: POSTRIDER_BACKLOG=1000000 make bench.
RUNS ?= 5
bench: build ## every scenario of postrider bench as one Markdown table, then the hot seams; takes about 15 minutes
	bin/postrider bench --scenario all --runs $(RUNS) --markdown
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 300ms ./core/... ./sdk/... ./plugins/internal/post

# Both take turns, seam by seam: where a machine has neighbours, two long stretches would compare these. A seam that BASE hasn't is shown alone.
SEAMS := core/bolt core/dispatch core/eventjson core/httpapi core/pluginhost plugins/internal/post sdk/host
COUNT ?= 6
compare: ## the hot seams of the code here beside those of another commit, by benchstat: make compare BASE=HEAD~1; takes about 12 minutes
	@test -n "$(BASE)" || { echo "which commit to compare with is missing: make compare BASE=HEAD~1" >&2; exit 2; }
	@tmp=$$(mktemp -d) && trap 'git worktree remove --force "$$tmp/base" 2>/dev/null; rm -rf "$$tmp"' EXIT && git worktree add -q --detach "$$tmp/base" "$(BASE)" && \
	for tree in base here; do \
		test $$tree = here && root=$$PWD || root=$$tmp/base; \
		for seam in $(SEAMS); do \
			test ! -d $$root/$$seam || (cd $$root && $(GO) test -c -o $$tmp/$$tree.$$(echo $$seam | tr / .) ./$$seam) || exit 1; \
		done; \
	done && \
	for turn in $$(seq $(COUNT)); do for seam in $(SEAMS); do for tree in base here; do \
		test $$tree = here && root=$$PWD || root=$$tmp/base; binary=$$tmp/$$tree.$$(echo $$seam | tr / .); \
		test ! -x $$binary || (cd $$root/$$seam && $$binary -test.run '^$$' -test.bench . -test.skip Backlog -test.benchmem -test.benchtime 200ms) >> $$tmp/$$tree.txt || exit 1; \
	done; done; done && \
	$(GO) tool benchstat base=$$tmp/base.txt here=$$tmp/here.txt

generate: ## make the Go code of proto/ anew
	$(GO) generate ./proto

# What check consists of. Each says what to do about what it finds.

format:
	@files=$$(gofmt -l $(CODE)) && test -z "$$files" || { echo "not formatted: $$files"; echo "run: gofmt -w $(CODE)"; exit 1; }

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

# Nothing here runs there, but many a newcomer's two commands do.
macos:
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build ./...

# Compares with what is there, committed or not, so that it says the same in any clone and with any change under way.
fresh:
	@before=$$(cat proto/pluginv1/*.go proto/testdata/* | cksum); $(GO) generate ./proto && after=$$(cat proto/pluginv1/*.go proto/testdata/* | cksum) && \
	test "$$before" = "$$after" || { echo "what is generated in proto/pluginv1 and proto/testdata was stale; it is fresh now: commit it"; exit 1; }

tidy:
	@$(GO) mod tidy -diff || { echo "go.mod or go.sum is not tidy: run go mod tidy"; exit 1; }

# With the race detector, so that a check without tests still shows that everything can be built with it.
imports: race-notice
	$(GO) test $(RACE) -count=1 -run 'Import|TopLevel|Rules' ./core

race-notice:
	@test -n "$(RACE)" || echo "no C compiler here: tests run without the race detector (install gcc to have it)"
