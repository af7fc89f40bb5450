"""The events as they happen, over the ends and beginnings of healthd."""

from collections.abc import Iterable, Iterator, Sequence

from healthctl.client import Client
from healthctl.following import Following

_MISSED = 1000
"""Events asked for when healthd is back."""

_KNOWN = 10_000
"""Events remembered, as many as one answer can hold."""


class Stream(Following):
    """Every event once: those that were, at most so many, then each that happens."""

    def __init__(self, bus: str, since: float, names: Sequence[str], most: int) -> None:
        super().__init__(bus)
        self._since = since
        self._names = names
        self._most = most
        self._known: dict[str, None] = {}
        """Lines that were answered or told, oldest first: none is told twice."""

    def advance(self) -> Iterator[str]:
        """Yield the lines of what happened since the last call.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        with self._attempt():
            if not self._client and (client := self._connect()):
                # First, so that nothing is lost between the answer and the first signal.
                client.subscribe()
                yield from self._before(client)
            if self._client:
                yield from self._after(self._client)

    def _before(self, client: Client) -> Iterator[str]:
        """Yield what happened before: at the first time what was asked for, later what was missed."""
        # None at all is a thousand on the bus.
        lines = client.events(self._since, None, self._names, max(self._most, 1))
        self._answered()
        # What comes before a line that is known was not asked for. After a crash the last ones may be forgotten.
        missed = max((index + 1 for index, line in enumerate(lines) if line in self._known), default=0)
        shown = lines[missed:] if self._most else []
        self._most = _MISSED
        self._remember(lines)
        yield from shown

    def _after(self, client: Client) -> Iterator[str]:
        for name, line in client.happened():
            if line not in self._known and meant(name, self._names):
                self._remember([line])
                yield line

    def _remember(self, lines: Iterable[str]) -> None:
        self._known |= dict.fromkeys(lines)
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]


def meant(name: str, names: Sequence[str]) -> bool:
    """Tell whether a name is one of those asked for, as the bus understands them."""
    return not names or any(name.startswith(asked[:-1]) if asked.endswith(".*") else name == asked for asked in names)
