"""A client that watches: that it is there, and that it takes what it is sent.

The bus keeps for a client what it does not read, up to 127 MiB each, and tells nobody. So a client is called from time
to time: org.freedesktop.DBus.Peer.Ping, which D-Bus libraries answer by themselves, and in its turn. What was sent
since is bounded, and whoever does not answer is sent no more: not for asking anew either, but once after its watches
were closed for it.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from healthd import protocol
from healthd.dbus import LIMITS_EXCEEDED, Connection
from healthd.errors import BusError, CallError
from healthd.publish.bus import standard

WINDOW = 256 * 1024
"""How much a client may be sent that it has not shown to have taken, bytes."""
_PING_AFTER = WINDOW // 4
PATIENCE = 60.0
"""How long it may be sent nothing for that before its watches are closed, seconds."""

_log = logging.getLogger(__name__)


class Watcher:
    """One connection that watches, of a user whom the bus daemon vouches for, with the numbers of its watches.

    `gone` is called when it has left the bus (with ""), or with why it can't be watched over; `slow` when it has taken
    nothing for too long, and `idle` when it owes no answer any more.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        user: int,
        *,
        gone: Callable[["Watcher", str], None],
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
        self._closings = 0
        """How often its watches were closed since it owes an answer."""
        self._may_begin = False
        self._ping: asyncio.Task[None] | None = None
        self._attending = asyncio.get_running_loop().create_task(self._attend(gone))

    @property
    def owes(self) -> bool:
        """Whether it has not answered yet: the bus daemon keeps that in mind, and not for any number of calls."""
        return self._ping is not None

    def begin(self) -> None:
        """Take note that it asks for a watch: once after its watches were closed, there is room again."""
        if self._may_begin:
            self._may_begin, self._untaken, self._full_since = False, 0, None

    def is_done(self) -> bool:
        """Tell whether it neither watches nor owes an answer; it owes one for whatever it was sent."""
        if self._untaken and not self.watches and self._ping is None:
            self._ping = asyncio.get_running_loop().create_task(self._ask())
        return not self.watches and self._ping is None

    def has_room(self) -> bool:
        """Tell whether it may be sent more."""
        if self._untaken < WINDOW:
            self._full_since = None
            return True
        now = time.monotonic()
        self._full_since = self._full_since or now
        if self.watches and now - self._full_since > PATIENCE:
            self._closings += 1
            self._may_begin, self._full_since = self._closings == 1, None
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

    async def _attend(self, gone: Callable[["Watcher", str], None]) -> None:
        left = asyncio.Event()
        reason = ""
        try:
            async with self._connection.departure(self.name, left.set):
                await left.wait()
        except BusError as error:
            # Without a bus there is nobody either.
            if not self._connection.lost.done():
                reason = protocol.FAILED
                _log.warning("the bus does not tell when %s leaves, so that it can't watch: %s", self.name, error)
        gone(self, reason)

    async def _ask(self) -> None:
        """Have it answer: then it has taken all that was sent before."""
        before = self._untaken
        try:
            await self._connection.call(self.name, "/", standard.PEER.name, "Ping", wait=None)
        except CallError as error:
            # Any answer is one; this one is the bus daemon's, which can't hand it the call.
            if error.name == LIMITS_EXCEEDED and self.watches:
                before = 0
        except BusError:
            return
        self._ping = None
        if before:
            self._closings, self._may_begin = 0, False
        self._untaken = max(self._untaken - before, 0)
        self._idle(self)
