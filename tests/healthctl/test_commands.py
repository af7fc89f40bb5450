import json
import re
import subprocess
import sys

import pytest

from healthctl import values
from healthctl.address import similar
from healthctl.commands import collectors, metrics, publishers
from healthctl.health import exit_code
from healthctl.render.style import Style

NAMES = ["memory.available_bytes", "memory.percent", "filesystem.percent", "filesystem.inodes_percent", "cpu.busy"]
ROW = {"kind": "gauge", "unit": "percent", "summary": "Busy."}


@pytest.mark.parametrize(
    ("address", "expected"),
    [("memory.percnt", "memory.percent"), ("memory.available", "memory.available_bytes"), ("cpu.bussy", "cpu.busy"),
     ("filesystem", "filesystem.percent"), ("busy", "cpu.busy")],
)  # fmt: skip
def test_a_misspelt_metric_brings_the_one_that_was_meant(address, expected):
    assert similar(address, NAMES)[0] == expected


def test_nothing_like_it_brings_nothing():
    assert similar("zzz", NAMES) == []


@pytest.mark.parametrize(
    ("severity", "code"),
    [("ok", 0), ("notice", 0), ("warning", 1), ("critical", 2), ("unknown", 3), ("new one", 3), (None, 3)],
)
def test_the_exit_code_tells_the_severity(severity, code):
    assert exit_code({"health": {"severity": severity}}) == code


def test_no_verdict_is_unknown():
    assert exit_code({}) == exit_code({"health": None}) == 3


def test_one_value_stands_alone_and_several_have_their_addresses():
    assert values.draw({"cpu.busy": 1.5}, ("cpu.busy",), Style()) == ["1.5"]
    assert values.draw({"cpu.busy": None}, ("cpu.busy",), Style()) == ["unknown"]
    assert values.draw({"a.b@/": True}, ("a.b",), Style()) == ["a.b@/=yes"]
    several = {"a.b": "x\x1b", "c.d": [1.0, None]}
    assert values.draw(several, ("a.b", "c.d"), Style()) == ["a.b=x\\x1b", "c.d=1.0 unknown"]


def test_metrics_are_a_table_that_is_cut_at_the_width():
    lines = metrics.draw({"cpu.busy": ROW, "cpu.much_longer_name": ROW | {"summary": "x" * 99}}, 60, Style())
    assert lines[0].split() == ["METRIC", "KIND", "UNIT", "SUMMARY"]
    assert lines[1] == "cpu.busy              gauge  percent  Busy."
    assert len(lines[2]) == 60
    assert lines[2].endswith("x…")


def test_collectors_say_how_they_do_in_words():
    row = {"available": True, "every_usec": 30_000_000, "sampled_at_usec": 100_000_000, "duration_usec": 1234,
           "failures": 0, "instances": 3}  # fmt: skip
    gone = {"available": False, "problem": "unsupported", "reason": "no psi", "remedy": "boot\nso", "failures": 2,
            "every_usec": 1_000_000, "sampled_at_usec": None, "duration_usec": None, "instances": 0}  # fmt: skip
    lines = collectors.draw({"filesystem": row, "pressure": gone}, 107.0, 200, Style())
    assert re.split(r"  +", lines[1]) == ["filesystem", "ok", "30 s", "7 seconds ago", "1.23 ms", "0", "3"]
    assert re.split(r"  +", lines[2]) == [
        "pressure", "unsupported", "1 s", "never", "?", "2", "0", "no psi; boot\\nso",
    ]  # fmt: skip


def test_why_a_family_is_unavailable_can_be_read_in_80_columns():
    gone = {"available": False, "problem": "unsupported", "failures": 2, "every_usec": 1_000_000, "instances": 0,
            "reason": "the kernel does not measure pressure",
            "remedy": "add psi=1 to the kernel's command line, and boot"}  # fmt: skip
    head, below, row, *reason = collectors.draw({"pressure": gone}, 107.0, 80, Style())
    assert (head.split()[-1], below.split(), row.split()[-1]) == ("INSTANCES", ["REASON"], "0")
    assert reason == ["  the kernel does not measure pressure; add psi=1 to the kernel's command line,", "  and boot"]
    assert max(map(len, (head, row, *reason))) <= 80


def test_publishers_say_what_they_lost_and_what_hinders_them():
    fine = {"available": True, "problem": None, "reason": None, "remedy": None, "lost": 0}
    full = {"available": False, "problem": "failed", "reason": "the disk is full", "remedy": "make space", "lost": 12}
    assert publishers.draw({"bus": fine, "recorder": full}, 200, Style()) == [
        "PUBLISHER  STATE   LOST  REASON",
        "bus        ok      0",
        "recorder   failed  12    the disk is full; make space",
    ]


def test_publishers_are_listed(healthd_bus):
    command = [sys.executable, "-m", "healthctl", "publishers", "--bus", healthd_bus.address]
    text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["bus", "ok"], ["journal", "ok"]]
    answer = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert json.loads(answer)["bus"]["lost"] == 0
