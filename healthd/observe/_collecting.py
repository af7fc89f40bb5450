"""Collectors that never block: what each brings, or why it brings nothing."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Family, Observation, Problem, Reading
from healthd.observe._checks import check
from healthd.observe._problems import RAISED, problem


class CollectorRunner:
    """Runs one collector that never blocks."""

    busy = False

    def __init__(self, family: Family, collect: Callable[[Instant], Mapping[str, Reading]]) -> None:
        self.family = family
        self._collect = collect
        self._observation: Observation | None = None
        self._failures = 0

    def begin(self, now: Instant) -> bool:
        """Observe, and say that it was done."""
        began = time.perf_counter()
        problems: dict[str, Problem] = {}
        readings: dict[str, Reading] = {}
        try:
            readings = dict(self._collect(now))
            check(self.family, readings)
        except RAISED as error:  # isolation: whatever a collector raises stays with its family
            readings = {}
            found = problems[SINGLE] = problem(error)
            self._failures += found.code not in protocol.NO_FAULTS
        duration = time.perf_counter() - began
        self._observation = Observation(self.family, now, readings, problems, duration, self._failures)
        return True

    def end(self) -> None:
        """There is nothing to let go of."""

    def take(self) -> Observation | None:
        """Return what was observed, once."""
        observation, self._observation = self._observation, None
        return observation


def refusing(family: Family, why: Problem) -> CollectorRunner:
    """Return what stands for a collector that is not there: its family is unavailable each time."""
    return CollectorRunner(family, partial(_refuse, why))


def _refuse(why: Problem, _: Instant) -> Mapping[str, Reading]:
    raise Unobserved(*why)
