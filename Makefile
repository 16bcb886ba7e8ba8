# The commands of the project. `make demo` and `make test` are the two to know: both do all their set-up.
# `make help` lists them all.

# ZooKeeper servers of your own for the demo: make demo HOSTS=host:port,host:port
HOSTS ?=
# The fault campaign of make test-long: how long, and which seed; without one it takes another each time. The minute of
# make test is always the same, and its plan has faults of every kind.
SECONDS ?= 600
SEED ?=
# How many tests run at the same time. Those on a real ZooKeeper mostly wait, but bring their own servers.
TEST_THREADS ?= 4

# The port of make zookeeper.
PORT ?= 2181

# Where `make install` puts things: the names and defaults of the GNU Coding Standards, in capitals or not. DESTDIR is
# put in front of all, for packages.
PREFIX ?= /usr/local
EXEC_PREFIX ?= $(PREFIX)
prefix ?= $(PREFIX)
exec_prefix ?= $(if $(filter $(PREFIX),$(EXEC_PREFIX)),$(prefix),$(EXEC_PREFIX))
BINDIR ?= $(exec_prefix)/bin
bindir ?= $(BINDIR)
LIBDIR ?= $(exec_prefix)/lib
libdir ?= $(LIBDIR)
INCLUDEDIR ?= $(prefix)/include
includedir ?= $(INCLUDEDIR)
DATAROOTDIR ?= $(prefix)/share
datarootdir ?= $(DATAROOTDIR)
MANDIR ?= $(datarootdir)/man
mandir ?= $(MANDIR)
DOCDIR ?= $(datarootdir)/doc/libelection
docdir ?= $(DOCDIR)
# Python finds the module by PYTHONPATH, or in a folder that it looks into; the module finds the library by itself.
PYTHONDIR ?= $(datarootdir)/libelection
pythondir ?= $(PYTHONDIR)
# What takes the debugging information out of what is installed; STRIP=true leaves it in.
STRIP ?= strip

CARGO ?= cargo

