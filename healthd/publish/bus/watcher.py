"""A client that watches: that it is there, and that it takes what it is sent.

The bus keeps for a client what it does not read, up to 127 MiB each, and tells nobody. So a client is called from time
to time: org.freedesktop.DBus.Peer.Ping, which D-Bus libraries answer by themselves, and in its turn. What was sent
since is bounded, and whoever does not answer is sent no more.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from healthd.dbus import LIMITS_EXCEEDED, Connection
from healthd.errors import BusError, CallError
from healthd.publish.bus import standard

WINDOW = 256 * 1024
"""How much a client may be sent that it has not shown to have taken, bytes."""
_PING_AFTER = WINDOW // 4
PATIENCE = 60.0
"""How long it may be sent nothing for that before its watches are closed, seconds."""


class Watcher:
    """One connection that watches, of a user whom the bus daemon vouches for, with the numbers of its watches.

    `gone` is called when it has left the bus, `slow` when it has taken nothing for too long, and `idle` when it owes no
    answer any more.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        user: int,
        *,
        gone: Callable[["Watcher"], None],
        slow: Callable[["Watcher"], None],
        idle: Callable[["Watcher"], None],
    ) -> None:
        self.name = name
        self.user = user
        self.watches: set[int] = set()
        self._connection = connection
        self._slow = slow
        self._idle = idle
        self._untaken = 0
        self._full_since: float | None = None
        self._ping: asyncio.Task[None] | None = None
        self._attending = asyncio.get_running_loop().create_task(self._attend(gone))

    @property
    def owes(self) -> bool:
        """Whether it has not answered yet: the bus daemon keeps that in mind, and not for any number of calls."""
        return self._ping is not None

    def begin(self) -> None:
        """Take note that it asks for a watch: there is room again for whatever it was sent before."""
        self._untaken, self._full_since = 0, None

    def has_room(self) -> bool:
        """Tell whether it may be sent more."""
        if self._untaken < WINDOW:
            self._full_since = None
            return True
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since > PATIENCE:
            self._slow(self)
        return False

    def sent(self, size: int) -> None:
        """Take note of what it was sent, bytes."""
        self._untaken += size
        if self._untaken >= _PING_AFTER and self._ping is None:
            self._ping = asyncio.get_running_loop().create_task(self._ask())

    def end(self) -> None:
        """Wait for nothing of it any more."""
        self._attending.cancel()
        if self._ping:
            self._ping.cancel()
            self._ping = None

    async def _attend(self, gone: Callable[["Watcher"], None]) -> None:
        left = asyncio.Event()
        # Without a bus there is nobody either.
        with suppress(BusError):
            async with self._connection.departure(self.name, left.set):
                await left.wait()
        gone(self)

    async def _ask(self) -> None:
        """Have it answer: then it has taken all that was sent before."""
        before = self._untaken
        try:
            await self._connection.call(self.name, "/", standard.PEER.name, "Ping", wait=None)
        except CallError as error:
            # Any answer is one; this one is the bus daemon's, which can't hand it the call.
            if error.name == LIMITS_EXCEEDED:
                before = 0
        except BusError:
            return
        self._ping = None
        self._untaken = max(self._untaken - before, 0)
        self._idle(self)
