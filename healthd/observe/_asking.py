"""Collectors that ask other services: each waits for its answer for itself, and not for ever."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Ask, Asking, Observation, Problem, Reading
from healthd.observe._checks import check
from healthd.observe._problems import RAISED, problem

DEADLINE = 5.0
"""How long all answers that a collector needs may take, seconds."""


async def nobody(service: str, *_: Any, **__: Any) -> list[Any]:
    """Stand in for a bus where there is none."""
    raise Unobserved(protocol.UNSUPPORTED, f"{service} can't be asked: there is no bus")


class AskingRunner:
    """Runs one collector that asks other services."""

    def __init__(self, collector: Asking, ask: Ask, answered: Callable[[], None], deadline: float = DEADLINE) -> None:
        self.family = collector.reading.family
        self._collector = collector
        self._ask = ask
        self._answered = answered
        self._deadline = deadline
        self._run: asyncio.Task[Observation] | None = None
        self._failures = 0

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None and not self._run.done()

    def begin(self, now: Instant) -> bool:
        """Start a run, and say so; what the one before brought must have been taken."""
        if self._run is not None:
            return False
        self._run = asyncio.get_running_loop().create_task(self._observed(now))
        self._run.add_done_callback(lambda _: self._answered())
        return True

    def end(self) -> None:
        """Wait for no answer any more."""
        if self._run:
            self._run.cancel()
            self._run = None

    def take(self) -> Observation | None:
        """Return what the run brought once it is done."""
        if self._run is None or not self._run.done():
            return None
        run, self._run = self._run, None
        return None if run.cancelled() else run.result()

    async def _observed(self, now: Instant) -> Observation:
        began = time.perf_counter()
        problems: dict[str, Problem] = {}
        readings: dict[str, Reading] = {}
        try:
            async with asyncio.timeout(self._deadline) as limit:
                readings = dict(await self._collector.inquire(now, self._ask))
            check(self.family, readings)
        except RAISED as error:  # isolation: whatever a collector raises stays with its family
            if self._run is not asyncio.current_task():
                # It was ended.
                raise
            readings = {}
            found = problems[SINGLE] = self._late() if limit.expired() else problem(error)
            self._failures += found.code not in protocol.NO_FAULTS
        duration = time.perf_counter() - began
        return Observation(self.family, now, readings, problems, duration, self._failures)

    def _late(self) -> Problem:
        reason = f"{self.family.name} has had no answer for more than {self._deadline:g} s"
        return Problem(protocol.TIMEOUT, reason, "")
