"""Whatever is sent to healthd: messages that violate the contract, and what is no message at all.

HEALTHD_TEST_GRAMMAR is how many messages there are, HEALTHD_TEST_SEED what they are made from.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import counting
from grammar import KNOWN, Grammar, Wrong, served
from private_bus import Bus, Healthd, eventually, private_bus
from raw import CALL, DRIVER, HEALTHD, RETURN, Client, Message, listening, message, read_message, welcome

COUNT = int(os.environ.get("HEALTHD_TEST_GRAMMAR", "10000"))
SEED = int(os.environ.get("HEALTHD_TEST_SEED", "1"))
BATCH = 50
"""How many messages are on their way at once; a bus lets 128 calls of one peer wait."""
A_CONNECTION = 500
"""How many spoiled messages one connection carries."""
GROWTH = 4 << 20
"""What may stay resident of messages, however many they are: what is allocated at first is kept; bytes."""
GARBAGE = 8 << 20
"""The same of garbage: some signatures of any length are remembered; bytes."""

PEER = f"{DRIVER}.Peer"

# A bus that vouches for no reply: whoever wants may answer what was never asked.
GULLIBLE = """<policy context="mandatory">
  <allow send_destination="*" send_requested_reply="false"/>
  <allow receive_sender="*" receive_requested_reply="false"/>
</policy>"""


def resident(process: int) -> int:
    """Return what a process has in memory, bytes."""
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def descriptors(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


# Valid on the wire.


class Counted(Healthd):
    """A healthd that tells, at its end, how many messages came to it."""

    def __init__(self, bus: Bus, file: str) -> None:
        self._file = file
        self.start([sys.executable, counting.__file__, file, "--bus", bus.address, "--interval", "1"])

    def counts(self, sender: str) -> Counter[int]:
        """Return how many messages of each kind came from a peer."""
        with open(self._file) as file:
            return Counter({int(kind): count for kind, count in json.load(file).get(sender, {}).items()})


def answers(client: Client, batch: Sequence[Wrong]) -> list[Message]:
    """Send messages, and return all that came back when what is due has come, and whatever was sent was looked at."""
    client.send(b"".join(wrong.data for wrong in batch))
    pinged, ping = client.prepare("Ping", interface=PEER)
    client.send(ping)
    due = {pinged} | {wrong.serial for wrong in batch if wrong.errors}
    found: list[Message] = []
    # What takes time may be answered after the ping.
    while due:
        found += client.answers(1)
        due.discard(found[-1].fields["reply_serial"])
    return [answer for answer in found if answer.fields["reply_serial"] != pinged]


def faults(batch: Sequence[Wrong], found: Sequence[Message]) -> Iterator[str]:
    """Yield what is wrong with answers, with the message that brought them about."""
    by_serial = {wrong.serial: wrong for wrong in batch}
    told = Counter(answer.fields["reply_serial"] for answer in found)
    for answer in found:
        wrong, text = by_serial[answer.fields["reply_serial"]], str(answer.body)
        proper = answer.fields.get("signature") == "s" and not any(
            word in text for word in ("Traceback", ".py", "internal error")
        )
        if answer.error not in wrong.errors or told[wrong.serial] > 1 or not proper:
            yield f"{answer.error or 'no error'} {text[:500]} ({told[wrong.serial]} answers) to {shown(wrong)}"


def shown(wrong: Wrong) -> str:
    return f"{wrong.what}\n{wrong.data[:4000].hex()}"


def test_whatever_violates_the_contract_gets_its_proper_error_and_leaves_nothing_behind(tmp_path):
    with private_bus(GULLIBLE) as bus:
        daemon = Counted(bus, f"{tmp_path}/counts")
        try:
            daemon.ready()
            with Client(bus.address) as client:
                grammar = Grammar(SEED, served(client))
            sent: Counter[int] = Counter()
            before = 0
            with Client(bus.address) as client:
                while sent.total() < COUNT:
                    batch = list(grammar.messages(min(BATCH, COUNT - sent.total())))
                    sent.update(wrong.data[1] for wrong in batch)
                    try:
                        said = list(faults(batch, answers(client, batch)))
                    except OSError as error:
                        said = [f"{error!r} in the midst of", *map(shown, batch)]
                    assert not said, f"seed {SEED}: " + "\n".join([*said, daemon.log])
                    before = before or resident(daemon.process.pid)
                assert resident(daemon.process.pid) - before < GROWTH
                assert client.call("Describe").kind == RETURN
            sent[CALL] += -(-COUNT // BATCH) + 1
        finally:
            log = daemon.log
            code = daemon.stop()
        assert (code, daemon.counts(client.name)) == (0, sent), log
        assert len(log.splitlines()) < 10, log


# No message.


class Spoiler:
    """Makes of good messages what no bus lets through."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._whole = [wrong.data for wrong in Grammar(seed, KNOWN).messages(1000) if len(wrong.data) < 9999]

    def spoiled(self) -> bytes:
        """Return a message that has wrong bytes, but ends where it should."""
        data = bytearray(self._random.choice(self._whole))
        for _ in range(self._random.choice([1, 1, 2, 3, 9])):
            at = self._random.choice([1, 2, *range(16, len(data))])
            data[at] = self._random.choice([0, 1, 2, 255, *b"vsaog({", self._random.randrange(256)])
        return bytes(data)

    def torn(self) -> bytes:
        """Return what nothing can follow, or what never ends."""
        head = bytearray(self._random.choice(self._whole))
        lengths = [0, 1, 2**16 + 1, 2**26, 2**27, 2**31, 2**32 - 1]
        return self._random.choice(
            [
                lambda: self._random.randbytes(self._random.randint(1, 300_000)),
                lambda: b"l\1\0\1" + self._random.randbytes(self._random.randint(1, 300_000)),
                lambda: bytes(head[: self._random.randrange(1, len(head))]),
                lambda: bytes(head[:4]) + self._number(lengths) + bytes(head[8:]) * 50,
                lambda: bytes(head[:12]) + self._number(lengths) + bytes(head[16:]) * 50,
                lambda: bytes(head[:8]) + bytes(4) + bytes(head[12:]),
                lambda: bytes(self._random.randint(1, 300_000)),
                lambda: bytes(head[:3]) + b"\2" + bytes(head[4:]),
                lambda: b"BEGIN\r\n" * self._random.randint(1, 9999),
            ]
        )()

    def _number(self, numbers: Sequence[int]) -> bytes:
        return self._random.choice(numbers).to_bytes(4, self._random.choice(["little", "big"]))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a bus until healthd has its name."""
    await welcome(reader, writer)
    asked = ""
    while asked != "RequestName":
        call = await read_message(reader)
        asked = call.fields["member"]
        signature, value = ("b", 0) if asked == "NameHasOwner" else ("u", 1)
        writer.write(message(RETURN, call.serial, signature, value, reply_serial=call.serial, sender=DRIVER))


async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask, and wait for the answer; what else is answered is as it may be."""
    writer.write(message(CALL, 2**32 - 1, path="/", member="Ping", interface=PEER, sender=":1.2"))
    while (await read_message(reader)).fields.get("reply_serial") != 2**32 - 1:
        pass


