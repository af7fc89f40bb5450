"""Each collector runs for itself, at its own pace."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Mapping

import pytest

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Observation, Problem, Reading, Unit, family, gauge
from healthd.observe import Runner
from healthd.observe._files import roots

ROOTS = roots()


@family("steady")
class Steady(Reading):
    """What is observed each tick."""

    value: float | None = gauge(Unit.LOAD, "A value.")


@family("slow", every=30.0)
class Slow(Reading):
    """What is observed twice a minute."""

    value: float | None = gauge(Unit.LOAD, "A value.")


@family("trouble", instances="thing")
class Trouble(Reading):
    """What has difficulties."""

    value: float | None = gauge(Unit.LOAD, "A value.")


class Direct:
    """A collector that does what a test says, and remembers when."""

    def __init__(self, reading: type[Reading], do: Callable[[], object] = lambda: None) -> None:
        self.reading = reading
        self.do = do
        self.times: list[float] = []

    def __call__(self, _: object) -> "Direct":
        return self

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        self.times.append(now.since_boot)
        self.do()
        return {SINGLE if self.reading.family.single else "one": self.reading(value=now.since_boot)}


class Probes:
    """A probing collector that does what a test says."""

    def __init__(self, reading: type[Reading], probes: Mapping[str, Callable[[], Reading | None]]) -> None:
        self.reading = reading
        self.found = probes

    def __call__(self, _: object) -> "Probes":
        return self

    def probes(self, _: Instant) -> Mapping[str, Callable[[], Reading | None]]:
        return self.found


def at(since_boot: float) -> Instant:
    return Instant(1767254400.0 + since_boot, since_boot, 0.0)


def observe(*collectors: object, times: list[float], interval: float = 5.0, first: int = 0):
    """Run the collectors at these times, the first ones as at start, and return by time what came by family."""

    async def run() -> list[dict[str, Observation]]:
        runner = Runner(collectors, ROOTS, interval)
        return [
            {found.family.name: found for found in await runner.observe(at(moment), first=number < first)}
            for number, moment in enumerate(times)
        ]

    return asyncio.run(run())


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


@pytest.mark.parametrize(
    ("error", "problem", "failures"),
    [
        (
            Unobserved(protocol.UNSUPPORTED, "no such thing", "buy one"),
            Problem(protocol.UNSUPPORTED, "no such thing", "buy one"),
            0,
        ),
        (Unobserved(protocol.MALFORMED, "is cut off"), Problem(protocol.MALFORMED, "is cut off"), 1),
        (
            PermissionError(errno.EACCES, "Permission denied", "/proc/x"),
            Problem(protocol.PERMISSION, "/proc/x: Permission denied", f"let uid {os.geteuid()} read it"),
            1,
        ),
        (
            PermissionError(errno.EPERM, "Operation not permitted"),
            Problem(protocol.PERMISSION, "Operation not permitted", f"let uid {os.geteuid()} read it"),
            1,
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/x"),
            Problem(protocol.VANISHED, "/proc/x: No such file or directory"),
            1,
        ),
        (
            OSError(errno.EIO, "Input/output error", "/sys/x"),
            Problem(protocol.FAILED, "/sys/x: Input/output error"),
            1,
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "/proc/x"),
            Problem(protocol.FAILED, "/proc/x: Is a directory"),
            1,
        ),
        (TimeoutError(errno.ETIMEDOUT, "Timed out"), Problem(protocol.FAILED, "Timed out"), 1),
        (OSError("no number"), Problem(protocol.FAILED, "no number"), 1),
        (
            OSError(errno.ESTALE, "Stale file handle", os.fsdecode(b"/caf\xe9\n\x1b[2J")),
            Problem(protocol.FAILED, r"/caf\xe9\n\x1b[2J: Stale file handle"),
            1,
        ),
    ],
    ids=repr,
)
def test_what_a_collector_raises_stays_with_its_family_and_has_a_reason(error, problem, failures):
    trouble = Direct(Trouble, raising(error))
    (found,) = observe(Direct(Steady), trouble, Direct(Slow), times=[100.0])
    assert found["trouble"].problem == problem
    assert found["trouble"].problems == {SINGLE: problem}
    assert found["trouble"].readings == {}
    assert found["trouble"].failures == failures
    for other in ("steady", "slow"):
        assert found[other].readings[SINGLE].value == 100.0
        assert (found[other].problems, found[other].failures) == ({}, 0)


def test_an_unexpected_error_is_a_failure_whose_reason_tells_the_way_to_it():
    trouble = Direct(Trouble, lambda: int("many\n"))
    (found,) = observe(trouble, Direct(Steady), times=[100.0])
    code, reason, remedy = found["trouble"].problem
    assert (code, remedy) == (protocol.FAILED, "report it")
    assert "invalid literal for int() with base 10: 'many\\\\n'" in reason
    lines = (Direct.collect.__code__.co_firstlineno + 2, trouble.do.__code__.co_firstlineno)
    assert reason.endswith(f"(test_runner.py:{lines[0]} > test_runner.py:{lines[1]})")
    assert found["steady"].problems == {}


def test_the_reason_for_an_unexpected_error_is_one_short_line():
    (found,) = observe(Direct(Trouble, lambda: (b"\xff" * 100_000).decode("ascii")), times=[100.0])
    reason = found["trouble"].problem.reason
    assert reason.startswith("the collector failed: UnicodeDecodeError")
    assert len(reason) < 300
    assert reason.isprintable()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError("odd")], ids=repr)
def test_what_would_end_the_daemon_stays_with_its_family_too(error):
    raise_it = raising(error)

    class Unmade(Direct):
        def __call__(self, _: object) -> "Direct":
            raise_it()
            return self

    noticing, probes = Noticing(raise_it), Probes(Trouble, {"one": raise_it})
    for collector, code in ((Direct(Trouble, raise_it), SINGLE), (Unmade(Trouble), SINGLE), (probes, "one")):
        found, _ = observe(collector, noticing, Direct(Steady), times=[100.0, 120.0], first=1)
        assert found["trouble"].problems[code].code == protocol.FAILED
        assert repr(error) in found["trouble"].problems[code].reason
        assert found["slow"].problems == found["steady"].problems == {}
    assert noticing.times == [100.0, 120.0] * 3


def test_failures_are_counted_and_retried_at_each_tick_until_it_recovers():
    trouble = Direct(Trouble, raising(OSError(errno.EIO, "Input/output error")))

    async def run() -> list[Observation]:
        runner = Runner([trouble], ROOTS, 5.0)
        found = [*await runner.observe(at(100.0)), *await runner.observe(at(105.0))]
        trouble.do = lambda: None
        return [*found, *await runner.observe(at(110.0))]

    first, second, third = asyncio.run(run())
    assert [first.failures, second.failures, third.failures] == [1, 2, 2]
    assert second.problem
    assert third.problem is None
    assert third.readings["one"].value == 110.0


def test_a_slow_family_is_observed_at_multiples_of_its_own_time():
    steady, slow = Direct(Steady), Direct(Slow)
    ticks = [103.2, *(float(tick) for tick in range(105, 185, 5))]
    observe(steady, slow, times=ticks)
    assert steady.times == ticks
    assert slow.times == [103.2, 120.0, 150.0, 180.0]


def test_a_tick_that_comes_a_hair_early_is_that_tick():
    steady, slow = Direct(Steady), Direct(Slow)
    ticks = [90.0, 94.998, 100.001, 104.999, 109.997, 114.998, 119.998, 125.0]
    observe(steady, slow, times=ticks)
    assert steady.times == ticks
    assert slow.times == [90.0, 119.998]


class Noticing(Direct):
    """A collector that notices what a test says."""

    def __init__(self, told: Callable[[], bool]) -> None:
        super().__init__(Slow)
        self.changed = told


def test_what_a_collector_notices_is_observed_at_the_next_tick_and_then_at_its_own_time():
    told = [False, False, True, False, False, False]
    slow = Noticing(lambda: told.pop(0))
    observe(slow, times=[100.0, 101.0, 102.0, 103.0, 119.0, 120.0], interval=1.0)
    assert slow.times == [100.0, 102.0, 120.0]


def test_a_collector_that_fails_to_notice_is_observed_when_it_is_due_and_that_is_said_once(caplog):
    slow = Noticing(raising(ValueError("odd")))
    observe(slow, times=[100.0, 105.0, 110.0, 120.0])
    assert slow.times == [100.0, 120.0]
    (record,) = caplog.records
    assert record.getMessage() == "slow can't tell when it changed, and is observed when it is due"
    assert "ValueError: odd" in caplog.text


def test_what_is_switched_off_notices_nothing_until_it_is_switched_on():
    slow = Noticing(lambda: True)

    async def run() -> None:
        runner = Runner([slow], ROOTS, 5.0)
        runner.set_enabled("slow", enabled=False)
        assert [found.problem.code for found in await runner.observe(at(100.0))] == [protocol.DISABLED]
        assert await runner.observe(at(105.0)) == ()
        runner.set_enabled("slow", enabled=True)
        for moment in (110.0, 115.0):
            await runner.observe(at(moment))

    asyncio.run(run())
    assert slow.times == [110.0, 115.0]


def test_what_is_noticed_while_a_thread_reads_is_looked_at_when_that_is_done():
    going, told, values = threading.Event(), [False, True, False, False], [1.0, 2.0]

    def probe() -> Reading:
        value = values.pop(0)
        assert going.wait(20.0)
        return Slow(value=value)

    class Reader(Probes):
        def changed(self) -> bool:
            return bool(told) and told.pop(0)

    async def run() -> list[float]:
        runner = Runner([Reader(Slow, {SINGLE: probe})], ROOTS, 1.0)
        assert await runner.observe(at(91.0)) == ()
        assert await runner.observe(at(92.0)) == ()
        going.set()
        found: list[Observation] = []
        while len(found) < 2:
            await asyncio.sleep(0)
            found += await runner.observe(at(93.0))
        return [one.readings[SINGLE].value for one in found]

    assert asyncio.run(asyncio.wait_for(run(), 20.0)) == [1.0, 2.0]


def test_an_interval_longer_than_a_familys_own_time_wins():
    steady, slow = Direct(Steady), Direct(Slow)
    observe(steady, slow, times=[60.0, 120.0, 180.0], interval=60.0)
    assert steady.times == slow.times == [60.0, 120.0, 180.0]


def test_missed_ticks_are_not_made_up_for():
    steady = Direct(Steady)
    observe(steady, times=[100.0, 161.0, 162.0, 165.0])
    assert steady.times == [100.0, 161.0, 165.0]


def test_what_is_unsupported_is_asked_again_once_a_minute_and_taken_up_when_it_comes():
    trouble, steady = Direct(Trouble, raising(Unobserved(protocol.UNSUPPORTED, "no such thing"))), Direct(Steady)
    slow = Direct(Slow, trouble.do)

    async def run() -> None:
        runner = Runner([trouble, steady, slow], ROOTS, 5.0)
        for tick in range(120, 305, 5):
            if tick == 270:
                trouble.do = lambda: None
            await runner.observe(at(tick))

    asyncio.run(run())
    assert len(steady.times) == 37
    assert trouble.times == [120.0, 180.0, 240.0, 300.0]
    assert slow.times == [120.0, 180.0, 240.0, 300.0]


def test_what_is_unsupported_and_has_a_longer_time_of_its_own_keeps_that():
    @family("rare", every=600.0)
    class Rare(Reading):
        """What is observed now and then."""

        value: float | None = gauge(Unit.LOAD, "A value.")

    rare = Direct(Rare, raising(Unobserved(protocol.UNSUPPORTED, "no such thing")))
    observe(rare, times=[600.0, 660.0, 720.0, 1200.0])
    assert rare.times == [600.0, 1200.0]


def test_at_start_a_second_look_runs_what_changes_and_nothing_slow_twice():
    steady, slow = Direct(Steady), Direct(Slow)
    first, second, third = observe(steady, slow, times=[103.2, 103.3, 105.0], first=2)
    assert set(first) == {"steady", "slow"}
    assert set(second) == set(third) == {"steady"}


def test_an_observation_is_taken_once():
    first, second = observe(Direct(Steady), times=[100.0, 101.0])
    assert set(first) == {"steady"}
    assert second == {}


def test_an_observation_says_when_it_was_made_and_how_long_it_took():
    (found,) = observe(Direct(Steady), times=[100.0])
    assert found["steady"].instant == at(100.0)
    assert 0.0 < found["steady"].duration < 1.0


def test_a_configuration_is_taken_up_at_once_and_that_of_the_start_costs_no_sample():
    steady, slow = Direct(Steady), Direct(Slow)

    async def run() -> None:
        runner = Runner([steady, slow], ROOTS, 5.0)
        runner.configure(3600.0, (), {"interval": 3600.0})
        ticks = runner.ticks()
        await anext(ticks)
        first = await runner.sample()
        assert [event.name for event in first.events] == [protocol.RUNTIME_STARTED, protocol.CONFIG_LOADED]
        await anext(ticks)
        assert (await runner.sample()).events == ()
        coming = asyncio.ensure_future(anext(ticks))
        done, _ = await asyncio.wait([coming], timeout=0.1)
        assert not done
        runner.configure(60.0, ["slow"], {"interval": 60.0})
        await coming
        sample = await runner.sample()
        assert sample.interval == 60.0
        assert [event.name for event in sample.events] == [protocol.CONFIG_LOADED]
        problems = {each.family.name: each.problem for each in sample.observations}
        assert problems["steady"] is None
        assert problems["slow"].code == protocol.DISABLED
        runner.set_enabled("slow", enabled=True)
        await anext(ticks)
        (again,) = (await runner.sample()).observations
        assert (again.family.name, again.problem) == ("slow", None)
        with pytest.raises(KeyError):
            runner.set_enabled("other", enabled=True)

    asyncio.run(run())


class Hand:
    """A clock that a test sets."""

    since_boot = 100.0

    def now(self):
        return at(self.since_boot)


def test_a_shorter_interval_is_no_overrun_of_the_longer_one():
    async def run() -> list[str]:
        clock = Hand()
        runner = Runner([Direct(Steady)], ROOTS, 10.0, clock)
        await runner.sample()
        clock.since_boot = 110.0
        await runner.sample()
        clock.since_boot = 118.0
        runner.configure(1.0, (), {"interval": 1.0})
        first = await runner.sample()
        clock.since_boot = 126.0
        return [event.name for event in (*first.events, *(await runner.sample()).events)]

    assert asyncio.run(run()) == [protocol.CONFIG_LOADED, protocol.RUNTIME_GAP]


def test_what_is_observed_again_begins_anew():
    values, going = [1.0, 2.0], threading.Event()

    def probe() -> Reading:
        value = values.pop(0)
        going.wait(20)
        return Trouble(value=value)

    async def run() -> None:
        clock = Hand()
        runner = Runner([Probes(Trouble, {"one": probe})], ROOTS, 5.0, clock)
        assert (await runner.sample()).observations == ()
        runner.set_enabled("trouble", enabled=False)
        clock.since_boot = 105.0
        (off,) = (await runner.sample()).observations
        assert off.problem.code == protocol.DISABLED
        going.set()
        clock.since_boot = 3700.0
        runner.set_enabled("trouble", enabled=True)
        found = ()
        while not found:
            found = (await runner.sample()).observations
        assert found[0].instant == at(3700.0)
        assert found[0].readings["one"].value == 2.0

    asyncio.run(run())
