import json
import re

import pytest
from wcwidth import wcswidth

from healthctl.commands.conditions import draw
from healthctl.render import condition
from healthctl.render.style import Style

NOW = 1_795_323_600.0
FULL = {
    "rule": "filesystem_space", "instance": "/", "severity": "warning", "since_usec": round((NOW - 720) * 1e6),
    "summary": "A file system is nearly full.", "metric": "filesystem.percent", "unit": "percent", "value": 92.4,
    "threshold": 90.0, "next": "warning", "pending": False, "inhibited_by": None, "acknowledged_by": None,
}  # fmt: skip
FINE = FULL | {"severity": "ok", "since_usec": None, "value": 27.0, "instance": "/home"}
HOSTILE = "\x1b[2J\n\x9b31m\u202e漢字é"


def rows(conditions, *, headroom=False, style=Style(), width=200):  # noqa: B008  # immutable
    return [re.split(r"  +", line) for line in draw(conditions, NOW, width, style, headroom=headroom)]


def test_a_condition_has_its_value_and_threshold_in_their_unit():
    assert rows({"filesystem_space@/": FULL}) == [
        ["CONDITION", "SEVERITY", "SINCE", "VALUE", "THRESHOLD", "MEANING"],
        ["filesystem_space@/", "warning", "12 min ago", "92.4 %", "90.0 %", "A file system is nearly full."],
    ]


def test_one_that_is_ok_has_its_headroom():
    conditions = {"filesystem_space@/": FULL, "filesystem_space@/home": FINE | {"headroom": 63.0}}
    _, full, fine = rows(conditions, headroom=True)
    assert full[5] == "-"
    assert fine[:6] == ["filesystem_space@/home", "ok", "-", "27.0 %", "90.0 %", "63.0 %"]


def test_one_that_builds_up_is_marked():
    pending = FINE | {"pending": True, "next": "critical"}
    assert rows({"swap": pending})[1][1] == "ok, critical pending"
    assert rows({"swap": FULL | {"pending": True}})[1][1] == "warning"


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(None, "percent", "-"), (0.0134, "", "0.0134"), (3.0, "count", "3"), (85.25, "celsius", "85.2 °C"),
     (64 * 2**20, "bytes", "64.0 MiB"), (86400.0, "seconds", "1 day"), (72300, "seconds", "20 h 5 min"),
     (2.0, "tasks", "2.00"), (7.5, "a new one", "7.5")],
)  # fmt: skip
def test_a_quantity_is_written_in_its_unit(value, unit, expected):
    assert condition.quantity(value, unit, Style()) == expected


@pytest.mark.parametrize(
    ("change", "remark"),
    [({"acknowledged_by": "ada"}, "acknowledged by ada: "), ({}, ""),
     ({"inhibited_by": "mount_stale"}, "caused by mount_stale: ")],
)  # fmt: skip
def test_why_it_does_not_count_is_said(change, remark):
    assert rows({"a": FULL | change})[1][5] == remark + "A file system is nearly full."
    assert condition.counts(FULL | change) == (not remark)


def test_a_notice_does_not_count():
    assert not condition.counts(FULL | {"severity": "notice"})
    assert not condition.counts(FINE)
    assert condition.counts(FULL | {"severity": "unknown"})


def test_the_worst_comes_first_and_what_does_not_count_after_what_does():
    found = {
        "ok": FINE, "noted": FULL | {"severity": "critical", "acknowledged_by": "ada"}, "warning": FULL,
        "unknown": FULL | {"severity": "unknown"}, "critical": FULL | {"severity": "critical"},
        "notice": FULL | {"severity": "notice"},
    }  # fmt: skip
    ordered = sorted(found, key=lambda name: condition.rank(found[name]))
    assert ordered == ["critical", "warning", "unknown", "noted", "notice", "ok"]


def test_what_counts_has_its_colour_and_what_does_not_is_faded():
    style = Style(colour=True)
    assert "\x1b[33mwarning\x1b[0m" in "\n".join(draw({"a": FULL}, NOW, 200, style, headroom=False))
    faded = "\n".join(draw({"a": FULL | {"acknowledged_by": "ada"}}, NOW, 200, style, headroom=False))
    assert "\x1b[2mwarning\x1b[0m" in faded
    assert "\x1b[33m" not in faded


def test_text_from_the_bus_moves_no_cursor_and_breaks_no_width():
    hostile = {key: HOSTILE if isinstance(value, str) else value for key, value in FULL.items()}
    for style in (Style(), Style(unicode=False)):
        for line in draw({HOSTILE: hostile, "b": {}}, NOW, 80, style, headroom=True):
            assert line.isprintable()
            assert wcswidth(line) <= 80


def test_those_that_are_not_ok_are_listed(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "conditions")
    assert (done.returncode, done.stderr) == (0, "")
    found = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert {"used", "looped@lo", "noted"} <= set(found)
    assert not {"coming", "beyond"} & set(found)
    assert re.search(r"warning +.* ago +[\d.]+ % +0\.0 % +There is memory in use\.$", found["used"])
    assert re.search(r"warning +.* ago +- +- +An interface leads back\.$", found["looped@lo"])
    assert re.search(r"notice +.* ago +[\d.]+ [KMGT]iB +1\.00 KiB +Some memory is left\.$", found["noted"])


def test_with_all_those_that_are_ok_are_listed_too(judged_bus, healthctl):
    lines = healthctl(judged_bus.address, "conditions", "--all").stdout.splitlines()
    assert "HEADROOM" in lines[0]
    found = {line.split()[0]: line for line in lines[1:]}
    assert re.search(r"^coming +ok, warning pending ", found["coming"])
    assert re.search(r"^beyond +ok +- +[\d.]+ % +100\.0 % +[\d.]+ % ", found["beyond"])
    severities = [line.split("  ", 1)[1].split()[0] for line in lines[1:]]
    assert severities == sorted(severities, key=["critical", "warning", "unknown", "notice", "ok,", "ok"].index)


def test_as_json_it_is_an_object_by_name(judged_bus, healthctl):
    some = json.loads(healthctl(judged_bus.address, "conditions", "--json").stdout)
    every = json.loads(healthctl(judged_bus.address, "conditions", "--all", "--json").stdout)
    assert set(some) < set(every)
    assert some["used"]["severity"] == "warning"
    assert some["looped@lo"] | {"since_usec": 0} == {
        "rule": "looped", "instance": "lo", "severity": "warning", "since_usec": 0, "metric": "network.kind",
        "summary": "An interface leads back.", "unit": None, "value": None, "threshold": None, "next": "warning",
        "pending": False, "inhibited_by": None, "acknowledged_by": None, "headroom": None,
        "own_value": None, "own_unit": None, "bounds": {},
    }  # fmt: skip
    assert every["coming"]["pending"] is True


def test_status_leads_with_what_is_wrong(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "status", COLUMNS="120")
    first, *lines = done.stdout.split("\n\n")[0].splitlines()
    assert re.match(r"● (warning|critical)  for \d+ (s|min)$", first)
    assert done.returncode == {"warning": 1, "critical": 2}[first.split()[1]]
    by_name = {line.split()[0]: line for line in lines}
    assert re.search(r"[\d.]+ % \(0\.0 %\) .*There is memory in use\.$", by_name["used"])
    assert by_name["noted"].endswith("notice: Some memory is left.")


def test_watch_shows_what_is_wrong(judged_bus, terminal):
    started = terminal(judged_bus.address, "watch", columns=100)
    started.shows("There is memory in use.")
    started.type(b"q")
    assert started.ended() == 0
