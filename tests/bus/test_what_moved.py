"""What else moved is told by a real healthd: of a recording that it replays, as it was when that was made."""

import json
from datetime import UTC, datetime

from private_bus import eventually

from healthd import protocol
from healthd.clock import iso

CALL = ["call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER]
RULE = """
[rules.late]
metric = "load.load5"
warning = { enter = "> 4", hold = "1min" }
"""
NOON = 1_767_268_800.0
BEGUN = 240
"""The sample in which the load goes up; one is every 5 s."""


def line(number, name, data):
    event = {"time": iso(NOON + 5 * number), "name": name, "data": data, "boot_id": "b"}
    return json.dumps(event | {"since_boot": 1000.0 + 5 * number, "seq": number}, separators=(",", ":")) + "\n"


def disk(number, read):
    return line(number, "system.disk.io.updated", {"sda": {"read_bytes_per_second": read, "busy": 0.0}})


def load(number, five):
    return line(number, "system.load.updated", {"load1": 0.5, "load5": five, "load15": 0.5})


def recorded(tmp_path):
    """Write half an hour: a disk gets busy, and with it the load, until the end."""
    path = tmp_path / datetime.fromtimestamp(NOON, UTC).strftime("%Y-%m-%d/%H-%M-%S.jsonl")
    path.parent.mkdir()
    opening = {"schema": 1, "interval": 5.0, "readings": {}, "unavailable": {}}
    calm = [line(0, "snapshot", opening), disk(1, 2048.0), load(1, 0.5)]
    path.write_text("".join([*calm, disk(BEGUN, 9e7), load(BEGUN, 6.0), load(BEGUN + 60, 6.5)]))
    return str(tmp_path)


def test_a_replay_tells_what_moved_when_a_condition_came(tmp_path, healthd, bus):
    rules = tmp_path / "healthd.toml"
    rules.write_text(RULE)
    directory = tmp_path / "recorded"
    directory.mkdir()
    healthd("--replay", recorded(directory), "--speed", "max", "--config", str(rules)).ready()

    def explained():
        ended = bus.busctl("--json=short", *CALL, "Explain", "s", "late")
        return json.loads(json.loads(ended.stdout)["data"][0]) if ended.returncode == 0 else {}

    told = eventually(lambda: (found := explained()).get("severity") == "warning" and found)
    assert told["movers"] == [
        {"metric": "disk.read_bytes_per_second@sda", "unit": "bytes_per_second", "before": 2048.0, "after": 9e7}
    ]
