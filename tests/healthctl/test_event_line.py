import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_zone import zone

from healthctl.render.event import event
from healthctl.render.style import Style


@pytest.fixture(autouse=True)
def berlin():
    with zone("CET-1CEST,M3.5.0,M10.5.0/3"):
        yield


def line(name, data, style=Style(), units=None, **more):  # noqa: B008  # immutable
    content = {"time": "2026-11-22T02:12:45.000Z", "name": name, "data": data, "boot_id": "b", "seq": 7}
    return event(json.dumps(content | more), units or {}, style)


FAILED = {"family": "sensor", "instance": "", "problem": "unsupported", "reason": "no temperature sensor", "remedy": ""}


TRANSITION = {
    "condition": "filesystem_space", "instance": "/", "from": "ok", "to": "warning", "metric": "filesystem.percent",
    "summary": "A file system is nearly full.", "value": 92.4, "threshold": 90.0, "remedy": "Delete something.",
}  # fmt: skip
NOTE = {"condition": "filesystem_space", "instance": "/", "who": "ada", "until": None}
WITNESSED = {
    "resource": "memory", "seconds": 0.0, "hidden": 0, "reason": "", "units": [],
    "processes": [
        {"pid": 71, "name": "firefox", "unit": "app-firefox.scope", "memory_bytes": 1 << 30, "swap_bytes": 4096},
        {"pid": 72, "name": "sh", "unit": "", "memory_bytes": 2 << 20, "swap_bytes": 0},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [("collector.failed", FAILED, "sensor is unavailable: no temperature sensor"),
     ("collector.failed", FAILED | {"remedy": "load a driver"},
      "sensor is unavailable: no temperature sensor; load a driver"),
     ("collector.failed", FAILED | {"instance": "k10temp", "reason": ""}, "sensor k10temp is unavailable: unsupported"),
     ("collector.recovered", {"family": "filesystem", "instance": "/home"}, "filesystem /home is available again"),
     ("instance.added", {"family": "network", "instance": "eth1"}, "network eth1 came"),
     ("instance.removed", {"family": "network", "instance": "eth1"}, "network eth1 went"),
     ("runtime.gap", {"reason": "suspend", "seconds": 11100.4}, "suspended for 3 h 5 min"),
     ("runtime.gap", {"reason": "clock", "seconds": 7200.0}, "the clock was set forward by 2 h"),
     ("runtime.gap", {"reason": "clock", "seconds": -7200}, "the clock was set back by 2 h"),
     ("runtime.gap", {"reason": "overrun", "seconds": 12.3}, "samples were late by 12 s"),
     ("runtime.gap", {"reason": "new", "seconds": 1}, '{"reason":"new","seconds":1}'),
     ("runtime.started", {"version": "0.1.0", "interval": 5.0}, "healthd 0.1.0 started, a sample every 5 s"),
     ("runtime.stopped", {}, "healthd stopped"),
     ("health.transition", TRANSITION, "filesystem_space@/ is warning: A file system is nearly full."),
     ("health.transition", TRANSITION | {"from": "warning", "to": "ok"}, "filesystem_space@/ is ok again"),
     ("health.transition", TRANSITION | {"condition": "swap", "instance": "", "to": "critical", "summary": "Full."},
      "swap is critical: Full."),
     ("health.transition", TRANSITION | {"to": "unknown"}, "filesystem_space@/ is unknown"),
     ("health.acknowledged", NOTE, "ada has acknowledged filesystem_space@/"),
     ("health.acknowledged", NOTE | {"until": 1795323600.0},
      "ada has acknowledged filesystem_space@/ until Nov 22 06:00:00"),
     ("health.acknowledged", {"until": 7}, '{"until":7}'),
     ("health.witnessed", WITNESSED, "most of memory: firefox (71, app-firefox.scope) 1.00 GiB, sh (72) 2.00 MiB"),
     ("health.witnessed", {"resource": "cpu", "processes": []}, "most of cpu: nobody"),
     ("config.loaded", {"digest": "abc", "é": None}, '{"digest":"abc","é":null}'),
     ("config.loaded", {"files": [], "rules": "8be6cc50", "interval": 5.0}, "in force is the default configuration"),
     ("config.loaded", {"files": ["/a.toml", "/b.toml"]}, "in force is /a.toml, /b.toml"),
     ("config.loaded", {"files": 3}, '{"files":3}'),
     ("config.refused", {"faults": ["x", "y"]}, "a configuration was refused: x; y"),
     ("collector.disabled", {"family": "disk", "instance": ""}, "disk is not observed any more"),
     ("collector.enabled", {"family": "disk", "instance": ""}, "disk is observed again"),
     ("collector.failed", {}, "{}"), ("runtime.gap", {"reason": "clock", "seconds": "x"},
      '{"reason":"clock","seconds":"x"}'), ("runtime.stopped", [1], "[1]")],
)  # fmt: skip
def test_what_happened_is_told_in_words(name, data, words):
    assert line(name, data) == f"Nov 22 03:12:45  {name:<19}  {words}"


def test_a_sample_has_its_fields_in_units():
    units = {"user": "percent", "frequency_hertz": "hertz", "core_busy": "percent", "celsius": "celsius"}
    data = {"user": 12.44, "frequency_hertz": 1.5e9, "core_busy": [1.0, None], "idle": None, "count": 3}
    words = "user 12.4 %  frequency_hertz 1.50 GHz  core_busy 1.0 %, ?  idle ?  count 3"
    assert line("system.cpu.usage.updated", data, units=units).endswith(f"  {words}")
    several = {"eth0": {"carrier": True, "rx_bytes_per_second": 2048.0}, "lo": {"kind": "loopback"}}
    words = "eth0: carrier yes  rx_bytes_per_second 2.00 KiB/s  lo: kind loopback"
    assert line("system.network.usage.updated", several).endswith(f"  {words}")
    sensor = {"k10temp": {"celsius": 45.0}}
    assert line("system.temperature.updated", sensor, units=units).endswith("  k10temp: celsius 45.0 °C")
    assert line("system.temperature.updated", sensor, Style(unicode=False), units).endswith("celsius 45.0 C")


def test_what_is_wrong_has_the_colour_of_a_warning():
    style = Style(colour=True)
    assert "\x1b[33mcollector.failed   \x1b[0m" in line("collector.failed", FAILED, style)
    assert "\x1b[32mcollector.recovered\x1b[0m" in line("collector.recovered", FAILED, style)
    assert "\x1b" not in line("collector.failed", FAILED)
    assert "\x1b[33mhealth.transition  \x1b[0m" in line("health.transition", TRANSITION, style)
    assert "\x1b[32mhealth.transition  \x1b[0m" in line("health.transition", TRANSITION | {"to": "ok"}, style)


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "7", "\x1b[2J", "[" * 9999, '{"name":"a","data":{}}', '{"time":7,"name":"a","data":{}}',
     '{"time":"now","name":"a","data":{}}'],
)  # fmt: skip
def test_what_is_no_event_is_shown_as_it_is(text):
    assert event(text, {}, Style()) == text.replace("\x1b", "\\x1b")


def test_text_from_the_bus_moves_no_cursor():
    hostile = "eth1\x1b[2J\r\n\x9b2J"
    for shown in (
        line("instance.added", {"family": hostile, "instance": hostile}),
        line(hostile, {hostile: hostile}),
        line("system.x.updated", {hostile: {hostile: hostile}}),
        line("x", hostile),
        event(hostile, {}, Style()),
    ):
        assert shown.isprintable()
        assert "[2J" in shown


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)
NAMES = ["collector.failed", "collector.recovered", "instance.added", "instance.removed", "runtime.gap",
         "runtime.started", "runtime.stopped", "system.load.updated", "new", "health.transition", "health.acknowledged",
         "health.witnessed", "config.loaded", "config.refused", "collector.disabled"]  # fmt: skip


FIELDS = (
    "family", "reason", "seconds", "interval", "version", "condition", "instance", "to", "who", "until", "resource",
    "processes",
)  # fmt: skip


@given(
    st.sampled_from(NAMES),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything)) | anything,
)
def test_any_data_is_one_line(name, data):
    for style in (Style(), Style(unicode=False)):
        shown = line(name, data, style)
        assert shown.isprintable()
        assert style.unicode or shown.isascii()
