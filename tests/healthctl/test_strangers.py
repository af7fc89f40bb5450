"""What answers in healthd's place, or a bus that is full, is told in one line and never as a bug."""

import subprocess
import sys

import pytest
from jeepney import new_method_return
from jeepney.io.blocking import open_dbus_connection
from private_bus import private_bus
from stand_in import Answering

from healthd import protocol


def healthctl(bus, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "healthctl", "--bus", bus, *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def stranger(bus):
    """Own healthd's name and answer every call with a number."""
    with Answering(bus.address, protocol.BUS_NAME, lambda call: new_method_return(call, "i", (7,))):
        yield bus


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["get", "memory.percent"],
        ["metrics"],
        ["collectors"],
        ["history", "a.b"],
        ["log"],
        ["log", "-f"],
        ["conditions"],
        ["why"],
        ["why", "swap"],
        ["acknowledge", "swap"],
        ["wait", "--until", "ok"],
        ["reload"],
        ["collectors", "--disable", "disk"],
    ],
)
def test_an_answer_of_another_kind_is_one_line(stranger, command):
    ended = healthctl(stranger.address, *command)
    assert ended.returncode == protocol.EXIT_UNAVAILABLE
    (line,) = ended.stderr.splitlines()
    assert "is none that this healthctl knows" in line


def test_a_bus_that_takes_no_more_clients_is_one_line():
    with (
        private_bus('<limit name="max_connections_per_user">1</limit>') as full,
        open_dbus_connection(full.address),
    ):
        ended = healthctl(full.address, "status")
    assert ended.returncode == protocol.EXIT_UNAVAILABLE
    (line,) = ended.stderr.splitlines()
    assert "takes no more clients" in line


@pytest.mark.parametrize(
    "command",
    [["get"], ["get", "--color", "never"], ["get", "-f"], ["history"], ["why"], ["watch"], ["log", "--name"],
     ["collectors", "--disable"]],
)  # fmt: skip
def test_what_is_no_text_is_nothing_that_healthd_knows(healthd_bus, command):
    ended = healthctl(healthd_bus.address, *command, b"\xff")
    assert (ended.returncode, ended.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = ended.stderr.splitlines()
    assert "bug" not in line
