"""Two machines, recorded for two hours at what they usually do: all is well there, and no rule may say otherwise."""

import asyncio
import math
import re
from itertools import groupby, pairwise

import pytest
from shipped import FAMILIES, RULES, TABLES
from synthesis import DAY, MACHINES, cpu, day, directory, fuller, joined, judged, recorded

from healthd import backtest
from healthd.health.rule import rules
from healthd.replay import Replay

HOURS = 2 * 3600.0
INTERVAL = 5.0

# What a machine with a disk, swap and a network interface can have: neither has sensors, and their kernel offers
# pressure, so that the load says nothing. By each a bound that all of their values are beyond, and what ends it.
ALL = {
    "cpu_busy": {"enter": "> 0%", "clear": "<= 0%"},
    "cpu_pressure": {"enter": ">= 0%", "clear": "< 0%"},
    "cpu_steal": {"enter": ">= 0%", "clear": "< 0%"},
    "filesystem_filling@/": {"enter": ">= 0s", "clear": "< 0s"},
    "filesystem_inodes@/": {"enter": ">= 0%", "clear": "< 0%"},
    "filesystem_read_only@/": {"enter": "== false"},
    "filesystem_space@/": {"enter": ">= 0%", "clear": "< 0%"},
    "io_pressure": {"enter": ">= 0%", "clear": "< 0%"},
    "link_flapping@eth0": {"enter": "< 6"},
    "link_lost@eth0": {"enter": "== false"},
    "memory_available": {"enter": ">= 0%", "clear": "< 0%"},
    "memory_pressure": {"enter": ">= 0%", "clear": "< 0%"},
    "mount_missing@/": {"enter": "!= unmounted"},
    "mount_stale@/": {"enter": "!= timeout"},
    "network_errors@eth0": {"enter": ">= 0%", "clear": "< 0%"},
    "oom_kill": {"enter": "< 1"},
    "swap": {"enter": ">= 0%", "clear": "< 0%"},
}
LATE = {"filesystem_filling@/"}
"""What is not judged before six hours."""

# Below what was recorded, and still a bound that a person might choose.
LOWER = [
    ("busy", "cpu_busy", "> 60%", "< 50%"),
    ("busy", "cpu_pressure", "> 10%", "< 5%"),
    ("busy", "memory_available", "> 20%", "< 15%"),
    ("busy", "filesystem_space", ">= 12%", "< 10%"),
    ("idle", "memory_available", "> 10%", "< 8%"),
    ("idle", "filesystem_space", ">= 5%", "< 4%"),
]


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    return request.param


@pytest.fixture(scope="module")
def samples(machine):
    return recorded(directory(machine))


def those(changed):
    """Return the shipped rules with some keys of theirs otherwise."""
    return rules(FAMILIES, [("rules.toml", TABLES), ("my.toml", changed)])


def beyond_all():
    """Return rules that say of each value that there can be that it is a problem, and silence none of each other."""
    changed = {}
    for name, level in ALL.items():
        rule = name.partition("@")[0]
        changed[rule] = {next(iter({"warning", "critical"} & TABLES[rule].keys())): level, "inhibits": []}
    return those(changed)


def fired(verdict):
    """Return the names of the conditions that came."""
    return {
        f"{rule}@{instance}" if instance else rule
        for rule, instance in ((event.data["condition"], event.data["instance"]) for event in verdict.transitions)
    }


def test_two_hours_of_a_machine_make_no_transition(machine):
    said = []
    replay = Replay(directory(machine), FAMILIES, speed=math.inf)
    asyncio.run(backtest.report(replay, RULES, said.append))
    replay.check()
    assert re.fullmatch(r"0 transitions; the host: ok 2 h( \d min)?( \d+ s)?", said[-1]), said[1:]
    assert len(said) == 2


def test_they_were_sampled_all_the_time(samples):
    times = [sample.instant.since_boot for sample in samples]
    assert len(samples) >= 0.98 * HOURS / INTERVAL
    assert times[-1] - times[0] >= HOURS
    assert max(late - early for early, late in pairwise(times)) < 3 * INTERVAL


def test_one_was_busy_and_the_other_idle(machine, samples):
    used = cpu(samples, "busy")
    mean = sum(used) / len(used)
    full = max(sum(1 for _ in same) if is_full else 0 for is_full, same in groupby(used, lambda busy: busy > 95.0))
    if machine == "busy":
        assert 25.0 < mean < 60.0
        assert full * INTERVAL >= 180.0, "a build of some minutes"
    else:
        assert mean < 5.0
        assert full * INTERVAL <= 60.0


def test_each_condition_that_they_can_have_was_judged(samples):
    verdict = judged(samples)
    assert verdict.conditions.keys() == ALL.keys()
    assert {condition["severity"] for condition in verdict.conditions.values()} == {"ok"}
    assert not [state for state in verdict.states.all() if state.blind_since is not None]
    assert fired(judged(samples, beyond_all())) == ALL.keys() - LATE


@pytest.mark.parametrize(("machine", "rule", "enter", "clear"), LOWER, indirect=["machine"])
def test_a_rule_with_a_threshold_below_what_was_recorded_fires(samples, rule, enter, clear):
    changed = those({rule: {"warning": {"enter": enter, "clear": clear}}})
    assert {name.partition("@")[0] for name in fired(judged(samples, changed))} == {rule}


@pytest.mark.parametrize("seed", range(2))
def test_a_day_of_such_hours_makes_no_transition(samples, seed):
    made = list(day(samples, seed))
    assert len(made) >= 0.98 * DAY / INTERVAL
    assert made[-1].instant.since_boot - made[0].instant.since_boot >= DAY - 2 * INTERVAL
    for early, late in pairwise(made):
        assert late.seq == early.seq + 1
        assert 0 < late.instant.since_boot - early.instant.since_boot < 3 * INTERVAL
        assert late.instant.time - early.instant.time == pytest.approx(
            late.instant.since_boot - early.instant.since_boot, abs=0.01
        )
    verdict = judged(made)
    assert [event.data for event in verdict.transitions] == []
    assert verdict.conditions.keys() == ALL.keys()
    assert verdict.states.clock >= 0.98 * DAY


def test_in_a_day_of_such_hours_what_takes_hours_is_judged_too():
    changed = those({name.partition("@")[0]: {"warning": ALL[name]} for name in LATE})
    assert fired(judged(day(recorded(directory("busy")), 0), changed)) == LATE


def test_a_day_of_work_on_a_disk_that_is_mostly_full_makes_no_transition():
    assert judged(day(fuller(recorded(directory("busy")), 75.0), 0)).transitions == []


def test_the_same_work_without_its_pauses_is_too_much():
    samples = recorded(directory("busy"))
    begins, *others = samples
    working = [sample for sample in others if min(cpu([sample], "busy"), default=0.0) > 80.0]
    assert "cpu_busy" in fired(judged(joined([[begins], *[[sample] for sample in working]])))