# Where cargo puts what it builds: CARGO_TARGET_DIR, a target-dir of its configuration, or target. Cargo is asked; root,
# who installs what somebody else has built, may have none.
ifndef TARGET
TARGET := $(shell $(CARGO) metadata --no-deps --offline --format-version 1 2>/dev/null | \
	sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ifeq ($(TARGET),)
TARGET := $(or $(CARGO_TARGET_DIR),target)
endif
endif

# Cargo's note on what a later compiler will make of a dependency of the tests is nothing that a reader can act on.
export CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY = never

build: command ## build libelection.so, .so.0 and .a and the command election in target/release
	@$(MAKE) --no-print-directory library

library: ## build the library alone
	$(CARGO) build --release --locked $(QUIET)
	@ln -sf libelection.so "$(TARGET)/release/libelection.so.0"
	@src/packaging/native_libs.sh "$(TARGET)/release"

# In a folder of its own: a library with that feature on would take the place of the other, and each build would begin anew.
command: ## build the command election alone
	$(CARGO) build --release --locked --features command --bin election --target-dir '$(TARGET)/command' $(QUIET)
	@mkdir -p '$(TARGET)/release' && ln -f '$(TARGET)/command/release/election' '$(TARGET)/release/election'

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the demo and the tests need and this machine lacks (apt-get)
	@tests/setup.sh compiler python servers checks

examples: library ## build the C and C++ programs of c_examples
	@$(MAKE) --no-print-directory -C c_examples ELECTION_LIBDIR='$(abspath $(TARGET))/release'

demo: export HOSTS := $(HOSTS)
demo: ## show an election and what it survives; HOSTS=host:port,... plays on your ZooKeeper
	@echo "An election on $(if $(HOSTS),your ZooKeeper,three ZooKeeper servers of its own), and what it survives. The first build takes a minute or two."
	@tests/setup.sh compiler python $(if $(HOSTS),,servers)
	@$(MAKE) --no-print-directory --silent examples QUIET=--quiet
	@$(CARGO) build --release --locked --quiet --example demo
	@'$(TARGET)/release/examples/demo' $(if $(HOSTS),--hosts "$$HOSTS")

zookeeper: ## run a ZooKeeper server to try things on, until Ctrl-C: PORT=2181
	@tests/setup.sh servers
	@tests/zookeeper.sh $(PORT)

# In a folder of its own, for cargo locks the one that it builds in, and make test has it look while the tests run: they wait
# more than they compute.
lint: ## let clippy look at the code
	$(CARGO) clippy --quiet --locked --workspace --all-targets --features command --target-dir '$(TARGET)/clippy' -- -D warnings
	$(CARGO) clippy --quiet --locked --test simulation --features command --target-dir '$(TARGET)/clippy' -- -D warnings
	$(CARGO) clippy --quiet --locked --lib --no-default-features --target-dir '$(TARGET)/clippy' -- -D warnings

# What make test needs in release after the tests on servers. They wait more than they compute, so it is built meanwhile. Without
# --lib: with it, cargo would put a library with the test gear of the examples in the place of the one that the tests look at.
build-ahead:
	@$(MAKE) --no-print-directory command QUIET=--quiet
	$(CARGO) build --locked --release --quiet --example campaign
	$(CARGO) test --locked --release --quiet --test simulation --no-run

test: setup ## run every check and every test, with ZooKeeper and without, and the demo
	$(CARGO) fmt --all --check
	@$(MAKE) --no-print-directory demo HOSTS=
	nice -n 19 $(MAKE) --no-print-directory lint build-ahead & beside=$$!; trap "kill $$beside" INT TERM; \
	$(CARGO) test --locked --workspace --features command -- --test-threads=$(TEST_THREADS); tests=$$?; wait $$beside && exit $$tests
	$(CARGO) test --locked --release --test simulation -- --nocapture
	@$(MAKE) --no-print-directory command QUIET=--quiet
	$(CARGO) build --locked --release --quiet --example campaign
	'$(TARGET)/release/examples/campaign' run --seconds 60 --seed 48
	'$(TARGET)/release/examples/campaign' plants

campaign: setup ## run the fault campaign alone: SECONDS=600 SEED=1
	@$(MAKE) --no-print-directory command QUIET=--quiet
	@$(MAKE) --no-print-directory library QUIET=--quiet
	$(CARGO) build --locked --release --quiet --example campaign
	'$(TARGET)/release/examples/campaign' run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

test-long: campaign ## the fault campaign, a million seeds of the simulation, ten thousand elections, a handover among a thousand, a soak, fuzzing (over an hour)
	SEEDS=1000000 $(CARGO) test --locked --release --test simulation campaign -- --nocapture
	$(CARGO) test --locked --release --test integration -- --ignored --nocapture
	$(CARGO) test --locked --test multiprocess -- --ignored
	@tests/setup.sh neighbours
	$(CARGO) test --locked --test neighbours -- --ignored --nocapture
	$(CARGO) test --locked --release --test hostile -- --ignored --nocapture
	$(CARGO) test --locked --test packaging -- --ignored
	FUZZ_SECONDS=60 $(CARGO) test --locked --test c_api each_function_stands_whatever_comes
	FUZZ_SECONDS=60 $(CARGO) test --locked --test zk a_session_stands_whatever_comes

test-versions: setup ## the tests on ZooKeeper 3.9.5, 3.7.2, 3.6.3 and 3.5.9, and an upgrade under a master; fetches them (half an hour)
	@CARGO='$(CARGO)' THREADS=$(TEST_THREADS) tests/versions/run.sh

bench: setup build ## measure, beside a raw read and write on the same ZooKeeper
	$(CARGO) bench --locked

# In the environment of the script, where no shell reads them: a folder may have blanks and quotes in its name.
install install-strip uninstall deb: export TARGET := $(TARGET)
install install-strip uninstall: export DESTDIR := $(DESTDIR)
install install-strip uninstall: export prefix := $(prefix)
install install-strip uninstall: export exec_prefix := $(exec_prefix)
install install-strip uninstall: export bindir := $(bindir)
install install-strip uninstall: export libdir := $(libdir)
install install-strip uninstall: export datarootdir := $(datarootdir)
install install-strip uninstall: export includedir := $(includedir)
install install-strip uninstall: export mandir := $(mandir)
install install-strip uninstall: export docdir := $(docdir)
install install-strip uninstall: export pythondir := $(pythondir)
install install-strip: export STRIP := $(STRIP)

# Root, who installs what somebody else has built, has no cargo as a rule.
BUILT = $(if $(shell command -v $(CARGO)),build)

install: $(BUILT) ## install into PREFIX (/usr/local); LIBDIR, INCLUDEDIR, MANDIR, DESTDIR, ... as GNU has them
	@src/packaging/install.sh install

# The name that the GNU Coding Standards have for it.
install-strip: install

uninstall: ## remove what `make install` put there
	@src/packaging/install.sh uninstall

deb: build ## build Debian packages, in target/deb
	@src/packaging/debian.sh

wheel: build ## build a wheel for Python with the library inside, in target/wheel
	@rm -rf '$(TARGET)/wheel'
	@python3 python/packaging/wheel_backend.py '$(TARGET)/release/libelection.so' '$(TARGET)/wheel'

licences: ## write the licences and the bill of materials anew, after Cargo.lock has changed
	@CARGO='$(CARGO)' src/packaging/third_party.py

clean: ## remove everything that was built
	$(CARGO) clean
	@$(MAKE) --no-print-directory -C c_examples clean

.PHONY: build library command help setup examples demo zookeeper lint build-ahead test campaign test-long test-versions bench install install-strip uninstall deb wheel licences clean
