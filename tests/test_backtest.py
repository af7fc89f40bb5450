"""What rules would have made of a recording: memory fills up in one that is made here, and judging it is exact."""

import asyncio
import json
import math
import os
import re
import subprocess
import sys

import pytest
from time_zone import zone

from healthd import backtest, observe, protocol
from healthd.clock import iso
from healthd.config import read
from healthd.health import rule as rule_module
from healthd.health.judge import Judge
from healthd.health.rule import rules
from healthd.model import Account
from healthd.pipeline import Pipeline
from healthd.replay import Replay
from healthd.state.history import History
from healthd.state.store import Store

FAMILIES = observe.families(observe.collectors())
SHIPPED = read(os.path.join(os.path.dirname(rule_module.__file__), "rules.toml"))
NOON = 1767268800.0
GIB = 1 << 30

# From which sample on (one each 5 s) how much memory was used: over 90 % at 12:02:05, over 96 % at 12:07:05.
RISE = {1: 50.0, 25: 93.0, 85: 97.0, 109: 50.0, 200: 51.0}
HEAD = "time                 condition                 change               value       threshold   meaning"
LITTLE = "Little memory is left."


@pytest.fixture(autouse=True)
def utc():
    with zone("UTC"):
        yield


def line(number: int, name: str, data: dict, seq: int | None = None) -> str:
    return json.dumps(
        {
            "time": iso(NOON + 5 * number),
            "name": name,
            "data": data,
            "boot_id": "b",
            "since_boot": 1000.0 + 5 * number,
            "seq": number if seq is None else seq,
        },
        separators=(",", ":"),
    )


def start(number: int = 0, **more: object) -> str:
    return line(number, "snapshot", {"schema": 1, "interval": 5.0, "readings": {}, "unavailable": {}, **more}, 0)


def memory(number: int, percent: float, seq: int | None = None) -> str:
    data = {"total_bytes": 16 * GIB, "percent": percent, "available_bytes": round(16 * GIB * (1 - percent / 100))}
    return line(number, "system.memory.usage.updated", data, seq)


def recording(directory, lines: list[str]) -> str:
    path = directory / "2026-01-01" / "12-00-00.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return str(directory)


@pytest.fixture
def risen(tmp_path) -> str:
    return recording(tmp_path / "risen", [start(), *(memory(number, percent) for number, percent in RISE.items())])


def those(text: str = ""):
    import tomllib

    return rules(FAMILIES, [("rules.toml", SHIPPED), ("my.toml", tomllib.loads(text).get("rules", {}))])


def reported(directory: str, text: str = "", **bounds: float) -> list[str]:
    said: list[str] = []
    replay = Replay(directory, FAMILIES, speed=math.inf, **bounds)
    asyncio.run(backtest.report(replay, those(text), said.append))
    replay.check()
    return [each.rstrip() for each in said]


def differing(directory: str, text: str, **bounds: float) -> list[str]:
    said: list[str] = []
    replay = Replay(directory, FAMILIES, speed=math.inf, **bounds)
    asyncio.run(backtest.difference(replay, those(text), those(), said.append))
    return [each.rstrip() for each in said]


def shortly(lines: list[str]) -> list[str]:
    """Return the lines between head and end with one space between the cells, as far as the meaning."""
    return [" ".join(each.removesuffix(LITTLE).split()) for each in lines[1:-1]]


def test_a_report_tells_each_transition_with_its_evidence_and_how_the_host_was(risen):
    assert reported(risen) == [
        HEAD,
        f"2026-01-01 12:03:05  memory_available          ok -> warning        93 %        90 %        {LITTLE}",
        f"2026-01-01 12:07:35  memory_available          warning -> critical  97 %        96 %        {LITTLE}",
        f"2026-01-01 12:14:05  memory_available          critical -> ok       50 %        90 %        {LITTLE}",
        "3 transitions; the host: ok 5 min 35 s, warning 4 min 30 s, critical 6 min 30 s",
    ]


def test_a_rule_that_is_overridden_is_judged_by_what_is_new_and_by_what_stays(risen):
    later = '[rules.memory_available]\nwarning = { hold = "3min" }\ncritical = { enter = "> 98%" }'
    assert shortly(reported(risen, later)) == [
        "2026-01-01 12:05:05 memory_available ok -> warning 93 % 90 %",
        "2026-01-01 12:14:05 memory_available warning -> ok 50 % 90 %",
    ]


def test_a_rule_on_another_field_is_told_in_that_fields_unit(risen):
    own = (
        '[rules.tight]\nsummary = "It is tight."\nmetric = "memory.percent"\n'
        'warning = { enter = "available_bytes < 1.5GiB" }'
    )
    found = [each for each in shortly(reported(risen, own)) if "tight" in each]
    assert found[0] == "2026-01-01 12:02:05 tight ok -> warning 1.12 GiB 1.5 GiB It is tight."


