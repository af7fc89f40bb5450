"""Judging goes on under other rules: what stays is kept, and what goes is over."""

from math import inf

from lively import made_of

from healthd import protocol
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import Entry, Snapshot, Status
from healthd.observe.memory import Memory

ALWAYS = {"metric": "memory.total_bytes", "warning": {"enter": "> 0"}}
RULES = made_of({"always": ALWAYS})
THERE = Status(instance="", available=True, problem="", sampled_at_usec=None)


def snapshot(number: int) -> Snapshot:
    reading = Memory(**dict.fromkeys(Memory.family.by_name) | {"total_bytes": 5})
    instant = Instant(1767268800.0 + 5 * number, 5000.0 + 5 * number, 0.0)
    return Snapshot(instant, number, "boot", 5.0, {"memory": {"": Entry(reading, THERE)}}, {})


def judged() -> Judge:
    judge = Judge(RULES)
    judge.take(snapshot(1))
    judge.take(snapshot(2))
    judge.acknowledge("always", "", "ana", snapshot(2).instant.time, inf)
    return judge


def over(events) -> list[tuple[str, str, bool]]:
    return [(event.data["condition"], event.data["to"], event.data["judged"]) for event in events]


def test_a_condition_and_who_acknowledged_it_go_on_under_a_rule_of_the_same_form():
    judge = judged()
    judge.adopt(made_of({"always": ALWAYS | {"summary": "Otherwise."}}))
    after, events = judge.take(snapshot(3))
    condition = after.health.conditions["always"]
    assert events == []
    assert (condition.acknowledged_by, condition.since_usec) == ("ana", 1767268805000000)
    assert condition.summary == "Otherwise."


def test_a_condition_whose_rule_is_gone_or_another_is_over_and_told_once():
    for rules in (made_of({"new": ALWAYS}), made_of({"always": ALWAYS | {"critical": {"enter": "> 9"}}})):
        judge = judged()
        judge.adopt(rules)
        _, events = judge.take(snapshot(3))
        assert ("always", protocol.OK, False) in over(events)
        assert over(judge.take(snapshot(4))[1]) == []


def test_without_any_rule_nothing_is_known_of_the_host():
    judge = judged()
    judge.adopt(())
    after, events = judge.take(snapshot(3))
    assert over(events) == [("always", protocol.OK, False)]
    assert (after.health.severity, after.health.reasons, dict(after.health.conditions)) == (protocol.UNKNOWN, (), {})


def test_rules_that_come_before_the_first_sample_cost_nothing_that_was_restored():
    judge = Judge(RULES)
    judge.adopt(made_of({"always": ALWAYS}))
    judge.resume(judged().states.data())
    after, events = judge.take(snapshot(3))
    assert events == []
    assert after.health.conditions["always"].acknowledged_by == "ana"
