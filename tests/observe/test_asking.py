"""A collector that asks others runs for itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Asking, Reading, Unit, family, gauge
from healthd.observe._asking import AskingRunner, nobody


@family("oracle")
class Oracle(Reading):
    """What others say."""

    value: float | None = gauge(Unit.LOAD, "A value.")


class Inquirer:
    """A collector that does what a test says, and remembers when."""

    reading = Oracle

    def __init__(self, do: Callable[[], Awaitable[Any]]) -> None:
        self.do = do
        self.times: list[float] = []

    async def inquire(self, now: Instant, _: object) -> Any:
        self.times.append(now.since_boot)
        return await self.do()


def at(since_boot: float) -> Instant:
    return Instant(1767254400.0 + since_boot, since_boot, 0.0)


def raising(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def do() -> None:
        raise error

    return do


def giving(found: Any) -> Callable[[], Awaitable[Any]]:
    async def do() -> Any:
        return found

    return do


def once(do: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        answered = asyncio.Event()
        runner = AskingRunner(Inquirer(do), nobody, answered.set)
        runner.begin(at(100.0))
        await answered.wait()
        return runner.take()

    return asyncio.run(run())


def test_what_asks_is_told_from_what_collects_or_probes():
    assert isinstance(Inquirer(giving({})), Asking)


def test_what_it_brings_is_an_observation_of_the_time_when_it_was_asked():
    found = once(giving({SINGLE: Oracle(value=3.0)}))
    assert (found.readings, found.instant, found.problems) == ({SINGLE: Oracle(value=3.0)}, at(100.0), {})
    assert 0.0 < found.duration < 5.0


@pytest.mark.parametrize(
    ("do", "code", "reason", "failures"),
    [
        (raising(Unobserved(protocol.UNSUPPORTED, "nobody there")), protocol.UNSUPPORTED, "nobody there", 0),
        (raising(ZeroDivisionError()), protocol.FAILED, "the collector failed: ZeroDivisionError()", 1),
        (raising(TimeoutError()), protocol.FAILED, "", 1),
        (giving({"one": Oracle(value=3.0)}), protocol.FAILED, "the collector of oracle gave instances ['one']", 1),
        (giving({SINGLE: Oracle(value="much")}), protocol.FAILED, "the collector of oracle gave str", 1),
        (giving(None), protocol.FAILED, "the collector failed: TypeError", 1),
    ],
)
def test_what_goes_wrong_stays_with_the_family_and_has_a_reason(do, code, reason, failures):
    found = once(do)
    assert found.readings == {}
    assert found.problem.code == code
    assert found.problem.reason.startswith(reason)
    assert found.failures == failures


async def cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def cancelling() -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("do", "reason"),
    [(cancelled, "CancelledError"), (cancelling, "CancelledError"), (raising(SystemExit(3)), "SystemExit(3)")],
)
def test_what_would_end_the_daemon_stays_with_the_family_too(do, reason):
    found = once(do)
    assert (found.problem.code, found.failures) == (protocol.FAILED, 1)
    assert reason in found.problem.reason


def test_one_that_is_ended_while_it_waits_is_ended_and_brings_nothing():
    async def run() -> None:
        async def do() -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        begun, answered = asyncio.Event(), asyncio.Event()
        runner = AskingRunner(Inquirer(do), nobody, answered.set)
        runner.begin(at(100.0))
        task = runner._run
        assert task
        await begun.wait()
        runner.end()
        await answered.wait()
        assert task.cancelled()
        assert (runner.take(), runner.busy) == (None, False)

    asyncio.run(run())


def test_a_run_that_others_cancel_brings_nothing_and_the_next_one_does():
    async def run() -> None:
        answered = asyncio.Event()
        runner = AskingRunner(Inquirer(giving({SINGLE: Oracle(value=3.0)})), nobody, answered.set)
        runner.begin(at(100.0))
        assert runner._run
        runner._run.cancel()
        await answered.wait()
        assert runner.take() is None
        answered.clear()
        runner.begin(at(105.0))
        await answered.wait()
        assert runner.take()

    asyncio.run(run())


def test_it_is_not_asked_again_before_it_has_answered():
    async def run() -> None:
        held, answered = asyncio.Event(), asyncio.Event()

        async def do() -> Any:
            await held.wait()
            return {SINGLE: Oracle(value=1.0)}

        collector = Inquirer(do)
        runner = AskingRunner(collector, nobody, answered.set)
        runner.begin(at(100.0))
        runner.begin(at(105.0))
        assert runner.busy
        held.set()
        await answered.wait()
        found = runner.take()
        assert found
        assert found.instant == at(100.0)
        runner.begin(at(110.0))
        answered.clear()
        await answered.wait()
        assert collector.times == [100.0, 110.0]

    asyncio.run(run())


def test_nobody_answers_nothing():
    with pytest.raises(Unobserved) as raised:
        asyncio.run(nobody("org.example.Service", "/", "org.example", "Get"))
    assert raised.value.problem == protocol.UNSUPPORTED
