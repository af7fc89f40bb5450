"""Runs the collectors that are due, each for itself: what one does, or fails to do, costs the others nothing."""

import asyncio
import logging
import math
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Container, Iterable, Iterator, Mapping
from typing import Any, Protocol

from healthd import protocol
from healthd.clock import Clock, Instant, SystemClock, gaps, ticks
from healthd.model import Ask, Asking, Collector, Event, Noticing, Observation, Probing, Problem, Reading, Sample
from healthd.observe._asking import AskingRunner, nobody
from healthd.observe._collecting import CollectorRunner, refusing
from healthd.observe._files import Roots
from healthd.observe._oversight import Overseeing, Oversight
from healthd.observe._problems import RAISED, problem
from healthd.observe._threads import ProbingRunner, Waiting


class CollectorType(Protocol):
    """The class of a collector."""

    reading: type[Reading]

    def __call__(self, roots: Roots) -> Collector | Probing | Asking:
        """Make a collector that reads below `roots`."""


GRACE = 0.05
"""How long a cycle waits for reads that can block, seconds; what is later joins the next cycle."""
FIRST_GRACE = 0.5
"""The same at start, where a complete first picture is worth more."""
FIRST_RATES = 0.1
"""Time from the first sample to the second, so that no client sees rates that are not there yet, seconds."""
_FIRST = 2
RETRY = 60.0
"""How often something unsupported is tried again, seconds."""
FASTER = 10.0
"""How much oftener than it says a family may be observed for those who want that."""
_EARLY = 0.05

_log = logging.getLogger(__name__)

_AnyRunner = CollectorRunner | ProbingRunner | AskingRunner


def _disabled(family: str) -> Problem:
    remedy = f"healthctl collectors --enable {family}, or collectors.disabled in the configuration"
    return Problem(protocol.DISABLED, "it is switched off", remedy)


