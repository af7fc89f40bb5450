"""A connection to healthd that lasts over its ends and beginnings."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from healthctl.client import TIMEOUT, Client, connect, dial
from healthctl.errors import Unavailable
from healthctl.place import place

if TYPE_CHECKING:
    from healthctl.tunnel import Tunnel

_RETRY = 1.0
"""Between two attempts to reach a daemon that is gone, seconds."""
_LONGEST = 30.0
"""The same where each attempt is a login to another machine, of which every next one comes twice as late."""


class Following:
    """Holds the connection, and makes it anew a second after it was lost; to another machine ever later."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._client: Client | None = None
        self._start = True
        """Whether to have healthd started: not any more once it has answered, for who ended it meant it."""
        self._due = 0.0
        self._tunnel: Tunnel | None = None
        self._pause = _RETRY

    def close(self) -> None:
        """End the connection."""
        if self._client:
            self._client.close()
        if self._tunnel:
            self._tunnel.close()
        self._client = self._tunnel = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._client is not None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something happened; -1 while nothing can."""
        source = self._client or self._tunnel
        return source.fileno() if source else -1

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds; `None`: for ever."""
        if self._client:
            return None
        return self._tunnel.patience if self._tunnel else max(0.0, self._due - monotonic())

    @property
    def has_answered(self) -> bool:
        """Whether there was a daemon, at some time."""
        return not self._start

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Let go of the connection where something that is done with it raises Unavailable."""
        try:
            yield
        except Unavailable:
            self._lost()
            raise

    def _connect(self) -> Client | None:
        """Return a new connection where it is time for one. Raises Unavailable.

        Only the first one is waited for, and only on its way somebody is asked: then there may be a picture to keep.
        """
        if monotonic() < self._due:
            return None
        if not self._start:
            self._tunnel = self._tunnel or dial(self._bus, TIMEOUT, asks=False)
            if self._tunnel and self._tunnel.patience:
                return None
        tunnel, self._tunnel = self._tunnel, None
        self._client = Client(self._bus, start=self._start, connection=connect(self._bus, TIMEOUT, tunnel=tunnel))
        return self._client

    def _answered(self) -> None:
        self._start, self._pause = False, _RETRY

    def _lost(self) -> None:
        self.close()
        self._due = monotonic() + self._pause
        if place(self._bus).host:
            self._pause = min(2 * self._pause, _LONGEST)
