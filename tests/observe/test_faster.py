"""What is observed beside the samples: for itself, as often as it allows, and until it is ended."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from functools import partial

import pytest
from private_bus import eventually

from healthd import protocol
from healthd.clock import Instant
from healthd.model import SINGLE, Reading, Unit, family, gauge
from healthd.observe import Runner, collectors, roots
from healthd.observe._runner import FIRST_RATES


@family("quick")
class Quick(Reading):
    """What is observed each tick."""

    value: float | None = gauge(Unit.LOAD, "A value.")


@family("dear", every=30.0)
class Dear(Reading):
    """What is observed twice a minute."""

    value: float | None = gauge(Unit.LOAD, "A value.")


@family("other")
class Other(Reading):
    """What is observed each tick as well."""

    value: float | None = gauge(Unit.LOAD, "A value.")


async def begun(runner: Runner) -> AsyncIterator[None]:
    """Take the two samples of which there are rates, and return the ticks from then on."""
    ticks = runner.ticks()
    for _ in range(2):
        await anext(ticks)
        await runner.sample()
    return ticks


class Counting:
    """A collector that remembers when it observed."""

    made: list["Counting"]

    def __init__(self, reading: type[Reading], _: object) -> None:
        self.reading = reading
        self.times: list[float] = []
        self.made.append(self)

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        self.times.append(now.since_boot)
        return {SINGLE: self.reading(value=now.since_boot)}


def counting(reading):
    make = partial(Counting, reading)
    make.reading = reading
    return make


@pytest.fixture(autouse=True)
def made():
    Counting.made = []
    return Counting.made


def times(runner, name):
    return runner._runners[name]._collect.__self__.times


async def observed(runner, step, seconds):
    """Observe at each step of a while."""
    found = {}
    for number in range(int(seconds / step)):
        at = 1000.0 + step * number
        for observation in await runner.observe(Instant(at, at, 0.0)):
            found.setdefault(observation.family.name, []).append(at)
    return found


def test_it_is_observed_at_an_interval_of_its_own_and_the_dear_ten_times_as_often_as_they_say(made):
    async def story():
        runner = Runner([counting(Quick), counting(Dear)], roots(), 5.0)
        faster = runner.faster(0.25)
        faster.choose({"quick", "dear"})
        return await observed(runner, 0.25, 60), await observed(faster, 0.25, 60)

    samples, watched = asyncio.run(story())
    assert (len(samples["quick"]), len(samples["dear"])) == (12, 3)
    assert (len(watched["quick"]), len(watched["dear"])) == (240, 21)
    # Each has collectors of its own, and so rates of its own.
    assert len(made) == 4


def test_only_what_was_asked_for_is_observed(made):
    async def story():
        runner = Runner([counting(Quick), counting(Dear)], roots(), 5.0)
        faster = runner.faster(1.0)
        assert not await observed(faster, 1.0, 3)
        faster.choose({"quick"})
        return await observed(faster, 1.0, 3)

    assert set(asyncio.run(story())) == {"quick"}
    assert [each.reading for each in made] == [Quick, Dear, Quick]


def test_what_is_chosen_later_is_observed_twice_at_once_and_the_others_when_they_are_due(made):
    async def story():
        runner = Runner([counting(Quick), counting(Other)], roots(), 3600.0)
        faster = runner.faster(3600.0)
        faster.choose({"quick"})
        ticks = await begun(faster)
        coming = asyncio.ensure_future(anext(ticks))
        done, _ = await asyncio.wait([coming], timeout=0.1)
        assert not done
        faster.choose({"quick", "other"})
        async with asyncio.timeout(5):
            await coming
            await faster.sample()
            await anext(ticks)
            await faster.sample()
        faster.choose({"other"})
        _, _, quick, other = (each.times for each in made)
        assert set(faster._runners) == {"other"}
        return quick, other

    quick, other = asyncio.run(story())
    assert len(quick) == len(other) == 2
    assert FIRST_RATES - 0.005 < other[1] - other[0] < 1


def test_what_hurries_takes_what_is_beside_it_along():
    """As the machine wakes: the clock of the timers stood still."""

    async def story():
        runner = Runner([counting(Quick)], roots(), 3600.0)
        faster = runner.faster(3600.0)
        faster.choose({"quick"})
        ticks = await begun(faster)
        runner.hurry()
        async with asyncio.timeout(5):
            await anext(ticks)
        return len((await faster.sample()).observations)

    assert asyncio.run(story()) == 1


def test_what_is_disabled_is_so_beside_it_before_and_after():
    async def codes(runner):
        at = runner._clock.now()
        found = await runner.observe(at)
        return {each.family.name: each.problem.code if each.problem else "" for each in found}

    async def story():
        runner = Runner([counting(Quick), counting(Dear)], roots(), 5.0)
        runner.set_enabled("dear", enabled=False)
        faster = runner.faster(1.0)
        faster.choose({"quick", "dear"})
        told = [await codes(faster)]
        runner.configure(5.0, ["quick"], {})
        told.append(await codes(faster))
        faster.end()
        runner.set_enabled("quick", enabled=True)
        told.append(await codes(faster))
        return told

    assert asyncio.run(story()) == [
        {"quick": "", "dear": protocol.DISABLED},
        {"quick": protocol.DISABLED, "dear": ""},
        {},
    ]


def test_its_end_gives_back_files_and_threads():
    def held():
        observing = [thread for thread in threading.enumerate() if thread.name.startswith("observe-")]
        return len(os.listdir("/proc/self/fd")), len(observing)

    async def story():
        runner = Runner(collectors(), roots(), 5.0)
        before = held()
        faster = runner.faster(1.0)
        faster.choose({each.reading.family.name for each in collectors()})
        await faster.sample()
        during = held()
        faster.end()
        await asyncio.to_thread(eventually, lambda: held() == before)
        return before, during

    before, during = asyncio.run(story())
    assert during[0] > before[0]
    assert during[1] > before[1]
