"""What systemd tells of its units, asked on a real bus of somebody who stands in for it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from private_bus import Bus, private_bus
from service_manager import NAME, POLICY, UNITS, Manager, machine

from healthd import protocol
from healthd.clock import Instant
from healthd.model import Observation
from healthd.observe import Runner
from healthd.observe._asking import AskingRunner
from healthd.observe._files import roots
from healthd.observe.load import LoadCollector
from healthd.observe.services import Services, ServicesCollector
from healthd.system_bus import SystemBus

NOW = Instant(1767254500.0, 100.0, 0.0)


@pytest.fixture
def system() -> Iterator[Bus]:
    with private_bus(POLICY) as made:
        yield made


async def once(ask: SystemBus, deadline: float = 5.0) -> Observation:
    """Have it observed once."""
    answered = asyncio.Event()
    runner = AskingRunner(ServicesCollector(roots()), ask, answered.set, deadline)
    runner.begin(NOW)
    assert runner.busy
    assert runner.take() is None
    await answered.wait()
    assert not runner.busy
    found = runner.take()
    assert found
    assert runner.take() is None
    return found


def observe(address: str, deadline: float = 5.0) -> Observation:
    async def run() -> Observation:
        ask = SystemBus(address)
        try:
            return await once(ask, deadline)
        finally:
            ask.close()

    return asyncio.run(run())


def test_where_no_unit_failed_nothing_is_listed(system: Bus) -> None:
    with Manager(system.address, machine([])) as systemd:
        found = observe(system.address)
        assert systemd.asked == ["NFailedUnits", "SystemState"]
    assert found.readings == {"": Services(failed_units=0, failed="", system_state="running")}
    assert (found.problems, found.failures, found.instant) == ({}, 0, NOW)


def test_units_that_failed_are_counted_and_named_in_order(system: Bus) -> None:
    with Manager(system.address, machine(["web.service", "backup.service", "srv-x\\x2dy.mount"], "degraded")):
        found = observe(system.address)
    assert found.readings[""] == Services(
        failed_units=3, failed="backup.service srv-x\\x2dy.mount web.service", system_state="degraded"
    )


def test_eight_of_many_are_named(system: Bus) -> None:
    with Manager(system.address, machine([f"job@{number:03}.service" for number in range(100)], "degraded")):
        found = observe(system.address)
    assert found.readings[""].failed_units == 100
    assert found.readings[""].failed == " ".join(f"job@00{number}.service" for number in range(8))


def test_more_than_fit_an_answer_are_counted_and_not_named(system: Bus) -> None:
    with Manager(system.address, machine([f"job@{number}.service" for number in range(1000)], "degraded")):
        found = observe(system.address)
    assert found.readings == {"": Services(failed_units=1000, failed=None, system_state="degraded")}


def test_it_is_asked_again_on_the_same_connection_and_on_another_once_the_bus_was_restarted(system: Bus) -> None:
    async def run() -> list[Observation]:
        ask = SystemBus(system.address)
        with Manager(system.address, machine([])) as systemd:
            found = [await once(ask)]
            systemd.answers = machine(["web.service"], "degraded")
            found.append(await once(ask))
        found.append(await once(ask))
        connection = ask._connection
        assert connection
        system.stop()
        await connection.lost
        found.append(await once(ask))
        system.start()
        with Manager(system.address, machine([])):
            found.append(await once(ask))
        ask.close()
        return found

    first, second, gone, without, last = asyncio.run(run())
    assert first.readings[""].failed_units == last.readings[""].failed_units == 0
    assert second.readings[""].failed == "web.service"
    # It is there, and was asked: that nothing is known of it now is no reason to think that all is well.
    for none, reason in ((gone, "there is no "), (without, "can't be asked: no system bus answers")):
        assert none.problem
        assert none.problem.code == protocol.FAILED
        assert reason in none.problem.reason
        assert none.failures == 1


def test_a_machine_without_systemd_or_without_a_bus_does_not_have_it(system: Bus, tmp_path) -> None:
    for address, reason in (
        (system.address, f"there is no {NAME} on the system bus"),
        (f"unix:path={tmp_path}/none", f"{NAME} can't be asked: no system bus answers"),
    ):
        problem = observe(address).problem
        assert problem
        assert problem[:2] == (protocol.UNSUPPORTED, reason)


@pytest.mark.parametrize(
    ("member", "answer", "code", "reason"),
    [
        ("NFailedUnits", ("v", ("s", "many")), protocol.MALFORMED, "systemd's answer to NFailedUnits is no such thing"),
        ("NFailedUnits", ("vv", ("u", 1), ("u", 2)), protocol.MALFORMED, None),
        ("SystemState", ("v", ("u", 1)), protocol.MALFORMED, "systemd's answer to SystemState is no such thing"),
        ("ListUnitsFiltered", ("as", ["web.service"]), protocol.MALFORMED, None),
        ("ListUnitsFiltered", ("s", "web.service"), protocol.MALFORMED, None),
        ("ListUnitsFiltered", ("a(u)", [(1,)]), protocol.MALFORMED, None),
        ("ListUnitsFiltered", (UNITS, [("\n", "", "", "", "", "", "/", 0, "", "/")]), protocol.MALFORMED, None),
        ("SystemState", "org.example.Broken", protocol.FAILED, f"{NAME} answers Get with org.example.Broken"),
        (
            "NFailedUnits", "org.freedesktop.DBus.Error.AccessDenied", protocol.PERMISSION,
            f"the system bus does not let {NAME} be asked",
        ),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_problem_with_a_reason(
    system: Bus, member: str, answer: Any, code: str, reason: str | None
) -> None:
    answers = machine(["web.service"], "degraded") | {member: answer}
    with Manager(system.address, answers):
        found = observe(system.address)
    assert found.readings == {}
    assert found.problem
    assert found.problem.code == code
    assert found.failures == 1
    assert reason is None or found.problem.reason == reason


def test_a_systemd_that_does_not_answer_is_given_up_after_a_while(system: Bus) -> None:
    with Manager(system.address, {"NFailedUnits": None}):
        found = observe(system.address, deadline=0.2)
    assert found.problem
    assert found.problem.code == protocol.TIMEOUT
    assert found.problem.reason == "services has had no answer for more than 0.2 s"
    assert found.failures == 1


def test_a_bus_that_takes_nobody_is_given_up_after_a_while(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/bus")
        silent.listen()
        problem = observe(f"unix:path={tmp_path}/bus", deadline=0.2).problem
    assert problem
    assert problem.code == protocol.TIMEOUT


def test_two_that_ask_at_once_share_a_connection(system: Bus) -> None:
    async def run() -> None:
        ask = SystemBus(system.address)
        first, second = await asyncio.gather(once(ask), once(ask))
        assert first.readings == second.readings
        assert first.readings
        connection = ask._connection
        assert connection
        names = (await connection.call_driver("ListNames"))[0]
        # The bus itself, systemd by both its names, and this.
        assert len(names) == 4
        ask.close()

    with Manager(system.address, machine([])):
        asyncio.run(run())


def test_one_that_does_not_answer_holds_up_nobody_else(system: Bus) -> None:
    async def run(systemd: Manager) -> None:
        ask = SystemBus(system.address)
        runner = Runner([ServicesCollector, LoadCollector], roots(), 5.0, ask=ask)
        (found,) = await runner.observe(NOW, first=True)
        assert found.family.name == "load"
        assert systemd.asked == ["NFailedUnits"]
        (found,) = await runner.observe(Instant(1767254505.0, 105.0, 0.0))
        assert found.family.name == "load"
        ask.close()

    with Manager(system.address, {"NFailedUnits": None}) as systemd:
        asyncio.run(run(systemd))


def test_what_is_answered_in_time_is_in_the_same_sample_and_asked_at_its_own_pace(system: Bus) -> None:
    async def run() -> list[list[str]]:
        ask = SystemBus(system.address)
        runner = Runner([ServicesCollector, LoadCollector], roots(), 5.0, ask=ask)
        seen = []
        for time in (100.0, 105.0, 110.0, 120.0):
            found = await runner.observe(Instant(1767254400.0 + time, time, 0.0), first=time == 100.0)
            seen.append(sorted(each.family.name for each in found))
        ask.close()
        return seen

    with Manager(system.address, machine([])):
        assert asyncio.run(run()) == [["load", "services"], ["load"], ["load"], ["load", "services"]]


def test_without_anybody_to_ask_it_is_unsupported() -> None:
    async def run() -> Observation:
        (found,) = await Runner([ServicesCollector], roots(), 5.0).observe(NOW, first=True)
        return found

    found = asyncio.run(run())
    assert found.problem
    assert found.problem.code == protocol.UNSUPPORTED


def test_an_end_in_the_midst_of_asking_leaves_nothing_behind(system: Bus) -> None:
    async def run() -> None:
        ask = SystemBus(system.address)
        runner = AskingRunner(ServicesCollector(roots()), ask, lambda: None)
        runner.begin(NOW)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.Event().wait()
        ask.close()

    with Manager(system.address, {"NFailedUnits": None}):
        asyncio.run(run())
