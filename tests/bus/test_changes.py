"""What is changed over the bus: by whom, how it is refused, and what it comes to."""

import asyncio
import itertools
import threading
from dataclasses import replace
from types import SimpleNamespace

import polkit
import pytest
from private_bus import private_bus
from puppet import Puppet
from test_server import BEGIN, PROPERTIES, RULES, Hand, Past, load

from healthd import dbus, protocol
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.model import SINGLE, Cycle, Observation, Problem
from healthd.observe import collectors, families
from healthd.observe.load import Load
from healthd.publish.bus import access, changes
from healthd.publish.bus.server import BusServer

MANAGER, ROOT = protocol.MANAGER, protocol.ROOT
LOADED = f"{ROOT}/condition/loaded"
INVALID = dbus.INVALID_ARGS


@pytest.fixture
def stage():
    """Give a bus on which there may be a polkit, and another user on it."""
    with private_bus(polkit.POLICY) as bus, Puppet(bus) as stranger:
        yield SimpleNamespace(bus=bus, stranger=stranger)


@pytest.fixture
def nobody_is_us(monkeypatch):
    monkeypatch.setattr(access, "os", SimpleNamespace(geteuid=lambda: 2**31))


def by_hand(bus, story):
    async def told():
        async with asyncio.timeout(60):
            hand = Hand(bus, None, None)
            await hand.begin()
            try:
                await story(hand)
            finally:
                await hand.end()

    asyncio.run(told())


def test_a_collector_is_switched_off_and_on(bus):
    async def story(hand):
        assert await hand.call("SetCollectorEnabled", "sb", "load", False) is None
        assert await hand.call("SetCollectorEnabled", "sb", "network", True) is None
        assert hand.enabled == {"load": False, "network": True}
        unknown = (protocol.UNKNOWN_COLLECTOR, "there is no collector 'lo\ufffdd'")
        assert await hand.call("SetCollectorEnabled", "sb", "lo\ufffdd", False) == unknown
        assert (await hand.call("SetCollectorEnabled", "s", "load"))[0] == INVALID

        async def vanished(family, *, enabled):
            raise KeyError(family, enabled)

        hand.set_collector_enabled = vanished
        gone = (protocol.UNKNOWN_COLLECTOR, "there is no collector 'load'")
        assert await hand.call("SetCollectorEnabled", "sb", "load", False) == gone

    by_hand(bus, story)


def test_a_collector_that_is_switched_off_says_so(bus):
    async def story(hand):
        now = Instant(BEGIN + 9, 9.0, 0.0)
        off = Problem(protocol.DISABLED, "it was switched off", "healthctl collectors --enable load")
        snapshot = hand.server._objects.snapshot
        observation = Observation(Load.family, now, {}, {SINGLE: off}, 0.0, 0)
        latest = {**snapshot.latest, "load": observation}
        hand.server.publish(Cycle(snapshot, replace(snapshot, latest=latest), ()))
        row = (await hand.call("ListCollectors"))["load"]
        assert (row["available"], row["problem"], row["reason"]) == (False, "disabled", "it was switched off")

    by_hand(bus, story)


def test_reload_reads_the_configuration_and_tells_each_fault_on_its_line(bus):
    async def story(hand):
        assert await hand.call("Reload") is None
        assert hand.reloads == 1
        hand.faults = ("a.toml: interval: too short", "b.toml: no such table: x")
        assert await hand.call("Reload") == (protocol.RELOAD_FAILED, "\n".join(hand.faults))
        assert hand.reloads == 1

    by_hand(bus, story)


def test_while_a_reload_takes_its_time_others_are_answered(bus):
    async def story(hand):
        going_on = asyncio.Event()
        hand.reload = going_on.wait
        serial, call = hand.client.prepare("Reload", interface=MANAGER)
        hand.client.send(call)
        assert await hand.get("Version") == protocol.VERSION
        going_on.set()
        assert not (await asyncio.to_thread(hand.client.answer, serial)).error

    by_hand(bus, story)


def test_what_is_wrong_with_the_configuration_is_a_property_that_is_signalled(bus):
    async def story(hand):
        assert await hand.get("ConfigurationProblem") == ""
        await hand.heard()
        before = hand.server._objects.snapshot
        after = replace(before, configuration="a.toml: interval: too short\nb.toml: no such table: x")
        hand.server.publish(Cycle(before, after, ()))
        ((path, member, body),) = await hand.heard()
        assert (path, member) == (ROOT, "PropertiesChanged")
        assert body == [MANAGER, {"ConfigurationProblem": after.configuration}, []]
        assert await hand.get("ConfigurationProblem") == after.configuration

    by_hand(bus, story)


def test_a_replay_changes_nothing(bus):
    async def story(hand):
        server = BusServer(families(collectors()), Past(), dict, Judge(RULES), None)
        await hand.cycle(load=load(60.0))
        server.publish(Cycle(None, hand.server._objects.snapshot, ()))
        server.attach(hand.connection)
        for call in (
            ("Acknowledge", "oa{sv}", LOADED, {}),
            ("SetCollectorEnabled", "sb", "load", False),
            ("Reload",),
        ):
            assert (await hand.call(*call))[0] == protocol.NOT_AVAILABLE

    by_hand(bus, story)


CALLS = (
    ("Acknowledge", "oa{sv}", LOADED, {}),
    ("SetCollectorEnabled", "sb", "load", False),
    ("Reload",),
    ("Set", "ssv", "org.freedesktop.LogControl1", "LogLevel", ("s", "debug")),
    ("Set", "ssv", "org.freedesktop.LogControl1", "LogTarget", ("s", "null")),
)


