"""Who takes nothing is let go, and what can't be observed is said: with a source of samples that a test plays."""

import asyncio
import contextlib
import gc
import itertools
import logging
from types import SimpleNamespace

import pytest
from panel import Panel
from private_bus import eventually, private_bus
from raw import Client

from healthd import dbus, protocol
from healthd.clock import Instant
from healthd.model import SINGLE, Observation, Reading, Sample, Unit, family, state
from healthd.publish.bus import pace, watcher, watches
from healthd.publish.bus.pace import Frame, Watch, in_order
from healthd.publish.bus.watches import Watches


@family("tale")
class Tale(Reading):
    """What is told at length."""

    text: str | None = state("A text.")
    length: int | None = state("Its length.", Unit.COUNT)


class Telling:
    """A source of samples, ten a second with 5 s between them by their clock, or of a fault."""

    def __init__(self, length, fault=None):
        self.reading = Tale(text="x" * length, length=length)
        self.fault = fault
        self.turns = itertools.count(1)
        self.ended = False

    async def ticks(self):
        while True:
            yield
            await asyncio.sleep(0.1)

    async def sample(self):
        if self.fault:
            raise self.fault
        moment = 5.0 * next(self.turns)
        observation = Observation(Tale.family, Instant(moment, moment, 0.0), {SINGLE: self.reading}, {}, 0.0, 0)
        return Sample(observation.instant, "", 2, (observation,))

    def choose(self, families):
        assert families <= {"tale"}

    def end(self):
        self.ended = True


class Tellers:
    """What the daemon is to watches."""

    def __init__(self, *made):
        self.left = list(made)
        self.begun = []

    def faster(self, interval):
        self.begun.append((self.left.pop(0), interval))
        return self.begun[-1][0]


def metric(name):
    return Tale.family, Tale.family.by_name[name.partition(".")[2]]


async def serving(bus, tellers, talk, unsent=None):
    """Have a client talk to watches on a bus, and return them; `unsent` is given what was, after each delivery."""
    connection = await dbus.connect(bus.address)
    deliver = connection.deliver

    def delivered(signals):
        deliver(signals)
        if unsent is not None:
            unsent.append(connection.backlog)

    connection.deliver = delivered
    made = Watches(connection, metric, tellers)
    connection.on_call = lambda call: made.answer(call, 5.0)
    await connection.own(protocol.BUS_NAME)
    try:
        await asyncio.to_thread(talk)
        return made
    finally:
        connection.close()
        await asyncio.wait([connection.lost], timeout=5)


def test_who_takes_nothing_for_too_long_is_told_and_may_watch_again(bus, monkeypatch):
    monkeypatch.setattr(watcher, "PATIENCE", 0.5)
    tellers = Tellers(Telling(60_000), Telling(10))

    def talk():
        with Panel(bus.address) as client:
            first = client.watched("tale.text")
            # A client without an ear for Ping: its answers to it are kept back until it was closed.
            sent, client.send = client.send, lambda *_: None
            numbers = [signal.body[0] for signal in (client.told() for _ in range(4))]
            closed = client.told("WatchClosed")
            client.send = sent
            assert set(numbers) == {first}
            assert closed.body == [first, "slow"]
            assert client.pings == 1
            again = client.watched("tale.length")
            assert client.sample()[::3] == (again, {"tale.length": 10})

    made = asyncio.run(serving(bus, tellers, talk))
    assert not len(made)
    assert all(source.ended for source, _ in tellers.begun)


def test_who_owes_an_answer_takes_a_place_of_its_user(bus, monkeypatch):
    """It was closed, but the bus keeps for it what it was sent: else a user could have all places in turn."""
    monkeypatch.setattr(watcher, "PATIENCE", 0.2)
    monkeypatch.setattr(watches, "MOST_OF_USER", 2)
    tellers = Tellers(*(Telling(60_000) for _ in range(4)))

    def talk():
        with Panel(bus.address) as deaf, Panel(bus.address) as other:
            deaf.watched("tale.text")
            deaf.send, send = lambda *_: None, deaf.send
            deaf.told("WatchClosed")
            other.watched("tale.length")
            assert other.watch("tale.length").error == protocol.TOO_MANY_WATCHES
            # Its own place is not in its way.
            deaf.send = send
            deaf.watched("tale.length")

    asyncio.run(serving(bus, tellers, talk))