def test_a_bus_that_sends_garbage_costs_its_connection_at_most(tmp_path):
    spoiler = Spoiler(SEED)
    rounds = max(COUNT // A_CONNECTION, 1)
    daemon = Healthd(f"unix:path={tmp_path}/bus", "--interval", "1")
    process = daemon.process.pid
    before: list[tuple[int, int]] = []
    ended: list[int] = []

    async def story() -> None:
        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await serve(reader, writer)
            for _ in range(A_CONNECTION // 100):
                writer.write(b"".join(spoiler.spoiled() for _ in range(100)))
                await ping(reader, writer)
            before.append((resident(process), descriptors(process)))
            writer.write(spoiler.torn())
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await reader.read()
            ended.append(1)

        async with asyncio.timeout(20 + 4 * rounds), listening(f"{tmp_path}/bus", peer):
            while len(ended) < rounds and daemon.process.poll() is None:  # noqa: ASYNC110  # the process tells no loop
                await asyncio.sleep(0.01)

    try:
        asyncio.run(story())
        assert daemon.process.poll() is None
        bus = Bus(str(tmp_path))
        try:
            with Client(bus.address) as client:
                eventually(lambda: client.driver("NameHasOwner", "s", HEALTHD).body[0], 60)
                assert client.call("Describe").kind == RETURN
            eventually(lambda: daemon.log.count("the bus is back") == rounds)
            assert resident(process) - before[0][0] < GARBAGE
            assert descriptors(process) <= before[0][1]
        finally:
            bus.stop()
    finally:
        log = daemon.log
        code = daemon.stop()
        held = [memory >> 10 for memory, _ in before[:: max(rounds // 10, 1)]]
        print(f"seed {SEED}, round {len(ended)} of {rounds}, resident KiB {held}\n{log}")
    assert code == 0
    assert not [line for line in log.splitlines() if not line.startswith("healthd: ")]
