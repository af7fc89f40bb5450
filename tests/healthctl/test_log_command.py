"""`healthctl log` with a real healthd."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from jeepney import DBusAddress, HeaderFields, new_method_call, new_method_return, new_signal
from jeepney.io.blocking import open_dbus_connection
from private_bus import eventually

from healthctl.commands.log import _plain
from healthctl.errors import Unavailable
from healthctl.stream import Stream
from healthd import protocol

pytestmark = pytest.mark.timeout(60)


def start(bus, *arguments, **changes):
    return subprocess.Popen(
        [sys.executable, "-m", "healthctl", "log", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error", **changes},
    )  # fmt: skip


def log(bus, *arguments, **changes):
    process = start(bus, *arguments, **changes)
    output, errors = process.communicate(timeout=30)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def names(output):
    return [json.loads(line)["name"] for line in output.splitlines()]


@pytest.fixture
def following(bus):
    """Start `log -f` and end it after the test."""
    started = []

    def begin(*arguments, **changes):
        started.append(start(bus.address, "-f", *arguments, **changes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_what_happened_since_the_start_is_told_oldest_first(healthd_bus):
    done = log(healthd_bus.address)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "runtime.started" in lines[0]
    assert f"healthd {protocol.VERSION} started, a sample every 1 s" in lines[0]
    assert any("instance.added       network lo came" in line for line in lines)
    assert not any("system." in line for line in lines)


def test_as_json_an_event_is_a_line(healthd_bus):
    done = log(healthd_bus.address, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(list(event)[:3] == ["time", "name", "data"] for event in events)
    assert events[0]["name"] == protocol.RUNTIME_STARTED
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert len(events) == len(log(healthd_bus.address).stdout.splitlines())


def test_names_choose_and_may_be_several(healthd_bus):
    address = healthd_bus.address
    assert set(names(log(address, "--json", "--name", "instance.added").stdout)) == {"instance.added"}
    both = names(log(address, "--json", "--name", "runtime.*", "--name", "instance.added").stdout)
    assert set(both) == {"runtime.started", "instance.added"}


def test_samples_are_in_a_recording_and_have_units(bus, healthd, tmp_path):
    healthd("--interval", "0.5", "--record", str(tmp_path)).ready()
    line = log(bus.address, "--name", "system.memory.*").stdout.splitlines()[0]
    assert "system.memory.usage.updated" in line
    assert re.search(r"  total_bytes [0-9.]+ .iB  ", line)
    assert re.search(r"  percent [0-9.]+ %", line)


def test_without_a_recording_there_are_no_samples_and_it_says_so(healthd_bus):
    done = log(healthd_bus.address, "--name", "system.memory.*")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No event of that time and name is known; what was measured is where healthd records.\n"


def test_the_newest_are_as_many_as_asked_for(healthd_bus):
    address = healthd_bus.address
    every = log(address, "--json").stdout.splitlines()
    assert log(address, "--json", "-n", "2").stdout.splitlines() == every[-2:]
    assert log(address, "-n", "0").stdout == ""


def test_of_a_time_without_events_nothing_is_known(healthd_bus):
    done = log(healthd_bus.address, "--since", "2020-01-01", "--until", "2020-01-02")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No event of that time and name is known.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["-f", "--until", "now"], "choose one"), (["-f", "--name", "system.*"], "see: healthctl watch"),
     (["--since", "03:00", "--until", "2020-01-01"], "is not before --until"), (["--since", "x"], "'x' is no time"),
     (["-n", "-1"], "'-n'"), (["more"], "unexpected extra argument")],
)  # fmt: skip
def test_a_wrong_command_line_is_64_and_one_line(arguments, words):
    done = log("unix:path=/nowhere", *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = done.stderr.splitlines()
    assert words in line


@pytest.mark.parametrize("arguments", [[], ["-f"]])
def test_without_healthd_it_is_69_and_one_line(bus, arguments):
    done = log(bus.address, *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_UNAVAILABLE, "")
    (line,) = done.stderr.splitlines()
    assert "healthd is not running" in line


def test_follow_tells_each_event_once_over_a_restart(healthd, following):
    first = healthd("--interval", "0.5").ready()
    process = following("--json")
    assert json.loads(process.stdout.readline())["name"] == "runtime.started"
    assert first.stop() == 0
    seen = []
    while seen[-1:] != ["runtime.stopped"]:
        seen.append(json.loads(process.stdout.readline())["name"])
    assert "runtime.started" not in seen
    assert "healthd is not running" in process.stderr.readline()
    healthd("--interval", "0.5").ready()
    assert json.loads(process.stdout.readline())["name"] == "runtime.started"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=5)
    assert process.returncode == 130
    assert errors == ""
    lines = rest.splitlines()
    assert len(set(lines)) == len(lines)
    assert "runtime.started" not in names(rest)


def test_follow_tells_no_event_of_a_recording_twice(bus, healthd, following, tmp_path):
    first = healthd("--interval", "0.5", "--record", str(tmp_path)).ready()
    process = following("--json")
    seen = [process.stdout.readline()]
    assert first.stop() == 0
    while json.loads(seen[-1])["name"] != "runtime.stopped":
        seen.append(process.stdout.readline())
    healthd("--interval", "0.5", "--record", str(tmp_path)).ready()
    while json.loads(seen[-1])["name"] != "runtime.started" or len(seen) == 1:
        seen.append(process.stdout.readline())
    assert len(set(seen)) == len(seen)
    assert [json.loads(line)["name"] for line in seen].count("runtime.started") == 2
    assert [line for line in log(bus.address, "--json").stdout.splitlines(keepends=True) if line in seen] == seen


def test_follow_outlives_the_bus(bus, healthd, following):
    healthd("--interval", "0.5").ready()
    process = following("-n", "1", "--json")
    process.stdout.readline()
    bus.stop()
    assert "bus" in process.stderr.readline()
    bus.start()
    healthd("--interval", "0.5")
    # What could be missed is asked for; whatever it is, each line is an event.
    eventually(lambda: process.poll() is None and log(bus.address).returncode == 0)


def test_follow_outlives_a_bus_that_goes_while_the_first_lines_are_written(bus, following):
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    # More than a pipe holds.
    lines = [json.dumps({"number": number, "text": 200 * "."}) for number in range(1000)]
    with open_dbus_connection(bus.address) as connection:
        connection.send_and_get_reply(new_method_call(driver, "RequestName", "su", (protocol.BUS_NAME, 4)))
        process = following("-n", "1000", "--json")
        while (call := connection.receive(timeout=20)).header.fields.get(HeaderFields.member) != "GetEvents":
            """The bus has something to say."""
        connection.send(new_method_return(call, "as", (lines,)))
        assert process.stdout.readline() == lines[0] + "\n"
        bus.stop()
    assert [process.stdout.readline() for _ in lines[1:]] == [line + "\n" for line in lines[1:]]
    assert "bus" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_follow_may_begin_with_nothing(bus, healthd, following):
    first = healthd("--interval", "0.5").ready()
    process = following("-n", "0", "--json", "--name", "runtime.stopped")
    eventually(lambda: _subscribed(bus))
    assert log(bus.address).stdout  # asked after it has asked, and answered
    assert first.stop() == 0
    assert json.loads(process.stdout.readline())["name"] == "runtime.stopped"


def _subscribed(bus):
    """Tell whether some client has asked the bus for our events."""
    rules = bus.busctl(
        "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules"
    )
    return "Event" in rules.stdout


def test_follow_ends_when_the_reader_is_gone_though_nothing_happens(healthd_bus):
    process = start(healthd_bus.address, "-f", "-n", "1")
    assert process.stdout.readline()  # all there is
    began = time.monotonic()
    process.stdout.close()
    assert process.wait(10) == 141
    assert time.monotonic() - began < 5
    assert process.stderr.read() == ""
    process.stderr.close()


def test_what_happens_while_it_asks_is_told_once_and_in_order(bus):
    # As healthd, told by hand: signals before the answer that holds them, and behind it.
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")

    def serve(connection):
        while (call := connection.receive(timeout=20)).header.fields.get(HeaderFields.member) != "GetEvents":
            """The bus has something to say."""
        for name in ("b", "c"):
            connection.send(new_signal(manager, "Event", "sts", (name, 0, f"line {name}")))
        connection.send(new_method_return(call, "as", (["line a", "line b"],)))
        for name in ("b", "d.e", "other"):
            connection.send(new_signal(manager, "Event", "sts", (name, 0, f"line {name}")))

    with closing(Stream(bus.address, 0.0, ["a", "b", "c", "d.*"], 10)) as stream:
        with open_dbus_connection(bus.address) as connection:
            connection.send_and_get_reply(new_method_call(driver, "RequestName", "su", (protocol.BUS_NAME, 4)))
            thread = threading.Thread(target=serve, args=(connection,))
            thread.start()
            told = list(stream.advance())
            thread.join()
            eventually(lambda: told.extend(stream.advance()) or "line d.e" in told)
            assert told == ["line a", "line b", "line c", "line d.e"]
            assert stream.wait is None
        with pytest.raises(Unavailable, match="healthd is not running"):
            eventually(lambda: list(stream.advance()))
        # Not before a second is over.
        assert list(stream.advance()) == []
        assert (stream.fileno(), 0 < stream.wait <= 1) == (-1, True)


def test_a_stranger_can_not_tell_events(healthd_bus):
    process = start(healthd_bus.address, "-f", "--json", "-n", "1")
    process.stdout.readline()
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    with open_dbus_connection(healthd_bus.address) as stranger:
        listed = stranger.send_and_get_reply(new_method_call(driver, "ListNames")).body[0]
        for name in listed:
            if name.startswith(":") and name != stranger.unique_name:
                message = new_signal(manager, "Event", "sts", ("runtime.stopped", 0, '{"forged":true}'))
                message.header.fields[HeaderFields.destination] = name
                stranger.send(message)
        stranger.send_and_get_reply(new_method_call(driver, "ListNames"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    assert "forged" not in output


def test_follow_in_a_terminal_is_coloured_and_ends_by_ctrl_c(bus, healthd, terminal):
    first = healthd("--interval", "0.5").ready()
    started = terminal(bus.address, "log", "-f", columns=100)
    started.shows("healthd 0.1.0 started")
    assert b"\x1b[1mruntime.started    \x1b[0m" in started.raw
    assert first.stop() == 0
    started.shows("healthd stopped")
    started.shows("healthctl: healthd is not running")
    healthd("--interval", "0.5").ready()
    started.until(lambda: started.text.count("healthd 0.1.0 started") == 2)
    started.type(b"\x03")
    assert started.ended() == 130


def test_json_is_shown_in_characters_that_no_terminal_obeys():
    line = '{"a":"é\x9b2J\x7f🙂","b":"\\u001b"}'
    assert json.loads(_plain(line)) == json.loads(line)
    assert _plain(line).isascii()
    assert _plain(line).isprintable()
    assert _plain('{"a":1}') == '{"a":1}'
