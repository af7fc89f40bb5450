"""The door against everything that comes to it; each test is a way in which a D-Bus connection is known to die."""

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import math
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from private_bus import eventually, private_bus
from raw import (
    CALL,
    DRIVER,
    ERROR,
    HEALTHD,
    LIMITS_EXCEEDED,
    NO_REPLY,
    RETURN,
    ROOT,
    SIGNAL,
    Client,
    Stranger,
    Writer,
    listening,
    message,
    read_message,
    welcome,
)

from healthd import _dbus_library as library
from healthd import dbus, protocol
from healthd._dbus_answers import MOST, MOST_OF_ONE
from healthd._dbus_frames import MAX_BODY
from healthd.clock import Instant
from healthd.errors import BusError, BusLost, BusUnreachable, CallError, NameTaken, NotAllowed
from healthd.health.judge import Judge
from healthd.model import Cycle, Event, Sample
from healthd.observe import Runner, collectors, families, roots
from healthd.pipeline import Pipeline
from healthd.publish.bus.server import BACKLOG, KEPT, BusServer
from healthd.state.history import History
from healthd.state.store import Store

PEER = "org.freedesktop.DBus.Peer"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"


def run(story: Coroutine[Any, Any, Any], seconds: float = 30.0) -> Any:
    """Run a story to its end; what asyncio would only log is a fault."""
    faults: list[Any] = []

    async def told() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with asyncio.timeout(seconds):
            return await story

    try:
        return asyncio.run(told())
    finally:
        assert not faults, faults


async def true(condition: Callable[[], object]) -> None:
    """Give the loop turns until a condition is true."""
    while not condition():  # noqa: ASYNC110  # some conditions are of the kernel
        await asyncio.sleep(0.001)


def cpu(process: int) -> float:
    """Return the CPU time of a process, seconds."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(process: int) -> int:
    """Return the most memory that a process ever had resident, bytes."""
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def descriptors(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def events(daemon: Any) -> list[dict[str, Any]]:
    """Return the whole lines that a daemon has printed."""
    return [json.loads(line) for line in daemon.printed.splitlines(keepends=True) if line.endswith("\n")]


def ticks_pass(daemon: Any, count: int) -> None:
    """Wait until a daemon has gone through some more cycles."""
    begin = events(daemon)[-1]["seq"]
    eventually(lambda: events(daemon)[-1]["seq"] >= begin + count)


def owner(client: Client) -> str:
    answer = client.driver("GetNameOwner", "s", HEALTHD)
    return "" if answer.error else answer.body[0]


def ping(client: Client) -> float:
    """Return how long healthd takes to answer, seconds."""
    begin = time.monotonic()
    answer = client.call("Ping", interface=PEER)
    assert not answer.error
    return time.monotonic() - begin


@pytest.fixture
def roomy_bus(bus):
    """Give a bus that lets one connection wait for more answers than healthd can ever have in its buffer."""
    bus.stop()
    config = f"{bus.directory}/bus.conf"
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.write(text.replace("</busconfig>", '<limit name="max_replies_per_connection">9999</limit></busconfig>'))
    bus.start()
    return bus


SERVICE = """
import sys
sys.path.insert(0, {here!r})
from raw import Client
client = Client({address!r})
client.driver("RequestName", "su", {name!r}, 4)
client.driver("GetId")
client._socket.settimeout(60)
client._fill()
"""


@pytest.fixture
def activating_bus():
    """Give a bus that starts `org.example.Started`, and fails to start `org.example.Broken`."""
    name = "org.example.Started"
    with private_bus('<standard_session_servicedirs/><policy context="default"><allow own="*"/></policy>') as bus:
        bus.stop()
        config = f"{bus.directory}/bus.conf"
        with open(config) as file:
            text = file.read()
        with open(config, "w") as file:
            file.write(text.replace("<standard_session_servicedirs/>", f"<servicedir>{bus.directory}</servicedir>"))
        with open(f"{bus.directory}/service.py", "w") as file:
            here = os.path.dirname(os.path.abspath(__file__))
            file.write(SERVICE.format(here=here, address=bus.address, name=name))
        commands = {name: f"{sys.executable} {bus.directory}/service.py", "org.example.Broken": "/bin/false"}
        for service, command in commands.items():
            with open(f"{bus.directory}/{service}.service", "w") as file:
                file.write(f"[D-BUS Service]\nName={service}\nExec={command}\nUser=root\n")
        bus.start()
        yield bus


# A full socket.


def pipeline_without_reading(pipe, address, count, member, interface):
    with Client(address) as client:
        for block in client.pipeline(count, member, interface=interface):
            client.send(block)
        pipe.send("written")
        pipe.recv()
        answers = client.answers(count)
        kinds = [answer.kind for answer in answers]
        serials = {answer.fields["reply_serial"] for answer in answers}
        pipe.send((kinds.count(RETURN), len(serials)))


@pytest.mark.parametrize(
    ("count", "member", "interface"),
    [(150, "GetManagedObjects", OBJECT_MANAGER), (2000, "Describe", f"{HEALTHD}.Manager")],
)
def test_calls_written_in_one_go_are_all_answered_and_others_meanwhile(roomy_bus, healthd, count, member, interface):
    daemon = healthd("--interval", "1").ready()
    address = roomy_bus.address
    with Client(address) as other, Stranger(pipeline_without_reading, address, count, member, interface) as stranger:
        before = owner(other)
        assert stranger.told() == "written"
        assert ping(other) < 10
        stranger.tell("read")
        assert stranger.told() == (count, count)
        assert owner(other) == before
    assert daemon.stop() == 0, daemon.log


def test_a_bus_that_stands_still_for_seconds_costs_neither_the_connection_nor_a_change(bus, healthd):
    daemon = healthd("--interval", "0.25", "--console").ready()
    with Client(bus.address) as client:
        client.driver("AddMatch", "s", f"type='signal',sender='{HEALTHD}'")
        before = owner(client)
        metrics = client.call("ListMetrics").body[0]
        unsignalled = {(each["interface"], each["property"]) for each in metrics.values() if not each["signalled"]}
        unsignalled.add((f"{HEALTHD}.Reading", "SampledAtUSec"))
        cache = client.call("GetManagedObjects", interface=OBJECT_MANAGER).body[0]

        bus.signal(signal.SIGSTOP)
        ticks_pass(daemon, 12)
        bus.signal(signal.SIGCONT)

        signals = 0
        while signals < 20:
            signals += follow(client, cache)
        serial, call = client.prepare("GetManagedObjects", interface=OBJECT_MANAGER)
        client.send(call)
        while (last := client.receive()).fields.get("reply_serial") != serial:
            apply(last, cache)
        assert plain(last.body[0], unsignalled) == plain(cache, unsignalled)
        assert owner(client) == before
    assert "gone" not in daemon.log


def follow(client: Client, cache: dict[str, Any]) -> int:
    received = client.receive()
    apply(received, cache)
    return received.kind == SIGNAL


def apply(received: Any, cache: dict[str, Any]) -> None:
    """Do what a client does with a signal."""
    member, body = received.fields.get("member"), received.body
    if member == "PropertiesChanged":
        cache[received.fields["path"]][body[0]].update(body[1])
    elif member == "InterfacesAdded":
        cache[body[0]] = body[1]
    elif member == "InterfacesRemoved":
        del cache[body[0]]


def plain(objects: dict[str, Any], unsignalled: set[tuple[str, str]]) -> dict[tuple[str, str, str], str]:
    return {
        (path, interface, name): repr(value)
        for path, interfaces in objects.items()
        for interface, values in interfaces.items()
        for name, value in values.items()
        if (interface, name) not in unsignalled
    }


def test_calls_are_left_unread_while_answers_pile_up(tmp_path):
    """The peer takes no answers: nothing beyond the bound is buffered, and later all are answered."""
    count, size = 3000, 4000

    async def story():
        begun, reading = asyncio.Event(), asyncio.Event()
        answered = []

        async def peer(reader, writer):
            await welcome(reader, writer)
            await begun.wait()
            writer.transport.pause_reading()
            calls = b"".join(
                message(CALL, serial, path="/a", member="Much", sender=":1.9") for serial in range(1, count + 1)
            )
            writer.write(calls)
            await reading.wait()
            writer.transport.resume_reading()
            answered.extend([(await read_message(reader)).fields["reply_serial"] for _ in range(count)])

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            connection.on_call = lambda _: dbus.Reply("s", ("x" * size,))
            begun.set()
            await true(lambda: connection.backlog > dbus.BACKLOG)
            for _ in range(100):
                await asyncio.sleep(0)
                assert connection.backlog < dbus.BACKLOG + 2 * size
            reading.set()
            await true(lambda: len(answered) == count)
            connection.close()
        assert answered == list(range(1, count + 1))

    run(story())


class Forgetful:
    """An archive of nothing."""

    def movers(self, *_, **__):
        return None

    async def history(self, *_):
        return []

    async def events(self, *_):
        return []


class SteppingClock:
    """A second passes with each look."""

    second = 0.0

    def now(self) -> Instant:
        self.second += 1
        return Instant(1767268800.0 + self.second, self.second, 0.0)


class Lazy:
    """A peer that takes nothing until it is let."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.received: list[Any] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer)
        writer.transport.pause_reading()
        await self.reading.wait()
        writer.transport.resume_reading()
        while True:
            self.received.append(await read_message(reader))

    def signals(self, member: str) -> list[list[Any]]:
        return [each.body for each in self.received if each.fields["member"] == member]


