"""What logind tells of sleep reaches healthd: its recording is on disk before, and a sample is taken after."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import service_manager
from login_manager import INTERFACE, NAME, PATH, POLICY, Login, Speaker
from private_bus import Bus, Healthd, eventually, private_bus
from raw import SIGNAL, Client, message

from healthd import _dbus_frames as frames
from healthd import dbus, protocol, system_bus
from healthd.errors import Unobserved
from healthd.system_bus import SystemBus

SLEEP = dbus.Signal(NAME, PATH, INTERFACE, "PrepareForSleep")
CALL = ["--json=short", "call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER]


@pytest.fixture
def system() -> Iterator[Bus]:
    with private_bus(POLICY + service_manager.POLICY) as made:
        yield made


async def true(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # some conditions are of the bus
            await asyncio.sleep(0.005)


def following(address: str, story: Callable[[SystemBus, list[list[Any]]], Awaitable[None]]) -> None:
    """Run a story with somebody who follows logind, and what it heard."""

    async def told() -> None:
        heard: list[list[Any]] = []
        bus = SystemBus(address)
        bus.follow(SLEEP, heard.append)
        try:
            await story(bus, heard)
        finally:
            bus.close()

    asyncio.run(told())


async def listens(bus: SystemBus) -> dbus.Connection:
    """Wait until it is listened to logind."""
    await true(lambda: bus._connection and bus._connection.signals._listeners)
    connection = bus._connection
    assert connection
    # The bus has taken all that was sent before this is answered.
    await connection.call_driver("GetId")
    return connection


async def ask(bus: SystemBus) -> None:
    """Ask somebody who is not there."""
    with pytest.raises(Unobserved):
        await bus("org.example.Nobody", "/", "org.example", "What")


def test_what_is_followed_is_heard_as_often_as_it_is_told(system):
    with Login(system.address) as logind:

        async def story(bus, heard):
            await listens(bus)
            logind.sleeps()
            logind.wakes()
            logind.tell("b", True, member="PrepareForShutdown")
            logind.sleeps()
            await true(lambda: len(heard) >= 3)
            assert heard == [[True], [False], [True]]

        following(system.address, story)


def test_what_is_not_there_is_looked_for_with_the_next_question_and_so_again_when_it_was_restarted(system):
    async def story(bus, heard):
        await true(bus._following.done)
        for _ in range(2):
            with Login(system.address) as logind:
                await ask(bus)
                await listens(bus)
                logind.sleeps()
                await true(lambda: heard == [[True]])
            await true(bus._following.done)
            assert not bus._connection.signals._listeners
            heard.clear()

    following(system.address, story)


def test_who_wakes_up_anyway_looks_for_it_once_in_a_while(system, monkeypatch):
    async def story(bus, heard):
        await true(bus._following.done)
        tried = bus._following
        bus.look()
        assert bus._following is tried
        monkeypatch.setattr(system_bus, "AGAIN", 0.0)
        with Login(system.address) as logind:
            bus.look()
            await listens(bus)
            listening = bus._following
            bus.look()
            assert bus._following is listening
            logind.sleeps()
            await true(lambda: heard == [[True]])

    following(system.address, story)


def test_after_the_bus_was_restarted_it_is_followed_with_the_next_question(system):
    async def story(bus, heard):
        with Login(system.address):
            bus._look()
            await listens(bus)
        system.stop()
        await true(bus._following.done)
        system.start()
        with Login(system.address) as logind:
            await ask(bus)
            await listens(bus)
            logind.wakes()
            await true(lambda: heard == [[False]])

    following(system.address, story)


def test_nothing_is_started_and_nothing_waits_where_there_is_no_logind_or_no_bus(system, tmp_path):
    async def story(bus, heard):
        await true(bus._following.done)
        assert bus._following.exception() is None
        assert not heard

    following(system.address, story)
    following(f"unix:path={tmp_path}/none", story)
    following("nonsense", story)


def test_what_others_say_in_its_place_is_not_even_decoded(system):
    async def story(bus, heard):
        with Login(system.address) as logind, Speaker(system.address) as liar:
            bus._look()
            connection = await listens(bus)
            dropped = connection.dropped
            liar.sleeps()
            liar.tell("b", True, destination=connection.unique_name)
            # What names logind elsewhere than as the sender does not make it one.
            liar.tell("ss", logind.name, NAME, destination=connection.unique_name)
            liar.driver("GetId")
            logind.wakes()
            await true(lambda: heard)
            assert heard == [[False]]
            assert connection.dropped == dropped + 2

    following(system.address, story)


def test_an_end_while_it_is_still_looked_for_leaves_nothing_behind(tmp_path):
    async def story(bus, _):
        await asyncio.sleep(0)
        assert not bus._following.done()

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/bus")
        silent.listen()
        following(f"unix:path={tmp_path}/bus", story)


@pytest.mark.parametrize("order", ["<", ">"])
def test_who_sends_is_known_by_the_header_alone(order):
    where = {"path": PATH, "interface": INTERFACE, "member": "PrepareForSleep", "sender": ":1.42"}
    data = bytearray(message(SIGNAL, 7, "s", ":1.5", order=order, **where))
    assert frames.is_from(data, ":1.42")
    assert not any(frames.is_from(data, name) for name in (":1.4", ":1.421", ":1.5", NAME, ""))


# The whole daemon.


@pytest.fixture
def run(bus, system) -> Iterator[Callable[..., Healthd]]:
    """Give a function that starts a healthd on a bus of its own, with `system` as the system bus."""
    started = []

    def start(*options: str) -> Healthd:
        made = Healthd(bus.address, *options, environment={"DBUS_SYSTEM_BUS_ADDRESS": system.address})
        started.append(made)
        return made.ready()

    yield start
    for each in started:
        each.stop()


def described(bus: Bus) -> dict[str, Any]:
    return json.loads(json.loads(bus.busctl(*CALL, "Describe").stdout)["data"][0])


def recorded(directory: str) -> set[tuple[str, str]]:
    """Return time and name of every event that is in a file."""
    found = set()
    for top, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(top, name)) as file:
                lines = [json.loads(line) for line in file]
            found |= {(line["time"], line["name"]) for line in lines}
    return found


def observed(bus: Bus) -> dict[str, int]:
    """Return when each family was last observed, of those that are: µs since 1970."""
    with Client(bus.address) as client:
        rows = client.call("ListCollectors", interface=protocol.MANAGER).body[0]
    return {name: row["sampled_at_usec"] for name, row in rows.items() if row["available"]}


def known(bus: Bus) -> set[tuple[str, str]]:
    """Return time and name of every event of a sample, whether it is in a file or not."""
    names = ["4", "system.cpu.usage.updated", "system.load.updated", "system.memory.usage.updated", "runtime.*"]
    told = json.loads(bus.busctl(*CALL, "GetEvents", "ttasu", "0", "4000000000000000", *names, "1000").stdout)
    return {(line["time"], line["name"]) for line in map(json.loads, told["data"][0])}


def test_before_the_machine_sleeps_all_that_was_observed_is_on_disk(bus, system, run, tmp_path):
    with Login(system.address) as logind:
        made = run("--interval", "0.25", "--record", str(tmp_path))
        eventually(lambda: len(known(bus) - recorded(tmp_path)) > 3)
        waiting = known(bus) - recorded(tmp_path)
        assert waiting, "they wait in memory"

        def written() -> bool:
            logind.sleeps()
            return waiting <= recorded(tmp_path)

        eventually(written)
        assert "Traceback" not in made.log


IMPATIENT = "import sys; from healthd import cli, system_bus; system_bus.AGAIN = 0.2; sys.exit(cli.main(sys.argv[1:]))"


def test_a_logind_that_was_restarted_is_heard_though_no_family_asks_anybody(bus, system, tmp_path):
    config, record = tmp_path / "healthd.toml", tmp_path / "record"
    config.write_text('interval = 0.25\n[collectors]\ndisabled = ["services"]\n')
    made = Healthd.__new__(Healthd)
    options = ["--bus", bus.address, "--config", str(config), "--record", str(record)]
    made.start([sys.executable, "-c", IMPATIENT, *options], {"DBUS_SYSTEM_BUS_ADDRESS": system.address})
    try:
        with Login(system.address):
            made.ready()
        for _ in range(2):
            with Login(system.address) as logind:
                waiting = eventually(lambda: known(bus) - recorded(record))

                def written(logind=logind, waiting=waiting) -> bool:
                    logind.sleeps()
                    return waiting <= recorded(record)

                eventually(written)
        assert "Traceback" not in made.log
    finally:
        made.stop()


def test_when_the_machine_wakes_a_sample_is_taken_at_once_whatever_the_interval(bus, system, run):
    with Login(system.address) as logind:
        made = run("--interval", "600")
        assert described(bus)["seq"] == 2
        before = observed(bus)

        def sampled() -> bool:
            logind.wakes()
            return described(bus)["seq"] > 2

        eventually(sampled)
        after = observed(bus)
        # Slow families too: what was mounted or plugged in meanwhile is there.
        assert {"filesystem", "host", "memory"} <= before.keys() & after.keys()
        assert all(after[name] > before[name] for name in ("filesystem", "host", "memory"))
        assert "Traceback" not in made.log


def test_what_is_no_word_of_sleep_changes_nothing(bus, system, run):
    with Login(system.address) as logind:
        made = run("--interval", "600")
        for values in (("s", "yes"), ("bb", False, False), ("",), ("u", 0)):
            logind.tell(*values)
        logind.driver("GetId")
        assert described(bus)["seq"] == 2
        assert "Traceback" not in made.log
