# make run: this machine's figures, live, without root and without a system bus. make test: everything that can be shown.
PYTHON ?= python3
export PYTHON
ARGS ?= watch
BIN := .venv/bin
PIP := pip --disable-pip-version-check -q
# dbus-fast's newest version is in .venv; this is Debian 13's.
FAST := 2.44.6
DEBIAN := python3-dbus-next python3-dbus-fast python3-jeepney python3-psutil python3-sdnotify python3-click \
	python3-humanize python3-tomli-w python3-venv

.PHONY: run test test-debian soak lint format interfaces bench clean

run: .venv/runtime
	@.make/live $(ARGS)

test: .venv/development .build/dbus-fast-$(FAST)/installed
	@.make/packages --wish busctl=systemd gdbus=libglib2.0-bin mkfs.ext4=e2fsprogs mount=mount losetup=mount ip=iproute2
	$(BIN)/python -m pytest -q
	HEALTHD_DBUS_LIBRARY=dbus_next $(BIN)/python -m pytest -q tests/bus
	PYTHONPATH=.build/dbus-fast-$(FAST) HEALTHD_DBUS_LIBRARY=dbus_fast $(BIN)/python -m pytest -q tests/bus

# Once more on the Python packages of Debian 12, which only that release has. Its dbus-fast is there, and left alone.
test-debian: .venv-debian/installed
	.venv-debian/bin/python -m pytest -q

# What a make test shows a few times, a hundred times: half an hour.
soak: .venv/development
	HEALTHD_TEST_POWER_LOSSES=100 HEALTHD_TEST_KILLS=200 $(BIN)/python -m pytest -q --timeout 3600 tests/publish
	HEALTHD_TEST_PROFILE=soak $(BIN)/python -m pytest -q --timeout 3600 tests/health tests/test_events.py

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/development
	$(BIN)/ruff check --fix -q .
	$(BIN)/ruff format -q .

# The XML that is shipped, and tables of the README, follow from the declarations.
interfaces: .venv/runtime
	$(BIN)/python .make/interfaces data/dbus/interfaces
	$(BIN)/python .make/tables README.md

bench: .venv/development
	$(BIN)/python -m bench.cycle
	$(BIN)/python -m bench.process --minutes 0.5 --clients none,listener
	$(BIN)/python -m bench.command
	$(BIN)/python -m bench.recording

.venv/runtime: pyproject.toml
	@.make/packages dbus-daemon=dbus-daemon
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/$(PIP) install -e '.[fast]'
	@touch $@

.venv/development: .venv/runtime
	@$(BIN)/$(PIP) install -e '.[fast,dev]'
	@touch $@

.build/dbus-fast-$(FAST)/installed: .venv/runtime
	@$(BIN)/$(PIP) install --no-deps --target $(@D) --upgrade 'dbus-fast==$(FAST)'
	@touch $@

.venv-debian/installed: pyproject.toml
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
