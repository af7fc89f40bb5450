"""Health as its user meets it: a real healthd judges this machine, and remembers it over a restart and in a replay."""

import json
import os
import signal
import subprocess
import sys

import pytest
from private_bus import eventually

from healthd import protocol
from healthd.recording import events, segments

CALL = ["call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER]
RULES = """
[rules.in_use]
summary = "Memory is in use."
remedy = "Nothing."
metric = "memory.percent"
who = "memory"
warning = { enter = "> 0" }

[rules.much_in_use]
metric = "memory.percent"
critical = { enter = "> 0", hold = "1h" }
"""


@pytest.fixture
def rules(tmp_path) -> str:
    path = tmp_path / "healthd.toml"
    path.write_text(RULES)
    return str(path)


@pytest.fixture
def ask(bus):
    """Return a function that calls a method of the Manager and returns what it answers."""

    def call(*arguments: str):
        ended = bus.busctl("--json=short", *CALL, *arguments)
        assert ended.returncode == 0, ended.stderr
        answer = json.loads(ended.stdout or "{}").get("data", [None])[0]
        return json.loads(answer) if arguments[0] in ("Describe", "Explain") else answer

    return call


def told(directory, *names: str):
    """Return the recorded events of these names."""
    found = [event for segment in segments(str(directory)) for _, event in events(segment.path, pytest.fail)]
    return [event for event in found if event.name in names]


def test_the_verdict_its_acknowledgement_and_what_builds_up_survive_a_restart(healthd, ask, rules, tmp_path):
    options = ("--interval", "0.25", "--config", rules, "--record", str(tmp_path / "recorded"))
    first = healthd(*options).ready()
    eventually(lambda: ask("Describe")["seq"] > 8)
    health = ask("Describe")["health"]
    assert health["severity"] == "warning"
    assert health["reasons"] == ["in_use"]
    building_up = ask("Explain", "s", "much_in_use")
    assert (building_up["severity"], building_up["pending"]) == ("ok", True)
    ask("Acknowledge", "oa{sv}", f"{protocol.ROOT}/condition/in_use", "0")
    assert ask("Describe")["health"]["reasons"] == []
    assert first.stop() == 0
    second = healthd(*options).ready()
    again = ask("Describe")["health"]
    assert (again["severity"], again["reasons"]) == ("ok", [])
    (since,) = {each["conditions"]["in_use"]["since_usec"] for each in (health, again)}
    assert since
    assert again["conditions"]["in_use"]["acknowledged_by"]
    assert ask("Explain", "s", "much_in_use")["samples"][0] == building_up["samples"][0]
    assert second.stop() == 0
    transitions = told(tmp_path / "recorded", protocol.HEALTH_TRANSITION)
    assert [(event.data["condition"], event.data["to"]) for event in transitions] == [("in_use", "warning")]


def test_a_kill_costs_no_verdict(healthd, ask, rules, tmp_path):
    options = ("--interval", "0.25", "--config", rules, "--record", str(tmp_path / "recorded"))
    first = healthd(*options).ready()
    health = ask("Describe")["health"]
    eventually(lambda: told(tmp_path / "recorded", protocol.HEALTH_TRANSITION))
    first.stop(signal.SIGKILL)
    healthd(*options).ready()
    assert ask("Describe")["health"]["since"] == health["since"]


def test_who_used_most_is_seen_once_and_comes_from_the_record_in_a_replay(healthd, ask, rules, tmp_path):
    directory = tmp_path / "recorded"
    held = bytearray(os.urandom(1 << 20)) * 64
    daemon = healthd("--interval", "0.25", "--config", rules, "--record", str(directory)).ready()
    eventually(lambda: ask("Explain", "s", "in_use")["who"])
    eventually(lambda: ask("Describe")["seq"] > 12)
    who = ask("Explain", "s", "in_use")["who"]
    assert len(who["processes"]) <= 5
    least = who["processes"][-1]["memory_bytes"]
    assert os.getpid() in [process["pid"] for process in who["processes"]] or least > len(held)
    assert daemon.stop() == 0
    # On a machine that is busy with other things something else may run short as well.
    (seen,) = (event for event in told(directory, protocol.HEALTH_WITNESSED) if event.data["resource"] == "memory")
    assert seen.data["processes"] == who["processes"]
    command = [sys.executable, "-m", "healthd", "--replay", str(directory), "--config", rules, "--speed", "max"]
    ended = subprocess.run([*command, "--console"], capture_output=True, text=True, timeout=60, check=True)
    replayed = [json.loads(line) for line in ended.stdout.splitlines()]
    witnessed = [event["data"] for event in replayed if event["name"] == protocol.HEALTH_WITNESSED]
    assert [data for data in witnessed if data["resource"] == "memory"] == [seen.data]
    (transition,) = (event for event in replayed if event["name"] == protocol.HEALTH_TRANSITION)
    (recorded,) = told(directory, protocol.HEALTH_TRANSITION)
    assert transition["data"] == recorded.data


def test_all_faults_of_rules_are_said_at_once_with_file_rule_and_key(tmp_path, bus):
    path = tmp_path / "healthd.toml"
    path.write_text(
        '[rules.a]\nmetric = "memory.percnt"\n[rules.b]\nmetric = "memory.percent"\nwarning = { enter = 5 }\n'
    )
    command = [sys.executable, "-m", "healthd", "--bus", bus.address, "--config", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == protocol.EXIT_CONFIG
    first, second, *_ = ended.stderr.splitlines()
    assert first.startswith(f"<3>healthd: {path}: rules.a.metric: expected ")
    assert second.startswith(f"<3>healthd: {path}: rules.")
    assert "rules.b.warning.enter: expected " in ended.stderr
