"""Asking the daemon for each new sample: never waiting for it, and no oftener than there can be one."""

from time import CLOCK_BOOTTIME, clock_gettime, monotonic
from typing import Any

from healthctl.following import Following

_PUBLISHED = 0.05
"""How long after the moment of a sample the daemon has surely taken it, seconds."""


class Poll(Following):
    """One question at a time, each at the moment when there is something new to know.

    `seconds` between two questions is the daemon's own interval where it is `None`, or where less brings nothing.
    """

    def __init__(self, bus: str, seconds: float | None) -> None:
        super().__init__(bus)
        self._wanted = self._seconds = seconds
        self._asked = False
        self._shown: object = None

    def close(self) -> None:
        """End the connection."""
        super().close()
        self._asked, self._shown, self._seconds = False, None, self._wanted

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the answer comes; -1 while none is awaited."""
        return -1 if self._client and not self._asked else super().fileno()

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds."""
        if not self._client:
            return super().wait
        return self._client.patience if self._asked else max(0.0, self._due - monotonic())

    def advance(self) -> dict[str, Any] | None:
        """Do what is to be done now and return a sample that was not returned before.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        with self._attempt():
            return self._advance()

    def _advance(self) -> dict[str, Any] | None:
        if not self._asked:
            client = (self._client or self._connect()) if monotonic() >= self._due else None
            if not client:
                return None
            client.ask()
            self._asked = True
        assert self._client is not None
        described = self._client.answer()
        if described is None:
            return None
        self._asked = False
        self._answered()
        interval = _positive(described.get("interval"))
        period = self._seconds or interval
        sample = described.get("boot_id"), described.get("seq")
        if sample == self._shown:
            if period < interval:
                # It is no replay that is faster than what was recorded.
                self._seconds, period = None, interval
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
