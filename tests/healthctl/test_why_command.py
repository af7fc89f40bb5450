import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from private_bus import eventually
from time_zone import zone
from wcwidth import wcswidth

from healthctl.render.style import Style
from healthctl.render.why import Explained, why
from healthctl.series import Point, Series
from healthd import protocol

pytestmark = pytest.mark.timeout(60)

NOW = 1_795_323_600.0
"""2026-11-22 05:00:00 in UTC."""
RULE = {
    "name": "filesystem_space", "summary": "A file system is nearly full.", "metric": "filesystem.percent", "per": "",
    "why": "A large disk may be full to nine tenths and still hold for years, so what is free counts too.",
    "remedy": "Look what is large; delete it.", "operator": "", "window": 0.0, "unit": "percent", "clear_after": 300.0,
    "grace": 180.0, "inhibits": ["filesystem_filling"],
    "levels": [
        {"severity": "warning", "enter": ">= 90% and available_bytes < 20GiB", "clear": "< 85%", "hold": 300.0},
        {"severity": "critical", "enter": ">= 97%", "clear": "< 94%", "hold": 60.0},
    ],
}  # fmt: skip
TOLD = {
    "condition": "filesystem_space@/", "rule": RULE, "instance": "/", "severity": "warning", "since": NOW - 720,
    "summary": RULE["summary"], "metric": "filesystem.percent", "unit": "percent", "value": 92.4, "threshold": 90.0,
    "next": "warning", "pending": False, "inhibited_by": "", "acknowledged_by": "", "due_seconds": None, "returns": 0,
    "samples": [["2026-11-22T04:43:00.000Z", 90.1], ["2026-11-22T04:50:00.000Z", 91.0],
                ["2026-11-22T04:59:00.000Z", 92.4]],
}  # fmt: skip
POINTS = [Point(NOW - 3600 + 360 * step, 80.0 + step, 80.0 + step, 80.0 + step) for step in range(10)]
SERIES = Series("filesystem.percent@/", "percent", "Used.", POINTS)
OTHER = json.dumps(
    {"time": "2026-11-22T04:48:05.000Z", "name": "collector.recovered", "data": {"family": "disk", "instance": "sda"}}
)


@pytest.fixture(autouse=True)
def utc():
    with zone("UTC"):
        yield


def page(told=TOLD, *, series=(SERIES,), events=(OTHER,), width=80, style=Style()):  # noqa: B008  # immutable
    return why(Explained("filesystem_space@/", told, NOW, series, events), width, style)


def test_a_condition_is_explained_from_rule_to_remedy():
    assert page() == [
        "● warning  filesystem_space@/  for 12 min",
        "A file system is nearly full.",
        "",
        "Looks at     filesystem.percent of /",
        "Warning      >= 90% and available_bytes < 20GiB for 5 min; over after 5 min of <",
        "             85%",
        "Critical     >= 97% for 1 min; over after 5 min of < 94%",
        "Not judged   in the first 3 min after boot",
        "Silences     filesystem_filling",
        "",
        "Evidence     92.4 %, threshold 90.0 %, warning since 2026-11-22 04:48:00",
        "Samples      90.1 % at 04:43:00, 91.0 % at 04:50:00, 92.4 % at 04:59:00",
        "History      ▁▁▁▁▁▁▁▁▂▂▂▂▂▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▇▇▇▇▇████████  80.0 % to 89.0 % in 1 h",
        "",
        "Meanwhile    Nov 22 04:48:05  disk sda is available again",
        "",
        "Why          A large disk may be full to nine tenths and still hold for years,",
        "             so what is free counts too.",
        "To do        Look what is large; delete it.",
    ]


def test_one_that_is_ok_says_what_it_would_mean():
    lines = page(TOLD | {"severity": "ok", "since": 0.0, "samples": []}, series=(), events=())
    assert lines[:2] == ["● ok  filesystem_space@/", "Would mean   A file system is nearly full."]
    assert "Evidence     92.4 %, threshold 90.0 %" in lines
    assert not any(line.startswith(("Samples", "History", "Meanwhile", "Who")) for line in lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"acknowledged_by": "a", "acknowledged": NOW, "acknowledged_until": NOW + 60.0},
      "acknowledged by a at 2026-11-22 05:00:00 until"),
     ({"acknowledged_by": "a", "acknowledged": NOW}, "acknowledged by a at 2026-11-22 05:00:00, and does not"),
     ({"severity": "ok", "pending": True, "due_seconds": 130.0}, "warning within 2 min 10 s if it stays so"),
     ({"severity": "ok", "pending": True}, "warning if it stays so"),
     ({"acknowledged_by": "ada"}, "acknowledged by ada, and does not count for the host"),
     ({"inhibited_by": "mount_stale"}, "caused by mount_stale, and does not count for the host"),
     ({"returns": 1}, "came back once soon after it was over, and takes longer to be over"),
     ({"returns": 3}, "came back 3 times soon after it was over, and takes longer to be")],
)  # fmt: skip
def test_the_outlook_says_what_becomes_of_it(change, words):
    assert f"Outlook      {words}" in page(TOLD | change)[11]


