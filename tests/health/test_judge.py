"""What the judge tells of its conditions: their evidence, in words and numbers that can be sent anywhere."""

import json
from dataclasses import replace
from math import inf

import pytest
from scripted import START, Machine, Pump, Tank, made

from healthd import protocol
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import Event, Snapshot
from healthd.verdict import Condition

RULES = {
    "full": {
        "summary": "It is full.",
        "remedy": "Empty it.",
        "metric": "tank.percent",
        "who": "memory",
        "warning": {"enter": "> 90% or spare_bytes < 1GiB", "clear": "< 80% and spare_bytes > 2GiB", "hold": "10s"},
        "critical": {"enter": "> 98%", "clear": "< 95%"},
    },
    "soon": {
        "metric": "tank.spare_bytes",
        "operator": "seconds_to_limit",
        "window": "1min",
        "warning": {"enter": "< 1min"},
    },
    "mood": {"metric": "tank.mode", "notice": {"enter": "== bad"}},
    "fast": {"metric": "pump.speed", "warning": {"enter": "> 5"}},
}


class Watched:
    """A machine that a judge looks at."""

    def __init__(self) -> None:
        self.machine = Machine(RULES)
        self.judge = Judge(made(RULES))
        self.events: list[Event] = []
        self.set(percent=50.0, spare_bytes=2**40, mode="good")

    def set(self, seconds: float = 5.0, *happened: Event, **fields: object) -> Snapshot:
        self.machine.set(Tank, **fields)
        for _ in range(int(seconds // 5)):
            self.machine.since_boot += 5.0
            passed = self.machine.since_boot
            instant = Instant(START + passed, passed, 0.0)
            found, events = self.judge.take(Snapshot(instant, 7, "boot", 5.0, dict(self.machine.entries), {}), happened)
            self.events += events
        return found


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_snapshot_gets_its_verdict_and_its_conditions_by_name(watched):
    assert watched.set().health.severity == "ok"
    watched.machine.set(Pump, "x/1", speed=9.0)
    health = watched.set(20.0, percent=95.0).health
    assert (health.severity, health.reasons) == ("warning", ("fast@x/1", "full"))
    assert health.conditions["full"] == Condition(
        rule="full",
        instance="",
        severity="warning",
        since_usec=round((START + 10025.0) * 1e6),
        summary="It is full.",
        metric="tank.percent",
        unit="percent",
        value=95.0,
        threshold=90.0,
        remedy="Empty it.",
        inhibited_by="",
        acknowledged_by="",
        acknowledged_usec=None,
        acknowledged_until_usec=None,
    )
    assert health.conditions["fast@x/1"].summary == "pump.speed > 5"


def test_what_did_not_change_is_the_same_object_and_an_unchanged_report_is_equal(watched):
    first, second = watched.set(20.0, percent=95.0).health, watched.set().health
    assert second.conditions["full"] is first.conditions["full"]
    assert second == first
    third = watched.set(percent=95.5).health
    assert third.conditions["full"] == replace(first.conditions["full"], value=95.5)


def test_the_unit_and_the_metric_are_those_of_what_decided(watched):
    condition = watched.set(20.0, spare_bytes=2**20).health.conditions["full"]
    assert (condition.metric, condition.unit) == ("tank.spare_bytes", "bytes")
    assert (condition.value, condition.threshold) == (2.0**20, 2.0**30)


def test_a_transition_is_an_event_that_says_what_was_compared_with_what(watched):
    watched.set(20.0, percent=95.0)
    (event,) = watched.events
    assert (event.name, event.boot_id, event.seq) == (protocol.HEALTH_TRANSITION, "boot", 7)
    assert event.data == {
        "condition": "full",
        "instance": "",
        "from": "ok",
        "to": "warning",
        "judged": True,
        "summary": "It is full.",
        "metric": "tank.percent",
        "value": 95.0,
        "threshold": 90.0,
        "remedy": "Empty it.",
    }


def test_transitions_of_one_sample_come_by_name(watched):
    watched.machine.set(Pump, "y", speed=9.0).set(Pump, "x", speed=9.0)
    watched.set(mode="bad")
    assert [(event.data["condition"], event.data["instance"]) for event in watched.events] == [
        ("fast", "x"),
        ("fast", "y"),
        ("mood", ""),
    ]


def test_all_conditions_are_listed_those_that_are_ok_with_the_value_of_now(watched):
    watched.set(percent=51.0)
    watched.set(percent=61.5)
    listed = watched.judge.listed()
    assert list(listed) == ["full", "mood", "soon"]
    assert (listed["full"]["severity"], listed["full"]["value"], listed["full"]["threshold"]) == ("ok", 61.5, 90.0)
    assert (listed["full"]["next"], listed["full"]["pending"]) == ("warning", False)
    watched.set(percent=99.0)
    assert watched.judge.listed()["full"]["next"] == "critical"


def test_what_builds_up_says_so_and_when_it_would_come(watched):
    watched.set(percent=95.0)
    told = watched.judge.explain("full")
    assert (told["severity"], told["pending"], told["due_seconds"]) == ("ok", True, 10.0)
    assert told["samples"] == [["2026-01-01T14:46:50.000Z", 95.0]]


def test_an_explanation_is_json_and_has_the_rule_in_it(watched):
    for spare in (2**40, 2**20):
        watched.set(120.0, spare_bytes=spare, percent=99.0)
        for name in watched.judge.listed():
            json.dumps(watched.judge.explain(name), allow_nan=False)
    told = watched.judge.explain("full")
    assert told["rule"]["levels"][0] == {
        "severity": "warning",
        "enter": "> 90% or spare_bytes < 1GiB",
        "clear": "< 80% and spare_bytes > 2GiB",
        "hold": 10.0,
    }
    assert watched.judge.explain("soon")["rule"]["operator"] == "seconds_to_limit"
    assert watched.judge.explain("soon")["rule"]["levels"][0]["clear"] == ">= 1min"
    assert watched.judge.explain("soon")["value"] is None, "never is no number"


@pytest.mark.parametrize("name", ["none", "full@x", "", "@", "fast@"])
def test_what_there_is_not_can_not_be_explained(watched, name):
    with pytest.raises(KeyError):
        watched.judge.explain(name)


def test_what_goes_back_and_forth_at_its_threshold_has_it_seen_once_in_a_while_who_uses_most(watched):
    wanted = 0
    for number in range(240):
        time = watched.set(5.0, percent=91.0 if number % 2 else 89.0).instant.time
        if watched.judge.wanted:
            wanted += 1
            watched.judge.saw(time + 1.0, {"resource": "memory", "processes": []})
    assert 2 <= wanted <= 5


def test_who_uses_most_is_wanted_when_it_builds_up_and_when_it_becomes_worse_and_else_never(watched):
    wanted = []
    for percent in (95.0, 95.0, 95.0, 95.0, 99.0, 99.0, 95.0, 5.0, 5.0):
        watched.set(percent=percent)
        wanted.append(set(watched.judge.wanted))
    memory = {"memory"}
    assert wanted == [memory, set(), memory, set(), memory, set(), set(), set(), set()]


def test_what_people_did_is_taken_in_again_from_a_recording(watched):
    watched.set(20.0, percent=95.0)
    at = Instant(START + watched.machine.since_boot + 1, watched.machine.since_boot + 1, 0.0)
    data = {"condition": "full", "instance": "", "who": "anna", "until": None}
    noted = Event(at, protocol.HEALTH_ACKNOWLEDGED, data, "boot", 7)
    health = watched.set(5.0, noted).health
    assert health.reasons == ()
    assert health.conditions["full"].acknowledged_by == "anna"
    assert health.conditions["full"].acknowledged_until_usec is None
    other = noted._replace(data={**data, "condition": "none"})
    assert watched.set(5.0, other).health.reasons == ()


def test_when_and_until_when_it_was_taken_note_of_is_told(watched):
    watched.set(20.0, percent=95.0)
    assert watched.judge.explain("full").keys() >= {"acknowledged", "acknowledged_until"}
    health = watched.judge.acknowledge("full", "", "anna", START, START + 20000.0)
    assert health.conditions["full"].acknowledged_usec == round(START * 1e6)
    assert health.conditions["full"].acknowledged_until_usec == round((START + 20000.0) * 1e6)
    told = watched.judge.explain("full")
    assert (told["acknowledged"], told["acknowledged_until"]) == (START, START + 20000.0)
    health = watched.judge.acknowledge("full", "", "ben", START + 9.0, inf)
    assert health.conditions["full"].acknowledged_usec == round((START + 9.0) * 1e6)
    assert health.conditions["full"].acknowledged_until_usec is None
    told = watched.judge.explain("full")
    assert (told["acknowledged"], told["acknowledged_until"]) == (START + 9.0, None)


def test_without_rules_nothing_is_known_of_the_host(watched):
    watched.judge = Judge(())
    assert watched.set().health.severity == "unknown"
    assert watched.judge.listed() == {}


def test_headroom_is_that_of_what_keeps_it_from_coming(watched):
    rules = {
        "both": {"metric": "tank.percent", "warning": {"enter": "> 90% and spare_bytes < 100"}},
        "either": {"metric": "tank.percent", "warning": {"enter": "> 90% or spare_bytes < 100"}},
        "word": {"metric": "tank.mode", "warning": {"enter": "== bad"}},
    }
    watched.judge = Judge(made(rules))
    for percent, spare, both, either in (
        (50.0, 500, 40.0, 40.0),
        (95.0, 500, 400.0, -5.0),
        (95.0, 50, -5.0, -5.0),
        (50.0, 50, 40.0, -50.0),
    ):
        watched.set(percent=percent, spare_bytes=spare)
        listed = watched.judge.listed()
        assert (listed["both"]["headroom"], listed["either"]["headroom"]) == (both, either)
        assert listed["word"]["headroom"] is None


def test_beside_what_decided_the_own_value_is_told_with_its_bounds(watched):
    rules = {
        "either": {
            "metric": "tank.percent",
            "warning": {"enter": "spare_bytes < 100 or percent > 5 or >= 90%"},
            "critical": {"enter": "> 95%"},
        },
        "soon": RULES["soon"],
        "word": {"metric": "tank.mode", "warning": {"enter": "== bad"}},
        "fast": {
            "metric": "pump.speed",
            "limit": {"metric": "pump.strokes", "from": 1, "to": 9, "else": 9},
            "warning": {"enter": "> limit - 2"},
        },
    }
    watched.judge = Judge(made(rules))
    watched.machine.set(Pump, "x", speed=3.0, strokes=8.0)
    watched.set(percent=50.0, spare_bytes=50)

    def told(name):
        condition = watched.judge.listed()[name]
        return condition["own_value"], condition["own_unit"], condition["bounds"]

    for _ in range(2):
        # Whether it is ok or not: the other field has decided.
        assert told("either") == (50.0, "percent", {"warning": (">=", 90.0), "critical": (">", 95.0)})
        watched.set(1200.0)
    assert watched.judge.listed()["either"]["metric"] == "tank.spare_bytes"
    assert told("soon") == (None, "seconds", {"warning": ("<", 60.0)})
    assert told("word") == (None, "", {})
    assert told("fast@x")[0::2] == (3.0, {"warning": (">", 6.0)})
    watched.machine.fail(Pump, "x")
    watched.set()
    assert told("fast@x")[0::2] == (None, {})
