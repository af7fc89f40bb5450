"""Counters become rates over the boot-time difference, or no rate rather than a wrong one."""

from collections.abc import Container, Sequence

from healthd.clock import Instant

# Clocks are read one after the other: less than this is no suspend.
_SUSPENDED = 0.05


class Rates:
    """The last counters of each instance of one family."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Instant, Sequence[int]]] = {}

    def deltas(self, instance: str, now: Instant, counters: Sequence[int]) -> tuple[float, list[int]] | None:
        """Return the seconds and the differences since the last call for this instance.

        `None` at the first call, when no time has passed, when the machine slept in between and when the number
        of counters changed. A counter that was reset or wrapped gives a negative difference.
        """
        last = self._last.get(instance)
        self._last[instance] = now, counters
        if last is None:
            return None
        then, before = last
        seconds = now.since_boot - then.since_boot
        if seconds <= 0 or abs(now.asleep - then.asleep) > _SUSPENDED or len(before) != len(counters):
            return None
        return seconds, [new - old for new, old in zip(counters, before, strict=True)]

    def per_second(
        self, instance: str, now: Instant, counters: Sequence[int], digits: int = 0
    ) -> Sequence[float | None]:
        """Return each counter's rate, all `None` where `deltas` gives none or any counter went backwards."""
        step = self.deltas(instance, now, counters)
        if step is None or min(step[1]) < 0:
            return [None] * len(counters)
        seconds, deltas = step
        return [round(delta / seconds, digits) if delta else 0.0 for delta in deltas]

    def keep(self, instances: Container[str]) -> None:
        """Forget the instances that are gone, so that one which comes back starts anew."""
        for instance in [known for known in self._last if known not in instances]:
            del self._last[instance]
