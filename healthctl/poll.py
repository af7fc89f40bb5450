"""Asking the daemon for each new sample: never waiting for it, and no oftener than there can be one."""

from time import CLOCK_BOOTTIME, clock_gettime, monotonic
from typing import Any

from healthctl.client import Client
from healthctl.errors import Unavailable

_RETRY = 1.0
"""Between two attempts to reach a daemon that is gone, seconds."""

_PUBLISHED = 0.05
"""How long after the moment of a sample the daemon has surely taken it, seconds."""


class Poll:
    """One question at a time, each at the moment when there is something new to know.

    `seconds` between two questions is the daemon's own interval where it is `None`.
    """

    def __init__(self, bus: str, seconds: float | None) -> None:
        self._bus = bus
        self._seconds = seconds
        self._client: Client | None = None
        self._start = True
        """Whether to have healthd started: not any more once it has answered, for who ended it meant it."""
        self._asked = False
        self._due = 0.0
        self._shown: object = None

    def close(self) -> None:
        """End the connection."""
        if self._client:
            self._client.close()
        self._client, self._asked, self._shown = None, False, None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the answer comes; -1 while none is awaited."""
        return self._client.fileno() if self._client and self._asked else -1

    @property
    def wait(self) -> float:
        """How long there is nothing to do unless the descriptor becomes readable, seconds."""
        if self._client and self._asked:
            return self._client.patience
        return max(0.0, self._due - monotonic())

    def advance(self) -> dict[str, Any] | None:
        """Do what is to be done now and return a sample that was not returned before.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        try:
            return self._advance()
        except Unavailable:
            self.close()
            self._due = monotonic() + _RETRY
            raise

    def _advance(self) -> dict[str, Any] | None:
        if not self._asked:
            if monotonic() < self._due:
                return None
            self._client = self._client or Client(self._bus, start=self._start)
            self._client.ask()
            self._asked = True
        assert self._client is not None
        described = self._client.answer()
        if described is None:
            return None
        self._asked = self._start = False
        interval = _positive(described.get("interval"))
        period = self._seconds or interval
        sample = described.get("boot_id"), described.get("seq")
        if sample == self._shown:
            self._due = monotonic() + max(0.1, period / 4)
            return None
        self._shown = sample
        self._due = monotonic() + period - _age(described, interval)
        return described


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 1.0


def _age(described: dict[str, Any], interval: float) -> float:
    """Return how long ago the sample was published, so that the next question meets the next sample.

    A daemon that replays what was recorded has another clock: then the sample counts as new.
    """
    since_boot = described.get("since_boot")
    if not isinstance(since_boot, int | float):
        return 0.0
    age = clock_gettime(CLOCK_BOOTTIME) - since_boot
    return age - _PUBLISHED if 0 <= age <= interval else 0.0
