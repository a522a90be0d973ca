# Two commands: `make demo` shows what Holdfast is for, `make test` passes the tests.
# Both install what is missing on a Debian machine; both want root, for nodes are real machines.

CARGO ?= cargo
# Compile jobs; a machine with little memory may want 1.
export CARGO_INCREMENTAL ?= 1
PATH := $(HOME)/.cargo/bin:$(PATH)
export PATH

.PHONY: demo soak sim mutants test walls check deny build setup clean

## Watch a PostgreSQL and a Redis live through hard interruptions. KEEP=1 leaves the server running.
demo: setup build
	./target/debug/holdfast-trials demo $(if $(KEEP),--keep)

## Ten nodes of five servers under every kind of trouble for MINUTES (10). SEED=n repeats a choice.
soak: setup build
	./target/debug/holdfast-trials soak --for $(or $(MINUTES),10)m $(if $(SEED),--seed $(SEED))

## The simulation at its full size: 100,000 replacements that a fault hit.
sim: build
	./target/debug/holdfast-trials sim --replacements 100000

## Wrong changes of the source, drawn by SEED (1), N (100) of them or ALL=1, or only the survivors in
## AGAIN=file: which does no test notice? PLANTED=1: those that the simulation must find by chance.
## LISTED=1: those that are written down, each with the one test that must notice it.
mutants: setup
	$(CARGO) build --locked --quiet --package holdfast-mutants
	@$(if $(PLANTED)$(LISTED),true,$(CARGO) mutants --version >/dev/null 2>&1 || $(CARGO) install cargo-mutants --locked)
	./target/debug/holdfast-mutants $(if $(PLANTED),planted,$(if $(LISTED),listed,draw --seed $(or $(SEED),1) \
	  --count $(or $(N),100) $(if $(ALL),--all) $(if $(AGAIN),--again $(AGAIN)))) \
	  $(if $(WORKERS),--workers $(WORKERS))

## Formatting, lints and all tests.
test: setup check
	$(CARGO) test --workspace --locked --quiet

## The attacks alone: what a user, a node and a neighbour may try, each against a wall of its own.
walls: setup
	$(CARGO) test --workspace --locked walls

check: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings

## Licences, banned and doubled crates, sources and known vulnerabilities of what is depended on.
deny: setup
	@scripts/deny

build: setup
	$(CARGO) build --locked --bin holdfast --bin holdfast-trials

## Install what is missing (nothing is started).
setup:
	@scripts/setup

clean:
	-./target/debug/holdfast local reset --yes --data-dir target/demo/data
	$(CARGO) clean
