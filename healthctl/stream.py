"""The events as they happen, over the ends and beginnings of healthd."""

from collections.abc import Iterable, Iterator, Sequence
from time import monotonic

from healthctl.client import Client
from healthctl.errors import Unavailable

_RETRY = 1.0
"""Between two attempts to reach a daemon that is gone, seconds."""

_MISSED = 1000
"""Events asked for when healthd is back."""

_KNOWN = 10_000
"""Events remembered, as many as one answer can hold."""


class Stream:
    """Every event once: those that were, at most so many, then each that happens."""

    def __init__(self, bus: str, since: float, names: Sequence[str], most: int) -> None:
        self._bus = bus
        self._since = since
        self._names = names
        self._most = most
        self._client: Client | None = None
        self._start = True
        """Whether to have healthd started: not any more once it has answered, for who ended it meant it."""
        self._due = 0.0
        self._known: dict[str, None] = {}
        """Lines that were answered or told, oldest first: none is told twice."""

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

    def advance(self) -> Iterator[str]:
        """Yield the lines of what happened since the last call.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        try:
            if not self._client and monotonic() >= self._due:
                self._client = Client(self._bus, start=self._start)
                # First, so that nothing is lost between the answer and the first signal.
                self._client.subscribe()
                yield from self._before(self._client)
            if self._client:
                yield from self._after(self._client)
        except Unavailable:
            self.close()
            self._due = monotonic() + _RETRY
            raise

    def _before(self, client: Client) -> Iterator[str]:
        """Yield what happened before: at the first time what was asked for, later what was missed."""
        # None at all is a thousand on the bus.
        lines = client.events(self._since, None, self._names, max(self._most, 1))
        self._start = False
        # What comes before a line that is known was not asked for. After a crash the last ones may be forgotten.
        missed = max((index + 1 for index, line in enumerate(lines) if line in self._known), default=0)
        shown = lines[missed:] if self._most else []
        self._most = _MISSED
        self._remember(lines)
        yield from shown

    def _after(self, client: Client) -> Iterator[str]:
        for name, line in client.happened():
            if line not in self._known and _meant(name, self._names):
                self._remember([line])
                yield line

    def _remember(self, lines: Iterable[str]) -> None:
        self._known |= dict.fromkeys(lines)
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]


def _meant(name: str, names: Sequence[str]) -> bool:
    """Tell whether a name is one of those asked for, as the bus understands them."""
    return not names or any(name.startswith(asked[:-1]) if asked.endswith(".*") else name == asked for asked in names)
