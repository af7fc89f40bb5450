"""Metrics as they are observed, as often as wanted, over the ends and beginnings of healthd."""

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from healthctl import terminal
from healthctl.client import Sample
from healthctl.errors import Loss, Unavailable
from healthctl.following import Following
from healthctl.place import systemctl

_LATE = 5.0
"""How much later than due a sample may be, seconds."""


class Watch(Following):
    """A watch of metrics every so many seconds; `None`: as often as they are sampled."""

    def __init__(self, bus: str, metrics: Sequence[str], seconds: float | None) -> None:
        super().__init__(bus)
        self._metrics = metrics
        self._seconds = seconds
        self._silence = 0.0
        """The longest time without a sample that is nothing strange, seconds."""
        self._heard = 0.0

    @property
    def wait(self) -> float | None:
        """See `Following`."""
        return super().wait if self._client is None else max(0.0, self._heard + self._silence - monotonic())

    def known(self) -> dict[str, dict[str, Any]]:
        """Return what each metric is, by `family.field`, as long as there is a connection."""
        return self._client.metrics() if self._client else {}

    def advance(self) -> Iterator[Sample]:
        """Yield the samples that came since the last call.

        Raises Unavailable where there is no daemon now; the next attempt is a second later. Raises UnknownMetric.
        """
        with self._attempt():
            if not self._client and (client := self._connect()):
                _, interval = client.watch(self._metrics, self._seconds)
                self._answered()
                self._heard, self._silence = monotonic(), interval + _LATE
            if self._client:
                yield from self._samples()

    def _samples(self) -> Iterator[Sample]:
        assert self._client
        for sample in self._client.samples():
            self._heard = monotonic()
            yield sample
        if monotonic() - self._heard > self._silence:
            hint = f"see: {systemctl(self._bus)} status healthd"
            raise Unavailable(f"healthd has told nothing for {self._silence:.0f} s; {hint}")


def follow(watch: Watch, show: Callable[[Sample], None], count: int | None) -> None:
    """Show so many samples, or all of them until a signal ends it, or nobody reads any more.

    Raises Unavailable where there is no daemon at the beginning, and UnknownMetric.
    """
    begun, loss = False, Loss()
    while count is None or count > 0:
        try:
            for sample in watch.advance():
                begun = True
                loss.over()
                show(sample)
                count = None if count is None else count - 1
                if count == 0:
                    return
        except Unavailable as error:
            if not begun:
                raise
            loss.say(error)
        terminal.pause(watch.fileno(), watch.wait)
