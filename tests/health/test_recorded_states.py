"""What is known of conditions goes into a recording and comes back as it was, or is refused."""

import json
from dataclasses import replace
from math import inf
from typing import Any

import pytest
import shipped
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import START, Machine, Pump, Tank, made, recorded

from healthd.clock import Instant
from healthd.errors import BadEvent
from healthd.events import to_json
from healthd.health.condition import restored
from healthd.health.evaluator import acknowledged
from healthd.health.judge import Judge
from healthd.model import Observation, Sample
from healthd.observe.filesystem import Filesystem
from healthd.recording import LONGEST
from healthd.state.store import Store

RULES = {
    "full": {"metric": "tank.percent", "warning": {"enter": "> 90%", "clear": "< 80%", "hold": "60s"}},
    "mean": {"metric": "pump.speed", "operator": "mean", "window": "1min", "warning": {"enter": "> 5"}},
    "soon": {
        "metric": "tank.spare_bytes",
        "operator": "seconds_to_limit",
        "window": "1min",
        "warning": {"enter": "< 1h"},
    },
}


def lively() -> Machine:
    """Return a machine on which there is something to know."""
    machine = Machine(RULES).set(Tank, percent=95.0, spare_bytes=2**40).set(Pump, "x", speed=9.0)
    machine.look()
    machine.pass_(300)
    for free in range(20):
        machine.set(Tank, spare_bytes=2**30 - free * 2**23).pass_(5)
    assert machine.health.reasons == ("full", "mean@x", "soon")
    return machine


def test_an_infinite_time_is_no_number_of_json_and_is_left_out():
    machine = lively()
    machine.set(Tank, spare_bytes=2**41).pass_(120)
    assert machine.state("soon").value == inf
    text = json.dumps(machine.states.data(), allow_nan=False)
    assert "value" not in next(each for each in json.loads(text)["states"] if each["rule"] == "soon")


def test_an_acknowledgement_without_an_end_comes_back_without_an_end():
    machine = lively()
    machine.states = acknowledged(machine.states, ("full", ""), "anna", START + 1.0, inf)
    machine.restart()
    machine.pass_(5)
    assert machine.health.reasons == ("mean@x", "soon")
    noted = machine.state("full").acknowledged
    assert noted == ("anna", START + 1.0, inf, "warning")


def test_since_when_the_host_is_what_it_is_survives():
    machine = lively()
    since = machine.health.since
    machine.restart()
    machine.pass_(5)
    assert machine.health.since == since
    assert machine.health.reasons == ("full", "mean@x", "soon")


def test_flapping_is_remembered():
    machine = Machine({"full": {"metric": "tank.percent", "clear_after": "10min", "warning": {"enter": "> 90%"}}})
    for percent in (95.0, 5.0) * 2:
        machine.set(Tank, percent=percent).pass_(605)
        machine.restart()
    machine.pass_(295)
    assert machine.severity("full") == "warning"
    machine.pass_(5)
    assert machine.severity("full") == "ok"


def test_a_rule_that_looks_at_something_else_now_knows_nothing_of_before():
    machine = lively()
    data = recorded(machine.states)
    other = {**RULES, "mean": {**RULES["mean"], "operator": "increase"}}
    assert set(restored(data, made(other)).states) == {"full", "soon"}
    other = {**RULES, "mean": {**RULES["mean"], "window": "2min"}}
    assert set(restored(data, made(other)).states) == {"full", "soon"}
    other = {**RULES, "full": {**RULES["full"], "notice": {"enter": "> 50%"}}}
    assert set(restored(data, made(other)).states) == {"mean", "soon"}
    other = {**RULES, "full": {**RULES["full"], "warning": {"enter": "> 50%"}}}
    assert set(restored(data, made(other)).states) == {"full", "mean", "soon"}


def test_what_is_recorded_of_a_rule_that_is_no_more_is_left_out():
    machine = lively()
    machine.restart(made({"full": RULES["full"]}))
    machine.pass_(5)
    assert machine.health.reasons == ("full",)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each part of a recording."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *[way for key, each in items for way in paths(each, (*path, key))]]


SPOILED = recorded(lively().states)


@settings(max_examples=300)
@given(st.sampled_from(paths(SPOILED)[1:]), st.sampled_from([None, 5, -1e300, "x", [], {}, [[1]], True, [None, None]]))
def test_a_recording_that_is_spoiled_is_refused_or_understood_and_judging_goes_on(path, value):
    data = json.loads(json.dumps(SPOILED))
    *way, last = path
    place = data
    for key in way:
        place = place[key]
    place[last] = value
    machine = lively()
    try:
        machine.states = restored(data, machine.rules)
    except BadEvent:
        return
    machine.fail(Tank).pass_(10)
    machine.set(Tank, percent=5.0, spare_bytes=2**30).set(Pump, "x", speed=1.0).pass_(60)
    json.dumps(machine.states.data(), allow_nan=False)


@pytest.mark.parametrize("content", [{}, {"states": []}, {"states": 5, "clock": 1.0}, {"clock": "x"}, [], 5])
def test_what_is_something_else_is_refused(content):
    with pytest.raises(BadEvent):
        restored(content, made(RULES))


def test_states_of_a_thousand_file_systems_fit_in_a_line_that_can_be_read():
    judge, store = Judge(shipped.RULES), Store()
    known = dict.fromkeys(metric.name for metric in Filesystem.metrics)
    fine = Filesystem(**known | {"percent": 5.0, "inodes_percent": 1.0, "available_bytes": 2**40, "read_only": False})
    for number in range(1, 40):
        now = Instant(START + 900.0 * number, 1000.0 + 900.0 * number, 0.0)
        reading = replace(fine, available_bytes=2**40 - 2**30 * number)
        found = Observation(Filesystem.family, now, {f"/srv/{each}": reading for each in range(1000)}, {}, 0.0, 0)
        judge.take(store.accept(Sample(now, "boot", number, (found,), 900.0)))
    assert len(to_json(judge.states.data())) < LONGEST / 2
