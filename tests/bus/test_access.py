"""Who may change something: with a real bus, strangers of another user, and polkit or what stands in for it."""

import asyncio
import itertools
import os
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import polkit
import pytest
from private_bus import private_bus
from puppet import Puppet
from raw import HEALTHD, LIMITS_EXCEEDED, Client

from healthd import dbus, protocol
from healthd._dbus_answers import MOST_PATIENT_OF_ONE
from healthd.errors import CallError
from healthd.publish.bus import access
from healthd.publish.bus.access import INTERACTION_REQUIRED, Access

ASK_A_PERSON = 1
INTERACTIVE = 4
OURSELVES = os.geteuid()

pytestmark = pytest.mark.usefixtures("nobody_is_us")


@pytest.fixture
def polkit_bus():
    """Give a bus on which there may be a polkit."""
    with private_bus(polkit.POLICY) as bus:
        yield bus


@pytest.fixture
def nobody_is_us(monkeypatch):
    """Have healthd run as a user that nobody else is."""
    monkeypatch.setattr(access, "os", SimpleNamespace(geteuid=lambda: 2**31))


async def true(condition):
    """Give the loop turns until a condition is true."""
    while not condition():  # noqa: ASYNC110  # some conditions are of other threads
        await asyncio.sleep(0.001)


class Guard:
    """A handler: `Change` is for whom the access lets, anything else for all."""

    def __init__(self, connection, **waits):
        self.access = Access(connection, **waits)
        self.changes = []

    def __call__(self, call):
        return dbus.Patient(self._change(call)) if call.member == "Change" else dbus.Reply("s", ("done",))

    async def _change(self, call):
        self.changes.append(await self.access.require(call))
        return dbus.Reply("s", ("changed",))


def guarded(bus, story, **waits):
    """Run a story with a guard on a real bus; nothing of it may stay behind."""

    async def told():
        connection = await dbus.connect(bus.address)
        guard = connection.on_call = Guard(connection, **waits)
        await connection.own(HEALTHD)
        try:
            async with asyncio.timeout(60):
                await story(guard, connection)
                for left in (guard.access._asking, connection._departures, connection._answerer._patient.senders):
                    await true(lambda left=left: not left)
                assert not connection._calls
        finally:
            connection.close()
            await connection.lost

    asyncio.run(told())


@pytest.mark.skipif(OURSELVES != 0, reason="these tests do not run as root")
def test_root_may_without_polkit(bus):
    async def story(guard, _):
        with Client(bus.address) as client:
            assert (await asyncio.to_thread(client.call, "Change")).body == ["changed"]
        assert guard.changes == [0]

    guarded(bus, story)


def test_the_user_of_healthd_may_without_polkit(bus, monkeypatch):
    with Puppet(bus) as stranger:
        with Client(bus.address) as client:
            (user,) = client.driver("GetConnectionUnixUser", "s", stranger.names[0]).body
        monkeypatch.setattr(access, "os", SimpleNamespace(geteuid=lambda: user))

        async def story(guard, _):
            assert await asyncio.to_thread(stranger.call, "Change") == ("", ["changed"])
            assert guard.changes == [user]

        guarded(bus, story)


def test_without_polkit_others_may_not(bus):
    with Puppet(bus) as stranger:

        async def story(guard, _):
            error, (text,) = await asyncio.to_thread(stranger.call, "Change")
            assert error == dbus.ACCESS_DENIED
            assert text.startswith("only root may: there is no polkit here")
            assert guard.changes == []

        guarded(bus, story)


def test_a_polkit_that_fails_to_start_is_none():
    with private_bus(polkit.POLICY + "<servicedir>/nowhere</servicedir>") as bus:
        bus.stop()
        with open(f"{bus.directory}/bus.conf") as file:
            text = file.read()
        with open(f"{bus.directory}/bus.conf", "w") as file:
            file.write(text.replace("/nowhere", bus.directory))
        with open(f"{bus.directory}/{polkit.NAME}.service", "w") as file:
            file.write(f"[D-BUS Service]\nName={polkit.NAME}\nExec=/bin/false\nUser=root\n")
        bus.start()
        with Puppet(bus) as stranger:

            async def story(guard, _):
                error, (text,) = await asyncio.to_thread(stranger.call, "Change")
                assert error == dbus.ACCESS_DENIED
                assert text.startswith("only root may: there is no polkit here")
                assert guard.changes == []

            guarded(bus, story)