class Deaf(Panel):
    """Answers no Ping: what it reads nobody can see."""

    taken = 0

    def receive(self):
        received = Client.receive(self)
        self.taken += received.size * (received.fields.get("member") == "Sample")
        if received.fields.get("member") == "WatchClosed":
            self.kept.append(received)
        return received


def test_who_takes_nothing_and_asks_on_and_on_is_sent_no_more_for_that(bus, monkeypatch):
    monkeypatch.setattr(watcher, "PATIENCE", 0.5)

    def talk():
        with Deaf(bus.address) as deaf, Panel(bus.address) as other:
            other.watched("tale.length")
            taken = {}
            while len(deaf.kept) < 4:
                number = deaf.watched("tale.text")
                other.sample()
                other.sample()
                deaf.call("Unwatch", "u", number)
                taken[len(deaf.kept)] = deaf.taken
            assert {signal.body[1] for signal in deaf.kept} == {protocol.WATCHER_SLOW}
            most = watcher.WINDOW + 61_000
            assert watcher.WINDOW <= taken[0] <= most
            # Once it has room again, as whoever begins anew after a while.
            assert taken[0] < taken[1] <= taken[2] == taken[3] <= 2 * most

    asyncio.run(serving(bus, Tellers(Telling(60_000)), talk))


def test_who_comes_and_goes_and_takes_nothing_is_sent_what_the_window_holds(bus):
    def talk():
        with Deaf(bus.address) as deaf, Panel(bus.address) as other:
            other.watched("tale.length")
            for _ in range(20):
                number = deaf.watched("tale.text")
                for _ in range(2):
                    other.sample()
                deaf.call("Unwatch", "u", number)
            assert deaf.taken <= watcher.WINDOW + 61_000

    asyncio.run(serving(bus, Tellers(Telling(60_000)), talk))


def test_who_ends_its_watch_and_has_taken_all_has_its_place_given_back(bus, monkeypatch):
    monkeypatch.setattr(watches, "MOST_OF_USER", 1)

    def talk():
        with Panel(bus.address) as client, Panel(bus.address) as other:
            number = client.watched("tale.text")
            client.sample()
            client.call("Unwatch", "u", number)
            while not client.pings:
                client.receive()
            client.driver("GetId")
            eventually(lambda: not other.watch("tale.text").error)
            other.sample()

    asyncio.run(serving(bus, Tellers(Telling(10), Telling(10)), talk))


def test_where_the_bus_does_not_tell_who_leaves_nobody_watches_and_is_told_so(caplog):
    limits = '<limit name="max_match_rules_per_connection">1</limit>'
    with private_bus(limits) as bus:

        def talk():
            with Panel(bus.address) as first, Panel(bus.address) as second:
                first.watched("tale.text")
                number = second.watched("tale.text")
                assert second.told("WatchClosed").body == [number, protocol.FAILED]
                first.sample()
                assert not second.kept

        with caplog.at_level(logging.WARNING):
            asyncio.run(serving(bus, Tellers(Telling(10)), talk))
    assert "does not tell when" in caplog.records[0].message


def test_who_answers_is_told_on_and_on(bus):
    tellers = Tellers(Telling(60_000))

    def talk():
        with Panel(bus.address) as client:
            client.watched("tale.text")
            samples = [client.sample() for _ in range(20)]
            assert all(set(sample.values) == {"tale.text"} for sample in samples)
            assert client.pings > 5

    asyncio.run(serving(bus, tellers, talk))
    (source, interval) = tellers.begun[0]
    assert (source.ended, interval) == (True, 5.0)