def test_what_decided_is_named_where_it_is_not_what_the_rule_looks_at():
    told = TOLD | {"metric": "filesystem.available_bytes", "unit": "bytes", "value": 2.0**30, "threshold": 2.0**31}
    assert "1.00 GiB (filesystem.available_bytes), threshold 2.00 GiB, warning" in page(told)[10]


def test_of_many_samples_the_first_and_the_last_are_shown():
    samples = [[f"2026-11-22T04:{minute:02}:00.000Z", 90.0 + minute / 10] for minute in range(16)]
    assert (
        page(TOLD | {"samples": samples})[11]
        == "Samples      90.0 % at 04:00:00, … 91.4 % at 04:14:00, 91.5 % at 04:15:00"
    )


def test_each_metric_that_is_looked_at_has_its_history():
    several = [SERIES._replace(address=name) for name in ("cpu.user", "cpu.system")]
    lines = page(series=[*several, SERIES._replace(points=[])])
    assert [line[13:25] for line in lines if "▁" in line] == ["cpu.user    ", "cpu.system  "]
    assert max(map(wcswidth, lines)) <= 80


def test_where_there_is_no_room_beside_a_history_its_figures_stand_below():
    lines = page(width=36)
    at = next(index for index, line in enumerate(lines) if line.startswith("History"))
    assert re.fullmatch(r"History      [▁-█]{23}", lines[at])
    assert lines[at + 1] == "             80.0 % to 89.0 % in 1 h"
    assert max(map(wcswidth, lines)) <= 36


def test_who_used_most_is_named_where_that_was_looked_at():
    who = {"processes": [{"pid": 71, "name": "make", "unit": "user.slice", "cpu": 90.0}], "units": [], "hidden": 0}
    assert "Who          make (71, user.slice)  cpu 90.0 %" in page(TOLD | {"who": who})
    assert not any(line.startswith("Who") for line in page(TOLD | {"who": None}))
    hidden = {
        "processes": [],
        "units": [],
        "hidden": 9,
        "reason": "processes of other users are not for everyone's eyes",
    }
    assert page(TOLD | {"who": hidden})[14:16] == [
        "Who          9 hidden: processes of other users are not for everyone's eyes", "",
    ]  # fmt: skip
    hidden["reason"] += ", and root may look"
    assert "             root may look" in page(TOLD | {"who": hidden})


def test_what_else_moved_is_told_with_what_was_usual_before():
    movers = [
        {"metric": "disk.write_bytes_per_second@nvme0n1", "unit": "bytes_per_second", "before": 0.0, "after": 1e8},
        {"metric": "load.load1", "unit": "tasks", "before": 0.52, "after": 8.1},
    ]
    lines = page(TOLD | {"movers": movers})
    assert lines[14:18] == [
        "Moved        disk.write_bytes_per_second@nvme0n1  0 B/s → 95.4 MiB/s",
        "             load.load1                           0.52 → 8.10",
        "",
        "Meanwhile    Nov 22 04:48:05  disk sda is available again",
    ]
    assert "0.52 -> 8.10" in page(TOLD | {"movers": movers}, style=Style(unicode=False))[15]
    narrow = page(TOLD | {"movers": movers}, width=50)
    assert "Moved        disk.write_bytes…  0 B/s → 95.4 MiB/s" in narrow


def test_that_nothing_moved_is_said_and_what_is_unknown_is_not():
    assert "Moved        nothing else that is unusual" in page(TOLD | {"movers": []})
    assert not any(line.startswith("Moved") for line in (*page(TOLD | {"movers": None}), *page()))


def test_where_unicode_can_not_be_shown_it_is_ascii():
    lines = page(style=Style(unicode=False))
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert any("____...." in line for line in lines)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(sorted(RULE)), inside, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*TOLD, "who", "movers"]), anything), st.integers(0, 120), st.booleans())
def test_whatever_is_told_lines_fit_and_move_no_cursor(told, width, unicode):
    for line in page(TOLD | told, events=("x\x1b", OTHER), width=width, style=Style(unicode=unicode)):
        assert line.isprintable()
        assert wcswidth(line) <= width


