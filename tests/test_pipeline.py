"""One cycle: what was observed is accepted and handed to each publisher."""

import asyncio
import os
import shutil
from dataclasses import replace

import pytest

from healthd import observe
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import SINGLE, Cycle
from healthd.observe import Runner
from healthd.observe.host import HostCollector
from healthd.observe.load import LoadCollector
from healthd.pipeline import Pipeline
from healthd.state.history import History
from healthd.state.store import Store


class Script:
    """A clock that says what is next."""

    def __init__(self, *moments: float) -> None:
        self.moments = [Instant(1767268800.0 + moment, moment, 0.0) for moment in moments]

    def now(self) -> Instant:
        return self.moments.pop(0)


class Shelf:
    """A publisher that keeps what it is given."""

    name = "shelf"

    def __init__(self) -> None:
        self.cycles: list[Cycle] = []

    def publish(self, cycle: Cycle) -> None:
        self.cycles.append(cycle)


@pytest.fixture
def laptop(machine, tmp_path):
    """Give the laptop's roots, below a directory that a test can change."""
    shutil.copytree(machine("laptop").host.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    return observe.roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))


def run(roots, collectors, *steps) -> Shelf:
    """Go through one cycle for each step, a moment or a function to call before the next one."""
    shelf, other = Shelf(), Shelf()

    async def cycles() -> None:
        clock = Script(*(step for step in steps if not callable(step)))
        pipeline = Pipeline(Runner(collectors, roots, 5.0, clock), Store(), Judge(()), History(), [shelf, other])
        for step in steps:
            if callable(step):
                step()
            else:
                assert await pipeline.cycle()

    asyncio.run(cycles())
    assert other.cycles == shelf.cycles, "every publisher is given the same"
    return shelf


def test_a_cycle_brings_the_snapshot_and_the_one_before_to_every_publisher(laptop):
    first, second, third = run(laptop, [LoadCollector], 100.0, 105.0, 110.0).cycles
    assert first.before is None
    assert second.before is first.snapshot
    assert third.before is second.snapshot
    assert [one.snapshot.seq for one in (first, second, third)] == [1, 2, 3]
    assert [one.snapshot.instant.since_boot for one in (first, second, third)] == [100.0, 105.0, 110.0]
    assert first.snapshot.boot_id == laptop.proc.text("sys/kernel/random/boot_id")


def test_what_was_read_is_what_is_published_and_only_a_change_is_a_change(laptop):
    path = laptop.proc.path("loadavg")

    def change(loadavg: str) -> None:
        with open(path, "w") as file:
            file.write(loadavg)

    change("1.00 2.00 3.00 1/100 1\n")
    same, moved = (lambda: change("1.05 2.00 3.00 1/100 1\n")), (lambda: change("1.06 2.00 3.00 1/100 1\n"))
    first, second, third = run(laptop, [LoadCollector], 100.0, same, 105.0, moved, 110.0).cycles
    before = first.snapshot.entries["load"][SINGLE]
    assert (before.reading.load1, before.reading.load15) == (1.0, 3.0)
    assert second.snapshot.entries["load"] is first.snapshot.entries["load"]
    assert third.snapshot.entries["load"][SINGLE].reading == replace(before.reading, load1=1.06)


def test_a_file_that_goes_and_comes_back_is_unavailable_in_between(laptop):
    path = laptop.proc.path("loadavg")

    class Anew(LoadCollector):
        def collect(self, now):
            self._loadavg.close()
            return super().collect(now)

    shelf = run(
        laptop, [Anew], 60.0, lambda: os.rename(path, f"{path}~"), 65.0, lambda: os.rename(f"{path}~", path), 70.0
    )
    status = [one.snapshot.entries["load"][SINGLE].status for one in shelf.cycles]
    assert [(one.available, one.problem) for one in status] == [(True, ""), (False, "vanished"), (True, "")]
    assert status[1].sampled_at_usec == (1767268800 + 60) * 10**6


def test_at_start_slow_families_are_observed_once(laptop):
    first, second = run(laptop, [HostCollector, LoadCollector], 100.0, 100.1).cycles
    assert second.snapshot.latest["host"] is first.snapshot.latest["host"]
    assert second.snapshot.latest["load"] is not first.snapshot.latest["load"]


def test_all_families_of_a_recorded_machine_come_in_the_first_snapshot(laptop):
    collectors = observe.collectors()
    (cycle,) = run(laptop, collectors, 100.0).cycles
    assert set(cycle.snapshot.entries) == {family.name for family in observe.families(collectors)}
    assert cycle.snapshot.entries["memory"][SINGLE].reading.percent == 55.0


def test_a_publisher_that_fails_is_said_once_and_costs_the_others_nothing(laptop, caplog):
    class Broken(Shelf):
        def publish(self, cycle):
            super().publish(cycle)
            if len(self.cycles) in (1, 2, 4):
                raise RuntimeError("out of paper")

    broken, shelf = Broken(), Shelf()

    async def cycles():
        pipeline = Pipeline(Runner([LoadCollector], laptop, 5.0), Store(), Judge(()), History(), [broken, shelf])
        for _ in range(4):
            await pipeline.cycle()

    asyncio.run(cycles())
    assert len(shelf.cycles) == 4
    assert [record.message for record in caplog.records] == ["publishing by shelf failed"] * 2
