"""The verdict as it changes, over the ends and beginnings of healthd."""

from time import monotonic
from typing import Any

from healthctl.client import Client
from healthctl.errors import Unavailable

_RETRY = 1.0
"""Between two attempts to reach a daemon that is gone, seconds."""


class Verdicts:
    """The verdict of now, and again each time when it or a condition has changed: healthd says when."""

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
        """Return the descriptor that becomes readable when something changed; -1 while there is no connection."""
        return self._client.fileno() if self._client else -1

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds; `None`: for ever."""
        return None if self._client else max(0.0, self._due - monotonic())

    def advance(self) -> dict[str, Any] | None:
        """Return the health as `Describe` has it; `None` where nothing has changed since the last call.

        To be called until it is `None` before anything is waited for. Raises Unavailable where there is no daemon now;
        the next attempt is a second later.
        """
        try:
            if self._client:
                return _health(self._client) if self._client.judged() else None
            if monotonic() < self._due:
                return None
            self._client = Client(self._bus, start=self._start)
            # First, so that nothing is lost between the answer and the first signal.
            self._client.subscribe_to_health()
            health = _health(self._client)
            self._start = False
            return health
        except Unavailable:
            self.close()
            self._due = monotonic() + _RETRY
            raise


def _health(client: Client) -> dict[str, Any]:
    health = client.describe().get("health")
    if not isinstance(health, dict) or not isinstance(health.get("conditions"), dict):
        raise Unavailable("this healthd has no conditions; update it")
    return health
