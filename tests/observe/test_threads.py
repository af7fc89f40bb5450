"""Reads that hang cost their own instance, and nothing else."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from private_bus import eventually

from healthd import protocol
from healthd.clock import Instant
from healthd.model import SINGLE, Observation, Reading, Unit, family, gauge
from healthd.observe import Runner, _runner, _threads
from healthd.observe._files import roots
from healthd.observe._threads import ProbingRunner, Waiting

ROOTS = roots()
# Long enough for a thread to start on a machine that is busy, or emulated.
DEADLINE = 0.5


@family("probed", instances="thing")
class Probed(Reading):
    """What is read in a thread."""

    value: float | None = gauge(Unit.LOAD, "A value.")


@family("steady")
class Steady(Reading):
    """What is observed each tick."""

    value: float | None = gauge(Unit.LOAD, "A value.")


class Direct:
    reading = Steady

    def __init__(self, _: object = None) -> None:
        pass

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        return {SINGLE: Steady(value=now.since_boot)}


class Held:
    """What hangs until it is let go; `begun` counts the calls."""

    def __init__(self, then: Callable[[], Reading | None]) -> None:
        self.released = threading.Event()
        self.returned = threading.Event()
        self.begun = 0
        self._then = then

    def __call__(self) -> Reading | None:
        self.begun += 1
        assert self.released.wait(60.0)
        try:
            return self._then()
        finally:
            self.returned.set()


class Probes:
    reading = Probed

    def __init__(self, **probes: Callable[[], Reading | None]) -> None:
        self.found: Mapping[str, Callable[[], Reading | None]] = probes
        self.held: Held | None = None

    def __call__(self, _: object) -> "Probes":
        return self

    def probes(self, _: Instant) -> Mapping[str, Callable[[], Reading | None]]:
        if self.held:
            self.held()
        return self.found


def well(value: float = 1.0) -> Callable[[], Reading]:
    return lambda: Probed(value=value)


def nothing() -> None:
    return None


def at(since_boot: float) -> Instant:
    return Instant(1767254400.0 + since_boot, since_boot, 0.0)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "observe-probed"]


@pytest.fixture(autouse=True)
def hanging(monkeypatch) -> Iterator[Callable[..., Held]]:
    """Make what hangs, and let all of it go at the end; the threads must end then."""
    monkeypatch.setattr(_threads, "DEADLINE", DEADLINE)
    idle = threads()
    made = []

    def hang(then: Callable[[], Reading | None] | None = None) -> Held:
        made.append(Held(then or well(9.0)))
        return made[-1]

    yield hang
    for held in made:
        held.released.set()
    # A runner keeps one thread for its next run; those left behind end.
    eventually(lambda: len(threads()) <= len(idle) + 1)


class Story:
    """A probing runner of its own, one run after the other."""

    def __init__(self, collector: Probes, waiting: Waiting | None = None, *, beside: bool = False) -> None:
        self.woken = 0
        self.runner = ProbingRunner(collector, self._wake, waiting, beside=beside)
        self._now = 100.0

    def _wake(self) -> None:
        self.woken += 1

    def begin(self) -> None:
        self._now += 5.0
        self.runner.begin(at(self._now))

    def observe(self) -> Observation:
        """Begin, and wait for what it brings."""
        self.begin()
        return eventually(self.runner.take)


def stuck_at(story: Story, instance: str) -> threading.Thread:
    (thread,) = [thread for thread, found in story.runner._waiting._stuck.items() if found == instance]
    return thread


def values(observation: Observation) -> dict[str, float]:
    return {instance: reading.value for instance, reading in observation.readings.items()}


def codes(observation: Observation) -> dict[str, str]:
    return {instance: problem.code for instance, problem in observation.problems.items()}


def test_a_run_brings_every_instance_and_says_that_it_is_done():
    story = Story(Probes(a=well(1.0), b=well(2.0)))
    found = story.observe()
    assert values(found) == {"a": 1.0, "b": 2.0}
    assert (found.problems, found.failures, found.instant) == ({}, 0, at(105.0))
    eventually(lambda: story.woken == 1)
    assert story.runner.take() is None


def test_a_probe_that_hangs_costs_its_own_instance_alone(hanging):
    story = Story(Probes(a=well(1.0), b=hanging(), c=well(3.0)))
    found = story.observe()
    assert values(found) == {"a": 1.0, "c": 3.0}
    assert found.problems["b"] == (protocol.TIMEOUT, f"b has not answered for {DEADLINE} s", "")
    assert set(found.problems) == {"b"}
    assert found.failures == 1


def test_nothing_is_left_behind_before_its_deadline(hanging, monkeypatch):
    monkeypatch.setattr(_threads, "DEADLINE", 60.0)
    held = hanging()
    story = Story(Probes(a=held, b=well(2.0)))
    story.begin()
    eventually(lambda: held.begun)
    assert story.runner.take() is None
    assert story.runner.busy
    held.released.set()
    assert values(eventually(story.runner.take)) == {"a": 9.0, "b": 2.0}


def test_what_was_read_in_time_is_not_late_because_nobody_asked():
    story = Story(Probes(a=well(1.0)))
    story.begin()
    eventually(lambda: not story.runner.busy)
    story.runner._run.since -= 60.0
    found = story.runner.take()
    assert (values(found), found.problems) == ({"a": 1.0}, {})


def test_what_hangs_is_not_asked_again_and_comes_back_when_it_answers(hanging):
    held = hanging()
    story = Story(Probes(a=held, b=well(2.0)))
    for _ in range(3):
        found = story.observe()
        assert codes(found) == {"a": protocol.TIMEOUT}
        assert values(found) == {"b": 2.0}
    assert held.begun == 1
    stuck = stuck_at(story, "a")
    held.released.set()
    eventually(lambda: not stuck.is_alive())
    found = story.observe()
    assert (values(found), found.problems) == ({"a": 9.0, "b": 2.0}, {})
    assert (held.begun, found.failures) == (2, 3)


def test_threads_do_not_pile_up_beyond_one_for_each_hanging_instance(hanging):
    before = len(threads())
    story = Story(Probes(a=hanging(), b=well(2.0), c=hanging(), d=well(4.0)))
    for _ in range(4):
        found = story.observe()
        assert codes(found) == {"a": protocol.TIMEOUT, "c": protocol.TIMEOUT}
        assert values(found) == {"b": 2.0, "d": 4.0}
    assert len(threads()) - before == 3


def test_one_thread_serves_run_after_run():
    story = Story(Probes(a=well()))
    story.observe()
    before = threads()
    for _ in range(5):
        story.observe()
    assert threads() == before


def test_a_late_result_changes_nothing(hanging):
    held = hanging()
    follower = threading.Event()

    def following() -> Reading:
        follower.set()
        return Probed(value=2.0)

    story = Story(Probes(a=held, b=following))
    found = story.observe()
    follower.clear()
    stuck = stuck_at(story, "a")
    held.released.set()
    eventually(lambda: not stuck.is_alive())
    assert held.returned.is_set()
    assert values(found) == {"b": 2.0}
    assert codes(found) == {"a": protocol.TIMEOUT}
    assert story.runner.take() is None
    assert not follower.is_set()


def test_a_late_error_changes_nothing(hanging):
    def fail() -> None:
        raise ValueError

    held = hanging(fail)
    story = Story(Probes(a=held, b=well(2.0)))
    found = story.observe()
    stuck = stuck_at(story, "a")
    held.released.set()
    eventually(lambda: not stuck.is_alive())
    assert held.returned.is_set()
    assert codes(found) == {"a": protocol.TIMEOUT}
    assert story.runner.take() is None


def test_a_run_that_was_left_takes_nothing_of_what_another_took_over(hanging):
    held = hanging()
    collector = Probes(a=held, b=well(2.0))
    run = _threads._Run(collector.reading.family, at(0.0), {})
    thread = threading.Thread(target=run.go, args=(collector,))
    thread.start()
    eventually(lambda: run.leave() == "a")
    held.released.set()
    thread.join(20.0)
    assert [instance for instance, _ in run.rest] == ["b"]


def test_what_hangs_and_is_no_longer_listed_is_gone(hanging):
    collector = Probes(a=hanging(), b=well(2.0))
    story = Story(collector)
    assert codes(story.observe()) == {"a": protocol.TIMEOUT}
    collector.found = {"b": well(3.0)}
    found = story.observe()
    assert (values(found), found.problems) == ({"b": 3.0}, {})


def test_what_comes_in_place_of_what_hangs_and_was_gone_is_another_thing(hanging):
    held = hanging()
    collector = Probes(a=held, b=well(2.0))
    story = Story(collector)
    assert codes(story.observe()) == {"a": protocol.TIMEOUT}
    collector.found = {"b": well(3.0)}
    story.observe()
    collector.found = {"a": well(1.0), "b": well(3.0)}
    found = story.observe()
    assert (values(found), found.problems) == ({"a": 1.0, "b": 3.0}, {})
    assert not held.returned.is_set()


def test_what_hangs_again_and_again_when_it_comes_back_is_late_without_another_thread_after_some(hanging):
    before = len(threads())
    again = hanging()
    collector = Probes(a=again, b=well(2.0))
    story = Story(collector)
    for _ in range(_threads.GONE + 3):
        collector.found = {"a": again, "b": well(2.0)}
        found = story.observe()
        assert (values(found), codes(found)) == ({"b": 2.0}, {"a": protocol.TIMEOUT})
        collector.found = {"b": well(3.0)}
        assert codes(story.observe()) == {}
    assert again.begun == _threads.GONE
    assert len(threads()) - before == _threads.GONE + 1
    # What is called otherwise is read all the same, and that one when its threads are back.
    collector.found = {"a": again, "c": well(4.0)}
    assert values(story.observe()) == {"c": 4.0}
    again.released.set()
    eventually(lambda: len(threads()) - before == 1)
    assert values(story.observe()) == {"a": 9.0, "c": 4.0}


def test_where_no_thread_can_be_started_the_family_says_so_and_the_next_run_tries_again(monkeypatch):
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    story = Story(Probes(a=well(1.0)))
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            found = story.observe()
            assert (found.readings, set(found.problems)) == ({}, {SINGLE})
            assert found.problem.code == protocol.FAILED
            assert "can't start new thread" in found.problem.reason
            assert "TasksMax" in found.problem.remedy
    assert found.failures == 2
    assert values(story.observe()) == {"a": 1.0}


def test_where_too_many_threads_wait_for_what_is_gone_there_is_no_other_one_until_some_are_back(hanging, monkeypatch):
    monkeypatch.setattr(_threads, "MOST", 2)
    before = len(threads())
    first = hanging()
    collector = Probes()
    story = Story(collector)
    for name, held in (("a", first), ("b", hanging())):
        collector.found = {name: held, "c": well(3.0)}
        assert codes(story.observe()) == {name: protocol.TIMEOUT}
        collector.found = {"c": well(3.0)}
        assert values(story.observe()) == {"c": 3.0}
    collector.found = {"d": hanging(), "c": well(3.0)}
    for _ in range(2):
        found = story.observe()
        assert (found.readings, found.problem.code) == ({}, protocol.FAILED)
        assert "2 wait for what hung and is gone" in found.problem.reason
        assert len(threads()) - before == 3
    first.released.set()
    eventually(lambda: len(threads()) - before == 2)
    found = story.observe()
    assert (values(found), codes(found)) == ({"c": 3.0}, {"d": protocol.TIMEOUT})


def test_what_hangs_for_one_is_late_for_all_and_for_those_that_come_later_without_another_thread(hanging):
    held = hanging()
    before = len(threads())
    waiting = Waiting()
    samples = Story(Probes(a=held, b=well(2.0)), waiting)
    assert codes(samples.observe()) == {"a": protocol.TIMEOUT}
    for _ in range(20):
        story = Story(Probes(a=held, b=well(3.0)), waiting, beside=True)
        found = story.observe()
        assert (values(found), codes(found)) == ({"b": 3.0}, {"a": protocol.TIMEOUT})
        story.runner.end()
    assert held.begun == 1
    eventually(lambda: len(threads()) - before == 2)
    held.released.set()
    eventually(lambda: len(threads()) - before == 1)
    assert values(samples.observe()) == {"a": 9.0, "b": 2.0}


def test_those_that_end_while_they_read_leave_so_many_threads_and_the_samples_have_theirs(hanging, monkeypatch):
    monkeypatch.setattr(_threads, "DEADLINE", 60.0)
    held = hanging()
    before = len(threads())
    waiting = Waiting()
    for number in range(30):
        story = Story(Probes(a=held, b=well(3.0)), waiting, beside=True)
        story.begin()
        eventually(lambda number=number: held.begun == min(number + 1, _threads.GONE))
        story.runner.end()
    assert (held.begun, len(threads()) - before) == (_threads.GONE, _threads.GONE)
    found = Story(Probes(a=held), waiting, beside=True).observe()
    assert found.problem.code == protocol.FAILED
    assert "8 wait for what was read before" in found.problem.reason
    # Nobody knows yet that it hangs, and what is only slow is no problem of the samples.
    samples = Story(Probes(b=well(2.0)), waiting)
    assert values(samples.observe()) == {"b": 2.0}
    monkeypatch.setattr(_threads, "DEADLINE", DEADLINE)
    samples = Story(Probes(a=held, b=well(2.0)), waiting)
    eventually(lambda: codes(samples.observe()) == {"a": protocol.TIMEOUT})
    beside = Story(Probes(a=held, b=well(3.0)), waiting, beside=True)
    found = beside.observe()
    assert (values(found), codes(found)) == ({"b": 3.0}, {"a": protocol.TIMEOUT})
    for each in (samples, beside):
        each.runner.end()
    held.released.set()
    eventually(lambda: len(threads()) - before <= 1)


def test_what_is_ended_reads_nothing_after_what_it_is_reading(hanging):
    held, after = hanging(), hanging()
    story = Story(Probes(a=held, b=after))
    before = len(threads())
    story.begin()
    eventually(lambda: held.begun)
    story.runner.end()
    held.released.set()
    eventually(lambda: len(threads()) == before)
    assert not after.begun


def test_what_is_known_to_hang_since_a_run_began_is_not_taken_for_gone(hanging):
    """The run was told of all that it listed but that one: another runner found it late meanwhile."""
    held, slow = hanging(), hanging()
    waiting = Waiting()
    samples = Story(Probes(a=well(1.0), b=slow), waiting)
    samples.begin()
    eventually(lambda: slow.begun)
    beside = Story(Probes(a=held), waiting, beside=True)
    assert codes(beside.observe()) == {"a": protocol.TIMEOUT}
    slow.released.set()
    eventually(samples.runner.take)
    assert list(waiting._stuck.values()).count("a") == 1
    for each in (samples, beside):
        each.runner.end()


def test_watches_that_come_and_go_at_once_leave_no_thread_each(hanging, monkeypatch):
    """Each of them has another runner: what is beside the samples for its interval."""
    monkeypatch.setattr(_runner, "FIRST_GRACE", 0.0)
    held = hanging()
    before = len(threads())

    async def run() -> None:
        runner = Runner([Probes(a=held)], ROOTS, 5.0)
        for _ in range(100):
            faster = runner.faster(0.25)
            faster.choose({"probed"})
            await faster.sample()
            faster.end()

    asyncio.run(run())
    assert len(threads()) - before <= _threads.GONE


def test_a_list_of_probes_that_hangs_is_a_problem_of_the_family_at_once_and_asked_by_one_thread(hanging):
    collector = Probes(a=well())
    collector.held = hanging(nothing)
    before = len(threads())
    story = Story(collector)
    for _ in range(3):
        found = story.observe()
        assert found.problem == (protocol.TIMEOUT, f"probed has not answered for {DEADLINE} s", "")
        assert found.readings == {}
    assert collector.held.begun == 1
    assert len(threads()) - before == 1
    stuck = stuck_at(story, SINGLE)
    collector.held.released.set()
    eventually(lambda: not stuck.is_alive())
    found = story.observe()
    assert (values(found), found.problems) == ({"a": 1.0}, {})


def test_past_its_deadline_a_list_of_probes_is_given_up_in_the_same_look(hanging):
    collector = Probes(a=well())
    collector.held = hanging(nothing)
    story = Story(collector)
    story.begin()
    eventually(lambda: collector.held.begun)
    run = story.runner._run
    run.since -= 1.0
    assert story.runner.take().problem.code == protocol.TIMEOUT


def test_a_list_of_probes_that_fails_is_a_problem_of_the_family():
    collector = Probes()

    def fail() -> None:
        raise OSError(5, "Input/output error", "/proc/x")

    collector.held = Held(fail)
    collector.held.released.set()
    found = Story(collector).observe()
    assert found.problem == (protocol.FAILED, "/proc/x: Input/output error", "")
    assert found.failures == 1


@pytest.mark.parametrize(
    ("error", "code", "failures"),
    [
        (FileNotFoundError(2, "No such file or directory"), protocol.VANISHED, 1),
        (PermissionError(13, "Permission denied"), protocol.PERMISSION, 1),
        (ValueError("odd"), protocol.FAILED, 1),
    ],
    ids=repr,
)
def test_a_probe_that_fails_costs_its_own_instance_alone(error, code, failures):
    def fail() -> None:
        raise error

    found = Story(Probes(a=fail, b=well(2.0))).observe()
    assert (codes(found), values(found)) == ({"a": code}, {"b": 2.0})
    assert found.failures == failures
    assert found.problem is None


def test_a_probe_without_a_reading_has_no_such_instance():
    found = Story(Probes(a=nothing, b=well(2.0))).observe()
    assert (values(found), found.problems, found.failures) == ({"b": 2.0}, {}, 0)


def test_a_run_takes_as_long_as_its_reads_and_not_until_someone_asks():
    story = Story(Probes(a=well()))
    story.begin()
    eventually(lambda: not story.runner.busy)
    run = story.runner._run
    run.began, run.ended = 10.0, 10.25
    assert story.runner.take().duration == 0.25


def names(observations: tuple[Observation, ...]) -> set[str]:
    return {one.family.name for one in observations}


def test_neither_the_loop_nor_a_direct_collector_waits_for_a_probe_that_hangs(hanging, monkeypatch):
    monkeypatch.setattr(_threads, "DEADLINE", 60.0)
    monkeypatch.setattr(_runner, "FIRST_GRACE", 600.0)  # this is no start
    held = hanging()

    async def run() -> None:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_later(0.001, turn)

        loop = asyncio.get_running_loop()
        turn()
        runner = Runner([Probes(a=held, b=well(2.0)), Direct], ROOTS, 5.0)
        for tick in (100.0, 105.0, 110.0):
            before = turns
            (one,) = await runner.observe(at(tick))
            assert (one.family.name, one.instant) == ("steady", at(tick))
            assert turns > before + 3
        assert held.begun == 1
        assert not held.released.is_set()

    asyncio.run(asyncio.wait_for(run(), 20.0))


def test_what_a_probe_held_up_comes_with_a_later_cycle(hanging):
    held = hanging()

    async def run() -> list[Observation]:
        runner = Runner([Probes(a=held, b=well(2.0)), Direct], ROOTS, 5.0)
        found: tuple[Observation, ...] = ()
        tick = 100.0
        while "probed" not in names(found):
            found = await runner.observe(at(tick))
            assert "steady" in names(found)
            tick += 5.0
        return [one for one in found if one.family.name == "probed"]

    (found,) = asyncio.run(asyncio.wait_for(run(), 30.0))
    assert (values(found), codes(found)) == ({"b": 2.0}, {"a": protocol.TIMEOUT})
    assert found.instant == at(100.0)


def test_what_hangs_and_what_it_held_up_come_with_the_first_cycle_after_the_deadline(hanging, monkeypatch):
    held = hanging()

    async def run() -> tuple[Observation, ...]:
        runner = Runner([Probes(a=held, b=well(2.0))], ROOTS, 5.0)
        monkeypatch.setattr(_runner, "GRACE", 0.0)
        assert await runner.observe(at(100.0)) == ()
        monkeypatch.setattr(_runner, "GRACE", 20.0)
        eventually(lambda: held.begun)
        (probing,) = runner._runners.values()
        probing._run.since -= DEADLINE
        return await asyncio.wait_for(runner.observe(at(105.0)), 30.0)

    (found,) = asyncio.run(run())
    assert (values(found), codes(found)) == ({"b": 2.0}, {"a": protocol.TIMEOUT})


def test_a_cycle_waits_for_quick_probes_and_no_longer(monkeypatch):
    monkeypatch.setattr(_runner, "GRACE", 60.0)
    gate = threading.Barrier(2)

    def together() -> Reading:
        gate.wait(20.0)
        return Probed(value=3.0)

    async def run() -> tuple[Observation, ...]:
        runner = Runner([Probes(a=together)], ROOTS, 5.0)
        asyncio.get_running_loop().call_later(0.01, gate.wait, 20.0)
        return await asyncio.wait_for(runner.observe(at(100.0)), 30.0)

    (found,) = asyncio.run(run())
    assert values(found) == {"a": 3.0}


def test_at_start_there_is_more_time_for_probes(monkeypatch):
    monkeypatch.setattr(_runner, "GRACE", 0.0)
    monkeypatch.setattr(_runner, "FIRST_GRACE", 60.0)

    async def run() -> tuple[Observation, ...]:
        runner = Runner([Probes(a=well())], ROOTS, 5.0)
        return await asyncio.wait_for(runner.observe(at(100.0), first=True), 30.0)

    assert names(asyncio.run(run())) == {"probed"}


def test_a_result_that_comes_after_the_loop_was_closed_does_no_harm(hanging, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    harm = []
    monkeypatch.setattr(threading, "excepthook", harm.append)
    held = hanging()

    async def run() -> None:
        runner = Runner([Probes(a=held)], ROOTS, 5.0)
        assert await runner.observe(at(100.0)) == ()
        kept.append(runner)

    kept: list[Runner] = []
    before = threads()
    asyncio.run(run())
    (thread,) = set(threads()) - set(before)
    (runner,) = kept[0]._runners.values()
    held.released.set()
    eventually(lambda: not runner.busy)
    # It serves on: the next run is taken up by the same thread, which the closed loop did not end.
    assert values(runner.take()) == {"a": 9.0}
    runner.begin(at(105.0))
    assert values(eventually(runner.take)) == {"a": 9.0}
    assert thread.is_alive()
    assert harm == []
    assert not caplog.records or all("exception" not in record.getMessage() for record in caplog.records)
