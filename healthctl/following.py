"""A connection to healthd that lasts over its ends and beginnings."""

from time import monotonic

from healthctl.client import Client

_RETRY = 1.0
"""Between two attempts to reach a daemon that is gone, seconds."""


class Following:
    """Holds the connection, and makes it anew a second after it was lost."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._client: Client | None = None
        self._start = True
        """Whether to have healthd started: not any more once it has answered, for who ended it meant it."""
        self._due = 0.0

    def close(self) -> None:
        """End the connection."""
        if self._client:
            self._client.close()
        self._client = None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something happened; -1 while there is no connection."""
        return self._client.fileno() if self._client else -1

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds; `None`: for ever."""
        return None if self._client else max(0.0, self._due - monotonic())

    @property
    def has_answered(self) -> bool:
        """Whether there was a daemon, at some time."""
        return not self._start

    def _connect(self) -> Client | None:
        """Return a new connection where it is time for one. Raises Unavailable."""
        if monotonic() < self._due:
            return None
        self._client = Client(self._bus, start=self._start)
        return self._client

    def _answered(self) -> None:
        self._start = False

    def _lost(self) -> None:
        self.close()
        self._due = monotonic() + _RETRY