def test_whom_polkit_lets_may_and_polkit_is_asked_about_the_caller(polkit_bus):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address, polkit.YES) as authority:

        async def story(guard, _):
            for flags in (0, INTERACTIVE):
                assert await asyncio.to_thread(stranger.call, "Change", flags=flags) == ("", ["changed"])
            assert len(guard.changes) == 2

        guarded(polkit_bus, story)
    subject = ("system-bus-name", {"name": stranger.names[0]})
    assert [call[:4] for call in authority.asked] == [
        [subject, protocol.MANAGE, {}, 0],
        [subject, protocol.MANAGE, {}, ASK_A_PERSON],
    ]
    assert len({call[4] for call in authority.asked}) == 2
    assert authority.cancelled == []


@pytest.mark.parametrize(
    ("answer", "flags", "error", "text"),
    [
        (polkit.NO, 0, dbus.ACCESS_DENIED, "polkit refuses"),
        (polkit.NO, INTERACTIVE, dbus.ACCESS_DENIED, "polkit refuses"),
        (polkit.CHALLENGE, 0, INTERACTION_REQUIRED, "polkit has to ask first, which the call does not allow"),
        (polkit.CHALLENGE, INTERACTIVE, dbus.ACCESS_DENIED, "polkit has to ask first, and can't"),
        (f"{polkit.NAME}.Error.Failed", 0, dbus.ACCESS_DENIED, "polkit fails: it went wrong"),
    ],
)
def test_whom_polkit_does_not_let_may_not(polkit_bus, answer, flags, error, text):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address, answer):

        async def story(guard, _):
            assert await asyncio.to_thread(stranger.call, "Change", flags=flags) == (error, [text])
            assert guard.changes == []

        guarded(polkit_bus, story)


@pytest.mark.parametrize(("flags", "wait"), [(0, 0.2), (INTERACTIVE, 0.4)])
def test_a_polkit_that_hangs_is_given_up_and_told_so(polkit_bus, flags, wait):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address) as authority:

        async def story(guard, _):
            begin = asyncio.get_running_loop().time()
            error = (dbus.ACCESS_DENIED, [f"polkit gave no answer within {wait:g} s"])
            assert await asyncio.to_thread(stranger.call, "Change", flags=flags) == error
            assert asyncio.get_running_loop().time() - begin >= wait
            await true(lambda: authority.cancelled)
            assert guard.changes == []

        guarded(polkit_bus, story, wait=0.2, wait_for_person=0.4)
    assert authority.cancelled == [call[4] for call in authority.asked]


def test_a_polkit_that_ends_meanwhile_lets_nobody(polkit_bus):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address) as authority:

        async def story(guard, _):
            stranger.send("Change")
            await true(lambda: authority.asked)
            authority.end()
            error, (text,) = await asyncio.to_thread(stranger.answer)
            assert error == dbus.ACCESS_DENIED
            assert text.startswith("polkit fails: ")
            assert guard.changes == []

        guarded(polkit_bus, story)


def test_polkit_need_not_go_on_for_a_caller_that_leaves(polkit_bus):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address) as authority:

        async def story(guard, connection):
            stranger.send("Change", count=2, flags=INTERACTIVE)
            await true(lambda: len(authority.asked) == 2)
            assert connection._departures
            stranger.leave()
            await true(lambda: len(authority.cancelled) == 2)
            assert guard.changes == []

        guarded(polkit_bus, story)
    assert set(authority.cancelled) == {call[4] for call in authority.asked}


def test_polkit_is_not_asked_about_a_caller_that_has_left(polkit_bus):
    with polkit.Authority(polkit_bus.address, polkit.YES) as authority:

        async def story(guard, connection):
            with Client(polkit_bus.address) as client:
                gone = client.name
            call = dbus.Call(gone, "/", "", "Change", "", [], interactive=True)
            await true(lambda: not connection._calls)
            with pytest.raises(CallError) as error:
                await guard.access.require(call)
            assert error.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"
            # Even where it leaves after it was looked up.
            with pytest.raises(CallError):
                await guard.access._require_polkit(7, call)

        guarded(polkit_bus, story)
    assert authority.asked == []


def test_who_calls_is_what_the_bus_says_and_not_the_message(polkit_bus):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address, polkit.NO) as authority:

        async def story(guard, connection):
            with Client(polkit_bus.address) as privileged:
                for name in (privileged.name, "org.freedesktop.DBus", connection.unique_name):
                    error, _ = await asyncio.to_thread(stranger.call, "Change", sender=name)
                    assert error == dbus.ACCESS_DENIED
            assert guard.changes == []

        guarded(polkit_bus, story)
    assert {call[0][1]["name"] for call in authority.asked} == set(stranger.names)


