"""What the server asks of the rest of healthd: what may be changed, and what was."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from healthd.model import Point, Source


class Faster(Source, Protocol):
    """Observes some families beside all others, until it is ended."""

    def choose(self, families: Collection[str]) -> None:
        """Observe these families and no others; what is new among them twice at once, so that there are rates."""

    def end(self) -> None:
        """Observe no more."""


class Control(Protocol):
    """What may be changed while healthd runs."""

    def acknowledge(self, rule: str, instance: str, who: str, until: float) -> None:
        """Take note of a condition until then (seconds since 1970 UTC); raises KeyError where there is none."""

    async def set_collector_enabled(self, family: str, *, enabled: bool) -> None:
        """Observe a family, or leave it out, until the next reload; raises KeyError where there is no such family.

        It is over when what is published shows it.
        """

    async def reload(self) -> None:
        """Read the configuration again; raises ConfigError, and keeps the one in force, where it has faults.

        It is over when what is published shows it.
        """

    @property
    def faster(self) -> Callable[[float], Faster] | None:
        """What makes something that observes at an interval (seconds), as families allow; `None`: nothing can."""


class Archive(Protocol):
    """Answers what was. Times are seconds since 1970 UTC."""

    def history(self, address: str, since: float, until: float, most: int) -> Awaitable[Sequence[Point]]:
        """Return a gauge's points, oldest first.

        `address`: `family.field` or `family.field@instance`. Raises KeyError where nothing is known of it.
        """

    def events(self, since: float, until: float, names: Sequence[str], most: int) -> Awaitable[Sequence[str]]:
        """Return the newest `most` events as JSON lines, oldest first.

        A name may end in `.*`; without names, all that are no samples.
        """

    def movers(self, begun: float, until: float, *, lag: float, but: str) -> Sequence[Mapping[str, Any]] | None:
        """Return what moved most while something built up, the most unusual first; `None` where that is not known.

        It began at `begun` and was there at `until` (seconds since 1970 UTC); what is judged looks back by `lag`
        seconds. Each has `metric`, `unit`, `before` and `after`; none is of the reading that the metric `but` is of.
        """
