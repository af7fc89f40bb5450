# make run: this machine's figures, live, without root and without a system bus. make test: everything that can be shown.
PYTHON ?= python3
export PYTHON
ARGS ?= watch
BIN := .venv/bin
PIP := pip --disable-pip-version-check -q
# dbus-fast's newest version is in .venv; this is Debian 13's.
FAST := 2.44.6
DEBIAN := python3-dbus-next python3-dbus-fast python3-jeepney python3-psutil python3-sdnotify python3-click \
	python3-humanize python3-tomli-w python3-aiohttp python3-prometheus-client python3-venv

PREFIX ?= /usr/local
# What tests need beside Python; a test whose part is missing is skipped, and says so.
MODULES := /usr/lib/python3/dist-packages
WISHES := busctl=systemd gdbus=libglib2.0-bin mkfs.ext4=e2fsprogs mount=mount losetup=mount ip=iproute2 \
	unshare=util-linux kill=procps /usr/lib/polkit-1/polkitd=polkitd zsh=zsh fish=fish man=man-db groff=groff \
	less=less tmux=tmux mandoc=mandoc lintian=lintian gcc=gcc pkg-config=pkgconf /usr/include/stdio.h=libc6-dev \
	/usr/include/systemd/sd-bus.h=libsystemd-dev ssh=openssh-client $(MODULES)/gi/__init__.py=python3-gi \
	$(MODULES)/dbus_next/__init__.py=python3-dbus-next $(MODULES)/jeepney/__init__.py=python3-jeepney \
	$(MODULES)/psutil/__init__.py=python3-psutil $(MODULES)/sdnotify/__init__.py=python3-sdnotify \
	$(MODULES)/click/__init__.py=python3-click $(MODULES)/humanize/__init__.py=python3-humanize \
	$(MODULES)/tomli_w/__init__.py=python3-tomli-w $(MODULES)/aiohttp/__init__.py=python3-aiohttp \
	$(MODULES)/prometheus_client/__init__.py=python3-prometheus-client \
	chromedriver=chromium-driver

.PHONY: run test test-clients test-daemon test-dbus-next test-dbus-fast test-debian parts soak lint format generated bench deb install \
	uninstall clean

run: .venv/runtime
	@.make/live $(ARGS)

# Passes that can run beside each other (make -j3): everything, in two parts that take as long as each other, and the bus
# again on the other D-Bus libraries.
test: test-clients test-daemon test-dbus-next test-dbus-fast

CLIENTS := tests/healthctl tests/web tests/system
test-clients: parts .venv/development
	$(BIN)/python -m pytest -q $(CLIENTS)

test-daemon: parts .venv/development
	$(BIN)/python -m pytest -q $(CLIENTS:%=--ignore %)

# What is between healthd and the kernel, and so the same whatever carries it.
KERNEL := $(addprefix --ignore tests/bus/test_,hanging_mount.py many_interfaces.py mounts.py)
test-dbus-next: parts .venv/development
	HEALTHD_DBUS_LIBRARY=dbus_next $(BIN)/python -m pytest -q tests/bus $(KERNEL)

test-dbus-fast: parts .venv/development .build/dbus-fast-$(FAST)/installed
	PYTHONPATH=.build/dbus-fast-$(FAST) HEALTHD_DBUS_LIBRARY=dbus_fast $(BIN)/python -m pytest -q tests/bus \
		--ignore tests/bus/test_storm.py $(KERNEL)

# Once more on the Python packages of Debian 12, which only that release has. Its dbus-fast is there, and left alone.
# The system tests run on those in any case; health, state and publish use none of them.
test-debian: .venv-debian/installed
	.venv-debian/bin/python -m pytest -q --ignore tests/system --ignore tests/bus/test_storm.py --ignore tests/test_packages.py \
		--ignore tests/health --ignore tests/state --ignore tests/publish $(KERNEL)

