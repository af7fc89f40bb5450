"""The system bus, for what other services of this machine know; whichever bus healthd itself is on.

It is connected to when somebody asks, and once more when it was lost. Nobody is started by being asked. What is
followed there is looked for at once, and where it is not there, or was lost, again with the next question, or when
somebody wakes up anyway: so nothing wakes up for it.
"""

import asyncio
import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from healthd import dbus, protocol
from healthd.errors import BusError, BusLost, BusUnreachable, CallError, NotAllowed, Unobserved, UsageError

AGAIN = 60.0
"""How often what is followed is looked for where nobody asks, seconds."""

_NO_OWNER = "org.freedesktop.DBus.Error.NameHasNoOwner"


class SystemBus:
    """Asks services on the system bus (`model.Ask`), or on the one at another address."""

    def __init__(self, bus: str = "system") -> None:
        self._bus = bus
        self._connection: dbus.Connection | None = None
        self._connecting = asyncio.Lock()
        self._followed: tuple[dbus.Signal, Callable[[list[Any]], None]] | None = None
        self._following: asyncio.Task[None] | None = None
        self._looked = -math.inf
        self._known: set[str] = set()
        """Who has answered: that there is no such service on this machine is not true then."""

    async def __call__(
        self, service: str, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        """See `model.Ask`."""
        self._look()
        try:
            connection = await self._connected()
            (owner,) = await connection.call_driver("GetNameOwner", "s", service)
            answer = await connection.call(owner, path, interface, member, signature, *body, wait=None)
        except BusError as error:
            absent = protocol.FAILED if service in self._known else protocol.UNSUPPORTED
            raise _unobserved(error, service, member, absent) from error
        self._known.add(service)
        return [part.value if isinstance(part, dbus.Variant) else part for part in answer]

    async def _connected(self) -> dbus.Connection:
        async with self._connecting:
            if self._connection is None or self._connection.lost.done():
                self._connection = await dbus.connect(self._bus)
            return self._connection

    def follow(self, signal: dbus.Signal, then: Callable[[list[Any]], None]) -> None:
        """Have `then` called with the body of each such signal; its sender is given by its well-known name."""
        self._followed = signal, then
        self._look()

    def look(self) -> None:
        """Look for what is followed where it was lost, unless that was tried just now; for who wakes up often."""
        if asyncio.get_running_loop().time() >= self._looked + AGAIN:
            self._look()

    def _look(self) -> None:
        self._looked = asyncio.get_running_loop().time()
        if self._followed and (self._following is None or self._following.done()):
            self._following = asyncio.get_running_loop().create_task(self._listen(*self._followed))

    async def _listen(self, signal: dbus.Signal, then: Callable[[list[Any]], None]) -> None:
        """Listen until the bus is lost, or who sends it leaves; not at all where there is none."""
        with suppress(BusError, UsageError):
            connection = await self._connected()
            (owner,) = await connection.call_driver("GetNameOwner", "s", signal.sender)
            over = asyncio.Event()
            connection.lost.add_done_callback(lambda _: over.set())
            async with (
                connection.departure(owner, over.set),
                connection.signals.listening(signal._replace(sender=owner), then),
            ):
                await over.wait()

    def close(self) -> None:
        """Let go of the bus; who waits for an answer gets none."""
        if self._following:
            self._following.cancel()
        if self._connection:
            self._connection.close()


def _unobserved(error: BusError, service: str, member: str, absent: str) -> Unobserved:
    """Return why a service can't be asked; `absent` is the problem where there is none."""
    match error:
        case BusUnreachable():
            return Unobserved(absent, f"{service} can't be asked: no system bus answers")
        case CallError(name=name) if name == _NO_OWNER:
            return Unobserved(absent, f"there is no {service} on the system bus")
        case NotAllowed() | CallError(name=dbus.ACCESS_DENIED):
            remedy = f"have the bus's policy let uid {os.geteuid()} ask it"
            return Unobserved(protocol.PERMISSION, f"the system bus does not let {service} be asked", remedy)
        case CallError(name=name):
            return Unobserved(protocol.FAILED, f"{service} answers {member} with {name}")
        case BusLost():
            return Unobserved(protocol.FAILED, "the system bus was lost")
    return Unobserved(protocol.FAILED, f"{service} can't be asked: {error}")
