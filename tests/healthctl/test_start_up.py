import subprocess
import sys

import pytest
from private_bus import eventually

# What costs the user time, and what only other commands need.
HEAVY = {
    "healthctl.feed", "healthctl.keys", "healthctl.recent", "healthctl.render.dashboard", "healthctl.strips",
    "asyncio", "concurrent", "csv", "ctypes", "dataclasses", "dbus_fast", "dbus_next", "difflib", "fnmatch",
    "healthctl.commands.watch", "healthctl.pager", "healthctl.poll", "healthctl.render.person", "shlex",
    "healthctl.render.axis", "healthctl.render.chart",
    "healthctl.render.event", "healthctl.render.spark", "healthctl.render.why", "healthctl.screen", "healthctl.stream",
    "healthctl.hosts", "healthctl.tunnel", "healthctl.verdicts", "healthctl.views", "healthctl.when", "humanize",
    "importlib.metadata", "logging", "psutil", "rich", "shutil", "subprocess", "tempfile", "termios", "wcwidth",
}  # fmt: skip


PROGRAM = """
import sys
from healthctl.cli import run
run(sys.argv[1:])
sys.stderr.write("|".join(sys.modules))
"""


def imported(bus, *arguments):
    """Return the modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--bus", bus, *arguments],
        capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split("|"))


@pytest.mark.parametrize("arguments", [["status"], [], ["status", "--json"], ["get", "cpu.busy"], ["check", "--json"]])
def test_a_reading_command_imports_nothing_that_it_does_not_use(healthd_bus, arguments):
    modules = imported(healthd_bus.address, *arguments)
    assert "jeepney.io.blocking" in modules
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("healthd")} == {"healthd", "healthd.protocol"}


def test_only_collectors_needs_words_for_durations(healthd_bus):
    # What was observed within a second was so "just now".
    eventually(lambda: "humanize" in imported(healthd_bus.address, "collectors"))
    assert "humanize" not in imported(healthd_bus.address, "collectors", "--json")
    assert "humanize" not in imported(healthd_bus.address, "metrics")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--frob"]])
def test_help_imports_no_command_and_no_bus(arguments):
    modules = imported("unix:path=/nowhere", *arguments)
    assert not [name for name in modules if name.startswith(("healthctl.commands", "healthctl.client", "jeepney"))]


def test_help_of_one_command_imports_no_other():
    modules = imported("unix:path=/nowhere", "metrics", "--help")
    assert {name for name in modules if name.startswith("healthctl.commands.")} == {"healthctl.commands.metrics"}
