"""`healthctl get --follow` and `healthctl watch METRIC…` with a real healthd: once more, and over its ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest
from private_bus import eventually

from healthctl._client_answers import sample
from healthctl.client import Client
from healthctl.errors import Unavailable, UnknownMetric
from healthctl.live import Watch
from healthd import protocol

pytestmark = pytest.mark.timeout(60)


def start(bus, *arguments, **changes):
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return subprocess.Popen(
        [sys.executable, "-m", "healthctl", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        env={**kept, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error", **changes},
    )  # fmt: skip


def run(bus, *arguments, **changes):
    process = start(bus, *arguments, **changes)
    output, errors = process.communicate(timeout=30)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@pytest.fixture
def going():
    """Start something that goes on, and end it after the test."""
    started = []

    def begin(bus, *arguments, **changes):
        started.append(start(bus.address, *arguments, **changes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_get_goes_on_with_one_bare_number_a_sample(healthd_bus):
    done = run(healthd_bus.address, "get", "-f", "-n", "0.25", "--count", "3", "memory.percent")
    assert (done.returncode, done.stderr) == (0, "")
    numbers = [float(line) for line in done.stdout.splitlines()]
    assert len(numbers) == 3
    assert all(0 <= number <= 100 for number in numbers)


def test_get_names_several_and_what_is_not_there(healthd_bus):
    asked = ["load.load1", "network.rx_bytes@none0", "network.kind"]
    done = run(healthd_bus.address, "get", "-f", "-n", "0.25", "--count", "1", *asked)
    assert done.returncode == 0, done.stderr
    lines = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert lines["network.rx_bytes@none0"] == "unknown"
    assert lines["network.kind@lo"] == "loopback"
    assert float(lines["load.load1"]) >= 0
    done = run(healthd_bus.address, "get", "-f", "-n", "0.25", "--count", "1", "--json", *asked)
    assert json.loads(done.stdout)["network.rx_bytes@none0"] is None


def test_watch_writes_aligned_columns_below_a_head(healthd_bus):
    asked = ["cpu.busy", "memory.available_bytes", "network.rx_bytes_per_second@lo", "network.kind@none0"]
    done = run(healthd_bus.address, "watch", "-n", "0.25", "--count", "3", *asked)
    assert (done.returncode, done.stderr) == (0, "")
    families, fields, *rest = done.stdout.splitlines()
    head, rows = rest[:-3], rest[-3:]
    assert families.split() == ["cpu", "memory", "network", "network"]
    assert fields.split() == ["busy", "available_", "rx_bytes_", "kind"]
    assert [line.split() for line in head] == [["bytes", "per_second", "@none0"], ["@lo"]]
    assert len({len(line) for line in [fields, *rows]}) == 1
    for row in rows:
        time.strptime(row[:8], "%H:%M:%S")
        assert row.endswith("?")
        assert "GiB" in row or "MiB" in row


def test_watch_as_json_is_an_object_a_line(healthd_bus):
    done = run(healthd_bus.address, "watch", "-n", "0.25", "--count", "2", "--json", "cpu.busy", "network.kind")
    first, second = map(json.loads, done.stdout.splitlines())
    assert list(first) == ["time", "since_boot", "lost", "values"]
    assert first["time"].endswith("Z")
    assert second["since_boot"] > first["since_boot"]
    assert first["values"]["network.kind@lo"] == "loopback"
    assert first["lost"] == 0


def lines(terminal):
    """Return what was written, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.raw.decode()).split("\r\n")


def test_the_head_comes_again_after_a_screen(healthd_bus, terminal):
    shown = terminal(healthd_bus.address, "watch", "-n", "0.25", "load.load1", columns=40, lines=10)
    shown.until(lambda: shown.raw.count(b"load1") >= 2)
    shown.process.send_signal(signal.SIGINT)
    assert shown.ended() == 130
    rows = [row for row in lines(shown) if row]
    assert [number for number, row in enumerate(rows) if row.split()[-1:] == ["load1"]][:2] == [1, 10]


def test_no_line_is_wider_than_the_terminal(healthd_bus, terminal):
    shown = terminal(healthd_bus.address, "watch", "-n", "0.25", "memory.available_bytes", "network.kind", columns=40)
    shown.shows("GiB" if os.sysconf("SC_AVPHYS_PAGES") > 1 << 18 else "MiB")
    shown.process.send_signal(signal.SIGINT)
    shown.ended()
    assert max(len(row.removeprefix("^C")) for row in lines(shown)) <= 40


