"""A configuration is read again while healthd runs: what is known stays, and one with faults is not taken."""

import json
import signal
import socket
import subprocess
import sys

import pytest
from private_bus import Healthd, eventually, private_bus

from healthd import protocol

CALL = ("call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER)


def told(printed: str) -> list[tuple]:
    return [(each["seq"], each["since_boot"], each["name"]) for each in map(json.loads, printed.splitlines())]


class Running:
    """healthd with a configuration that a test can change."""

    def __init__(self, bus, directory, more: str = "") -> None:
        self.bus = bus
        self.file = directory / "healthd.toml"
        self.record = directory / "record"
        self.write(f"interval = 0.5\n{more}")
        self.daemon = Healthd(
            bus.address, "--config", str(directory), "--record", str(self.record), "--console"
        ).ready()

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def hang_up(self) -> None:
        self.daemon.process.send_signal(signal.SIGHUP)

    def events(self, name: str) -> list[dict]:
        lines = self.daemon.printed.splitlines()
        return [event for line in lines if (event := json.loads(line))["name"] == name]

    def property(self, name: str) -> str:
        told = self.bus.busctl("get-property", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER, name)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    def explained(self, condition: str) -> dict:
        told = self.bus.busctl("--json=short", *CALL, "Explain", "s", condition)
        assert told.returncode == 0, told.stderr
        return json.loads(json.loads(told.stdout)["data"][0])

    def loaded(self, times: int) -> list[dict]:
        """Wait until a configuration was loaded so often."""
        return eventually(lambda: len(found := self.events("config.loaded")) >= times and found)


@pytest.fixture
def running(tmp_path):
    with private_bus() as bus:
        made = Running(bus, tmp_path)
        yield made
        assert made.daemon.stop() == 0


def test_an_interval_is_taken_up_at_once_and_recorded_so_that_a_replay_follows(running):
    running.loaded(1)
    running.write("interval = 3600\n")
    running.hang_up()
    second = running.loaded(2)[1]
    assert second["data"] == {"files": [str(running.file)], "rules": second["data"]["rules"], "interval": 3600.0}
    assert running.property("SampleIntervalUSec") == "t 3600000000"
    # It does not wait for the end of that hour.
    running.write("interval = 0.25\n")
    assert running.bus.busctl(*CALL, "Reload").returncode == 0
    third = running.loaded(3)[2]
    eventually(lambda: [each for each in running.events("system.cpu.usage.updated") if each["seq"] > third["seq"] + 4])
    assert running.property("SampleIntervalUSec") == "t 250000"
    running.daemon.process.send_signal(signal.SIGTERM)
    assert running.daemon.process.wait(20) == 0
    live = told(running.daemon.printed)
    replay = [sys.executable, "-m", "healthd", "--replay", str(running.record), "--speed", "max", "--console"]
    printed = subprocess.run(replay, capture_output=True, text=True, timeout=60, check=True).stdout
    assert told(printed) == live


def test_rules_are_taken_up_and_conditions_go_on(running):
    above = 'warning = { enter = "> 0" }'
    text = f'interval = 0.5\n[rules.always]\nmetric = "memory.total_bytes"\nclear_after = "0s"\n{above}\n'
    running.write(text)
    running.hang_up()
    eventually(lambda: running.property("Health") == 's "warning"')
    since = running.explained("always")["since"]
    running.write(text + '[rules.other]\nmetric = "memory.total_bytes"\nnotice = { enter = "> 0" }\n')
    running.hang_up()
    eventually(lambda: [each for each in running.events("health.transition") if each["data"]["condition"] == "other"])
    assert running.explained("always")["since"] == since
    running.write("interval = 0.5\n")
    running.hang_up()
    eventually(lambda: running.property("Health") == 's "ok"')
    told = [each["data"] for each in running.events("health.transition")]
    over = [(each["condition"], each["from"], each["to"], each["judged"]) for each in told if each["to"] == "ok"]
    assert over == [("always", "warning", "ok", False), ("other", "notice", "ok", False)]


def test_one_with_faults_is_not_taken_and_everyone_hears_of_it(running):
    before = running.property("SampleIntervalUSec")
    running.write("interval = 2\nnonsense = 1\n[collectors]\ndisabled = ['disc']\n")
    told = running.bus.busctl(*CALL, "Reload")
    assert told.returncode != 0
    assert "nonsense" in told.stderr
    assert "Traceback" not in told.stderr
    assert running.property("SampleIntervalUSec") == before
    assert "nonsense" in running.property("ConfigurationProblem")
    assert "disc" in running.property("ConfigurationProblem")
    (event,) = running.events("config.refused")
    assert len(event["data"]["faults"]) == 2
    assert "nonsense" in running.daemon.log
    running.write("interval = 2\n")
    running.hang_up()
    eventually(lambda: running.property("ConfigurationProblem") == 's ""')
    assert running.property("SampleIntervalUSec") == "t 2000000"


def test_a_collector_is_switched_off_and_on_and_says_so(running):
    def problem() -> str:
        described = json.loads(json.loads(running.bus.busctl("--json=short", *CALL, "Describe").stdout)["data"][0])
        return described["unavailable"].get("load", {}).get("problem", "")

    assert problem() == ""
    assert running.bus.busctl(*CALL, "SetCollectorEnabled", "sb", "load", "false").returncode == 0
    assert problem() == "disabled"
    (event,) = running.events("collector.disabled")
    assert event["data"]["family"] == "load"
    assert running.bus.busctl(*CALL, "SetCollectorEnabled", "sb", "load", "true").returncode == 0
    assert problem() == ""
    assert running.events("collector.enabled")
    running.write("interval = 0.5\n[collectors]\ndisabled = ['load', 'disk']\n")
    assert running.bus.busctl(*CALL, "Reload").returncode == 0
    assert problem() == "disabled"
    # What is switched off is nobody's failure.
    assert running.property("Health") != 's "unknown"'
    refused = running.bus.busctl(*CALL, "SetCollectorEnabled", "sb", "disc", "false")
    assert refused.returncode != 0
    assert "disc" in refused.stderr


def test_what_was_remembered_is_still_there(tmp_path):
    fine = '[history]\ntiers = [{ step = "250ms", keep = "1h" }]\n'
    with private_bus() as bus:
        running = Running(bus, tmp_path, fine)

        def points() -> list[list[float]]:
            told = bus.busctl("--json=short", *CALL, "GetHistory", "sttu", "memory.percent", "0", "0", "1000")
            return json.loads(told.stdout)["data"][0]

        # The last one may still change.
        before = eventually(lambda: len(found := points()) > 1 and found[:-1])
        running.write(f"interval = 0.25\n{fine}series = 7\n")
        running.hang_up()
        running.loaded(2)
        assert points()[: len(before)] == before
        eventually(lambda: len(points()) > len(before) + 2)
        assert points()[: len(before)] == before
        assert running.daemon.stop() == 0


def test_what_needs_a_new_start_is_said_and_not_taken(running):
    running.write("interval = 0.5\n[history]\nseries = 7\n")
    running.hang_up()
    running.loaded(2)
    assert "history.series: another value is taken up with the next start" in running.daemon.log


def test_an_interval_that_the_watchdog_does_not_allow_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with private_bus() as bus, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        daemon = Healthd(bus.address, "--interval", "11")
        assert daemon.process.wait(20) == 78
        assert "interval: expected at most 10 s (half of the service's WatchdogSec: " in daemon.log
        assert "), found 11 s\n" in daemon.log
        daemon.stop()
