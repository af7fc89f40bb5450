"""A replay judges as the machine was judged, whatever the samples brought beside it, and so does a restart."""

import asyncio
from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import Machine, Ticking, made_of
from test_replay import Notes, played

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import Observation, Problem, Reading, Sample
from healthd.observe import Runner
from healthd.observe.filesystem import Filesystem
from healthd.observe.load import Load
from healthd.observe.memory import Memory
from healthd.observe.network import Network
from healthd.pipeline import Pipeline
from healthd.state.history import History
from healthd.state.store import Store

# Their holds end in samples in which nothing else happens: the machine stands still.
STILL = made_of(
    {
        "a": {"metric": "memory.percent", "warning": {"enter": "> 0", "hold": "20s"}},
        "b": {"metric": "load.load1", "warning": {"enter": ">= 0", "hold": "50s"}},
        "c": {"metric": "load.load5", "warning": {"enter": ">= 0", "hold": "63s"}},
    }
)


def lived(tmp_path, *, after: dict[int, float], back: float = 0.0) -> Notes:
    """Record a machine that stands still; after some cycles, so many seconds later, somebody acknowledges."""
    notes = Notes(1000)

    async def live() -> None:
        clock = Ticking(5.0)
        runner = Runner(observe.collectors(), Machine("laptop", str(tmp_path / "machine")).roots, 5.0, clock)
        pipeline = Pipeline(runner, Store(), Judge(STILL), History(), [notes])
        for number in range(20):
            await pipeline.cycle()
            if number in after:
                now, later = notes.cycles[-1].snapshot.instant, after[number]
                clock.offset -= back
                pipeline.acknowledge(Instant(now.time + later - back, now.since_boot + later, 0.0), "a", "", "ann", inf)

    asyncio.run(live())
    return notes


@pytest.mark.parametrize("back", [0.0, 3600.0])
@pytest.mark.parametrize("after", [{}, {7: 4.0}, {7: 1.0}, {5: 0.5, 8: 4.9}])
def test_what_happens_where_nothing_else_does_is_replayed_at_its_time(tmp_path, after, back):
    made, again = lived(tmp_path, after=after, back=back), Notes(1000)
    told = [event.name for cycle in made.cycles for event in cycle.events if event.name.startswith("health.")]
    assert told.count(protocol.HEALTH_TRANSITION) == 3
    assert told.count(protocol.HEALTH_ACKNOWLEDGED) == len(after)
    asyncio.run(played(made.save(tmp_path / "recording"), again, STILL))
    assert again.segments == made.segments


def test_a_recording_that_ends_with_a_transition_has_it_judged_again(tmp_path):
    made, again = lived(tmp_path, after={}), Notes(1000)
    (lines,) = made.segments
    last = max(number for number, line in enumerate(lines) if protocol.HEALTH_TRANSITION in line)
    made.segments = [lines[: last + 1]]
    asyncio.run(played(made.save(tmp_path / "recording"), again, STILL))
    assert again.segments == made.segments


def test_what_is_not_observed_yet_after_a_restart_stays_as_it_was():
    rules = made_of({"full": {"metric": "filesystem.percent", "warning": {"enter": "> 90"}}})
    known = dict.fromkeys(metric.name for metric in Filesystem.metrics)
    full = Filesystem(**known | {"percent": 95.0})

    def sample(seq: int, **found) -> Sample:
        now = Instant(1767268800.0 + 5 * seq, 100.0 + 5 * seq, 0.0)
        kinds = {"filesystem": Filesystem, "load": Load}
        seen = tuple(Observation(kinds[name].family, now, each, {}, 0.0, 0) for name, each in found.items())
        return Sample(now, "boot", seq, seen, begins=seq in (1, 3))

    load = {"": Load.family.unknown}
    judge, store = Judge(rules), Store()
    for number in (1, 2):
        judge.take(store.accept(sample(number, filesystem={"/nas": full}, load=load)))
    states = judge.states.data()
    judge = Judge(rules)
    judge.resume(states)
    first, told = judge.take(store.accept(sample(3, load=load)))
    assert (first.health.severity, told) == ("warning", [])
    second, told = judge.take(store.accept(sample(4, filesystem={"/nas": full}, load=load)))
    assert (second.health.since, told) == (1767268805.0, [])


