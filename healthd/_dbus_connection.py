"""One connection to a bus; what the bus does not take yet is kept by the transport of asyncio.

A frame is looked at before it is decoded:

- a method call that wants no reply is dropped, since it escapes the bus daemon's cap on pending replies;
- an oversized body is refused by its header alone;
- signals are decoded only from whom is listened to (`_dbus_signals.py`), and from the bus daemon itself while somebody
  is waited for to leave (`_dbus_departures.py`);
- replies are decoded only while a call of ours waits, and taken from whom it went to (`_dbus_calls.py`);
- an answer that takes time is awaited while others are given, for a few calls at once (`_dbus_answers.py`);
- handling gives the loop a turn after `SLICE` seconds, and stops reading while answers pile up.
"""

import asyncio
import io
import itertools
import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from healthd import _dbus_frames as frames
from healthd import _dbus_library as library
from healthd._dbus_answers import Answerer
from healthd._dbus_calls import DRIVER, Calls
from healthd._dbus_departures import Departures
from healthd._dbus_messages import ACCESS_DENIED, Handler, Reply
from healthd._dbus_signals import Signals
from healthd._dbus_unicast import Unicast
from healthd.errors import BusLost, CallError, NameTaken, NotAllowed

SLICE = 0.005
"""How long incoming messages are handled before the loop has a turn, seconds."""
BACKLOG = 128 * 1024
"""While this much is unsent no call is taken, bytes: less than what keeps signals back."""

_DRIVER_PATH = "/org/freedesktop/DBus"
_START = 30.0
"""Longer than the bus daemon waits for a service that it starts, seconds."""
_DO_NOT_QUEUE, _OWNED = 4, (1, 4)
_TYPES = {kind.value: kind for kind in library.MessageType}