def test_a_condition_is_explained_with_its_evidence(judged_bus, healthctl):
    # Two points are a history: each is 5 s.
    done = eventually(lambda: "History" in (done := healthctl(judged_bus.address, "why", "used")).stdout and done)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert re.match(r"● warning  used  for \d+ (s|min)\nThere is memory in use\.\n\n", text)
    assert "Looks at     memory.percent\nWarning      > 0; over after 5 min of <= 0\n" in text
    assert "Critical     > 100% for 1 min; over after 5 min of < 99%\n" in text
    assert re.search(r"^Evidence     [\d.]+ %, threshold 0\.0 %, warning since 20", text, re.MULTILINE)
    assert re.search(r"^History      [▁-█ ]+  [\d.]+ % to [\d.]+ % in \d+ (s|min)$", text, re.MULTILINE)
    assert re.search(r"^Meanwhile    .*  healthd .* started, a sample every 1 s$", text, re.MULTILINE)
    assert "looped@lo is warning: An interface leads back." in text
    assert "used is warning" not in text
    assert "network lo came" not in text
    assert text.endswith("Why          Whatever runs needs some.\nTo do        End all programs.\n")


def test_who_used_most_is_told(judged_bus, healthctl):
    told = json.loads(healthctl(judged_bus.address, "why", "used", "--json").stdout)["used"]
    if told.get("who"):
        text = healthctl(judged_bus.address, "why", "used").stdout
        assert re.search(rf"^Who          {re.escape(told['who']['processes'][0]['name'])} \(", text, re.MULTILINE)


def test_a_rule_means_its_conditions(judged_bus, healthctl):
    assert healthctl(judged_bus.address, "why", "looped").stdout.startswith("● warning  looped@lo  for ")
    done = healthctl(judged_bus.address, "why", "coming")
    assert done.stdout.startswith("● ok  coming\nWould mean   Memory was in use for an hour.\n")
    assert re.search(r"^Outlook      warning within (1 h|\d+ min( \d+ s)?) if it stays so$", done.stdout, re.MULTILINE)


def test_without_a_name_it_is_the_worst_reasons(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "why")
    assert (done.returncode, done.stderr) == (0, "")
    described = json.loads(healthctl(judged_bus.address, "--json").stdout)["health"]
    heads = re.findall(r"^● (\w+)  (\S+)  for ", done.stdout, re.MULTILINE)
    assert {severity for severity, _ in heads} == {described["severity"]}
    assert [name for _, name in heads] == described["reasons"][: len(heads)]


def test_as_json_it_is_what_healthd_explains_with_history_and_events(judged_bus, healthctl):
    answer = json.loads(healthctl(judged_bus.address, "why", "used", "--json").stdout)
    assert list(answer) == ["used"]
    told = answer["used"]
    assert told["rule"]["levels"][0] == {"severity": "warning", "enter": "> 0", "clear": "<= 0", "hold": 0.0}
    assert told["value"] == pytest.approx(told["samples"][-1][1])
    assert list(told["history"]) == ["memory.percent"]
    assert all(list(point) == ["time", "min", "mean", "max"] for point in told["history"]["memory.percent"])
    assert protocol.RUNTIME_STARTED in [event["name"] for event in told["events"]]
    assert set(json.loads(healthctl(judged_bus.address, "why", "--json").stdout)) == {"used", "looped@lo"}


def test_what_is_no_number_has_no_history(judged_bus, healthctl):
    told = json.loads(healthctl(judged_bus.address, "why", "looped@lo", "--json").stdout)["looped@lo"]
    assert told["history"] == {"network.kind@lo": []}


@pytest.mark.parametrize("name", ["useed", "used@lo", "looped@eth77"])
def test_an_unknown_condition_is_64_and_says_what_to_do(judged_bus, healthctl, name):
    done = healthctl(judged_bus.address, "why", name)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = done.stderr.splitlines()
    assert f"there is no condition '{name}'; " in line
    assert line.endswith("see: healthctl conditions --all")


def test_where_all_is_well_it_says_so(bus, healthd, healthctl, calm):
    healthd("--interval", "0.5", "--config", calm()).ready()
    done = healthctl(bus.address, "why")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing is wrong.\n", "")
    assert json.loads(healthctl(bus.address, "why", "--json").stdout) == {}
    done = healthctl(bus.address, "conditions")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Nothing is wrong; what is judged: healthctl conditions --all\n"
