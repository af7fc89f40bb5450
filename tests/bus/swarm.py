"""Clients of healthd in great number, as a process of their own: `swarm.py read|watch|flood ADDRESS SECONDS CLIENTS`.

`read`: each asks something about once a second and listens to all signals. `watch`: each has a watch of its own, a
panel's or that of another interval. `flood`: each does all it can, in one of several ways. All of them connect again
when the bus goes, and at the end what they saw is printed as a JSON object. Where it is started by root, they are
nobody.
"""

import itertools
import json
import os
import pwd
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from grammar import KNOWN, Grammar
from raw import DRIVER, HEALTHD, NO_REPLY, SIGNAL, Client, Message, Writer, _next

WAIT = 30.0
"""How long a client waits for an answer, seconds."""
HELD = 2.0
"""How long one connection floods, seconds."""

OBJECT_MANAGER = f"{DRIVER}.ObjectManager"
PEER = f"{DRIVER}.Peer"
PROPERTIES = f"{DRIVER}.Properties"

BURST = 2000
"""How many calls are sent in one go by who wants no answers."""

_QUESTIONS: tuple[tuple[str, str, tuple[object, ...], dict[str, str]], ...] = (
    ("Describe", "", (), {}),
    ("ListMetrics", "", (), {}),
    ("ListCollectors", "", (), {}),
    ("ListConditions", "", (), {}),
    ("GetManagedObjects", "", (), {"interface": OBJECT_MANAGER}),
    ("GetAll", "s", ("",), {"interface": PROPERTIES, "path": "/org/healthd/Health1/memory"}),
    ("Get", "ss", (f"{HEALTHD}.Load", "Load1"), {"interface": PROPERTIES, "path": "/org/healthd/Health1/load"}),
    ("Read", "as", (["cpu.busy", "memory.available_bytes", "filesystem.percent"],), {}),
    ("GetHistory", "sttu", ("cpu.busy", 0, 0, 100), {}),
    ("GetEvents", "ttasu", (0, 0, [], 100), {}),
)


class Tally:
    """What the clients of a process saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []

    def add(self, what: str, count: int = 1) -> None:
        with self._lock:
            self.counts[what] += count

    def told(self) -> dict[str, object]:
        waits = sorted(self.waits) or [0.0]
        shares = {"p50": 0.5, "p99": 0.99, "most": 1.0}
        return {
            "counts": self.counts,
            "waits": {name: round(waits[int(share * (len(waits) - 1))], 4) for name, share in shares.items()},
        }


class Listener(Client):
    """A client that counts signals and looks into none."""

    signals = 0

    def _skip(self) -> None:
        while len(self._data) >= max(size := _next(self._data), 16) and self._data[1] == SIGNAL:
            del self._data[:size]
            self.signals += 1

    def receive(self) -> Message:
        self._skip()
        while len(self._data) < max(_next(self._data), 16):
            self._fill()
            self._skip()
        return super().receive()

    def listen(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                self._fill()
                self._skip()
        except TimeoutError:
            return
        finally:
            self._socket.settimeout(WAIT)

    def drop(self, count: int) -> None:
        """Take so many messages, whatever they are."""
        while count:
            while len(self._data) < max(size := _next(self._data), 16):
                self._fill()
            del self._data[:size]
            count -= 1


Way = Callable[[Listener, float, Tally, random.Random], None]


def read(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Ask and listen until the time is over or the bus is gone."""
    client.driver("AddMatch", "s", f"type='signal',sender='{HEALTHD}'")
    try:
        while time.monotonic() < until:
            member, signature, values, where = chance.choice(_QUESTIONS)
            begin = time.monotonic()
            answer = client.call(member, signature, *values, **where)
            tally.waits.append(time.monotonic() - begin)
            tally.add(answer.error or "answered")
            client.listen(chance.uniform(0.2, 1.8))
    finally:
        tally.add("signals", client.signals)


WATCHED = ["cpu.busy", "memory.percent", "load.load1", "network.rx_bytes_per_second"]
EVERY = (1_000_000, 500_000, 250_000)
"""How often, µs; one client in ten has the second, and one the third."""