def test_a_bus_that_lets_nobody_be_pinged_keeps_what_it_keeps_for_everyone():
    denied = '<policy user="root"><deny send_interface="org.freedesktop.DBus.Peer" send_member="Ping"/></policy>'
    tellers = Tellers(Telling(60_000))
    with private_bus(denied) as bus:

        def talk():
            with Panel(bus.address) as client:
                client.watched("tale.text")
                for _ in range(2 * watcher.WINDOW // 60_000):
                    client.sample()
                assert not client.pings

        asyncio.run(serving(bus, tellers, talk))


def test_a_fault_of_ours_ends_the_watches_and_is_whole_in_the_log(bus, caplog):
    tellers = Tellers(Telling(10, RuntimeError("no way")), Telling(10))

    def talk():
        with Panel(bus.address) as client:
            number = client.watched("tale.text")
            assert client.told("WatchClosed").body == [number, protocol.FAILED]
            client.watched("tale.text")
            client.sample()

    with caplog.at_level(logging.ERROR):
        asyncio.run(serving(bus, tellers, talk))
    (record,) = caplog.records
    assert record.message == "what is watched can't be observed"
    assert "no way" in str(record.exc_info)


def test_who_leaves_at_once_leaves_nothing_behind(bus):
    tellers = Tellers(*(Telling(10) for _ in range(61)))

    def talk():
        for _ in range(20):
            with Panel(bus.address) as client:
                for number in itertools.islice(client.pipeline(3, "Watch", "asa{sv}", ["tale.text"], {}), 3):
                    client.send(number)
        with Panel(bus.address) as client:
            client.watched("tale.text")
            client.sample()

    made = asyncio.run(serving(bus, tellers, talk))
    assert not len(made)
    assert not made._watchers
    assert all(source.ended for source, _ in tellers.begun)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 300])
def test_every_length_of_a_text_is_read_as_it_was_told(bus, length):
    def talk():
        with Panel(bus.address) as client:
            client.watched("tale.length", "tale.text")
            values = client.sample().values
            assert values == {"tale.text": "x" * length, "tale.length": length}

    asyncio.run(serving(bus, Tellers(Telling(length)), talk))


def test_what_many_watches_are_told_at_once_is_bounded_and_each_has_its_turn(bus):
    """64 of one user, of 60 kB each: 3.8 MB ten times a second, if nobody counted."""
    unsent = []

    def talk():
        with contextlib.ExitStack() as stack:
            panels = [stack.enter_context(Panel(bus.address)) for _ in range(8)]
            numbers = [{each.watched("tale.text") for _ in range(8)} for each in panels]
            while any(numbers):
                for each, left in zip(panels, numbers, strict=True):
                    sample = each.sample()
                    if sample.values.get("lost"):
                        # Not the first one at once, but in a turn.
                        left.discard(sample.watch)

    asyncio.run(serving(bus, Tellers(Telling(60_000)), talk, unsent))
    assert max(unsent) <= 2 * pace.BACKLOG + 61_000


def test_watches_leave_nothing_of_what_they_were_told(bus):
    def talk():
        with Panel(bus.address) as client:
            for names in (["tale.text"], ["tale.length"], ["tale.length", "tale.text"]):
                client.watched(*names)
                client.sample()
            eventually(lambda: not any(isinstance(each, Frame) for each in gc.get_objects()))

    asyncio.run(serving(bus, Tellers(Telling(10)), talk))


def ordered(*watches):
    """Return the numbers of watches, given as their user, the turn of their last sample and its size."""
    made = []
    for number, (user, told, size) in enumerate(watches):
        made.append(Watch(number, SimpleNamespace(user=user), {}, None))
        made[-1].told, made[-1].size = told, size
    return [watch.number for watch in in_order(made)]


def test_watches_are_told_in_an_order_in_which_none_is_always_the_last():
    assert ordered() == []
    assert ordered((0, 5, 9), (0, 5, 9), (0, 5, 9)) == [0, 1, 2]
    # Who has waited longest is the first of its user's.
    assert ordered((0, 5, 9), (0, 4, 900), (0, 3, 9)) == [2, 1, 0]
    # Of each user's one, the small before the large.
    assert ordered((0, 5, 900), (0, 5, 900), (0, 5, 900), (1, 5, 10)) == [3, 0, 1, 2]
    assert ordered((0, 5, 900), (0, 4, 900), (1, 5, 10), (1, 5, 10)) == [2, 1, 3, 0]