@pytest.mark.parametrize("command", [["get", "-f"], ["watch"]])
def test_who_misspells_is_told_what_may_be_meant(healthd_bus, command):
    done = run(healthd_bus.address, *command, "cpu.bsy")
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    assert done.stderr.startswith("healthctl: there is no metric 'cpu.bsy'; did you mean cpu.busy")


@pytest.mark.parametrize(
    "arguments",
    [["get", "--count", "1", "cpu.busy"], ["get", "-n", "1", "cpu.busy"], ["watch", "--count", "1"],
     ["get", "-f", "-n", "0.1", "cpu.busy"], ["watch", "--count", "0", "cpu.busy"]],
)  # fmt: skip
def test_what_does_not_go_together_is_a_usage_error(healthd_bus, arguments):
    done = run(healthd_bus.address, *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    assert len(done.stderr.splitlines()) == 1


def test_without_healthd_it_says_so_and_ends(bus):
    done = run(bus.address, "watch", "cpu.busy")
    assert done.returncode == protocol.EXIT_UNAVAILABLE
    assert "healthd is not running" in done.stderr


def test_ctrl_c_ends_it_at_once_and_quietly(healthd_bus, going):
    process = going(healthd_bus, "watch", "-n", "60", "load.load1")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (130, "")


def test_it_ends_when_the_reader_is_gone_though_the_next_sample_is_far(healthd_bus, going):
    process = going(healthd_bus, "get", "-f", "-n", "60", "load.load1")
    process.stdout.readline()
    process.stdout.close()
    process.wait(5)
    assert process.returncode == 141
    assert process.stderr.read() == ""
    process.stdout = None


def test_it_goes_on_over_the_ends_of_healthd_and_of_the_bus(bus, healthd, going):
    daemon = healthd("--interval", "60").ready()
    process = going(bus, "watch", "-n", "0.25", "--json", "load.load1")
    assert json.loads(process.stdout.readline())["values"]
    assert daemon.stop() == 0
    assert "healthd has closed the watch: stopping" in process.stderr.readline()
    healthd("--interval", "60").ready()
    seen = json.loads(process.stdout.readline())
    while time.time() - _seconds(seen["time"]) > 1:
        seen = json.loads(process.stdout.readline())
    bus.stop()
    errors = process.stderr.readline()
    while "bus" not in errors:
        errors = process.stderr.readline()
    bus.start()
    eventually(lambda: _count(bus) == 1)
    begun = time.time()
    while _seconds(json.loads(process.stdout.readline())["time"]) < begun:
        """What was told before."""


def _seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _count(bus):
    shown = bus.busctl("get-property", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER, "WatchCount").stdout
    return int(shown.split()[1]) if shown else -1


def test_a_healthd_that_says_nothing_any_more_is_said(bus, healthd, monkeypatch):
    monkeypatch.setattr("healthctl.live._LATE", 0.5)
    daemon = healthd("--interval", "60").ready()
    with closing(Watch(bus.address, ["load.load1"], 0.25)) as watch:
        eventually(lambda: list(watch.advance()))
        daemon.process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="has told nothing for"):
            eventually(lambda: watch.wait == 0 and list(watch.advance()))
        daemon.process.send_signal(signal.SIGCONT)

        def told():
            with suppress(Unavailable):
                return list(watch.advance())

        eventually(told)


def test_it_answers_whether_it_takes_what_it_is_sent(bus, healthd):
    healthd("--interval", "60").ready()
    with Client(bus.address) as client:
        every = list(client.metrics())
        for _ in range(16):
            number, interval = client.watch(every, 0.25)
        assert interval == 0.25
        told = []
        # By then more than a window was sent; who is too busy to take it all may have lost some, and goes on.
        eventually(lambda: told.extend(client.samples()) or (told and told[-1].time > told[0].time + 4))
        client.unwatch(number)
        with pytest.raises(Unavailable):
            client.unwatch(number)


def test_a_metric_that_nobody_has_is_an_error_of_its_own(healthd_bus):
    with Client(healthd_bus.address) as client, pytest.raises(UnknownMetric):
        client.watch(["cpu.bsy"], None)


def test_what_a_sample_tells_is_taken_apart():
    body = 7, 1_500_000, 2_000_000, {"cpu.busy": ("d", float("nan")), "lost": ("t", 3), "host.os": ("s", "x")}
    assert sample(body) == (7, 1.5, 2.0, {"cpu.busy": None, "host.os": "x"}, 3)
    assert sample((1, 0, 0, {})).lost == 0