def test_a_report_is_what_healthd_itself_makes_of_the_recording(risen):
    class Transitions:
        name = "transitions"

        def __init__(self):
            self.told: list[str] = []

        def publish(self, cycle):
            for event in cycle.events:
                if event.name == protocol.HEALTH_TRANSITION:
                    self.told.append(f"{iso(event.instant.time)} {event.data['from']} -> {event.data['to']}")

        def account(self):
            return Account()

    made = Transitions()

    async def play() -> None:
        replay = Replay(risen, FAMILIES, speed=math.inf)
        pipeline = Pipeline(replay, Store(), Judge(those()), History(), [made])
        async for _ in replay.ticks():
            await pipeline.cycle()

    asyncio.run(play())
    found = [each.split() for each in shortly(reported(risen))]
    assert [f"{day}T{at}.000Z {' '.join(rest[1:4])}" for day, at, *rest in found] == made.told
    assert len(made.told) == 3


def test_states_that_other_rules_had_are_not_taken_over(tmp_path):
    state = {"rule": "memory_available", "instance": "", "severity": "critical", "on": [True, True]}
    states = {"clock": 500.0, "states": [{**state, "since": [None, None], "time": NOON - 60}]}
    directory = recording(tmp_path, [start(states=states), memory(1, 50.0), memory(100, 51.0)])
    assert reported(directory)[1:] == ["0 transitions; the host: ok 8 min 15 s"]


def test_a_new_start_of_healthd_goes_on_from_what_these_rules_had_made(tmp_path):
    """It was warning when healthd was started again; the time in between is not judged."""
    lines = [start(), memory(1, 93.0), memory(20, 94.0), start(400), memory(401, 94.0, 1), memory(420, 95.0, 20)]
    _, told, end = reported(recording(tmp_path, lines))
    when = "2026-01-01 12:01:05"
    assert told == f"{when}  memory_available          ok -> warning        93 %        90 %        {LITTLE}"
    # Were it not so, a minute would pass until it is warning again.
    assert re.fullmatch(r"1 transition; the host: ok 1 min, warning 2 min 1\d s", end)


def test_who_took_note_of_a_condition_makes_no_difference(tmp_path):
    note = {"condition": "memory_available", "instance": "", "who": "root", "until": None}
    lines = [start(), memory(1, 93.0), memory(30, 94.0), line(30, "health.acknowledged", note), memory(60, 95.0)]
    assert reported(recording(tmp_path, lines))[-1] == "1 transition; the host: ok 1 min, warning 3 min 55 s"


def test_what_comes_before_the_beginning_is_judged_and_not_told(risen):
    assert shortly(reported(risen, since=NOON + 240, until=NOON + 500)) == [
        "2026-01-01 12:07:35 memory_available warning -> critical 97 % 96 %"
    ]
    assert reported(risen, since=NOON + 240, until=NOON + 500)[-1].endswith("warning 3 min 40 s, critical 45 s")


def test_an_instance_is_named_and_moves_no_cursor(tmp_path):
    full = {"\x1b[2J": {"percent": 99.0, "available_bytes": GIB, "read_only": False}}
    lines = [start(), line(1, "system.disk.usage.updated", full), memory(40, 50.0)]
    (told,) = shortly(reported(recording(tmp_path, lines)))
    assert told.startswith("2026-01-01 12:01:05 filesystem_space@'\\x1b[2J' ok -> critical 99 % 97 %")


def test_the_difference_is_what_would_newly_alarm_and_what_would_stay_silent(risen):
    other = (
        "[rules.memory_available]\nenabled = false\n"
        '[rules.half]\nsummary = "Half is used."\nmetric = "memory.percent"\nwarning = { enter = "> 92%" }'
    )
    head, new, gone, *rest = differing(risen, other)
    assert head.split() == ["time", "condition", "severity", "for", "value", "threshold", "meaning"]
    assert " ".join(new.split()) == "+ 2026-01-01 12:02:05 half warning 12 min 93 % 92 % Half is used."
    assert " ".join(gone.split()) == f"- 2026-01-01 12:03:05 memory_available critical 11 min 97 % 96 % {LITTLE}"
    assert rest == [
        "= 0 alarms",
        "the host by these rules: ok 4 min 35 s, warning 12 min",
        "the host by the shipped: ok 5 min 35 s, warning 4 min 30 s, critical 6 min 30 s",
    ]


def test_an_alarm_that_comes_a_little_later_is_the_same(risen):
    assert differing(risen, '[rules.memory_available]\nwarning = { hold = "2min" }')[1:] == [
        "= 1 alarm",
        "the host by these rules: ok 6 min 35 s, warning 3 min 30 s, critical 6 min 30 s",
        "the host by the shipped: ok 5 min 35 s, warning 4 min 30 s, critical 6 min 30 s",
    ]


def test_an_alarm_that_becomes_less_bad_is_another_one(risen):
    new, gone, same = differing(risen, '[rules.memory_available]\ncritical = { enter = "> 98%" }')[1:4]
    assert new.split()[0:5:2] == ["+", "12:03:05", "warning"]
    assert gone.split()[0:5:2] == ["-", "12:03:05", "critical"]
    assert same == "= 0 alarms"


