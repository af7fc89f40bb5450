"""`healthctl history` with a real healthd."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time

import pytest
from private_bus import eventually

from healthctl.address import resolve
from healthctl.when import iso
from healthd import protocol

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def address(healthd_bus):
    """Give the bus of a healthd that remembers some samples."""
    eventually(lambda: len(points(healthd_bus.address, "memory.percent")) > 3)
    return healthd_bus.address


def history(bus, *arguments, **changes):
    return subprocess.run(
        [sys.executable, "-m", "healthctl", "history", *arguments],
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONWARNINGS": "error", **changes},
    )  # fmt: skip


def points(bus, metric):
    done = history(bus, metric, "--json")
    return json.loads(done.stdout)["metrics"][metric]["points"] if done.stdout else []


def complains(done, code):
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    return line


def test_a_chart_is_as_wide_as_it_is_told(address):
    done = history(address, "memory.percent", "--since", "-30s", COLUMNS="60")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].startswith("memory.percent  Used, as a share of the total.")
    assert max(map(len, lines)) == 60
    assert any("\u2800" < char <= "\u28ff" for char in done.stdout)
    # Longer numbers, as of a machine that uses more of its memory, take a line more.
    assert re.match(r"min .* %  mean .* %  max .* %  now .* %  +each point 5 s$", "  ".join(lines[12:]))
    assert "\x1b" not in done.stdout


def test_the_chart_is_ascii_where_nothing_else_can_be_shown(address):
    done = history(address, "memory.percent", "--since=-30s", LC_ALL="C")
    assert done.stdout.isascii()
    assert "*" in done.stdout


def test_several_metrics_are_below_one_another(address):
    done = history(address, "memory.percent", "load.load1")
    assert done.returncode == 0
    assert [block.split()[0] for block in done.stdout.split("\n\n")] == ["memory.percent", "load.load1"]


def test_without_an_instance_it_is_all_that_are_present(address):
    shown = json.loads(history(address, "filesystem.percent", "memory.percent", "--json").stdout)["metrics"]
    *several, single = shown
    assert single == "memory.percent"
    assert several
    assert all(name.startswith("filesystem.percent@/") for name in several)
    assert list(json.loads(history(address, several[0], "--json").stdout)["metrics"]) == several[:1]


def test_as_json_it_is_one_object_with_what_was_measured(address):
    before = iso(time.time())
    shown = json.loads(history(address, "memory.percent", "--json", "--since", "-10min").stdout)
    assert list(shown) == ["since", "until", "metrics"]
    assert before <= shown["until"] <= iso(time.time())
    assert shown["metrics"]["memory.percent"]["unit"] == "percent"
    found = shown["metrics"]["memory.percent"]["points"]
    assert all(0 < point["min"] <= point["mean"] <= point["max"] < 100 for point in found)
    times = [point["time"] for point in found]
    assert times == sorted(set(times))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment) for moment in times)
    assert shown["since"] < times[-1] <= shown["until"]


def test_as_csv_it_is_a_table(address):
    done = history(address, "memory.percent", "load.load1", "--csv")
    head, *rows = csv.reader(io.StringIO(done.stdout))
    assert head == ["time", "metric", "min", "mean", "max"]
    assert {row[1] for row in rows} == {"memory.percent", "load.load1"}
    assert all(float(row[2]) <= float(row[3]) <= float(row[4]) for row in rows)
    assert {row[0][-1] for row in rows} == {"Z"}


def test_points_are_as_many_as_asked_for_at_most(address):
    for count in (1, 2):
        rows = history(address, "memory.percent", "--csv", "--points", str(count)).stdout.splitlines()[1:]
        assert 1 <= len(rows) <= count
        shown = json.loads(history(address, "memory.percent", "--json", "--points", str(count)).stdout)
        assert 1 <= len(shown["metrics"]["memory.percent"]["points"]) <= count


def test_the_same_figures_are_in_every_form(address):
    # The newest point is still growing.
    *_, complete, _ = points(address, "memory.percent")
    window = "--until", complete["time"], "--points", "50"
    rows = list(csv.reader(io.StringIO(history(address, "memory.percent", "--csv", *window).stdout)))[1:]
    shown = json.loads(history(address, "memory.percent", "--json", *window).stdout)
    found = shown["metrics"]["memory.percent"]["points"]
    assert [[row[0], *map(float, row[2:])] for row in rows] == [list(point.values()) for point in found]


def test_where_there_are_no_data_it_is_69_and_says_from_when_to_when_there_are(address):
    for form in ([], ["--json"], ["--csv"]):
        done = history(address, "memory.percent", "--since", "2020-01-01", "--until", "2020-01-02", *form)
        line = complains(done, protocol.EXIT_UNAVAILABLE)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        expected = (
            "healthctl: there is no history of memory.percent from 2020-01-01 00:00:00 to 2020-01-02 00:00:00; "
            f"there is from {today} "
        )
        assert line.startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(["memory.percnt"], 64, "there is no metric 'memory.percnt'; did you mean memory.percent"),
     (["memory.percnt@x"], 64, "there is no metric 'memory.percnt@x'"),
     (["host.hostname"], 64, "host.hostname has no history: it is no number that goes up and down"),
     (["network.rx_bytes@lo"], 64, "network.rx_bytes@lo has no history"),
     (["cpu.core_busy"], 64, "cpu.core_busy has no history"),
     (["filesystem.percent@/nowhere"], 69, "/nowhere"), (["memory.percent@x"], 69, "'x'"),
     (["memory.percent", "--since", "soon"], 64, "'soon' is no time; write -2h"),
     (["memory.percent", "--until", "-2h"], 64, "is not before --until"),
     (["memory.percent", "--since", "2037-12-31"], 64, "is not before now"),
     (["memory.percent", "--csv", "--json"], 64, "--csv and --json exclude each other"),
     (["memory.percent", "--points", "0"], 64, "'--points'"), ([], 64, "missing argument")],
)  # fmt: skip
def test_what_can_not_be_shown_is_one_line(address, arguments, code, words):
    assert words in complains(history(address, *arguments), code)


def test_an_older_healthd_is_told(bus):
    # The one of before had no such methods, as the bus itself has none.
    program = """
