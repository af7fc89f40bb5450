import json
import os
import signal
import subprocess
import sys
import time

import pytest
from jeepney import DBusAddress, HeaderFields, new_method_call, new_method_return, new_signal
from jeepney.io.blocking import open_dbus_connection
from private_bus import eventually

from healthctl.commands.wait import met
from healthd import protocol

pytestmark = pytest.mark.timeout(60)

USED = '[rules.used]\nsummary = "There is memory in use."\nmetric = "memory.percent"\n'
ENDED = "healthctl: healthd ended before it answered; "
NOW, SOON = (USED + f'warning = {{ enter = "> 0", hold = "{hold}" }}\n' for hold in ("0s", "2s"))


@pytest.fixture
def waiting(bus):
    """Start `wait` and end it after the test."""
    started = []

    def begin(*arguments):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "healthctl", "wait", *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                env={**os.environ, "HEALTHD_BUS": bus.address, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error"},
            )
        )  # fmt: skip
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def health(severity, *names):
    return {"severity": severity, "conditions": {name: {} for name in names}}


@pytest.mark.parametrize(
    ("until", "found", "expected"),
    [("ok", health("ok"), True), ("ok", health("notice", "a"), True), ("ok", health("unknown"), False),
     ("ok", health("warning"), False), ("warning", health("warning"), True), ("warning", health("critical"), True),
     ("warning", health("unknown"), False), ("critical", health("warning"), False),
     ("critical", health("critical"), True), ("swap", health("ok", "swap"), True),
     ("link_lost", health("ok", "link_lost@eth0"), True), ("link_lost@eth1", health("ok", "link_lost@eth0"), False),
     ("link", health("warning", "link_lost@eth0"), False)],
)  # fmt: skip
def test_what_is_waited_for(until, found, expected):
    assert met(until, found) is expected


def test_what_is_so_is_not_waited_for(judged_bus, healthctl):
    for until in ("warning", "used", "looped", "looped@lo", "noted"):
        done = healthctl(judged_bus.address, "wait", "--until", until, "--timeout", "0s")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_condition_is_waited_for(bus, healthd, calm, healthctl):
    healthd("--interval", "0.5", "--config", calm(SOON)).ready()
    assert healthctl(bus.address, "wait", "--until", "ok", "--timeout", "0s").returncode == 0
    done = healthctl(bus.address, "wait", "--until", "used", "--timeout", "20s", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["severity"], list(found["conditions"])) == ("warning", ["used"])


def test_an_acknowledgement_ends_the_waiting_for_ok(bus, healthd, calm, healthctl, waiting):
    healthd("--interval", "0.5", "--config", calm(NOW)).ready()
    process = waiting("--until", "ok")
    eventually(lambda: "Transition" in _rules(bus))
    assert healthctl(bus.address, "acknowledge", "used").returncode == 0
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_waiting_survives_an_end_and_a_beginning_of_healthd(bus, healthd, calm, waiting):
    first = healthd("--interval", "0.5", "--config", calm()).ready()
    process = waiting("--until", "warning")
    eventually(lambda: "Transition" in _rules(bus))
    assert first.stop() == 0
    line = process.stderr.readline()
    # Where it ends while it is asked for the first verdict, that is said before.
    if line.startswith(ENDED):
        line = process.stderr.readline()
    assert line.startswith("healthctl: healthd is not running; ")
    healthd("--interval", "0.5", "--config", calm(SOON)).ready()
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


def test_what_does_not_come_in_time_is_75_and_one_line(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "wait", "--until", "beyond", "--timeout", "0.3s")
    assert (done.returncode, done.stdout) == (protocol.EXIT_TAKEN, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("healthctl: beyond did not come within 0.3 s: the host is ")


def test_a_healthd_that_does_not_come_back_in_time_is_told(bus, healthd, calm, waiting):
    first = healthd("--interval", "0.5", "--config", calm()).ready()
    process = waiting("--until", "warning", "--timeout", "5s")
    eventually(lambda: "Transition" in _rules(bus))
    assert first.stop() == 0
    _, errors = process.communicate(timeout=20)
    assert process.returncode == protocol.EXIT_TAKEN
    *ended, told, line = errors.splitlines()
    assert all(each.startswith(ENDED) for each in ended)
    assert told.startswith("healthctl: healthd is not running; ")
    assert line.startswith("healthctl: warning did not come within 5 s: healthd is not running; ")


def test_a_name_that_is_not_known_yet_is_said(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "wait", "--until", "used@/", "--timeout", "0s")
    assert done.returncode == protocol.EXIT_TAKEN
    note, _ = done.stderr.splitlines()
    assert note == ("No condition 'used@/' is known yet; did you mean used? those that are: healthctl conditions --all")


@pytest.mark.parametrize("arguments", [[], ["--until", "ok", "--timeout", "soon"], ["--until", "ok", "more"]])
def test_a_wrong_command_line_is_64_and_one_line(healthctl, arguments):
    done = healthctl("unix:path=/nowhere", "wait", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (protocol.EXIT_USAGE, "", 1)


def test_ctrl_c_ends_it_with_130_and_no_word(bus, healthd, calm, waiting):
    healthd("--interval", "0.5", "--config", calm()).ready()
    process = waiting("--until", "critical")
    eventually(lambda: "Transition" in _rules(bus))
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize("signal_", ["Transition", "PropertiesChanged"])
def test_nothing_is_asked_for_until_healthd_says_that_something_changed(bus, waiting, signal_):
    # As healthd, told by hand.
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    properties = manager.with_interface("org.freedesktop.DBus.Properties")

    def asked(connection, seconds):
        """Return the next call of Describe."""
        end = time.monotonic() + seconds
        while True:
            message = connection.receive(timeout=max(end - time.monotonic(), 0))
            if message.header.fields.get(HeaderFields.member) == "Describe":
                return message

    def answered(connection, call, severity):
        described = json.dumps({"health": {"severity": severity, "reasons": [], "conditions": {}}})
        connection.send(new_method_return(call, "s", (described,)))

    with open_dbus_connection(bus.address) as connection:
        connection.send_and_get_reply(new_method_call(driver, "RequestName", "su", (protocol.BUS_NAME, 4)))
        process = waiting("--until", "ok")
        answered(connection, asked(connection, 20), "warning")
        with pytest.raises(TimeoutError):
            asked(connection, 1.5)
        connection.send(new_signal(manager, "Event", "sts", ("health.transition", 0, "{}")))
        with pytest.raises(TimeoutError):
            asked(connection, 0.3)
        if signal_ == "Transition":
            connection.send(new_signal(manager, "Transition", "sssa{sv}", ("used", "warning", "ok", {})))
        else:
            changed = (protocol.MANAGER, {"Health": ("s", "ok")}, [])
            connection.send(new_signal(properties, "PropertiesChanged", "sa{sv}as", changed))
        answered(connection, asked(connection, 10), "ok")
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def _rules(bus):
    """Return what clients have asked the bus for."""
    return bus.busctl(
        "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules"
    ).stdout