def test_of_two_alarms_in_place_of_one_only_one_is_the_same(tmp_path):
    """Memory is short twice, 6 minutes apart; who waits longer until it is over has one alarm."""
    marks = {1: 93.0, 30: 50.0, 102: 93.0, 130: 50.0, 300: 51.0}
    directory = recording(tmp_path, [start(), *(memory(number, percent) for number, percent in marks.items())])
    lines = differing(directory, '[rules.memory_available]\nclear_after = "10min"')[1:]
    assert [each.split()[:3] for each in lines[:1]] == [["-", "2026-01-01", "12:09:30"]]
    assert lines[1] == "= 1 alarm"


def test_an_alarm_that_lasts_at_the_end_counts(tmp_path):
    directory = recording(tmp_path, [start(), memory(1, 93.0), memory(40, 94.0)])
    (gone, *_) = differing(directory, "[rules.memory_available]\nenabled = false")[1:]
    assert gone.split()[:7] == ["-", "2026-01-01", "12:01:05", "memory_available", "warning", "2", "min"]


def test_an_alarm_that_was_over_before_the_beginning_does_not_count(risen):
    lines = differing(risen, "[rules.memory_available]\nenabled = false", since=NOON + 900)
    assert lines[1] == "= 0 alarms"


# What follows is the command itself.


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "healthd", *options], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C", "HEALTHD_BUS": "unix:path=/no/such"},
    )  # fmt: skip


@pytest.fixture
def my(tmp_path) -> str:
    path = tmp_path / "my.toml"
    path.write_text('interval = "1s"\n[rules.memory_available]\ncritical = { enter = "> 98%" }\n')
    return str(path)


def test_the_command_reports_without_a_bus(risen, my):
    for option in ("--rules", "--config"):
        ended = run("--replay", risen, option, my, "--report")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert shortly([each.rstrip() for each in ended.stdout.splitlines()]) == [
            "2026-01-01 12:03:05 memory_available ok -> warning 93 % 90 %",
            "2026-01-01 12:14:05 memory_available warning -> ok 50 % 90 %",
        ]


def test_the_command_reports_the_shipped_rules_where_none_are_named(risen):
    ended = run("--replay", risen, "--report", "--from", "2026-01-01T12:04", "--to", "2026-01-01T12:10")
    assert len(ended.stdout.splitlines()) == 3
    assert "warning -> critical" in ended.stdout


def test_the_command_compares(risen, my):
    ended = run("--replay", risen, "--rules", my, "--diff")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(each[0] for each in ended.stdout.splitlines()[1:4]) == ["+", "-", "="]


def test_a_reader_that_has_enough_ends_it(risen):
    command = f"{sys.executable} -m healthd --replay {risen} --report | exec head -n 0"
    ended = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_all_faults_of_rules_are_said_before_anything_is_judged(risen, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[rules.mine]\nmetric = "memory.percent"\ngrace = "soon"\nwarning = { enter = "full" }\n')
    ended = run("--replay", risen, "--rules", str(path), "--report")
    assert (ended.returncode, ended.stdout) == (protocol.EXIT_CONFIG, "")
    assert sorted(each.split(": ")[2] for each in ended.stderr.splitlines()) == [
        "rules.mine.grace", "rules.mine.warning.enter",
    ]  # fmt: skip


def test_a_recording_of_which_parts_are_damaged_is_judged_as_far_as_it_goes(tmp_path):
    lines = [start(), memory(1, 50.0), "nonsense", memory(25, 93.0), memory(40, 94.0)]
    ended = run("--replay", recording(tmp_path, lines), "--report")
    assert ended.returncode == protocol.EXIT_DATA
    assert "ok -> warning" in ended.stdout
    assert "1 lines in 1 files of the recording could not be replayed" in ended.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--report"], protocol.EXIT_USAGE, "add --replay DIR"),
        (["--replay", "/no/such", "--report"], protocol.EXIT_NO_INPUT, "/no/such can't be read"),
        (["--replay", "/tmp", "--diff"], protocol.EXIT_USAGE, "add --rules FILE"),
        (["--replay", "/tmp", "--console", "--rules", "x"], protocol.EXIT_USAGE, "--rules is for --report and --diff"),
        (["--replay", "/tmp", "--report", "--console"], protocol.EXIT_USAGE, "leave --bus, --console"),
        (["--replay", "/tmp", "--report", "--speed", "2"], protocol.EXIT_USAGE, "leave --bus, --console"),
        (["--replay", "/tmp", "--report", "--rules", "x", "--config", "y"], protocol.EXIT_USAGE, "exclude each other"),
        (["--replay", "/tmp", "--report", "--rules", ""], protocol.EXIT_USAGE, "--rules is empty"),
        (["--replay", "/tmp", "--report", "--rules", "/no/such.toml"], protocol.EXIT_CONFIG, "can't be read"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_a_code(options, code, said):
    ended = run(*options)
    assert ended.returncode == code
    (line,) = ended.stderr.splitlines()
    assert said in line
