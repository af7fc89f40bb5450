"""A replay judges as the machine was judged, whatever the samples brought beside it, and so does a restart."""

import asyncio
from math import inf

import pytest
from lively import Machine, Ticking, made_of
from test_replay import Notes, played

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import Observation, Sample
from healthd.observe import Runner
from healthd.observe.filesystem import Filesystem
from healthd.observe.load import Load
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