def fill(connection: dbus.Connection) -> int:
    """Send more than a server puts up with, and return how much waits."""
    while connection.backlog <= BACKLOG:
        connection.signal("/a", "a.b", "Fill", "s", ["x" * 32768])
    return connection.backlog


def test_under_backlog_the_server_skips_and_the_next_difference_carries_everything(tmp_path, caplog):
    caplog.set_level(logging.INFO, "healthd.publish")
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "loadavg").write_text("1.00 2.00 3.00 1/100 1000\n")

    async def story():
        chosen = [each for each in collectors() if families([each])[0].name == "load"]
        server = BusServer(families(chosen), Forgetful(), dict, Judge(()), None)
        tree = roots(str(proc), f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))
        pipeline = Pipeline(Runner(chosen, tree, 1.0, SteppingClock()), Store(), Judge(()), History(), [server])
        assert server.account().problem.code == protocol.VANISHED

        peer = Lazy()
        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            server.attach(connection)
            await pipeline.cycle()
            assert load1(server) == 1.0
            assert server.account() == (None, 0)

            filled = fill(connection)
            for value in range(2, 50):
                (proc / "loadavg").write_text(f"{value}.00 {value}.00 3.00 1/100 1000\n")
                await pipeline.cycle()
            assert server.skipped == 48
            assert server.account().problem.code == protocol.TIMEOUT
            assert connection.backlog <= filled
            # A Get and a client's cache never disagree.
            assert load1(server) == 1.0

            peer.reading.set()
            await true(lambda: not connection.backlog)
            await pipeline.cycle()
            assert load1(server) == 49.0
            await true(lambda: peer.signals("PropertiesChanged"))
            assert not server.skipped
            assert server.account() == (None, 48)
            ((_, changed, _),) = peer.signals("PropertiesChanged")
            assert changed == {"Load1": 49.0, "Load5": 49.0}
            # What was there before anyone could ask came from nowhere.
            assert not peer.signals("InterfacesAdded")
            connection.close()
            await connection.lost
            assert server.account().problem.code == protocol.VANISHED

    run(story())
    assert [record.getMessage() for record in caplog.records] == [
        "the bus does not keep up: nothing new is published until it does",
        "the bus keeps up again: what was left out of 48 cycles is published at once",
    ]


def test_under_backlog_events_are_kept_and_only_the_oldest_of_too_many_are_lost(tmp_path):
    clock = SteppingClock()

    async def story():
        server = BusServer(families(collectors()), Forgetful(), dict, Judge(()), None)
        snapshot = Store().accept(Sample(clock.now(), "boot", 1, ()))

        def happens(number: int) -> None:
            event = Event(clock.now(), "some.thing", {"number": number}, "boot", 1)
            server.publish(Cycle(snapshot, snapshot, (event,)))

        peer = Lazy()
        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            server.publish(Cycle(None, snapshot, ()))
            server.attach(connection)
            fill(connection)
            for number in range(KEPT + 7):
                happens(number)
            assert server.account().lost == 7

            peer.reading.set()
            await true(lambda: not connection.backlog)
            happens(KEPT + 7)
            await true(lambda: len(peer.signals("Event")) == KEPT + 1)
            told = [json.loads(line)["data"]["number"] for _, _, line in peer.signals("Event")]
            assert told == list(range(7, KEPT + 8))
            assert server.account() == (None, 7)
            happens(KEPT + 8)
            await true(lambda: len(peer.signals("Event")) == KEPT + 2)
            connection.close()
            await connection.lost

    run(story())


