"""D-Bus from the standard library alone: a client that does what no library would, and a bus that misbehaves."""

import asyncio
import contextlib
import multiprocessing
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, NamedTuple, Self

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
DRIVER = "org.freedesktop.DBus"
HEALTHD = "org.healthd.Health1"
ROOT = "/org/healthd/Health1"
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"

_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_FIELDS = {
    "path": (1, "o"), "interface": (2, "s"), "member": (3, "s"), "error_name": (4, "s"), "reply_serial": (5, "u"),
    "destination": (6, "s"), "sender": (7, "s"), "signature": (8, "g"), "unix_fds": (9, "u"),
}  # fmt: skip
_NAMES = {code: name for name, (code, _) in _FIELDS.items()}


def _alignment(token: str) -> int:
    if token in _NUMBERS:
        return struct.calcsize(_NUMBERS[token])
    return {"s": 4, "o": 4, "a": 4, "(": 8, "{": 8}.get(token, 1)


def _types(signature: str) -> Iterator[str]:
    """Yield the complete types of a signature."""
    start = 0
    while start < len(signature):
        end = start
        while signature[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += (signature[end] in "({") - (signature[end] in ")}")
            end += 1
            if not depth:
                break
        yield signature[start:end]
        start = end


class Writer:
    """Marshals."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.data = bytearray()

    def align(self, to: int) -> None:
        self.data += bytes(-len(self.data) % to)

    def write(self, signature: str, *values: Any) -> "Writer":
        for kind, value in zip(_types(signature), values, strict=True):
            self._one(kind, value)
        return self

    def _one(self, kind: str, value: Any) -> None:
        token = kind[0]
        self.align(_alignment(token))
        if token in _NUMBERS:
            self.data += struct.pack(self.order + _NUMBERS[token], value)
        elif token in "sog":
            encoded = value if isinstance(value, bytes) else value.encode()
            self.data += struct.pack(self.order + ("B" if token == "g" else "I"), len(encoded)) + encoded + b"\0"
        elif token == "v":
            self.write("g", value[0])
            self._one(*value)
        elif token == "a":
            self._array(kind[1:], value)
        else:
            self.write(kind[1:-1], *value)

    def _array(self, kind: str, value: Any) -> None:
        at = len(self.data)
        self.data += bytes(4)
        self.align(_alignment(kind[0]))
        start = len(self.data)
        if kind == "y":
            self.data += value
        else:
            for item in value.items() if isinstance(value, dict) else value:
                self._one(kind, item)
        struct.pack_into(self.order + "I", self.data, at, len(self.data) - start)


class Reader:
    """Unmarshals."""

    def __init__(self, data: bytes, order: str = "<") -> None:
        self._data = data
        self._order = order
        self.at = 0

    def align(self, to: int) -> None:
        self.at += -self.at % to

    def read(self, signature: str) -> list[Any]:
        return [self._one(kind) for kind in _types(signature)]

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from(self._order + code, self._data, self.at)
        self.at += struct.calcsize(code)
        return value

    def _one(self, kind: str) -> Any:
        token = kind[0]
        self.align(_alignment(token))
        if token in _NUMBERS:
            return self._number(_NUMBERS[token])
        if token in "sog":
            start = self.at + (1 if token == "g" else 4)
            self.at = start + self._number("B" if token == "g" else "I") + 1
            return self._data[start : self.at - 1].decode()
        if token == "v":
            return self._one(self._one("g"))
        if token == "a":
            length = self._number("I")
            self.align(_alignment(kind[1]))
            end = self.at + length
            items = []
            while self.at < end:
                items.append(self._one(kind[1:]))
            return dict(items) if kind[1] == "{" else items
        return tuple(self.read(kind[1:-1]))


def message(
    kind: int, serial: int, signature: str = "", *values: Any,
    flags: int = 0, order: str = "<", body: bytes | None = None, **fields: Any,
) -> bytes:  # fmt: skip
    """Return a message; `body` are marshalled values, where there are too many to do it each time."""
    inside = bytes(Writer(order).write(signature, *values).data) if body is None else body
    if signature:
        fields["signature"] = signature
    pairs = [(_FIELDS[name][0], (_FIELDS[name][1], value)) for name, value in fields.items()]
    head = Writer(order).write("yyyyuu", ord("l" if order == "<" else "B"), kind, flags, 1, len(inside), serial)
    head.write("a(yv)", pairs)
    head.align(8)
    return bytes(head.data) + inside


class Message(NamedTuple):
    """A message that came."""

    kind: int
    serial: int
    fields: dict[str, Any]
    body: list[Any]
    size: int

    @property
    def error(self) -> str:
        return self.fields.get("error_name", "")


def parse(data: bytes) -> Message | None:
    """Return the first message in the data, if it is whole."""
    if len(data) < 16:
        return None
    order = "<" if data[0] == ord("l") else ">"
    length, serial, inside = struct.unpack_from(order + "III", data, 4)
    start = 16 + inside + -inside % 8
    if len(data) < start + length:
        return None
    reader = Reader(data[:start], order)
    fields = {_NAMES[code]: value for code, value in reader.read("yyyyuua(yv)")[6]}
    body = Reader(data[start : start + length], order).read(fields.get("signature", ""))
    return Message(data[1], serial, fields, body, start + length)


class Client:
    """A blocking connection to a bus."""

    def __init__(self, address: str, *, descriptors: bool = False, wait: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(wait)
        self._data = bytearray()
        self._serial = 0
        try:
            self._socket.connect(address.removeprefix("unix:path="))
            self.send(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
            self._expect(b"OK ")
            if descriptors:
                self.send(b"NEGOTIATE_UNIX_FD\r\n")
                self._expect(b"AGREE_UNIX_FD")
            self.send(b"BEGIN\r\n")
            self.name = self.driver("Hello").body[0]
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _fill(self) -> None:
        received = self._socket.recv(1 << 18)
        if not received:
            raise ConnectionError("the bus hung up")
        self._data += received

    def _expect(self, start: bytes) -> None:
        while not self._data.endswith(b"\r\n"):
            self._fill()
        assert self._data.startswith(start), self._data
        self._data.clear()

    def send(self, data: bytes, descriptors: list[int] | None = None) -> None:
        if descriptors:
            socket.send_fds(self._socket, [data], descriptors)
        else:
            self._socket.sendall(data)

    def prepare(
        self, member: str, signature: str = "", *values: Any,
        path: str = ROOT, interface: str | None = None, destination: str = HEALTHD, **more: Any,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Return the serial and the bytes of a method call."""
        self._serial += 1
        if interface:
            more["interface"] = interface
        call = message(
            CALL, self._serial, signature, *values, path=path, member=member, destination=destination, **more
        )
        return self._serial, call

    def receive(self) -> Message:
        while not (found := parse(bytes(self._data[: _next(self._data)]))):
            self._fill()
        del self._data[: found.size]
        return found

    def answers(self, count: int) -> list[Message]:
        """Wait for so many answers; signals are dropped."""
        found: list[Message] = []
        while len(found) < count:
            if (received := self.receive()).kind in (RETURN, ERROR):
                found.append(received)
        return found

    def answer(self, serial: int) -> Message:
        """Wait for the answer to a call; what else comes is dropped."""
        while True:
            (received,) = self.answers(1)
            if received.fields["reply_serial"] == serial:
                return received

    def call(self, member: str, signature: str = "", *values: Any, **more: Any) -> Message:
        serial, data = self.prepare(member, signature, *values, **more)
        self.send(data)
        return self.answer(serial)

    def driver(self, member: str, signature: str = "", *values: Any) -> Message:
        return self.call(member, signature, *values, path="/org/freedesktop/DBus", interface=DRIVER, destination=DRIVER)

    def pipeline(self, count: int, member: str, signature: str = "", *values: Any, **more: Any) -> Iterator[bytes]:
        """Yield one method call over and over, with serials of their own, in blocks."""
        first, call = self.prepare(member, signature, *values, **more)
        block = bytearray()
        for serial in range(first, first + count):
            block += call[:8] + struct.pack("<I", serial) + call[12:]
            if len(block) > 1 << 16:
                yield bytes(block)
                block.clear()
        self._serial += count
        yield bytes(block)


def _next(data: bytearray) -> int:
    """Return where the first message ends, as far as that can be seen."""
    if len(data) < 16:
        return len(data)
    length, _, inside = struct.unpack_from("<III" if data[0] == ord("l") else ">III", data, 4)
    return 16 + inside + -inside % 8 + length


class Stranger:
    """A function in a process of its own, as nobody where these tests run as root. It is given one end of a pipe."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_estrange, args=(function, theirs, *arguments))
        self._process.start()
        theirs.close()

    def tell(self, what: Any) -> None:
        self._pipe.send(what)

    def told(self, wait: float = 60.0) -> Any:
        """Wait for what it tells."""
        assert self._pipe.poll(wait), "the stranger says nothing"
        return self._pipe.recv()

    @property
    def silent(self) -> bool:
        return not self._pipe.poll(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


def _estrange(function: Callable[..., None], *arguments: Any) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    function(*arguments)


# A bus that does as a test wants, on asyncio.

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def listening(path: str, peer: Peer) -> AsyncIterator[str]:
    """Listen like a bus and give the address; what `peer` raises ends the test."""
    talks: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def talk() -> None:
            try:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await peer(reader, writer)
            finally:
                writer.transport.abort()

        talks.append(asyncio.create_task(talk()))

    server = await asyncio.start_unix_server(accept, path, limit=1 << 26)
    try:
        yield f"unix:path={path}"
    finally:
        server.close()
        for each in talks:
            each.cancel()
        ends = await asyncio.gather(*talks, return_exceptions=True)
    assert not [end for end in ends if isinstance(end, Exception)], ends


async def read_message(reader: asyncio.StreamReader) -> Message:
    head = await reader.readexactly(16)
    rest = await reader.readexactly(_next(bytearray(head)) - 16)
    found = parse(head + rest)
    assert found
    return found


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Authenticate a client and answer its Hello; return what it sent until then as text."""
    said = await reader.readline()
    writer.write(b"OK 0123456789abcdef0123456789abcdef\r\n")
    said += await reader.readline()
    hello = await read_message(reader)
    writer.write(message(RETURN, 1, "s", ":1.7", reply_serial=hello.serial, sender=DRIVER, destination=":1.7"))
    return said