class Runner:
    """Observes this machine: all collectors at their cadences."""

    def __init__(
        self,
        collectors: Iterable[CollectorType],
        roots: Roots,
        interval: float,
        clock: Clock | None = None,
        ask: Ask = nobody,
        *,
        oversight: Oversight | None = None,
    ) -> None:
        self.interval = interval
        self.states: Mapping[str, Any] | None = None
        """What judging goes on from: it was known before this start."""
        self._clock = clock or SystemClock()
        self._ask = ask
        self._boot_id = roots.proc.text("sys/kernel/random/boot_id", default="")
        self._seq = 0
        self._last: Instant | None = None
        self._started = {"version": protocol.VERSION, "interval": interval}
        self._finished = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._hurried = asyncio.Event()
        self._roots = roots
        self._collectors = {make.reading.family.name: make for make in collectors}
        self._disabled: frozenset[str] = frozenset()
        self._noticing: dict[str, Noticing] = {}
        self._oversight = oversight or Oversight()
        self._is_overseen = oversight is None
        self._runners: dict[str, _AnyRunner] = {}
        self._next: dict[str, float] = {}
        self._new: dict[str, int] = {}
        """In how many samples a family is observed whatever is due: two give rates."""
        self._begun: dict[str, _AnyRunner] = {}
        """Those of which a run was begun, and not taken yet."""
        self._paced = interval
        """What the interval was when the last sample was taken."""
        self._configured: Mapping[str, Any] | None = None
        """What is to be told of the configuration with the next sample."""
        self._factor = 1.0
        self._beside: weakref.WeakSet[Runner] = weakref.WeakSet()
        self._waiting: defaultdict[str, Waiting] = defaultdict(Waiting)
        self.choose(self._collectors.keys())

    def faster(self, interval: float) -> "Runner":
        """Return what observes beside this one what it is told to, as often as families allow; it is to be ended.

        What is disabled here is so there.
        """
        made = Runner((), self._roots, interval, self._clock, self._ask, oversight=self._oversight)
        made._collectors = self._collectors
        made._factor = FASTER
        made._waiting = self._waiting
        made._disabled = self._disabled
        self._beside.add(made)
        return made

    def choose(self, families: Collection[str]) -> None:
        """Observe these families and no others; what is new among them twice at once, so that there are rates."""
        for name in self._runners.keys() - families:
            self._runners.pop(name).end()
            self._begun.pop(name, None)
            self._noticing.pop(name, None)
        new = set(families) - self._runners.keys()
        if not new:
            return
        runners = {name: self._runners.get(name) or self._runner(name) for name in self._collectors if name in families}
        # Those that wait for a thread or for an answer begin first: they run while the others do.
        self._runners = dict(sorted(runners.items(), key=lambda item: isinstance(item[1], CollectorRunner)))
        self._next |= dict.fromkeys(new, -math.inf)
        self._new |= dict.fromkeys(new, _FIRST)
        self._hurried.set()

    def end(self) -> None:
        """Observe no more, and hold no file and no thread any more."""
        for runner in self._runners.values():
            runner.end()
        self._runners.clear()
        self._begun.clear()
        self._noticing.clear()

    def configure(self, interval: float, disabled: Container[str], told: Mapping[str, Any]) -> None:
        """Observe at this interval from now on, and leave families out; `told` is said of it with the next sample."""
        self.interval = interval
        self._configured = told
        self._disable(frozenset(name for name in self._collectors if name in disabled))
        self._next = dict.fromkeys(self._runners, -math.inf)

    def set_enabled(self, family: str, *, enabled: bool) -> None:
        """Observe a family from now on, or leave it out; raises KeyError where there is none of this name."""
        if family not in self._collectors:
            raise KeyError(family)
        self._disable(self._disabled - {family} if enabled else self._disabled | {family})

    def hurry(self) -> None:
        """Observe everything now, and not when it is due."""
        self._next = dict.fromkeys(self._runners, -math.inf)
        self._hurried.set()
        for each in self._beside:
            each.hurry()

    def _disable(self, disabled: frozenset[str]) -> None:
        """Leave these families out; what is observed again begins anew: nothing of it is known, and no rate."""
        self._disabled, before = disabled, self._disabled
        for name in (disabled ^ before) & self._runners.keys():
            self._runners[name].end()
            self._begun.pop(name, None)
            self._runners[name], self._next[name] = self._runner(name), -math.inf
        self._hurried.set()
        for each in self._beside:
            each._disable(disabled & each._collectors.keys())  # noqa: SLF001  # it is one of these

    async def ticks(self) -> AsyncIterator[None]:
        """Yield at once, again for the first rates, and then at each tick, and when it was changed what is observed."""
        yield
        while True:
            while self._new:
                await asyncio.sleep(FIRST_RATES)
                yield
            async for _ in ticks(self._clock, self.interval, self._sleep):
                yield

    async def _sleep(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
        except TimeoutError:
            return False
        if self._last:
            # Over less time than that, rates say little.
            await asyncio.sleep(max(self._last.since_boot + FIRST_RATES - self._clock.now().since_boot, 0.0))
        return True

    async def sample(self) -> Sample:
        """Take a sample now; the first two are of everything that changes each tick, whatever is due."""
        self._hurried.clear()
        now = self._clock.now()
        passed = list(gaps(self._last, now, max(self.interval, self._paced))) if self._last else []
        if any(reason == protocol.CLOCK for reason, _ in passed):
            # What is told by the wall clock is another time now.
            self._next = dict.fromkeys(self._runners, -math.inf)
        for name in self._new.keys() & self._runners.keys():
            if not self._runners[name].family.every:
                self._next[name] = -math.inf
        # Before it is observed: meanwhile others may be chosen.
        self._new = {name: left - 1 for name, left in self._new.items() if left > 1}
        observations = await self.observe(now, first=self._seq < _FIRST)
        self._seq += 1
        events = tuple(self._happened(now, passed))
        self._last = now
        first = self._seq == 1
        states = self.states if first else None
        made = Sample(now, self._boot_id, self._seq, observations, self.interval, events, begins=first, states=states)
        if self._is_overseen:
            self._oversight.oversee(made)
        return made

    def _happened(self, now: Instant, passed: Iterable[tuple[str, float]]) -> Iterator[Event]:
        """Yield what is no reading: the start, and gaps since the last sample."""
        if self._last is None:
            yield Event(now, protocol.RUNTIME_STARTED, self._started, self._boot_id, self._seq)
        for reason, seconds in passed:
            data = {"reason": reason, "seconds": seconds}
            yield Event(now, protocol.RUNTIME_GAP, data, self._boot_id, self._seq)
        if self._configured is not None:
            yield Event(now, protocol.CONFIG_LOADED, self._configured, self._boot_id, self._seq)
            self._configured = None
        self._paced = self.interval

    async def observe(self, now: Instant, *, first: bool = False) -> tuple[Observation, ...]:
        """Run what is due, or at `first` everything that changes each tick, and return what it brought."""
        for name in [name for name in list(self._noticing) if self._noticed(name)]:
            self._next[name] = -math.inf
        for name, runner in self._runners.items():
            due = now.since_boot + _EARLY >= self._next[name] or (first and not runner.family.every)
            # One that is not done with its last run stays due.
            if due and runner.begin(now):
                self._begun[name] = runner
                self._schedule(runner, now, max(runner.family.every / self._factor, self.interval))
        if self._busy():
            await self._wait(FIRST_GRACE if first else GRACE)
        observations = [found for runner in self._begun.values() if (found := self._take(runner, now))]
        for found in observations:
            del self._begun[found.family.name]
        return tuple(observations)

    def _busy(self) -> bool:
        return any(runner.busy for runner in self._begun.values())

    def _noticed(self, family: str) -> bool:
        """Tell whether a family can't wait until it is due; a collector that fails to tell is asked no more."""
        try:
            return self._noticing[family].changed()
        except RAISED:  # isolation: as above
            _log.exception("%s can't tell when it changed, and is observed when it is due", family)
            del self._noticing[family]
            return False

    def _runner(self, family: str) -> _AnyRunner:
        make = self._collectors[family]
        self._noticing.pop(family, None)
        if family in self._disabled:
            return refusing(make.reading.family, _disabled(family))
        try:
            collector = make(self._roots)
        except RAISED as error:  # isolation: a collector that can't be made is unavailable, not fatal
            return refusing(make.reading.family, problem(error))
        if isinstance(collector, Noticing):
            self._noticing[family] = collector
        if isinstance(collector, Overseeing):
            collector.oversight = self._oversight
        if isinstance(collector, Probing):
            return ProbingRunner(collector, self._woken, self._waiting[family], beside=self._factor > 1)
        if isinstance(collector, Asking):
            return AskingRunner(collector, self._ask, self._finished.set)
        return CollectorRunner(collector.reading.family, collector.collect)

    def _woken(self) -> None:
        """From a thread: say that a run is done."""
        self._loop.call_soon_threadsafe(self._finished.set)

    def _take(self, runner: _AnyRunner, now: Instant) -> Observation | None:
        observation = runner.take()
        if observation and observation.problem and observation.problem.code in protocol.NO_FAULTS:
            self._schedule(runner, now, max(RETRY, runner.family.every))
        return observation

    def _schedule(self, runner: _AnyRunner, now: Instant, period: float) -> None:
        self._next[runner.family.name] = (math.floor((now.since_boot + _EARLY) / period) + 1) * period

    async def _wait(self, grace: float) -> None:
        for runner in self._begun.values():
            if isinstance(runner, ProbingRunner):
                # What comes after what hangs is read while the others are waited for.
                runner.give_up()
        try:
            async with asyncio.timeout(grace):
                while self._busy():
                    self._finished.clear()
                    await self._finished.wait()
        except TimeoutError:
            return
