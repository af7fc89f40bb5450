"""What lies between two samples, through the whole pipeline: the machine sleeps, or its clock is set."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from lively import Machine, Ticking, made_of
from test_replay import Notes, played

from healthd import archive, observe, protocol
from healthd.clock import Instant, gaps
from healthd.health.judge import Judge
from healthd.model import Cycle, Event, Kind, Snapshot, Unit
from healthd.observe import Runner
from healthd.pipeline import Pipeline
from healthd.publish.jsonl import Keeping, Recorder
from healthd.recording import events, segments
from healthd.replay import ordered
from healthd.state.history import History
from healthd.state.store import Store
from healthd.worker import Worker

FAMILIES = observe.families(observe.collectors())
NIGHT = 8 * 3600.0
NOW = 1767268800.0
TICK = 5.0
RULES = made_of(
    {
        "at_once": {"metric": "load.load1", "warning": {"enter": "> 1"}, "clear_after": "1min"},
        "held": {"metric": "load.load1", "warning": {"enter": "> 1", "hold": "1min"}, "clear_after": "1min"},
    }
)


class Story:
    """A machine that is recorded and judged sample by sample; a test says what happens in between."""

    def __init__(self, directory: str, start: float = NOW) -> None:
        self.machine = Machine("laptop", f"{directory}/machine")
        self.recording = f"{directory}/recording"
        self.clock = Ticking(TICK, start=start)
        self.notes = Notes()
        self.history = History()
        self._root = f"{directory}/machine"

    def write(self, path: str, pattern: str, text: str) -> None:
        """Have a file of the machine say something else."""
        with open(f"{self._root}/{path}", "r+") as file:
            changed = re.sub(pattern, text, file.read())
            file.seek(0)
            file.write(changed)
            file.truncate()

    def load(self, load1: float) -> None:
        """Have so many tasks run."""
        self.write("proc/loadavg", r"^\S+", f"{load1:.2f}")

    def tell(self, *steps: Callable[[], None] | int) -> list[Cycle]:
        """Take so many samples, or do something; return all cycles there were."""

        async def run() -> None:
            summary = partial(archive.summary, FAMILIES)
            # What was recorded decades ago, by a wrong clock, is not too old here.
            keeping = Keeping(min_free=0, max_age=1e11)
            recorder = Recorder(self.recording, keeping, Worker("record"), Worker("tidy"), summary)
            # Those that block have threads of their own, which take time.
            direct = [make for make in observe.collectors() if hasattr(make, "collect")]
            runner = Runner(direct, self.machine.roots, TICK, self.clock)
            pipeline = Pipeline(runner, Store(), Judge(RULES), self.history, [self.notes, recorder])
            for step in steps:
                if callable(step):
                    step()
                    continue
                for _ in range(step):
                    # Counters move, and no sample is silent.
                    self.write("proc/loadavg", r" \d\.(\d)\d (\d+/)", _other)
                    self.write("proc/net/dev", r"(eth0|wlp\w+|enp\w+|lo): *(\d+)", _more)
                    self.write("proc/stat", r"^cpu  (\d+)", _ticks)
                    await pipeline.cycle()
            await recorder.close()

        asyncio.run(run())
        return self.notes.cycles

    @property
    def recorded(self) -> list[Event]:
        """What is in the files, in the order in which it was written."""
        return [
            event
            for segment in ordered(segments(self.recording))
            for _, event in events(segment.path, lambda fault: pytest.fail(str(fault)))
            if event.name not in (protocol.SNAPSHOT, protocol.HISTORY)
        ]

    def replayed(self) -> list[Cycle]:
        """Return the cycles of a replay of what was recorded."""
        again = Notes()
        asyncio.run(played(self.recording, again, RULES)).check()
        return again.cycles


def _other(found: re.Match[str]) -> str:
    return f" 0.{(int(found[1]) + 1) % 10}0 {found[2]}"


def _more(found: re.Match[str]) -> str:
    return f"{found[1]}: {int(found[2]) + 5000}"


def _ticks(found: re.Match[str]) -> str:
    return f"cpu  {int(found[1]) + 100}"


@pytest.fixture
def story(tmp_path) -> Story:
    return Story(str(tmp_path))


def happened(cycles: list[Cycle], name: str) -> list[tuple[int, dict[str, object]]]:
    """Return the numbers of the samples and the data of events of one name."""
    return [(event.seq, dict(event.data)) for cycle in cycles for event in cycle.events if event.name == name]


def told(cycles: list[Cycle]) -> list[list[Event]]:
    """Return what each cycle brought; how long the machine has slept in all is not recorded."""
    return [[event._replace(instant=event.instant._replace(asleep=0.0)) for event in cycle.events] for cycle in cycles]


def changes(cycles: list[Cycle]) -> list[tuple[int, str, str]]:
    """Return the numbers of the samples, the conditions and what they became."""
    found = happened(cycles, protocol.HEALTH_TRANSITION)
    return [(seq, str(data["condition"]), str(data["to"])) for seq, data in found]


def rates(cycle: Cycle) -> dict[str, float | None]:
    """Return all rates that were observed with a sample."""
    return {
        f"{observation.family.name}.{metric.name}@{instance}": getattr(reading, metric.name)
        for observation in cycle.snapshot.latest.values()
        if observation.instant == cycle.snapshot.instant
        for instance, reading in observation.readings.items()
        for metric in type(reading).metrics
        if metric.unit in (Unit.PER_SECOND, Unit.BYTES_PER_SECOND) or metric.name in ("user", "idle")
        if metric.kind is Kind.GAUGE
    }


# Asleep.


def test_a_night_asleep_is_told_recorded_and_replayed_as_it_was(story):
    cycles = story.tell(10, lambda: story.clock.sleep(NIGHT), 10)
    gap = (11, {"reason": "suspend", "seconds": NIGHT})
    assert happened(cycles, protocol.RUNTIME_GAP) == [gap]
    assert [(event.seq, event.data) for event in story.recorded if event.name == protocol.RUNTIME_GAP] == [gap]
    assert told(story.replayed()) == told(cycles)


def test_no_rate_goes_over_a_night_asleep_and_with_the_second_sample_there_are_rates_again(story):
    cycles = story.tell(10, lambda: story.clock.sleep(NIGHT), 3)
    before, first, second = (rates(cycle) for cycle in cycles[9:12])
    assert len(before) > 10
    assert {name for name, value in before.items() if value is not None} == before.keys()
    assert set(first.values()) == {None}
    assert {name: value for name, value in second.items() if value is None} == {}
    assert second["cpu.user@"] == pytest.approx(before["cpu.user@"], abs=0.5)


def test_a_night_asleep_counts_for_no_hold_and_for_no_end_of_a_condition(story):
    # Judging counts the sample after the gap as one interval, and the other 13 are one minute and a bit.
    cycles = story.tell(lambda: story.load(2.0), 7, lambda: story.clock.sleep(NIGHT), 10)
    assert changes(cycles) == [(1, "at_once", "warning"), (13, "held", "warning")]


def test_nor_is_a_condition_over_because_the_machine_slept(story):
    cycles = story.tell(lambda: story.load(2.0), 1, lambda: story.load(0.1), 6, lambda: story.clock.sleep(NIGHT), 10)
    assert changes(cycles) == [(1, "at_once", "warning"), (14, "at_once", "ok")]


def test_the_history_has_a_hole_where_the_machine_slept(story):
    cycles = story.tell(10, lambda: story.clock.sleep(NIGHT), 10)
    slept, woke = cycles[9].snapshot.instant.time, cycles[10].snapshot.instant.time
    assert woke - slept == pytest.approx(NIGHT + TICK, abs=0.1)
    points = story.history.points("load.load1", slept - 60, woke + 60)
    assert len(points) >= 2
    # What a point sums up may begin before the last sample, and not after it.
    assert not [point for point in points if slept < point.time < woke - 900]
    assert max(later.time - point.time for point, later in pairwise(points)) > NIGHT - 900


# The clock is set.

BOOTS = pytest.mark.parametrize("start", [0.0, 1704067200.0, 2145916800.0], ids=["1970", "2024", "2038"])


def set_right(story: Story) -> None:
    """Set the clock, as does who has asked the time of others; the kernel then tells another time of its boot."""
    story.clock.offset = NOW
    story.write("proc/stat", r"btime \d+", f"btime {NOW:.0f}")


def boots(story: Story, start: float) -> None:
    story.write("proc/stat", r"btime \d+", f"btime {max(start, 1.0):.0f}")


@BOOTS
def test_a_clock_that_is_set_is_told_and_recorded_and_the_order_is_kept(tmp_path, start):
    story = Story(str(tmp_path), start)
    cycles = story.tell(12, partial(set_right, story), 12)
    gap = (13, {"reason": "clock", "seconds": NOW - start})
    assert happened(cycles, protocol.RUNTIME_GAP) == [gap]
    recorded = story.recorded
    assert [event.seq for event in recorded] == sorted(event.seq for event in recorded)
    since_boot = [event.instant.since_boot for event in recorded]
    assert since_boot == sorted(since_boot)
    assert told(story.replayed()) == told(cycles)


@BOOTS
def test_rates_and_holds_do_not_mind_the_clock(tmp_path, start):
    story = Story(str(tmp_path), start)
    cycles = story.tell(lambda: story.load(2.0), 7, partial(set_right, story), 10, lambda: story.load(0.1), 14)
    assert changes(cycles) == [
        (1, "at_once", "warning"),
        (13, "held", "warning"),
        (30, "at_once", "ok"),
        (30, "held", "ok"),
    ]
    assert None not in rates(cycles[7]).values()
    assert rates(cycles[7]).keys() == rates(cycles[6]).keys()


@BOOTS
def test_when_the_clock_is_set_it_is_known_anew_when_the_machine_was_started(tmp_path, start):
    story = Story(str(tmp_path), start)
    cycles = story.tell(lambda: boots(story, start), 3, partial(set_right, story), 1)
    booted = [cycle.snapshot.entries["host"][""].reading.booted_at for cycle in cycles]
    assert booted == [max(start, 1.0)] * 3 + [NOW]


@BOOTS
def test_what_began_before_the_clock_was_set_began_so_long_ago(tmp_path, start):
    story = Story(str(tmp_path), start)
    cycles = story.tell(lambda: story.load(2.0), 12, partial(set_right, story), 2, lambda: story.load(0.1), 13)
    began = cycles[0].snapshot.instant
    (before,) = {cycle.snapshot.health.conditions["at_once"].since_usec for cycle in cycles[:12]}
    (after,) = {cycle.snapshot.health.conditions["at_once"].since_usec for cycle in cycles[12:25]}
    assert before == pytest.approx((start + began.since_boot) * 1e6)
    assert after == pytest.approx((NOW + began.since_boot) * 1e6)
    assert cycles[11].snapshot.health.since == pytest.approx(start + began.since_boot)
    assert cycles[12].snapshot.health.since == pytest.approx(NOW + began.since_boot)
    again = story.replayed()
    assert [cycle.snapshot.health.conditions for cycle in again] == [
        cycle.snapshot.health.conditions for cycle in cycles
    ]


@BOOTS
def test_the_history_by_time_of_day_is_that_since_the_clock_was_set(tmp_path, start):
    story = Story(str(tmp_path), start)
    cycles = story.tell(lambda: story.load(2.0), 12, partial(set_right, story), lambda: story.load(1.5), 24)
    last = cycles[-1].snapshot.instant.time
    points = story.history.points("load.load1", last - 3600, last)
    assert {point.mean for point in points} == {1.5}
    assert len(points) >= 23
    assert [point.time for point in points] == sorted(point.time for point in points)
    assert all(cycles[12].snapshot.instant.time - TICK <= point.time <= last for point in points)


def at(snapshot: Snapshot, since_boot: float, booted: float, boot_id: str) -> Snapshot:
    """Return what is known at another time, with the times of another boot."""
    return replace(snapshot, instant=Instant(booted + since_boot, since_boot, 0.0), boot_id=boot_id)


def was_set(snapshot: Snapshot, seconds: float) -> Event:
    data = {"reason": "clock", "seconds": seconds}
    return Event(snapshot.instant, protocol.RUNTIME_GAP, data, snapshot.boot_id, snapshot.seq)


def test_what_began_before_the_boot_stays_when_it_was_though_the_clock_began_anew(story):
    (cycle,) = story.tell(lambda: story.load(2.0), 1)
    judge = Judge(RULES)
    first, _ = judge.take(cycle.snapshot)
    tomorrow = NOW + 86400.0
    judge.take(at(cycle.snapshot, 20.0, 0.0, "next"))
    later = at(cycle.snapshot, 25.0, tomorrow, "next")
    right, _ = judge.take(later, [was_set(later, tomorrow)])
    assert right.health.conditions["at_once"] == first.health.conditions["at_once"]


def test_an_acknowledgement_lasts_as_long_as_it_was_meant_to(tmp_path):
    story = Story(str(tmp_path), 0.0)
    (cycle,) = story.tell(lambda: story.load(2.0), 1)
    judge = Judge(RULES)
    judge.take(cycle.snapshot)
    time, boot_id = cycle.snapshot.instant.time, cycle.snapshot.boot_id
    judge.acknowledge("at_once", "", "ana", time, time + 3600)
    later = at(cycle.snapshot, time + 5, NOW, boot_id)
    right, _ = judge.take(later, [was_set(later, NOW)])
    condition = right.health.conditions["at_once"]
    assert condition.acknowledged_by == "ana"
    assert condition.acknowledged_usec == round((time + NOW) * 1e6)
    assert condition.acknowledged_until_usec == round((time + 3600 + NOW) * 1e6)
    over, _ = judge.take(at(cycle.snapshot, time + 3605, NOW, boot_id))
    assert over.health.conditions["at_once"].acknowledged_by == ""


# One after the other.


@pytest.mark.parametrize(
    ("then", "now", "found"),
    [
        ((1000.0, 100.0, 0.0), (1005.0, 105.0, 0.0), []),
        ((1000.0, 100.0, 0.0), (1005.4, 105.0, 0.4), []),
        ((1000.0, 100.0, 3.0), (4605.0, 3705.0, 3603.0), [("suspend", 3600.0)]),
        ((1000.0, 100.0, 0.0), (8205.0, 105.0, 0.0), [("clock", 7200.0)]),
        ((1000.0, 100.0, 0.0), (-2595.0, 105.0, 0.0), [("clock", -3600.0)]),
        ((1000.0, 100.0, 0.0), (1020.0, 120.0, 0.0), [("overrun", 15.0)]),
        ((1000.0, 100.0, 0.0), (1004.4, 109.4, 0.0), [("clock", -5.0)]),
        # It slept, was set when it woke, and then had other things to do.
        ((1000.0, 100.0, 0.0), (11620.0, 4720.0, 4600.0), [("suspend", 4600.0), ("clock", 6000.0), ("overrun", 15.0)]),
    ],
)
def test_what_lies_between_two_samples_is_told_apart(then, now, found):
    assert list(gaps(Instant(*then), Instant(*now), TICK)) == found