def test_what_was_kept_for_a_bus_that_is_gone_is_not_told_to_the_next(tmp_path, caplog):
    clock = SteppingClock()

    async def story():
        server = BusServer(families(collectors()), Forgetful(), dict, Judge(()), None)
        snapshot = Store().accept(Sample(clock.now(), "boot", 1, ()))

        def happens(name: str) -> None:
            server.publish(Cycle(snapshot, snapshot, (Event(clock.now(), name, {}, "boot", 1),)))

        peer = Lazy()
        async with listening(f"{tmp_path}/bus", peer) as address:
            happens("at.start")
            first = await dbus.connect(address)
            server.attach(first)
            fill(first)
            happens("to.the.first")
            first.close()
            await first.lost
            happens("to.nobody")
            peer.reading.set()
            second = await dbus.connect(address)
            server.attach(second)
            happens("to.the.second")
            await true(lambda: peer.signals("Event"))
            second.close()
            await second.lost
        assert [name for name, _, _ in peer.signals("Event")] == ["to.the.second"]
        assert server.account().lost == 0

    run(story())
    assert len(caplog.records) == 1


def load1(server: BusServer) -> float:
    return server._objects.get(f"{ROOT}/load", f"{HEALTHD}.Load", "Load1").value


# A lost connection, and the name.


def test_after_each_restart_of_the_bus_the_name_is_owned_again_and_nothing_leaks(bus, healthd):
    daemon = healthd("--interval", "1").ready()
    open_before = descriptors(daemon.process.pid)
    for turn in range(3):
        bus.stop()
        bus.start()
        with Client(bus.address) as client:
            eventually(lambda client=client: owner(client))
            assert client.driver("ListQueuedOwners", "s", HEALTHD).body[0] == [owner(client)]
            assert ping(client) < 5
        # It says so once it owns the name, which others may see before.
        eventually(lambda turn=turn: daemon.log.count("the bus is back") == turn + 1)
        eventually(lambda: descriptors(daemon.process.pid) == open_before)
    assert daemon.stop() == 0


def test_a_second_healthd_ends_with_one_line_and_does_not_queue(bus, healthd):
    healthd().ready()
    with Client(bus.address) as client:
        first = owner(client)
        second = healthd()
        assert second.process.wait(20) == 75
        said = [line for line in second.log.splitlines() if "unavailable" not in line]
        assert len(said) == 1
        assert "is taken" in said[0]
        assert client.driver("ListQueuedOwners", "s", HEALTHD).body[0] == [first]


def test_a_name_that_is_taken_is_not_queued_for_while_the_connection_lives(bus):
    async def story():
        first, second = await dbus.connect(bus.address), await dbus.connect(bus.address)
        await first.own(HEALTHD)
        await first.own(HEALTHD)
        with pytest.raises(NameTaken, match="another healthd"):
            await second.own(HEALTHD)
        assert await second.call_driver("ListQueuedOwners", "s", HEALTHD) == [[first.unique_name]]
        with pytest.raises(NotAllowed, match="does not let uid"):
            await second.own("org.example.NotOurs")
        first.close()
        second.close()
        await asyncio.gather(first.lost, second.lost)

    run(story())


# Our own calls.


def test_a_call_of_ours_ends_in_time_when_the_bus_stands_still_and_its_late_answer_harms_nobody(bus):
    async def story():
        connection = await dbus.connect(bus.address)
        bus.signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(BusLost, match=r"did not answer GetId within 0\.2 s"):
            await connection.call_driver("GetId", wait=0.2)
        assert time.monotonic() - begin < 2
        bus.signal(signal.SIGCONT)
        assert len((await connection.call_driver("GetId"))[0]) == 32
        connection.close()
        await connection.lost

    run(story())


def test_a_call_of_ours_that_waits_or_comes_after_the_bus_died_fails_at_once(bus):
    async def story():
        connection = await dbus.connect(bus.address)
        bus.signal(signal.SIGSTOP)
        waiting = asyncio.create_task(connection.call_driver("GetId"))
        await true(lambda: connection._calls)
        begin = time.monotonic()
        bus.signal(signal.SIGKILL)
        with pytest.raises(BusLost, match="ended the connection"):
            await waiting
        assert connection.lost.done()
        with pytest.raises(BusLost):
            await connection.call_driver("GetId")
        assert time.monotonic() - begin < 2
        connection.signal("/a", "a.b", "IntoTheVoid", "s", ["x"])
        connection.close()
        assert not connection.backlog

    run(story())


def test_an_error_of_the_bus_is_told_by_its_name(bus):
    async def story():
        connection = await dbus.connect(bus.address)
        with pytest.raises(CallError) as fault:
            await connection.call_driver("GetNameOwner", "s", "org.example.Nobody")
        assert fault.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"
        connection.close()
        await connection.lost

    run(story())


# Authentication.


async def hangs_up(reader, _):
    await reader.read(1)


async def hangs_up_unheard(*_):
    pass


async def is_silent(reader, _):
    while await reader.read(4096):
        pass


async def hangs_up_later(reader, writer):
    await reader.readline()
    writer.write(b"OK 0123\r\n")
    await writer.drain()
    await reader.readline()


async def never_says_hello(reader, writer):
    await hangs_up_later(reader, writer)
    await is_silent(reader, writer)


async def rejects(reader, writer):
    await reader.readline()
    writer.write(b"REJECTED EXTERNAL\r\nand more that nobody asked for\r\n")
    await is_silent(reader, writer)


async def talks_nonsense(reader, writer):
    writer.write(os.urandom(5000).replace(b"\r\n", b"..") + b"\r\n")
    await is_silent(reader, writer)


async def never_ends_its_line(_, writer):
    while True:
        writer.write(b"a" * 65536)
        await writer.drain()


async def goes_on_with_nonsense(reader, writer):
    await reader.readline()
    writer.write(b"OK 0123\r\n" + b"nonsense" * 10)
    await is_silent(reader, writer)


async def tells_it_is_full(reader, writer):
    await reader.readline()
    writer.write(b"OK 0123\r\n")
    await reader.readline()
    hello = await read_message(reader)
    error = "org.freedesktop.DBus.Error.LimitsExceeded"
    writer.write(message(ERROR, 1, "s", "too many", reply_serial=hello.serial, sender=DRIVER, error_name=error))
    await is_silent(reader, writer)


