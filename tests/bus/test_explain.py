"""What `Explain` tells of what else moved: asked of the archive for the time in which a condition built up."""

import json

import pytest

from healthd import protocol
from healthd.publish.bus.answers import Answers

NOW = 1_767_268_800.0
MOVED = [{"metric": "load.load1", "unit": "tasks", "before": 0.5, "after": 8.0}]
TOLD = {
    "instance": "", "severity": "critical", "since": NOW - 100.0, "next": "critical", "pending": False,
    "due_seconds": None,
    "rule": {
        "metric": "memory.percent + memory.swap_percent", "window": 0.0,
        "levels": [{"severity": "warning", "hold": 60.0}, {"severity": "critical", "hold": 30.0}],
    },
}  # fmt: skip


class Past:
    """An archive that keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def movers(self, begun, until, *, lag, but):
        self.asked.append((NOW - begun, NOW - until, lag, but))
        return MOVED

    async def history(self, *_):
        return []

    async def events(self, *_):
        return []


class Judging:
    """Tells of one condition."""

    def __init__(self, told):
        self._told = told

    def listed(self):
        return {}

    def explain(self, _):
        return self._told


def explained(told, archive):
    answers = Answers((), archive, dict, Judging(told))
    return json.loads(answers.by_name["Explain"](None, NOW, ["full"]))


@pytest.mark.parametrize(
    ("change", "begun", "until"),
    [
        ({}, 130.0, 100.0),
        ({"severity": "warning"}, 160.0, 100.0),
        # Nothing is known any more: that comes at once.
        ({"severity": "unknown"}, 100.0, 100.0),
        # It would come in 20 s, and needs 30 s for that.
        ({"severity": "ok", "pending": True, "due_seconds": 20.0}, 10.0, 0.0),
    ],
)
def test_the_time_is_that_in_which_it_built_up(change, begun, until):
    archive = Past()
    assert explained(TOLD | change, archive)["movers"] == MOVED
    assert archive.asked == [(begun, until, 0.0, "memory.percent")]


def test_what_the_rule_looks_at_and_how_far_it_looks_back_is_said():
    archive = Past()
    rule = TOLD["rule"] | {"metric": "disk.busy", "window": 600.0}
    explained(TOLD | {"instance": "sda", "rule": rule}, archive)
    assert archive.asked == [(130.0, 100.0, 600.0, "disk.busy@sda")]


def test_where_all_is_well_nothing_is_compared():
    archive = Past()
    assert explained(TOLD | {"severity": protocol.OK}, archive)["movers"] is None
    assert archive.asked == []