class Connection(asyncio.BufferedProtocol):
    """One connection to a bus, ended by `close` or by the bus."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.unique_name = ""
        self.dropped = 0
        """Messages that were not answered because they wanted no answer or could not be understood."""
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection has ended."""
        self.on_call: Handler | None = None
        self._transport: asyncio.Transport | None = None
        self._framer = frames.Framer()
        self._answerer = Answerer(self._send, lambda: self.backlog)
        self._authenticated: asyncio.Future[None] = self._loop.create_future()
        self._calls = Calls(self._send)
        tell_driver = partial(self.tell, DRIVER, _DRIVER_PATH, DRIVER)
        self._departures = Departures(self.call_driver, tell_driver)
        self.signals = Signals(self.call_driver, tell_driver)
        """What is listened for."""
        self._serials = itertools.chain.from_iterable(itertools.repeat(range(1, 1 << 32)))
        self._full = self._scheduled = False

    # For the owner of the connection.

    @property
    def backlog(self) -> int:
        """Bytes that the bus has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    async def begin(self) -> None:
        """Wait for authentication and say hello."""
        await self._authenticated
        self.unique_name = (await self.call_driver("Hello"))[0]

    async def call_driver(self, member: str, signature: str = "", *body: Any, wait: float = 10.0) -> list[Any]:
        """Call a method of the bus daemon and return the body of its answer.

        Raises CallError for an error reply, BusLost where the connection ends or no answer comes within `wait` seconds.
        """
        try:
            return await self.call(DRIVER, _DRIVER_PATH, DRIVER, member, signature, *body, wait=wait)
        except TimeoutError:
            raise BusLost(f"the bus did not answer {member} within {wait:g} s") from None

    async def call(
        self,
        name: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: Any,
        wait: float | None = 25,
    ) -> list[Any]:
        """Call a method of a unique name (see `owner`), and return the body of its answer.

        Raises CallError for an error reply, TimeoutError where none comes within `wait` seconds (`None`: as long as it
        takes), and BusLost. Who is cancelled leaves nothing behind here; the other side does not know of it.
        """
        if self._transport is None:
            raise BusLost("the bus has ended the connection")
        return await self._calls.ask(name, signature, body, wait, path=path, interface=interface, member=member)

    def tell(self, name: str, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        """Call a method without an answer."""
        self._calls.tell(name, signature, body, path=path, interface=interface, member=member)

    async def owner(self, name: str) -> str:
        """Return the unique name of a service, which is started where it can be; raises CallError and BusLost."""
        try:
            return str((await self.call_driver("GetNameOwner", "s", name))[0])
        except CallError:
            await self.call_driver("StartServiceByName", "su", name, 0, wait=_START)
            return str((await self.call_driver("GetNameOwner", "s", name))[0])

    def departure(self, name: str, then: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Return a context: while it lasts, `then` is called once a unique name has left the bus."""
        return self._departures.expected(name, then)

    async def require_free(self, name: str) -> None:
        """Raise NameTaken where a bus name is owned already."""
        if (await self.call_driver("NameHasOwner", "s", name))[0]:
            raise NameTaken(name)

    async def own(self, name: str) -> None:
        """Own a bus name, now or not at all.

        Raises NameTaken or NotAllowed.
        """
        try:
            answer = await self.call_driver("RequestName", "su", name, _DO_NOT_QUEUE)
        except CallError as error:
            if error.name != ACCESS_DENIED:
                raise
            raise NotAllowed(
                f"this bus does not let uid {os.geteuid()} own {name}: start healthd as the user that the bus's policy "
                "names, or give it a bus of its own with --bus"
            ) from None
        if answer[0] not in _OWNED:
            raise NameTaken(name)

    def signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        """Send a signal to everyone who listens."""
        self._send(frames.SIGNAL, path=path, interface=interface, member=member, signature=signature, body=body)

    def deliver(self, signals: Iterable[tuple[Unicast, bytes]]) -> None:
        """Send signals to one client each, with bodies that are marshalled already, in one go."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(b"".join([signal.message(next(self._serials), body) for signal, body in signals]))

    def close(self) -> None:
        """End the connection after what is unsent, or at once where the bus takes nothing; who waits gets no answer."""
        if self._transport and self.backlog:
            self._transport.abort()
        elif self._transport:
            self._transport.close()

    # For asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin authentication (D-Bus specification, "Authentication Protocol")."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=BACKLOG)
        transport.write(b"\0AUTH EXTERNAL %s\r\n" % str(os.geteuid()).encode().hex().encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of those who wait for us, and wake everyone who waits for the bus."""
        self._transport = None
        self._answerer.end()
        fault = BusLost(f"the bus ended the connection{f': {exc}' if exc else ''}")
        self._calls.end(fault)
        if not self._authenticated.done():
            self._authenticated.set_exception(fault)
        if not self._authenticated.cancelled():
            # It may be that nobody asks any more, and asyncio warns of an exception that nobody looked at.
            self._authenticated.exception()
        self.lost.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """Say where the next bytes go."""
        return self._framer.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what came."""
        self._framer.filled(nbytes)
        self._handle()

    def pause_writing(self) -> None:
        """Take no calls while the bus takes no answers."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._yield()

    # Incoming.

    def _handle(self) -> None:
        """Handle whole frames until there are none, the slice is over, or answers pile up."""
        until = time.monotonic() + SLICE
        try:
            if not self._authenticated.done():
                self._authenticate()
            while self._authenticated.done() and (frame := self._framer.next()):
                self._take(frame)
                if self._full or time.monotonic() > until:
                    self._yield()
                    return
        except frames.Violation:
            if self._transport:
                self._transport.abort()

    def _yield(self) -> None:
        """Read no more, and go on in the loop's next turn unless answers pile up."""
        if self._transport is None or self._scheduled:
            return
        self._transport.pause_reading()
        if not self._full:
            self._scheduled = True
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._scheduled = False
        if self._transport:
            self._transport.resume_reading()
            self._handle()

    def _authenticate(self) -> None:
        line = self._framer.line()
        if line is None or self._transport is None:
            return
        if line.startswith(b"OK "):
            self._transport.write(b"BEGIN\r\n")
            self._authenticated.set_result(None)
        else:
            answer = line.decode("ascii", "replace")
            self._authenticated.set_exception(NotAllowed(f"the bus refuses uid {os.geteuid()}: {answer!r}"))

    def _take(self, frame: frames.Frame) -> None:
        if not self._wanted(frame):
            self.dropped += 1
            return
        try:
            message = library.Unmarshaller(io.BytesIO(frame.data)).unmarshall()
        except Exception:  # noqa: BLE001  # the libraries raise whatever their parsing stumbles over
            message = None
        library.trim_signatures()
        if message and not frame.oversized and bool(message.signature) != bool(message.body):
            message = None
        sender = message.sender or DRIVER if message else ""
        if not (library.is_bus_name_valid(sender) and sender.isprintable()):
            self.dropped += 1
        elif frame.kind == frames.METHOD_CALL:
            self._answerer.answer(self.on_call, frame, message)
        elif frame.kind == frames.SIGNAL:
            self._departures.came(message)
            self.signals.came(message)
        else:
            self._calls.answered(sender, message)

    def _wanted(self, frame: frames.Frame) -> bool:
        if frame.kind == frames.METHOD_CALL:
            return not frame.flags & frames.NO_REPLY_EXPECTED
        if frame.kind == frames.SIGNAL:
            is_known = bool(self._departures) and frames.is_from(frame.data, DRIVER)
            return not frame.oversized and (is_known or self.signals.wanted(frame.data))
        return bool(self._calls)

    # Outgoing.

    def _send(self, kind: int, reply: Reply | None = None, **parts: Any) -> int:
        """Marshal a message, hand it to the transport and return its serial; a lost connection takes nothing."""
        serial = next(self._serials)
        message = library.Message(message_type=_TYPES[kind], serial=serial, **parts)
        if self._transport and not self._transport.is_closing():
            encoded = message._marshall(False)  # noqa: SLF001  # the library's own connection does this
            if reply and reply.signature:
                encoded = frames.with_body(encoded, reply.signature, reply.encoded)
            self._transport.write(encoded)
        return serial