@pytest.mark.parametrize(
    ("peer", "fault"),
    [
        (hangs_up, BusLost),
        (hangs_up_unheard, BusLost),
        (hangs_up_later, BusLost),
        (is_silent, BusUnreachable),
        (never_says_hello, BusUnreachable),
        (rejects, NotAllowed),
        (talks_nonsense, NotAllowed),
        (never_ends_its_line, BusLost),
        (goes_on_with_nonsense, BusLost),
        (tells_it_is_full, CallError),
    ],
)
def test_a_peer_that_does_not_do_its_part_is_an_error_in_time_and_costs_nothing(tmp_path, peer, fault):
    ended = []

    async def watched(reader, writer):
        try:
            await peer(reader, writer)
        finally:
            ended.append(peer)

    async def story():
        async with listening(f"{tmp_path}/bus", watched) as address:
            begin, spent = time.monotonic(), time.process_time()
            with pytest.raises(BusError) as error:
                await dbus.connect(address, wait=0.5)
            assert type(error.value) is fault
            assert "\n" not in str(error.value)
            # Without a limit of its own it waits for 10 s.
            assert time.monotonic() - begin < 4
            assert time.process_time() - spent < 0.25
            # The socket is closed: the peer sees its end.
            await true(lambda: ended)

    run(story())


@pytest.mark.parametrize("peer", [is_silent, never_says_hello])
def test_connecting_can_be_cancelled(tmp_path, peer):
    async def story():
        there, ended = asyncio.Event(), asyncio.Event()

        async def watched(reader, writer):
            there.set()
            try:
                await peer(reader, writer)
            finally:
                ended.set()

        async with listening(f"{tmp_path}/bus", watched) as address:
            connecting = asyncio.create_task(dbus.connect(address))
            await there.wait()
            begin = time.monotonic()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await ended.wait()
            assert time.monotonic() - begin < 4

    run(story())


def test_the_next_address_is_tried_where_nobody_answers_at_the_first(bus, tmp_path):
    async def story():
        async with listening(f"{tmp_path}/bus", is_silent) as silent:
            connection = await dbus.connect(f"unix:path={tmp_path}/none;{silent};{bus.address}", wait=0.2)
            assert connection.unique_name.startswith(":")
            connection.close()
            await connection.lost

    run(story())


# Descriptors.


def test_no_descriptors_are_negotiated(tmp_path):
    async def story():
        said = []

        async def peer(reader, writer):
            said.append(await welcome(reader, writer))
            await is_silent(reader, writer)

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            connection.close()
            await connection.lost
        uid = str(os.geteuid()).encode().hex().encode()
        assert said == [b"\0AUTH EXTERNAL " + uid + b"\r\nBEGIN\r\n"]

    run(story())


def test_the_bus_passes_no_descriptors_to_healthd(bus, healthd):
    daemon = healthd().ready()
    open_before = descriptors(daemon.process.pid)
    with Client(bus.address, descriptors=True) as client:
        for _ in range(10):
            serial, call = client.prepare("Ping", "h", 0, interface=PEER, unix_fds=1)
            client.send(call, [0])
            assert client.answer(serial).error == "org.freedesktop.DBus.Error.NotSupported"
        assert ping(client) < 5
    assert descriptors(daemon.process.pid) == open_before


# Large bodies and floods.

VARIANTS = bytes(Writer().write("v", ("i", 1)).data)


