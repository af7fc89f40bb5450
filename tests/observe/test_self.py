"""What healthd itself costs, from files of a process, and of this one."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from healthd import protocol
from healthd.clock import Instant, SystemClock
from healthd.errors import Unobserved
from healthd.model import Observation, Reading, Sample, Unit, family, gauge
from healthd.observe import Roots, Runner, roots
from healthd.observe.self import Self, SelfCollector
from healthd.state.store import Store

T0 = Instant(1767254400.0, 100.0, 0.0)
T60 = Instant(1767254460.0, 160.0, 0.0)
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")


class Process:
    """The files of a process, as a test wants them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "proc/self"
        self._directory.mkdir(parents=True)
        self.roots: Roots = roots(f"{directory}/proc", f"{directory}/sys", f"{directory}/etc", str(directory))
        self.collector = SelfCollector(self.roots)

    def is_(self, *, seconds: float = 0.0, pages: int = 5000, threads: int = 4, waited: int = 0) -> "Process":
        """Have used so many seconds of CPU, a third of them in the kernel."""
        ticks = round(seconds * TICK)
        stat = (
            f"77 (a (b) c) S 1 77 77 0 -1 4194304 9 0 0 0 {ticks - ticks // 3} {ticks // 3} 0 0 20 0 {threads} 0 99 1 2"
        )
        self.write("stat", stat)
        self.write("statm", f"9000 {pages} 3000 700 0 2000 0")
        self.write(
            "status",
            f"Name:\ta\nThreads:\t{threads}\nvoluntary_ctxt_switches:\t{waited}\nnonvoluntary_ctxt_switches:\t8\n",
        )
        return self

    def write(self, name: str, text: str) -> None:
        (self._directory / name).write_text(f"{text.rstrip()}\n")

    def look(self, now: Instant) -> Self:
        reading = self.collector.collect(now)[""]
        assert isinstance(reading, Self)
        return reading


@pytest.fixture
def process(tmp_path) -> Process:
    return Process(tmp_path)


def test_cpu_memory_threads_and_wake_ups_are_told_with_rates_from_the_second_time_on(process):
    assert process.is_(seconds=5.0, waited=1000).look(T0) == Self(
        cpu=None, resident_bytes=5000 * PAGE, threads=4, wakeups_per_second=None, late_samples=0, failing_families=0
    )
    # 1.5 s of 60 s, and 90 waits.
    assert process.is_(seconds=6.5, pages=5100, threads=5, waited=1090).look(T60) == Self(
        cpu=2.5, resident_bytes=5100 * PAGE, threads=5, wakeups_per_second=1.5, late_samples=0, failing_families=0
    )


def test_who_keeps_several_cpus_busy_uses_no_more_than_one(process):
    process.is_().look(T0)
    assert process.is_(seconds=90.0).look(T60).cpu == 100.0


def test_time_asleep_is_no_time_of_its_own(process):
    process.is_(seconds=5.0, waited=1000).look(T0)
    found = process.is_(seconds=5.1, waited=1001).look(Instant(T0.time + 28860.0, T0.since_boot + 28860.0, 28800.0))
    assert (found.cpu, found.wakeups_per_second) == (None, None)