def watch(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Watch until the time is over, or the bus or healthd is gone: for who hears nothing of its watch."""
    usec = EVERY[chance.choices(range(3), [8, 1, 1])[0]]
    answer = client.call("Watch", "asa{sv}", WATCHED, {"interval_usec": ("t", usec)})
    tally.add(answer.error or "watches")
    if answer.error:
        client.listen(0.2)
        return
    while time.monotonic() < until:
        before = client.signals
        client.listen(min(2.0, until - time.monotonic() + 0.1))
        if client.signals == before and time.monotonic() < until:
            tally.add("silence")
            return
        tally.add("samples", client.signals - before)


def unheard(client: Listener, until: float, tally: Tally, _: random.Random) -> None:
    """Call without wanting an answer, in bursts: a bus that is flooded without end takes in more than it gives on."""
    while time.monotonic() < until:
        for block in client.pipeline(BURST, "Describe", flags=NO_REPLY):
            client.send(block)
        client.call("Ping", interface=PEER)
        tally.add("unheard", BURST)


def hasty(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Have a hundred calls under way at any time."""
    while time.monotonic() < until:
        member, signature, values, where = chance.choice(_QUESTIONS[:8])
        for block in client.pipeline(100, member, signature, *values, **where):
            client.send(block)
        client.drop(100)
        tally.add("hasty", 100)


def deaf(client: Listener, until: float, tally: Tally, _: random.Random) -> None:
    """Call, and read no answer."""
    for block in client.pipeline(200, "GetManagedObjects", interface=OBJECT_MANAGER):
        client.send(block)
    tally.add("deaf", 200)
    threading.Event().wait(until - time.monotonic())


def large(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Send what is too large."""
    body = bytes(Writer().write("ay", bytes(chance.choice([70_000, 1 << 20, 4 << 20]))).data)
    while time.monotonic() < until:
        client.call("Read", "ay", body=body)
        tally.add("large")


def wrong(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Violate the contract in every way."""
    grammar = Grammar(chance.getrandbits(32), KNOWN)
    batches = [list(grammar.messages(50)) for _ in range(4)]
    for batch in itertools.cycle(batches):
        if time.monotonic() > until:
            return
        client.send(b"".join(each.data for each in batch))
        client.call("Ping", interface=PEER)
        tally.add("wrong", len(batch))


def leaving(client: Listener, _: float, tally: Tally, __: random.Random) -> None:
    """Call, and be gone with the first answer."""
    for block in client.pipeline(20, "Read", "as", ["cpu.busy"]):
        client.send(block)
    client.drop(1)
    tally.add("leaving", 20)


def asking(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Ask for all that ever was."""
    while time.monotonic() < until:
        member, signature, values = chance.choice(
            [("GetEvents", "ttasu", (0, 0, ["*"], 10_000)), ("GetHistory", "sttu", ("cpu.busy", 0, 0, 10_000))]
        )
        for block in client.pipeline(6, member, signature, *values):
            client.send(block)
        client.drop(6)
        tally.add("asking", 6)


def fickle(client: Listener, until: float, tally: Tally, chance: random.Random) -> None:
    """Watch, read nothing of it, and be gone in the midst of the next call."""
    for _ in range(2):
        metrics, usec = chance.sample(WATCHED, 2), chance.choice(EVERY)
        client.call("Watch", "asa{sv}", metrics, {"interval_usec": ("t", usec)})
    threading.Event().wait(chance.uniform(0.0, until - time.monotonic()))
    client.send(client.prepare("Unwatch", "u", 1)[1])
    tally.add("fickle", 2)


FLOODS: tuple[Way, ...] = (unheard, hasty, deaf, large, wrong, leaving, asking, fickle)


def live(way: Way, address: str, until: float, tally: Tally, seed: int) -> None:
    """Be one client until the time is over, connecting again and again."""
    chance, pause = random.Random(seed), threading.Event()
    while time.monotonic() < until:
        try:
            with Listener(address, wait=WAIT) as client:
                tally.add("connections")
                way(client, until if way in (read, watch) else min(until, time.monotonic() + HELD), tally, chance)
        except OSError as error:
            # The bus is gone, or has had enough of this one.
            tally.add(type(error).__name__)
            pause.wait(0.05)


def ways(kind: str) -> Iterator[Way]:
    return itertools.cycle({"read": [read], "watch": [watch]}.get(kind, FLOODS))


def main(kind: str, address: str, seconds: str, clients: str) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    until, tally = time.monotonic() + float(seconds), Tally()
    threads = [
        threading.Thread(target=live, args=(way, address, until, tally, seed))
        for seed, way in zip(range(int(clients)), ways(kind), strict=False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(tally.told()))


if __name__ == "__main__":
    main(*sys.argv[1:])
