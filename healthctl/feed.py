"""What the screen shows, as it comes: what healthd describes, and what a watch tells where that is oftener."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from healthctl.client import Client, Sample
from healthctl.errors import Busy, Unavailable, UnknownMetric
from healthctl.poll import Poll
from healthctl.render.described import number
from healthctl.series import Point

AT_ONCE = 4
"""Histories that are on their way together at most: healthd refuses more."""


class History(NamedTuple):
    """How a metric was."""

    address: str
    points: list[Point]


News = dict[str, Any] | Sample | History


class Feed(Poll):
    """Both on one connection; `metrics` are watched where `seconds` is less than healthd's own interval."""

    def __init__(self, bus: str, seconds: float | None, metrics: Sequence[str]) -> None:
        super().__init__(bus, seconds)
        self._metrics = metrics
        self._loading: dict[int, str] = {}
        """The addresses of the metrics whose history is on its way, by the numbers of the questions."""
        self._is_busy = False
        """Whether healthd has refused to answer so much at once: it is left alone until there is something new."""
        self._watched: float | None = None
        """The interval of the watch, seconds; 0 where there is none, `None` while that is open."""
        self.interval = 1.0
        """healthd's own, seconds."""

    def close(self) -> None:
        """End the connection."""
        super().close()
        self._watched = None
        self._loading.clear()

    @property
    def step(self) -> float:
        """How often something comes, seconds."""
        return self._watched or max(self._wanted or 0.0, self.interval)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something comes; -1 while nothing is awaited."""
        awaits = self._watched or self._loading
        return self._client.fileno() if self._client and awaits else super().fileno()

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds."""
        return 0.0 if self._client and self._client.has_unread else super().wait

    def news(self) -> Iterator[News]:
        """Yield what came since the last call: what was described, samples of the watch, what was before.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        if described := self.advance():
            self._is_busy = False
            self._begin(described)
            yield described
        with self._attempt():
            if self._client and self._watched is not None:
                for sample in self._client.samples():
                    self._is_busy = False
                    if self._watched:
                        yield sample
            if self._client and self._loading:
                yield from self._loaded(self._client)

    def load(self, addresses: Iterable[str], since: float, most: int) -> None:
        """Ask how metrics were since a time (seconds since 1970), in so many points at most; `news` has what comes."""
        if not self._client or self._watched is None or self._is_busy:
            return
        # What has become of the connection, the next answer tells.
        with suppress(Unavailable):
            for address in addresses:
                if len(self._loading) < AT_ONCE and address not in self._loading.values():
                    self._loading[self._client.ask_history(address, since, most)] = address

    def _loaded(self, client: Client) -> Iterator[History]:
        for question, address in list(self._loading.items()):
            try:
                points = client.answered_history(question)
            except Busy:
                del self._loading[question]
                self._is_busy = True
                continue
            if points is not None:
                del self._loading[question]
                yield History(address, points)

    def _begin(self, described: dict[str, Any]) -> None:
        """Watch, where that is wanted and can be: nobody watches what is replayed."""
        interval = number(described, "interval") or 0.0
        self.interval = interval if interval > 0 else 1.0
        if self._watched is not None or not self._client:
            return
        self._watched = 0.0
        if self._metrics and self._wanted and self._wanted < self.interval:
            with suppress(Unavailable, UnknownMetric):
                watch, accepted = self._client.watch(self._metrics, self._wanted)
                if accepted < self.interval:
                    # Now it is asked for the rest alone, as often as there is something new.
                    self._watched, self._seconds = accepted, None
                else:
                    self._client.unwatch(watch)
