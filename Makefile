# Everything a contributor runs. `make` alone lists the targets.

FILTERS := envoy-metrics envoy-policy fluentbit-filter
PROCESSOR := otel-processor
MODULES := $(FILTERS) $(PROCESSOR)
# The processor once more, behind the contract of wit/.
COMPONENT := otel-processor-component
# Has room for defaults in its data, in zeros that must be there: linked as small as it gets, not packed.
PATCHED := fluentbit-filter
# Not for users: what the tests compare the modules with.
REFERENCE := reference-plugin
FUZZ_SECONDS ?= 30
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

VENV := .venv
WASM_TARGET := wasm32-unknown-unknown
WASM_BUILD := target/$(WASM_TARGET)/plugin
COLLECTOR_BUILD := target/$(WASM_TARGET)/collector
PACK := cargo run --quiet -p module-report --bin pack-module --
# The hosts share two cores with the tests: more tests at once only time each other out.
TEST_THREADS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup plugins fluentbit-module stores drivers oci oci-push dashboards demo test test-fast lint bench oracle fuzz clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages, the wasm target, the pinned hosts in .venv
	@test-harness/setup.sh $(VENV)

plugins: ## build every module into dist/ and print its size, sha256 and imports
	@cargo build --profile plugin --target $(WASM_TARGET) \
		$(addprefix -p ,$(filter-out $(PATCHED),$(FILTERS)) $(REFERENCE))
	@cargo rustc --profile plugin --target $(WASM_TARGET) -p $(PATCHED) --lib -- \
		-C link-arg=--compress-relocations
	@for crate in $(PROCESSOR) $(COMPONENT); do \
		cargo rustc --profile collector --target $(WASM_TARGET) -p $$crate --lib -- \
			-C link-arg=--compress-relocations || exit 1; \
	done
	@mkdir -p dist
	@for module in $(FILTERS) $(REFERENCE); do \
		from=$(WASM_BUILD)/$$(echo $$module | tr - _).wasm; \
		case $$module in \
			$(PATCHED)) cp $$from dist/pgmesh-$$module.wasm ;; \
			*) $(PACK) $$from dist/pgmesh-$$module.wasm ;; \
		esac || exit 1; \
	done
	@$(PACK) $(COLLECTOR_BUILD)/$(subst -,_,$(PROCESSOR)).wasm dist/pgmesh-$(PROCESSOR).wasm
	@$(PACK) $(COLLECTOR_BUILD)/$(subst -,_,$(COMPONENT)).wasm dist/component.tmp
	@cargo run --quiet -p $(COMPONENT) --example componentize -- \
		dist/component.tmp dist/pgmesh-otel-processor.component.wasm
	@rm dist/component.tmp
	@cargo run --quiet -p module-report -- $(MODULES:%=dist/pgmesh-%.wasm) dist/pgmesh-otel-processor.component.wasm

fluentbit-module: plugins ## the log filter with CONFIG=file.json as its defaults, in dist/pgmesh-fluentbit-filter.configured.wasm
	@test -n "$(CONFIG)" || { echo "fluentbit-module: say which, CONFIG=pgmesh.json" >&2; exit 1; }
	@cargo run --quiet -p fluentbit-filter --example configure -- dist/pgmesh-fluentbit-filter.wasm \
		$(CONFIG) dist/pgmesh-fluentbit-filter.configured.wasm

oci: plugins ## every module as OCI images in dist/oci, in both layouts that Istio accepts
	@python3 test-harness/oci/pack.py dist dist/oci $(VERSION) $(MODULES)

oci-push: oci ## push them to REF=registry.example.com/pgmesh, as skopeo is logged in
	@test -n "$(REF)" || { echo "oci-push: say where to, REF=registry.example.com/pgmesh" >&2; exit 1; }
	@for module in $(MODULES); do for tag in $(VERSION) $(VERSION)-artifact; do \
		skopeo copy --all "oci:dist/oci/$$module:$$tag" "docker://$(REF)/$$module:$$tag" || exit 1; \
	done; done

demo: setup plugins ## PostgreSQL 18 behind Envoy, under load (KEEP=1 leaves it running, STACK=1 adds all that watches it)
	@! command -v go >/dev/null || test-harness/stores/build.sh .cache jaeger $(if $(STACK),loki)
	@$(if $(STACK),test-harness/collector/build.sh .cache)
	@cargo run --quiet --release -p test-harness $(if $(STACK),,--no-default-features) --bin demo -- \
		$(if $(KEEP),--keep) $(if $(STACK),--stack)

stores: ## build Jaeger, Loki, the Collector, the judge of manifests, unpack a PostgreSQL with TLS in .cache (once)
	@test-harness/stores/build.sh .cache jaeger loki
	@test-harness/collector/build.sh .cache
	@test-harness/manifests/build.sh .cache
	@test-harness/postgres-tls/build.sh .cache

dashboards: plugins stores drivers ## draw every dashboard from live data into dist/dashboards, in a headless Chromium
	@test-harness/setup.sh $(VENV) chromium
	@cargo run --quiet -p test-harness --bin draw

drivers: ## build the client programs in Go and Rust, gather Java's and Node's packages in .cache (once)
	@test-harness/drivers/build.sh .cache

test: setup plugins stores drivers ## every test, the end-to-end ones with real hosts too
	cargo test --workspace --locked --no-fail-fast -- --test-threads $(TEST_THREADS)

test-fast: plugins ## the tests that need no host
	cargo test --workspace --locked --exclude test-harness --exclude component-host
	cargo test --locked -p test-harness --lib --test 'fake_*'

lint: ## formatting, clippy, dependency policy
	cargo fmt --all --check
	cargo fmt --check --manifest-path test-harness/drivers/rust/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --locked --target $(WASM_TARGET) $(addprefix -p ,$(MODULES) $(COMPONENT)) -- -D warnings
	cargo test --quiet --locked -p module-report --test dependencies
	@! cargo deny --version >/dev/null 2>&1 || cargo deny check bans licenses sources

bench: setup plugins ## cost of the filter, as ratios from one run (ONLY=cpu,copy ROUNDS=9 for some parts)
	@test-harness/collector/build.sh .cache
	@for features in base redact classify,redact; do \
		cargo build --quiet --profile plugin --target $(WASM_TARGET) -p sql-module \
			$$([ $$features = base ] || echo "--features $$features") && \
		cp $(WASM_BUILD)/sql_module.wasm dist/pgmesh-sql-$${features%,*}.wasm || exit 1; \
	done
	@ONLY='$(ONLY)' ROUNDS='$(ROUNDS)' cargo run --quiet --release -p test-harness --bin bench
	@cargo run --quiet --release -p pg-wire --example throughput
	@cargo run --quiet --release -p pg-sql --example throughput
	@cargo run --quiet --release -p pg-log --example throughput
	@cargo run --quiet --release -p otel-processor --example throughput

oracle: ## judge pg-sql over every .sql file of a folder by PostgreSQL's own parser and by real servers, SQL=<folder>
	@test-harness/oracle/run.sh $(VENV) "$(SQL)"
	@cargo run --quiet -p test-harness --no-default-features --example normalize -- "$(SQL)"

fuzz: ## each fuzz target for FUZZ_SECONDS (30), or one (ONLY=editor)
	@test-harness/fuzz.sh .cache $(FUZZ_SECONDS) $(ONLY)

clean: ## remove all that was built or installed inside the tree
	cargo clean --quiet
	rm -rf dist $(VENV)