def test_of_another_machine_s_tree_it_is_no_part(process, machine):
    for tree in (process.roots, machine("laptop")):
        with pytest.raises(Unobserved) as raised:
            SelfCollector(tree).collect(T0)
        assert raised.value.problem == protocol.UNSUPPORTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stat", ""), ("stat", "77 (healthd) S 1 77"), ("stat", "77 (healthd) S" + " x" * 30),
        ("statm", ""), ("statm", "9000"), ("status", "Name:\thealthd"), ("status", "x\nvoluntary_ctxt_switches:"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_kernel_documents_it_is_malformed(process, name, text):
    process.is_().write(name, text)
    with pytest.raises(Unobserved) as raised:
        process.look(T0)
    assert raised.value.problem == protocol.MALFORMED


def test_a_healthd_that_goes_on_as_before_signals_nothing(process):
    store, accepted = Store(), []
    uses = [(0.0, 0), (0.30, 80), (0.55, 130), (0.90, 240), (1.15, 300)]
    for number, (seconds, waited) in enumerate(uses):
        now = Instant(T0.time + 60 * number, T0.since_boot + 60 * number, 0.0)
        readings = process.is_(seconds=seconds, waited=waited, pages=5000 + 20 * number).collector.collect(now)
        found = Observation(Self.family, now, readings, {}, 0.0, 0)
        accepted.append(store.accept(Sample(now, "b", number + 1, (found,))).entries["self"])
    assert accepted[1] is not accepted[0], "the first rates count"
    assert all(entries is accepted[1] for entries in accepted[2:])


@family("trouble")
class Trouble(Reading):
    """What is hard to observe."""

    value: float | None = gauge(Unit.NONE, "A value.")


class Troubled:
    """A collector that raises what a test says, and a clock that the test sets."""

    reading = Trouble

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.since_boot = 120.0

    def __call__(self, _: Roots) -> "Troubled":
        return self

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        if self.raises:
            raise self.raises
        return {"": Trouble(value=now.since_boot)}

    def now(self) -> Instant:
        return Instant(T0.time + self.since_boot, self.since_boot, 0.0)


def overseen(troubled: Troubled, *steps: tuple[float, Exception | None]) -> list[tuple[int | None, int | None]]:
    """Take a sample so many seconds after the one before, and return what each that observed healthd says of it."""

    async def run() -> list[tuple[int | None, int | None]]:
        runner = Runner([SelfCollector, troubled], roots(), 5.0, troubled)
        told = []
        for passed, troubled.raises in steps:
            troubled.since_boot += passed
            found = {each.family.name: each for each in (await runner.sample()).observations}
            if "self" in found:
                reading = found["self"].readings[""]
                assert isinstance(reading, Self)
                told.append((reading.late_samples, reading.failing_families))
        return told

    return asyncio.run(run())


@pytest.mark.parametrize(
    "error", [ValueError("odd"), OSError(errno.EIO, "broken"), Unobserved(protocol.MALFORMED, "it is odd"),
              Unobserved(protocol.TIMEOUT, "it hangs")],
)  # fmt: skip
def test_a_family_that_fails_is_told_with_the_next_sample_and_that_it_works_again_too(error):
    assert overseen(Troubled(), (0, None), (5, error), (5, error), (5, error), (5, None), (5, None)) == [
        (0, 0), (0, 1), (0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "closed"), FileNotFoundError(errno.ENOENT, "gone"),
              Unobserved(protocol.UNSUPPORTED, "there is none")],
)  # fmt: skip
def test_what_is_closed_or_not_there_is_no_failure(error):
    assert overseen(Troubled(), (0, None), (5, error), (55, error)) == [(0, 0), (0, 0)]


def test_samples_that_come_too_late_are_counted():
    late = [(11.0, None)] * 3
    assert overseen(Troubled(), (0, None), (9.0, None), *late, (5.0, None), (60.0, None)) == [(0, 0), (3, 0)]
    # The one that is told comes late itself: it is counted with the next.
    assert overseen(Troubled(), (0, None), (80.0, None), (60.0, None)) == [(0, 0), (0, 0), (1, 0)]


def test_a_healthd_that_is_observed_anew_goes_on_overseeing():
    async def run() -> int | None:
        troubled = Troubled()
        runner = Runner([SelfCollector, troubled], roots(), 5.0, troubled)
        for is_enabled in (False, True):
            runner.set_enabled("self", enabled=is_enabled)
            await runner.sample()
            troubled.since_boot += 5.0
        troubled.raises = ValueError("odd")
        for _ in range(2):
            sample = await runner.sample()
            troubled.since_boot += 5.0
        [found] = [each for each in sample.observations if each.family.name == "self"]
        reading = found.readings[""]
        assert isinstance(reading, Self)
        return reading.failing_families

    assert asyncio.run(run()) == 1


def test_this_process_costs_what_it_costs():
    collector, clock = SelfCollector(roots()), SystemClock()
    collector.collect(clock.now())
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass
    found = collector.collect(clock.now())[""]
    assert isinstance(found, Self)
    assert found.cpu
    assert 5.0 < found.cpu <= 100.0
    assert found.threads == threading.active_count()
    assert found.resident_bytes
    assert found.resident_bytes > 10 * 2**20
    assert found.wakeups_per_second is not None
