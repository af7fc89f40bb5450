"""What storms showed of the door, each by itself."""

import asyncio
import socket
from collections import Counter

from raw import CALL, ERROR, RETURN, Message, listening, message, read_message, welcome

from healthd import dbus
from healthd._dbus_answers import MOST, MOST_OF_ONE, MOST_UNSENT
from healthd.publish.bus import server


def calls(count: int, senders: int = 1) -> bytes:
    """Return calls of so many peers, one after the other."""
    return b"".join(
        message(CALL, serial, path="/", member="A", sender=f":1.{10 + serial % senders}")
        for serial in range(1, count + 1)
    )


def test_to_a_bus_that_is_gone_nothing_is_answered_and_nothing_is_said(caplog):
    """Its last calls are still there to be read when the first answer fails."""

    async def story() -> None:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(dbus.Connection, sock=ours)
        connection.on_call = lambda _: dbus.Reply("s", ("x" * 9999,))
        theirs.sendall(b"OK 0123\r\n")
        await connection._authenticated
        theirs.sendall(calls(100))
        theirs.close()
        await connection.lost

    asyncio.run(story())
    assert not caplog.records


def test_a_signature_of_nothing_reaches_no_handler():
    """No bus lets such a message through."""

    async def story() -> list[dbus.Call]:
        ours, theirs = socket.socketpair()
        found: list[dbus.Call] = []

        def handler(call: dbus.Call) -> dbus.Reply:
            found.append(call)
            return dbus.Reply()

        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(dbus.Connection, sock=ours)
        connection.on_call = handler
        theirs.sendall(b"OK 0123\r\n")
        await connection._authenticated
        theirs.sendall(message(CALL, 1, "as", body=b"", path="/", member="A", sender=":1.9") + calls(1))
        theirs.shutdown(socket.SHUT_WR)
        await connection.lost
        theirs.close()
        return found

    reached = asyncio.run(story())
    assert reached
    assert not [call for call in reached if call.signature and not call.body]


def test_answers_alone_never_keep_signals_back():
    assert 2 * dbus.BACKLOG <= server.BACKLOG


def test_large_answers_that_come_at_once_are_not_kept_for_a_bus_that_takes_none(tmp_path):
    """Each is allowed, but all of them are more memory than healthd has."""
    size = 1 << 20

    async def story() -> list[Message]:
        begun, ready, reading, answered = (asyncio.Event() for _ in range(4))
        answers: list[Message] = []

        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await welcome(reader, writer)
            writer.transport.pause_reading()
            await begun.wait()
            writer.write(calls(MOST, MOST // MOST_OF_ONE))
            await reading.wait()
            writer.transport.resume_reading()
            while len(answers) < MOST:
                answers.append(await read_message(reader))
            answered.set()

        waiting = 0

        async def much() -> dbus.Reply:
            nonlocal waiting
            waiting += 1
            await ready.wait()
            return dbus.Reply("s", ("x" * size,))

        async with asyncio.timeout(30), listening(f"{tmp_path}/bus", peer) as address:
            connection = await dbus.connect(address)
            connection.on_call = lambda _: much()
            begun.set()
            while waiting < MOST:  # noqa: ASYNC110  # the peer tells nobody
                await asyncio.sleep(0)
            ready.set()
            for _ in range(100):
                await asyncio.sleep(0)
                assert connection.backlog < MOST_UNSENT + 2 * size
            reading.set()
            await answered.wait()
            connection.close()
            await connection.lost
        return answers

    answers = asyncio.run(story())
    kinds = Counter(answer.kind for answer in answers)
    assert kinds[RETURN] > 0
    assert kinds[RETURN] + kinds[ERROR] == MOST
    assert {answer.error for answer in answers if answer.kind == ERROR} == {dbus.LIMITS_EXCEEDED}