# What the tests need beside Python, and what they install. One apt at a time: it locks. The package of sshd starts a
# server, here and at each boot, but where this file (Debian's own way to have none) is there before it.
parts: .venv/runtime
	@.make/packages --wish $(WISHES)
	-@test "$$(id -u)" != 0 || test -e /usr/sbin/sshd || ! command -v apt-get >/dev/null || \
		{ mkdir -p /etc/ssh && touch /etc/ssh/sshd_not_to_be_run && .make/packages --wish /usr/sbin/sshd=openssh-server; }
	@.make/prometheus
	-@.make/deb

# What a make test shows for a moment, for long: an hour. And half an hour for two other processors, as root on Debian.
soak: .venv/development
	for library in dbus_fast dbus_next; do \
		HEALTHD_DBUS_LIBRARY=$$library HEALTHD_TEST_STORM=600 HEALTHD_TEST_GRAMMAR=100000 $(BIN)/python -m pytest \
			-q -s --timeout 3600 tests/bus/test_storm.py tests/bus/test_wire_grammar.py || exit; \
	done
	HEALTHD_TEST_POWER_LOSSES=100 HEALTHD_TEST_KILLS=200 $(BIN)/python -m pytest -q --timeout 3600 tests/publish
	HEALTHD_TEST_PROFILE=soak $(BIN)/python -m pytest -q --timeout 3600 tests/health tests/test_events.py
	.make/foreign arm64 armhf

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/development
	$(BIN)/ruff check --fix -q .
	$(BIN)/ruff format -q .

# The XML, the man pages, the completions and tables of the README follow from the declarations.
generated: .venv/runtime
	$(BIN)/python .make/interfaces data/dbus/interfaces
	$(BIN)/python .make/man data/man
	$(BIN)/python .make/completions data/completions
	$(BIN)/python .make/tables README.md

# .build/deb/healthd_VERSION_all.deb and healthd-web_VERSION_all.deb, for Debian 12 and newer.
deb:
	@.make/deb

# For other distributions: below PREFIX, and below DESTDIR for now.
install uninstall:
	@$(PYTHON) .make/install $@ "$(PREFIX)" $(if $(DESTDIR),"$(DESTDIR)")

bench: .venv/development
	$(BIN)/python -m bench.cycle
	$(BIN)/python -m bench.machines
	$(BIN)/python -m bench.scale
	$(BIN)/python -m bench.process --minutes 0.5 --clients none,listener
	$(BIN)/python -m bench.command
	$(BIN)/python -m bench.recording

.venv/runtime: pyproject.toml
	@.make/packages dbus-daemon=dbus-daemon
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/$(PIP) install -e '.[fast,web]'
	@touch $@

.venv/development: .venv/runtime
	@$(BIN)/$(PIP) install -e '.[fast,dev]'
	@touch $@

.build/dbus-fast-$(FAST)/installed: .venv/runtime
	@$(BIN)/$(PIP) install --no-deps --target $(@D) --upgrade 'dbus-fast==$(FAST)'
	@touch $@

.venv-debian/installed: pyproject.toml | parts
	@. /etc/os-release && test "$$ID$$VERSION_ID" = debian12 || { echo "test-debian: this is no Debian 12" >&2; exit 1; }
	@test "$$(id -u)" = 0 || dpkg-query -W $(DEBIAN) >/dev/null || \
		{ echo "run this first: sudo apt install $(DEBIAN)" >&2; exit 1; }
	@test "$$(id -u)" != 0 || { apt-get -q update && \
		DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $(DEBIAN); } >/dev/null
	@rm -rf .venv-debian
	@/usr/bin/python3 -m venv --system-site-packages .venv-debian
	@.venv-debian/bin/$(PIP) install 'pytest>=8' 'pytest-timeout>=2' 'hypothesis>=6' 'pyte>=0.8' grimp wcwidth hatchling editables
	@.venv-debian/bin/$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .venv-debian .build build dist