def body_of(signature: str, size: int) -> bytes:
    """Return a marshalled array of about `size` bytes."""
    if signature == "ay":
        inside = bytes(size)
    elif signature == "as":
        inside = b"".join([struct.pack("<I", 3) + b"abc\0"]) * (size // 8)
    else:
        inside = VARIANTS * (size // len(VARIANTS))
    return struct.pack("<I", len(inside)) + inside


def send_large_bodies(pipe, address, signature, size, count):
    body = body_of(signature, size)
    with Client(address) as client:
        pipe.send("ready")
        for _ in range(count):
            pipe.send(client.call("Read", signature, body=body, interface=f"{HEALTHD}.Manager").error)


def test_bodies_of_megabytes_are_refused_and_never_decoded(bus, healthd):
    daemon = healthd("--interval", "1").ready()
    process = daemon.process.pid
    with Client(bus.address) as other:
        ping(other)
        memory, spent = peak(process), cpu(process)
        for signature in ("av", "ay", "as"):
            for size in (1 << 20, 8 << 20):
                with Stranger(send_large_bodies, bus.address, signature, size, 2) as stranger:
                    assert stranger.told() == "ready"
                    while stranger.silent:
                        assert ping(other) < 2
                    assert [stranger.told(), stranger.told()] == [LIMITS_EXCEEDED] * 2
        # 54 MiB went by; to decode them takes seconds.
        assert cpu(process) - spent < 1.0
        assert peak(process) - memory < 4 << 20
    assert daemon.stop() == 0, daemon.log


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_limit_is_exact(healthd_bus, order):
    with Client(healthd_bus.address) as client:
        most = bytes(Writer(order).write("as", ["a" * (MAX_BODY - 9)]).data)
        assert len(most) == MAX_BODY
        error = client.call("Read", "as", body=most, order=order).error
        assert error == f"{HEALTHD}.Error.UnknownMetric"
        more = bytes(Writer(order).write("as", ["a" * (MAX_BODY - 8)]).data)
        assert client.call("Read", "as", body=more, order=order).error == LIMITS_EXCEEDED


def flood(pipe, address, count):
    with Client(address) as client:
        pipe.send("begun")
        for block in client.pipeline(count, "Describe", interface=f"{HEALTHD}.Manager", flags=NO_REPLY):
            client.send(block)
        pipe.send("sent")
        pipe.send(not client.call("Ping", interface=PEER).error)


FLOOD = 100_000


def test_a_flood_of_calls_that_want_no_reply_delays_nothing(bus, healthd):
    daemon = healthd("--interval", "0.25", "--console").ready()
    process = daemon.process.pid
    with Client(bus.address) as other:
        ping(other)
        memory, spent, last = peak(process), cpu(process), events(daemon)[-1]["seq"]
        with Stranger(flood, bus.address, FLOOD) as stranger:
            assert stranger.told() == "begun"
            while stranger.silent:
                assert ping(other) < 2
            assert stranger.told() == "sent"
            assert stranger.told() is True
        # Each call costs less than to decode it, let alone to answer it.
        assert cpu(process) - spent < FLOOD * 15e-6
        assert peak(process) - memory < 4 << 20
        ticks_pass(daemon, 2)
    sampled = [event for event in events(daemon) if event["name"] not in protocol.BETWEEN_SAMPLES]
    late = sorted(at % 0.25 for at in {event["since_boot"] for event in sampled if event["seq"] > last})
    # One of them may be so for the machine's own reasons.
    assert late[len(late) // 2] < 0.2, late
    assert daemon.stop() == 0


def test_sigterm_is_answered_in_the_midst_of_a_flood(bus, healthd):
    daemon = healthd("--interval", "1").ready()
    with Stranger(flood, bus.address, FLOOD) as stranger:
        assert stranger.told() == "begun"
        spent = cpu(daemon.process.pid)
        eventually(lambda: cpu(daemon.process.pid) > spent + 0.1)
        assert stranger.silent
        begin = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begin < 2


def test_what_wants_no_reply_is_dropped_before_it_is_decoded(bus, monkeypatch):
    async def story():
        decoded = []
        unmarshaller = library.Unmarshaller
        connection = await dbus.connect(bus.address)
        monkeypatch.setattr(library, "Unmarshaller", lambda stream: decoded.append(1) or unmarshaller(stream))
        connection.on_call = lambda _: dbus.Reply()
        await connection.own(HEALTHD)
        decoded.clear()
        dropped = connection.dropped

        def talk() -> int:
            with Client(bus.address) as client:
                for block in client.pipeline(1000, "A", flags=NO_REPLY):
                    client.send(block)
                return client.call("B").kind

        assert await asyncio.to_thread(talk) == RETURN
        assert connection.dropped - dropped == 1000
        assert len(decoded) == 1
        connection.close()
        await connection.lost

    run(story())


def test_the_loop_has_its_turns_while_calls_pour_in(tmp_path):
    count = 200

    async def story():
        turns, seen, begun = 0, [], asyncio.Event()

        async def peer(reader, writer):
            await welcome(reader, writer)
            await begun.wait()
            writer.write(b"".join(message(CALL, serial, path="/a", member="A") for serial in range(1, count + 1)))
            await is_silent(reader, writer)

        def slow(_):
            seen.append(turns)
            until = time.monotonic() + 0.001
            while time.monotonic() < until:
                pass
            return dbus.Reply()

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            connection.on_call = slow
            begun.set()
            while len(seen) < count:
                turns += 1
                await asyncio.sleep(0)
            connection.close()
            await connection.lost
        longest = max(seen.count(turn) for turn in seen)
        assert longest < 20

    run(story())


# What peers may send.


def serve(bus: Any, handler: dbus.Handler, talk: Callable[[Client, dbus.Connection], Any], **hooks: Any) -> Any:
    """Serve with a handler on a real bus while a client talks to it, and return what that gives."""

    async def story() -> Any:
        connection = await dbus.connect(bus.address)
        connection.on_call = handler
        for name, hook in hooks.items():
            setattr(connection, name, hook)
        await connection.own(HEALTHD)

        def told() -> Any:
            with Client(bus.address) as client:
                return talk(client, connection)

        try:
            return await asyncio.to_thread(told)
        finally:
            assert not connection.lost.done()
            connection.close()
            await connection.lost

    return run(story())


def echo(call: dbus.Call) -> dbus.Reply:
    """Echo as a handler has to: libraries differ in what they give for a struct, and take only lists."""

    def listed(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [listed(item) for item in value]
        return value

    return dbus.Reply(call.signature, tuple(listed(value) for value in call.body))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("a(tddd)", [(1, 2.0, 3.0, 4.0), (2**64 - 1, -1.0, 0.5, 1e300)]),
        ("(s(iu)ab)", ("ä", (-1, 2**32 - 1), [1, 0, 1])),
        ("a(tddd)", []),
        ("a{sa{sd}}", {"a": {"b": 1.0}, "c": {}}),
        ("ay", list(range(256))),
        ("aas", [["a", ""], []]),
        ("g", "a{sv}"),
        ("o", "/a/b_c"),
        ("n", -5),
        ("x", -(2**63)),
    ],
)
def test_values_come_and_go_in_both_byte_orders(bus, order, signature, value):
    def talk(client, _):
        if signature == "ay":
            return client.call("A", "ay", bytes(value), order=order)
        return client.call("A", signature, value, order=order)

    answer = serve(bus, echo, talk)
    assert not answer.error, answer
    assert answer.body == [value]


def test_healthd_answers_a_big_endian_caller(healthd_bus):
    with Client(healthd_bus.address) as client:
        little = client.call("GetAll", "s", f"{HEALTHD}.Manager", interface=PROPERTIES)
        big = client.call("GetAll", "s", f"{HEALTHD}.Manager", interface=PROPERTIES, order=">")
        assert little.body == big.body
        assert little.body[0]["ApiLevel"] == 1


@pytest.mark.parametrize("first", range(0, 256, 64))
def test_every_combination_of_flags_is_answered_or_dropped(healthd_bus, first):
    with Client(healthd_bus.address) as client:
        calls = {flags: client.prepare("Ping", interface=PEER, flags=flags) for flags in range(first, first + 64)}
        last, call = client.prepare("Ping", interface=PEER)
        client.send(b"".join(data for _, data in calls.values()) + call)
        expected = [serial for flags, (serial, _) in calls.items() if not flags & NO_REPLY] + [last]
        answers = client.answers(len(expected))
        assert [answer.fields["reply_serial"] for answer in answers] == expected
        assert not any(answer.error for answer in answers)


def test_the_flag_that_allows_polkit_to_ask_reaches_the_handler(bus):
    seen = []

    def handler(call):
        seen.append((call.interactive, call.sender, call.path, call.interface, call.member, call.signature, call.body))
        return dbus.Reply()

    def talk(client, _):
        client.call("A", flags=4)
        client.call("B", "s", "b", path="/b", interface="a.b")
        return client.name

    name = serve(bus, handler, talk)
    assert seen == [(True, name, ROOT, "", "A", "", []), (False, name, "/b", "a.b", "B", "s", ["b"])]


def test_nan_arrives_as_nan(bus):
    nan = math.nan

    def handler(_):
        return dbus.Reply("dva{sv}ad", (nan, dbus.Variant("d", nan), {"a": dbus.Variant("d", nan)}, [nan, math.inf]))

    body = serve(bus, handler, lambda client, _: client.call("A").body)
    found = [body[0], body[1], body[2]["a"], body[3][0]]
    assert all(math.isnan(value) for value in found), body
    assert body[3][1] == math.inf


def test_who_leaves_is_told_by_the_bus_alone_and_only_while_it_is_waited_for(bus):
    async def story():
        connection, left = await dbus.connect(bus.address), []
        connection.on_call = lambda _: dbus.Reply()
        await connection.own(HEALTHD)
        with Client(bus.address) as liar, Client(bus.address) as leaver:
            where = {"path": "/org/freedesktop/DBus", "interface": DRIVER, "destination": connection.unique_name}
            forged = message(SIGNAL, 900, "sss", leaver.name, leaver.name, "", member="NameOwnerChanged", **where)
            async with connection.departure(leaver.name, lambda: left.append("first")):
                async with connection.departure(leaver.name, lambda: left.append("second")):
                    await asyncio.to_thread(liar.send, forged)
                    # What was sent before has come when this is answered.
                    assert (await asyncio.to_thread(liar.call, "A")).kind == RETURN
                    assert not left
                    leaver.__exit__()
                    await true(lambda: len(left) == 2)
                assert set(left) == {"first", "second"}
            async with connection.departure(leaver.name, lambda: left.append("late")):
                assert left[2:] == ["late"]
            assert not connection._departures
            dropped = connection.dropped
            await asyncio.to_thread(liar.send, forged)
            await asyncio.to_thread(liar.call, "A")
            assert connection.dropped == dropped + 1
        connection.close()
        await connection.lost

    run(story())


def test_waiting_for_someone_to_leave_leaves_no_rules_behind(bus):
    async def story():
        connection = await dbus.connect(bus.address)

        async def wait(begun):
            async with connection.departure(connection.unique_name, lambda: None):
                begun.set()
                await asyncio.Event().wait()

        rule = f"type='signal',sender='{DRIVER}',member='NameOwnerChanged',arg0='{connection.unique_name}'"
        for hurried in (False, False, True):
            begun = asyncio.Event()
            waiting = asyncio.create_task(wait(begun))
            await (asyncio.sleep(0) if hurried else begun.wait())
            if not hurried:
                # It is there: it can be taken away.
                await connection.call_driver("RemoveMatch", "s", rule)
                await connection.call_driver("AddMatch", "s", rule)
            waiting.cancel()
            await asyncio.wait([waiting])
            with pytest.raises(CallError) as error:
                await connection.call_driver("RemoveMatch", "s", rule)
            assert error.value.name == "org.freedesktop.DBus.Error.MatchRuleNotFound"
        assert not connection._calls
        assert not connection._departures
        connection.close()
        await connection.lost

    run(story())


def test_a_service_answers_and_what_others_say_in_its_place_is_no_answer(tmp_path):
    async def story():
        async def peer(reader, writer):
            await welcome(reader, writer)
            call = await read_message(reader)
            assert (call.fields["destination"], call.fields["member"], call.body) == (":1.42", "Ask", ["x"])
            answer = {"reply_serial": call.serial, "destination": ":1.7"}
            for liar in (":1.41", ":1.7", "org.example.Service"):
                writer.write(message(RETURN, 9, "s", "forged", sender=liar, **answer))
                writer.write(message(ERROR, 9, "s", "forged", sender=liar, error_name="a.b", **answer))
            writer.write(message(RETURN, 9, "s", "true", sender=":1.42", **answer))
            call = await read_message(reader)
            # It is gone, and the bus answers for it.
            gone = {"error_name": "org.freedesktop.DBus.Error.NoReply", "reply_serial": call.serial}
            writer.write(message(ERROR, 9, "s", "gone", sender=DRIVER, **gone))
            await is_silent(reader, writer)

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            assert await connection.call(":1.42", "/a", "a.b", "Ask", "s", "x") == ["true"]
            with pytest.raises(CallError, match="gone"):
                await connection.call(":1.42", "/a", "a.b", "Ask", "s", "x")
            with pytest.raises(TimeoutError):
                await connection.call(":1.42", "/a", "a.b", "Ask", wait=0.05)
            asking = asyncio.create_task(connection.call(":1.42", "/a", "a.b", "Ask", wait=None))
            await true(lambda: connection._calls)
            asking.cancel()
            await asyncio.wait([asking])
            assert not connection._calls
            connection.close()
            await connection.lost

    run(story())


def test_who_owns_a_name_is_known_and_a_service_that_can_be_started_is(activating_bus):
    async def story():
        connection = await dbus.connect(activating_bus.address)
        assert await connection.owner(DRIVER) == DRIVER
        started = await connection.owner("org.example.Started")
        assert started.startswith(":1.")
        assert await connection.owner("org.example.Started") == started
        for name, fault in (("org.example.Nobody", "ServiceUnknown"), ("org.example.Broken", "Spawn.ChildExited")):
            with pytest.raises(CallError) as error:
                await connection.owner(name)
            assert error.value.name == f"org.freedesktop.DBus.Error.{fault}"
        connection.close()
        await connection.lost

    run(story())


def test_replies_that_nobody_asked_for_are_ignored(tmp_path):
    async def story():
        async def peer(reader, writer):
            await welcome(reader, writer)
            call = await read_message(reader)
            for kind, more in ((RETURN, {}), (ERROR, {"error_name": "a.b"})):
                for serial in (call.serial - 1, call.serial + 1, 0xFFFFFFFF):
                    writer.write(message(kind, 9, "s", "wrong", reply_serial=serial, sender=DRIVER, **more))
            for text in ("right", "late"):
                writer.write(message(RETURN, 9, "s", text, reply_serial=call.serial, sender=DRIVER))
            call = await read_message(reader)
            writer.write(message(RETURN, 9, "s", "second", reply_serial=call.serial, sender=DRIVER))
            await is_silent(reader, writer)

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            assert await connection.call_driver("GetId") == ["right"]
            assert await connection.call_driver("GetId") == ["second"]
            connection.close()
            await connection.lost

    run(story())


def test_a_reply_that_can_not_be_decoded_is_dropped_and_the_call_ends_in_time(tmp_path):
    async def story():
        async def peer(reader, writer):
            await welcome(reader, writer)
            call = await read_message(reader)
            writer.write(message(RETURN, 9, "s", b"\xff\xfe", reply_serial=call.serial, sender=DRIVER))
            await is_silent(reader, writer)

        async with listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            with pytest.raises(BusLost, match="did not answer"):
                await connection.call_driver("GetId", wait=0.2)
            assert connection.dropped == 1
            connection.close()
            await connection.lost

    run(story())


def test_thousands_of_signatures_leave_no_growth(bus):
    """Each call brings a thousand signatures that were never seen before."""

    def talk(client, _):
        for call in range(1, 31):
            numbers = range(call * 1000, call * 1000 + 1000)
            kinds = ["".join("ybnqiuxtd"[int(digit)] for digit in f"{number:o}") for number in numbers]
            values = [((f"({kind})", (0,) * len(kind)),) for kind in kinds]
            assert client.call("A", "a(v)", values).kind == RETURN

    serve(bus, lambda _: dbus.Reply(), talk)
    # What one call brought, on top of what is kept; 30,000 went by.
    assert library.trim_signatures() < 1200


def test_signatures_as_long_as_can_be_are_not_kept_until_memory_is_short(bus, healthd):
    daemon = healthd("--interval", "60").ready()

    def most() -> int:
        with open(f"/proc/{daemon.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    before, kinds = most(), map("".join, itertools.product("ynqiuxtd", repeat=252))
    with Client(bus.address) as client:
        for _ in range(20):
            # No element, and so no byte of it.
            values = [((f"a({kind})", ()),) for kind in itertools.islice(kinds, 200)]
            assert client.call("Read", "a(v)", values).error == dbus.INVALID_ARGS
    assert most() - before < 24 * 1024
    assert daemon.stop() == 0


# The handler.


def raises(_):
    raise RuntimeError("/secret/place is broken")


def answers_what_it_did_not_declare(_):
    return dbus.Reply("a{sv}", ("/secret/place",))


@pytest.mark.parametrize("handler", [raises, answers_what_it_did_not_declare])
def test_a_fault_of_ours_is_logged_once_and_the_caller_learns_nothing_of_it(bus, caplog, handler):
    def both(call):
        return handler(call) if call.member == "A" else dbus.Reply()

    def talk(client, _):
        return client.call("A", interface="a.b"), client.call("B")

    with caplog.at_level(logging.DEBUG, logger="healthd"):
        fault, after = serve(bus, both, talk)
    assert fault.error == dbus.FAILED
    assert fault.body == ["internal error, see the log"]
    assert after.kind == RETURN
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "answering a.b.A failed"
    assert record.exc_info
    assert record.exc_info[2]


def test_a_refusal_of_the_handler_is_told_and_not_logged(bus, caplog):
    def handler(_):
        raise CallError(f"{HEALTHD}.Error.NotAvailable", "there is no such thing")

    with caplog.at_level(logging.DEBUG, logger="healthd"):
        answer = serve(bus, handler, lambda client, _: client.call("A"))
    assert (answer.error, answer.body) == (f"{HEALTHD}.Error.NotAvailable", ["there is no such thing"])
    assert not caplog.records


@pytest.mark.parametrize("wait", [False, True])
def test_text_that_is_no_utf_8_costs_nobody_the_connection(bus, wait):
    fault = CallError(f"{HEALTHD}.Error.NotAvailable", "there is no caf\udce9 \0 here")

    async def later(_):
        await asyncio.sleep(0)
        raise fault

    def now(_):
        raise fault

    answer = serve(bus, later if wait else now, lambda client, _: client.call("A"))
    assert answer.body == ["there is no caf?   here"]


# Answers that take time.


class Gate:
    """A handler whose answers wait until `Open` is called; `Ping` is answered at once."""

    def __init__(self, fault: BaseException | None = None, *, plain: bool = False) -> None:
        self.open = asyncio.Event()
        self.begun = 0
        self.ended = 0
        self._fault = fault
        self._plain = plain

    def __call__(self, call: dbus.Call) -> dbus.Reply | Awaitable[dbus.Reply]:
        if call.member == "Open":
            self.open.set()
        if call.member != "Wait":
            return dbus.Reply("s", (call.member,))
        # A future can do for a coroutine.
        return asyncio.ensure_future(self._wait()) if self._plain else self._wait()

    async def _wait(self) -> dbus.Reply:
        self.begun += 1
        try:
            await self.open.wait()
            if self._fault:
                raise self._fault
            return dbus.Reply("s", ("at last",))
        finally:
            self.ended += 1


@pytest.mark.parametrize("plain", [False, True])
def test_while_one_answer_takes_its_time_others_are_given(bus, plain):
    def talk(client, _):
        waits, call = client.prepare("Wait")
        client.send(call)
        early = [client.call(member).body[0] for member in ("A", "B", "Open")]
        return early, client.answer(waits).body

    assert serve(bus, Gate(plain=plain), talk) == (["A", "B", "Open"], ["at last"])


@pytest.mark.parametrize("fault", [RuntimeError("/secret/place is broken"), asyncio.CancelledError()])
def test_a_fault_of_ours_that_comes_later_is_logged_once_too(bus, caplog, fault):
    def talk(client, _):
        waits, call = client.prepare("Wait", interface="a.b")
        client.send(call)
        client.call("Open")
        return client.answer(waits), client.call("A")

    with caplog.at_level(logging.DEBUG, logger="healthd"):
        answer, after = serve(bus, Gate(fault), talk)
    assert (answer.error, answer.body) == (dbus.FAILED, ["internal error, see the log"])
    assert after.kind == RETURN
    (record,) = caplog.records
    assert record.getMessage() == "answering a.b.Wait failed"
    assert record.exc_info
    assert record.exc_info[2]


def test_a_refusal_that_comes_later_is_told_and_not_logged(bus, caplog):
    def talk(client, _):
        client.call("Open")
        return client.call("Wait")

    with caplog.at_level(logging.DEBUG, logger="healthd"):
        answer = serve(bus, Gate(CallError(f"{HEALTHD}.Error.NotAvailable", "there is no such thing")), talk)
    assert (answer.error, answer.body) == (f"{HEALTHD}.Error.NotAvailable", ["there is no such thing"])
    assert not caplog.records


def test_what_waits_is_bounded_for_one_and_for_all_and_no_more_is_begun(bus):
    gate = Gate()

    def waits(client: Client, count: int) -> list[int]:
        calls = [client.prepare("Wait") for _ in range(count)]
        client.send(b"".join(call for _, call in calls))
        return [serial for serial, _ in calls]

    def talk(client, _):
        with contextlib.ExitStack() as stack:
            others = [stack.enter_context(Client(bus.address)) for _ in range(MOST // MOST_OF_ONE)]
            serials = []
            for other in others:
                *accepted, refused = waits(other, MOST_OF_ONE + 1)
                serials.append(accepted)
                answer = other.answer(refused)
                assert (answer.error, answer.body) == (LIMITS_EXCEEDED, ["too many calls wait; try again"])
            # Full for those who have none, while what takes no time is answered.
            assert client.call("Wait").error == LIMITS_EXCEEDED
            assert client.call("A").kind == RETURN
            assert gate.begun == MOST
            client.call("Open")
            for other, accepted in zip(others, serials, strict=True):
                assert sorted(each.fields["reply_serial"] for each in other.answers(len(accepted))) == accepted
            return client.call("Wait").body

    assert serve(bus, gate, talk) == ["at last"]
    assert gate.begun == gate.ended == MOST + 1


def test_a_caller_that_leaves_harms_nobody_and_takes_no_place_for_ever(bus, caplog):
    gate = Gate()

    def talk(client, _):
        for _ in range(3):
            with Client(bus.address) as leaver:
                for _ in range(MOST_OF_ONE):
                    leaver.send(leaver.prepare("Wait")[1])
                leaver.call("A")
        client.call("Open")
        return [client.call("Wait").body for _ in range(MOST)]

    with caplog.at_level(logging.DEBUG, logger="healthd"):
        assert serve(bus, gate, talk) == [["at last"]] * MOST
    assert not caplog.records
    assert gate.ended == gate.begun == 3 * MOST_OF_ONE + MOST


@pytest.mark.parametrize("killed", [False, True])
def test_with_the_connection_ends_what_waits_and_nothing_is_said(bus, caplog, killed):
    async def story():
        gate, connection = Gate(), await dbus.connect(bus.address)
        connection.on_call = gate
        await connection.own(HEALTHD)
        with Client(bus.address) as client:
            for _ in range(MOST_OF_ONE):
                client.send(client.prepare("Wait")[1])
            await true(lambda: gate.begun == MOST_OF_ONE)
            if killed:
                bus.signal(signal.SIGKILL)
            else:
                connection.close()
            await connection.lost
        await true(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert gate.ended == MOST_OF_ONE

    with caplog.at_level(logging.DEBUG):
        run(story())
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_what_fails_as_it_is_let_go_is_not_said_either(bus, caplog):
    async def story():
        begun, connection = asyncio.Event(), await dbus.connect(bus.address)

        async def stubborn() -> dbus.Reply:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("it did not end well")

        connection.on_call = lambda _: stubborn()
        await connection.own(HEALTHD)
        with Client(bus.address) as client:
            client.send(client.prepare("Wait")[1])
            await begun.wait()
            connection.close()
            await connection.lost
        await true(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    with caplog.at_level(logging.DEBUG):
        run(story())
        gc.collect()
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_before_anything_is_served_a_call_is_refused(bus):
    answer = serve(bus, None, lambda client, _: client.call("A"))
    assert (answer.error, answer.body) == (dbus.FAILED, ["nothing is served here yet"])


def test_a_peer_that_ends_in_the_midst_of_its_calls_harms_nobody(bus, healthd):
    daemon = healthd().ready()
    for _ in range(20):
        with Client(bus.address) as client:
            for block in client.pipeline(100, "GetManagedObjects", interface=OBJECT_MANAGER):
                client.send(block)
    with Client(bus.address) as client:
        assert ping(client) < 10
    assert "Traceback" not in daemon.log
    assert daemon.stop() == 0


# The standard interfaces, where libraries fail.


def test_the_machine_id_is_the_same_each_time(healthd_bus):
    with Client(healthd_bus.address) as client:
        found = {client.call("GetMachineId", interface=PEER).body[0] for _ in range(3)}
    assert len(found) == 1
    assert len(found.pop()) == 32


def children(client: Client, path: str) -> list[str]:
    answer = client.call("Introspect", interface=INTROSPECTABLE, path=path)
    if answer.error:
        return [answer.error]
    return [node.attrib["name"] for node in ET.fromstring(answer.body[0]).findall("node")]


def test_introspection_lists_true_children_and_no_prefixes(healthd_bus):
    with Client(healthd_bus.address) as client:
        assert children(client, "/") == ["org"]
        assert children(client, "/org") == ["freedesktop", "healthd"]
        assert children(client, "/org/healthd") == ["Health1"]
        objects = client.call("GetManagedObjects", interface=OBJECT_MANAGER).body[0]
        below = {path[len(ROOT) + 1 :].split("/")[0] for path in objects}
        assert set(children(client, ROOT)) == below
        assert "memory" in below
        assert children(client, f"{ROOT}/memory") == []
        for prefix in ("/o", "/org/health", f"{ROOT[:-1]}", f"{ROOT}/mem"):
            assert children(client, prefix) == ["org.freedesktop.DBus.Error.UnknownObject"]


# Garbage.


def given_garbage(story: Callable[[asyncio.Transport, dbus.Connection], Coroutine[Any, Any, None]]) -> None:
    """Run a story with a connection that is authenticated, and the other end of its socket."""

    async def told():
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(dbus.Connection, sock=ours)
        connection.on_call = echo
        connection._departures._expected[":1.1"] = []
        await loop.sock_sendall(theirs, b"OK 0123\r\n")
        await connection._authenticated
        try:
            await story(theirs, connection)
        finally:
            theirs.close()
            await connection.lost

    run(told())


async def pour(theirs: socket.socket, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await asyncio.get_running_loop().sock_sendall(theirs, data)


patient = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@patient
@given(some.binary(max_size=2000), some.booleans())
def test_a_peer_that_sends_garbage_ends_its_connection_or_is_ignored(garbage, plausible):
    async def story(theirs, connection):
        await pour(theirs, b"l\1\0\1" + garbage if plausible else b"?" + garbage)
        if not plausible and len(garbage) > 16:
            await connection.lost
        assert len(connection._framer._buffer) < 400_000
        assert not connection._calls

    given_garbage(story)


whole = message(CALL, 5, "s", "text", path="/a/b", member="Member", interface="a.b", sender=":1.5", destination=":1.7")


@patient
@given(some.lists(some.tuples(some.integers(4, len(whole) - 1), some.integers(0, 255)), min_size=1, max_size=2))
@example([(8, 0)])
@example([(whole.index(b":1.5"), 0)])
@example([(whole.index(b":1.5") - 4, 0)])
def test_messages_with_wrong_bytes_harm_nothing(changes):
    """What no bus lets through. There is no variant here: an empty one stops dbus-fast by a segmentation fault."""
    data = bytearray(whole)
    for at, value in changes:
        data[at] = value

    async def story(theirs, connection):
        await pour(theirs, bytes(data) + whole)
        theirs.shutdown(socket.SHUT_WR)
        await connection.lost

    given_garbage(story)