def test_callers_that_wait_for_polkit_are_bounded_by_user_and_cost_others_nothing(polkit_bus):
    first = access.MOST_OF_ONE // MOST_PATIENT_OF_ONE
    connections = first + 100
    with (
        Puppet(polkit_bus, connections) as stranger,
        polkit.Authority(polkit_bus.address) as authority,
        Client(polkit_bus.address) as other,
    ):

        async def story(_, connection):
            for which in range(first):
                stranger.send("Change", which=which, count=MOST_PATIENT_OF_ONE, flags=INTERACTIVE)
            await true(lambda: len(authority.asked) == access.MOST_OF_ONE)
            # A flood: what takes no asking is answered to others, and root is let in each time.
            for _ in range(2):
                for which in range(connections):
                    stranger.send("Change", which=which, count=20)
                assert (await asyncio.to_thread(other.call, "Look")).body == ["done"]
                if OURSELVES == 0:
                    assert (await asyncio.to_thread(other.call, "Change")).body == ["changed"]
            refused = await asyncio.to_thread(
                lambda: [stranger.answer(which)[0] for which in range(first, connections) for _ in range(2 * 20)]
            )
            assert set(refused) == {LIMITS_EXCEEDED}
            assert len(authority.asked) == access.MOST_OF_ONE
            assert len(connection._answerer._patient.senders) == access.MOST_OF_ONE
            assert not connection._answerer._waiting.senders
            stranger.leave()
            await true(lambda: len(authority.cancelled) == access.MOST_OF_ONE)

        guarded(polkit_bus, story)


def test_users_together_are_bounded_too(polkit_bus):
    with polkit.Authority(polkit_bus.address) as authority, Client(polkit_bus.address) as client:

        async def story(guard, _):
            call = dbus.Call(client.name, "/", "", "Change", "", [], interactive=False)
            users = itertools.cycle(range(1000, 1000 + access.MOST))
            asking = [asyncio.create_task(guard.access._require_polkit(next(users), call)) for _ in range(access.MOST)]
            await true(lambda: len(authority.asked) == access.MOST)
            with pytest.raises(CallError) as error:
                await guard.access._require_polkit(2000, call)
            assert error.value.name == LIMITS_EXCEEDED
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
            await true(lambda: len(authority.cancelled) == access.MOST)

        guarded(polkit_bus, story)


def test_with_the_connection_end_those_who_wait(polkit_bus):
    with Puppet(polkit_bus) as stranger, polkit.Authority(polkit_bus.address) as authority:

        async def story():
            connection = await dbus.connect(polkit_bus.address)
            guard = connection.on_call = Guard(connection)
            await connection.own(HEALTHD)
            stranger.send("Change", count=MOST_PATIENT_OF_ONE)
            await true(lambda: len(authority.asked) == MOST_PATIENT_OF_ONE)
            connection.close()
            await connection.lost
            await true(lambda: asyncio.all_tasks() == {asyncio.current_task()})
            assert not guard.access._asking

        asyncio.run(story())


# The real polkit.

NOBODY_MAY = f"""
polkit.addRule(function(action, subject) {{
    if (action.id == "{protocol.MANAGE}" && subject.user == "nobody") return polkit.Result.%s;
}});
"""


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (NOBODY_MAY % "YES", ""),
        (NOBODY_MAY % "NO", dbus.ACCESS_DENIED),
        ("// The shipped action alone: an administrator has to agree.", INTERACTION_REQUIRED),
    ],
)
def test_the_real_polkit_decides_by_its_rules_and_the_shipped_action(polkit_bus, rules, error):
    with Puppet(polkit_bus) as stranger, polkit.real(polkit_bus, rules):

        async def story(guard, _):
            assert (await asyncio.to_thread(stranger.call, "Change"))[0] == error
            assert len(guard.changes) == (not error)
            if error == INTERACTION_REQUIRED:
                # Nobody is there to be asked.
                assert (await asyncio.to_thread(stranger.call, "Change", flags=INTERACTIVE))[0] == dbus.ACCESS_DENIED

        guarded(polkit_bus, story)


def test_the_action_says_what_it_is_and_who_asks_for_it():
    root = ET.parse(polkit.ACTIONS).getroot()
    (action,) = root.findall("action")
    assert action.get("id") == protocol.MANAGE
    assert action.findtext("message").endswith(".")
    assert {each.tag: each.text for each in action.find("defaults")} == {
        "allow_any": "auth_admin",
        "allow_inactive": "auth_admin",
        "allow_active": "auth_admin_keep",
    }
    assert {each.get("key"): each.text for each in action.findall("annotate")} == {
        "org.freedesktop.policykit.owner": "unix-user:healthd"
    }