# Each of them comes and goes within a few samples; what they look at is observed at every one.
ANY = made_of(
    {
        "loaded": {
            "metric": "load.load1",
            "warning": {"enter": "> 4", "clear": "< 3", "hold": "10s"},
            "critical": {"enter": "> 8", "clear": "< 6", "hold": "20s"},
            "clear_after": "15s",
            "inhibits": ["mean"],
        },
        "mean": {
            "metric": "memory.percent",
            "operator": "mean",
            "window": "30s",
            "warning": {"enter": "> 50%"},
            "clear_after": "5s",
        },
        "killed": {
            "metric": "memory.oom_kills",
            "operator": "increase",
            "window": "40s",
            "warning": {"enter": ">= 1"},
            "clear_after": "0s",
        },
        "lost": {
            "metric": "network.carrier",
            "operator": "lost",
            "where": {"kind": "physical"},
            "warning": {"enter": "== true", "hold": "5s"},
            "clear_after": "0s",
        },
    }
)


class Look(NamedTuple):
    """What a machine does, and for how many samples."""

    samples: int
    load: float | None
    percent: float | None
    kills: int
    links: tuple[bool | None, ...]
    is_failing: bool
    late: float


LOOKS = st.builds(
    Look,
    samples=st.integers(1, 9),
    load=st.sampled_from([0.5, 3.5, 4.01, 5.0, 8.01, 8.02, 20.0, None]),
    percent=st.sampled_from([10.0, 49.9, 50.1, 50.3, 90.0, None]),
    kills=st.integers(0, 2),
    links=st.lists(st.sampled_from([True, True, False, None]), max_size=2).map(tuple),
    is_failing=st.sampled_from([False, False, False, True]),
    late=st.sampled_from([0.0, 0.003, 0.1]),
)


class Told:
    """A source of samples of what a machine does."""

    def __init__(self, looks: list[Look]) -> None:
        self._looks = [look for look in looks for _ in range(look.samples)]
        self._seq = self._kills = 0

    async def sample(self) -> Sample:
        look = self._looks[self._seq]
        since_boot = 100.0 + 5 * self._seq + look.late
        now = Instant(1767268800.0 + since_boot, since_boot, 0.0)
        is_first = self._seq == 0
        self._seq += 1
        self._kills += look.kills

        links = {f"eth{place}": known(Network, kind="physical", carrier=up) for place, up in enumerate(look.links)}
        readings: dict[type[Reading], dict[str, Reading]] = {
            Load: {"": known(Load, load1=look.load)},
            Memory: {"": known(Memory, percent=look.percent, oom_kills=self._kills)},
            Network: links,
        }
        problems: dict[type[Reading], dict[str, Problem]] = {}
        if look.is_failing:
            readings[Memory], problems[Memory] = {}, {"": Problem("failed", "it ended", "wait")}
        observations = tuple(
            Observation(reading.family, now, found, problems.get(reading, {}), 0.0, 0)
            for reading, found in readings.items()
        )
        return Sample(now, "boot", self._seq, observations, begins=is_first)


def known(reading: type[Reading], **fields: object) -> Reading:
    return reading(**dict.fromkeys(reading.family.by_name) | fields)


@settings(max_examples=60)
@given(st.lists(LOOKS, min_size=1, max_size=12))
def test_whatever_was_observed_a_replay_judges_as_it_was_judged(tmp_path_factory, looks):
    made, again = Notes(1000), Notes(1000)

    async def live() -> None:
        pipeline = Pipeline(Told(looks), Store(), Judge(ANY), History(), [made])
        for _ in range(sum(look.samples for look in looks)):
            await pipeline.cycle()

    asyncio.run(live())
    asyncio.run(played(made.save(tmp_path_factory.mktemp("recording")), again, ANY))
    assert again.segments == made.segments
    for old, new in zip(made.cycles, again.cycles, strict=False):
        assert new.snapshot.health == old.snapshot.health