from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection
import sys
connection = open_dbus_connection(sys.argv[1])
driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
connection.send_and_get_reply(new_method_call(driver, "RequestName", "su", ("org.healthd.Health1", 4)))
print("ready", flush=True)
rows = {"load.load1": {"unit": ("s", "tasks")}}
while True:
    message = connection.receive()
    if message.header.message_type is not MessageType.method_call:
        continue
    member = message.header.fields[HeaderFields.member]
    if member == "ListMetrics":
        answer = new_method_return(message, "a{sa{sv}}", (rows,))
    elif member == "Read":
        answer = new_method_return(message, "a{sv}", ({"load.load1": ("d", 1.0)},))
    elif member == "Describe":
        answer = new_method_return(message, "s", ("{}",))
    else:
        answer = new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", (member,))
    connection.send(answer)
"""
    old = subprocess.Popen([sys.executable, "-c", program, bus.address], stdout=subprocess.PIPE)
    try:
        assert old.stdout.readline() == b"ready\n"
        line = complains(history(bus.address, "load.load1"), protocol.EXIT_UNAVAILABLE)
        assert line == "healthctl: this healthd has no history; update it"
    finally:
        old.kill()
        old.communicate()


def test_on_a_terminal_the_chart_is_coloured_and_as_wide_as_it(address, terminal):
    for columns in (40, 120):
        started = terminal(address, "history", "memory.percent", "--since=-30s", columns=columns)
        assert started.ended() == 0
        assert b"\x1b[1mmemory.percent\x1b[0m" in started.raw
        plain = re.sub(rb"\x1b\[[0-9;]*m", b"", started.raw).decode()
        assert max(len(line) for line in plain.splitlines()) == columns
        # Nothing was broken by the terminal: its rows are the lines.
        assert started.text.rstrip().splitlines() == [line.rstrip() for line in plain.splitlines()]


def test_what_csv_needs_is_loaded_for_csv_alone(address):
    program = """
import sys
from healthctl.cli import run
run(sys.argv[1:])
sys.stderr.write("|".join(sys.modules))
"""

    def imported(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", program, "--bus", address, *arguments],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return set(done.stderr.splitlines()[-1].split("|"))

    heavy = {"asyncio", "csv", "difflib", "healthctl.render.event", "healthctl.screen", "humanize", "termios"}
    assert not imported("history", "memory.percent") & heavy
    assert not imported("history", "memory.percent", "--json") & heavy
    assert imported("history", "memory.percent", "--csv") & heavy == {"csv"}


def test_addresses_without_an_instance_mean_all_that_are_present():
    present = ["a.b@x", "a.b@y", "a.b_c@x", "d.e"]
    assert resolve(["d.e", "a.b"], present) == ["d.e", "a.b@x", "a.b@y"]
    assert resolve(["a.b@gone", "a.b", "a.b@x"], present) == ["a.b@gone", "a.b@x", "a.b@y"]
    assert resolve(["f.g"], present) == []
