"""What answers in healthd's place, or a bus that is full, is told in one line and never as a bug."""

import subprocess
import sys
import threading

import pytest
from jeepney import DBusAddress, MessageType, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection
from private_bus import private_bus

from healthd import protocol


def healthctl(bus, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "healthctl", "--bus", bus, *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def stranger(bus):
    """Own healthd's name and answer every call with a number."""
    connection = open_dbus_connection(bus.address)
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    request = new_method_call(driver, "RequestName", "su", (protocol.BUS_NAME, 4))
    assert connection.send_and_get_reply(request).body == (1,)
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            try:
                message = connection.receive(timeout=0.1)
            except TimeoutError:
                continue
            if message.header.message_type is MessageType.method_call:
                connection.send(new_method_return(message, "i", (7,)))

    thread = threading.Thread(target=serve)
    thread.start()
    yield bus
    ended.set()
    thread.join()
    connection.close()


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