def where(call):
    if call[0] == "Set":
        return {"interface": PROPERTIES, "path": "/org/freedesktop/LogControl1"}
    return {"interface": MANAGER}


@pytest.mark.parametrize("answer", [None, polkit.NO, polkit.CHALLENGE])
@pytest.mark.usefixtures("nobody_is_us")
def test_who_may_not_changes_nothing(stage, answer):
    async def story(hand):
        await hand.cycle(load=load(6.0))
        for call in CALLS:
            error, _ = await asyncio.to_thread(stage.stranger.call, *call, **where(call))
            assert error == (access.INTERACTION_REQUIRED if answer == polkit.CHALLENGE else dbus.ACCESS_DENIED)
        assert await hand.get("Reasons") == ["loaded"]
        assert (hand.enabled, hand.reloads) == ({}, 0)

    if answer is None:
        by_hand(stage.bus, story)
        return
    with polkit.Authority(stage.bus.address, answer) as authority:
        by_hand(stage.bus, story)
    assert len(authority.asked) == len(CALLS)


@pytest.mark.usefixtures("nobody_is_us")
def test_whom_polkit_lets_changes_and_is_named(stage):
    async def story(hand):
        await hand.cycle(load=load(6.0))
        for call in CALLS[:3]:
            assert await asyncio.to_thread(stage.stranger.call, *call, **where(call)) == ("", [])
        (user,) = await hand.connection.call_driver("GetConnectionUnixUser", "s", stage.stranger.names[0])
        assert await hand.get("Reasons") == []
        get = hand.call("Get", "ss", protocol.CONDITION, "AcknowledgedBy", interface=PROPERTIES, path=LOADED)
        assert await get == changes.pwd.getpwuid(user).pw_name
        assert (hand.enabled, hand.reloads) == ({"load": False}, 1)

    with polkit.Authority(stage.bus.address, polkit.YES):
        by_hand(stage.bus, story)


@pytest.mark.usefixtures("nobody_is_us")
def test_what_can_not_be_done_is_said_at_once_and_polkit_is_not_asked(stage):
    log = "org.freedesktop.LogControl1"
    calls = [
        (("Acknowledge", "oa{sv}", f"{ROOT}/condition/none", {}), protocol.UNKNOWN_CONDITION),
        (("Acknowledge", "oa{sv}", LOADED, {"until_usec": ("t", 1)}), INVALID),
        (("SetCollectorEnabled", "sb", "none", True), protocol.UNKNOWN_COLLECTOR),
        (("Reload", "s", "x"), INVALID),
        (("Set", "ssv", log, "LogLevel", ("s", "loud")), INVALID),
        (("Set", "ssv", log, "LogLevel", ("u", 7)), INVALID),
        (("Set", "ssv", log, "LogTarget", ("s", "kmsg")), INVALID),
        (("Set", "ssv", log, "LogTarget", ("as", ["null"])), INVALID),
        (("Set", "ssv", log, "SyslogIdentifier", ("s", "x")), "org.freedesktop.DBus.Error.PropertyReadOnly"),
        (("Set", "ssv", log, "None", ("s", "x")), "org.freedesktop.DBus.Error.UnknownProperty"),
    ]

    async def story(hand):
        await hand.cycle(load=load(6.0))
        for call, error in calls:
            assert (await asyncio.to_thread(stage.stranger.call, *call, **where(call)))[0] == error, call

    with polkit.Authority(stage.bus.address, polkit.YES) as authority:
        by_hand(stage.bus, story)
    assert authority.asked == []


@pytest.mark.usefixtures("nobody_is_us")
def test_a_condition_that_goes_while_polkit_asks_is_not_acknowledged(stage):
    async def story(hand):
        await hand.cycle(load=load(6.0))
        acknowledged = hand.acknowledge

        def gone(*note):
            acknowledged("none", *note[1:])

        hand.acknowledge = gone
        error, (text,) = await asyncio.to_thread(stage.stranger.call, *CALLS[0], **where(CALLS[0]))
        assert (error, text) == (protocol.UNKNOWN_CONDITION, f"there is no condition {LOADED} any more")

    with polkit.Authority(stage.bus.address, polkit.YES):
        by_hand(stage.bus, story)


def test_a_directory_of_users_that_hangs_delays_nothing_and_the_number_stands_in(bus, monkeypatch):
    release, numbers = threading.Event(), itertools.count()

    def hangs(_):
        if not next(numbers):
            release.wait(60)
        raise KeyError

    monkeypatch.setattr(changes, "pwd", SimpleNamespace(getpwuid=hangs))
    monkeypatch.setattr(changes, "_NAMED_WITHIN", 0.1)

    async def story(hand):
        await hand.cycle(load=load(6.0))
        (user,) = await hand.connection.call_driver("GetConnectionUnixUser", "s", hand.client.name)
        serial, call = hand.client.prepare(*CALLS[0], interface=MANAGER)
        hand.client.send(call)
        assert await hand.get("Version") == protocol.VERSION
        assert not (await asyncio.to_thread(hand.client.answer, serial)).error
        get = hand.call("Get", "ss", protocol.CONDITION, "AcknowledgedBy", interface=PROPERTIES, path=LOADED)
        assert await get == str(user)
        release.set()

    by_hand(bus, story)


def test_changes_go_on_after_the_bus_came_back(bus):
    async def story():
        hand = Hand(bus, None, None)
        await hand.begin()
        assert await hand.call("Reload") is None
        bus.stop()
        await hand.connection.lost
        hand.client.__exit__()
        bus.start()
        await hand.begin()
        assert await hand.call("Reload") is None
        assert hand.reloads == 2
        await hand.end()

    asyncio.run(story())
