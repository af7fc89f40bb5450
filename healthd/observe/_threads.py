"""Reads that can block: each collector of them has a daemon thread of its own, and a deadline for each instance."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress

from healthd import protocol
from healthd.clock import Instant
from healthd.model import SINGLE, Family, Observation, Probing, Problem, Reading
from healthd.observe._checks import check_reading
from healthd.observe._problems import RAISED, problem

DEADLINE = 5.0
"""How long one instance may take, seconds."""
_EARLY = 0.05
"""How much before that it is given up, so that one is not waited for until the next tick for a hair, seconds."""
GONE = 8
"""How many threads may wait for what hangs and is gone, before what comes in its place is not read while they do.

How many may wait for those that have been ended, before no other one begins beside the samples."""
MOST = 64
"""How many threads may wait for what is gone at all; what hangs and is there has one each."""

_MORE = "free what hangs, or let the service have more tasks (TasksMax): systemctl edit healthd"

_Probe = Callable[[], Reading | None]


class _Run:
    """One pass over the instances. Its thread writes, the loop reads."""

    def __init__(self, family: Family, now: Instant, skip: dict[str, Problem]) -> None:
        self._family = family
        self.before: Mapping[str, Reading] = {}
        """The readings of the run before, which were right: what has not changed since is the same object."""
        self.now = now
        self.readings: dict[str, Reading] = {}
        self.problems = dict(skip)
        self.current = SINGLE
        """The instance that is being read; `SINGLE` while it is not known yet which there are."""
        self.rest: Iterator[tuple[str, _Probe]] | None = None
        self.skipped = frozenset(skip)
        """What was known to hang when it began."""
        self.began = self.since = time.monotonic()
        self.ended: float | None = None
        self._left = False
        self._turn = threading.Lock()

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return self.ended is not None

    def fail(self, found: Problem) -> None:
        """End without having read anything."""
        self.readings, self.problems = {}, {SINGLE: found}
        self.ended = time.monotonic()

    def go(self, collector: Probing) -> None:
        """Read what has not been read yet."""
        try:
            if self.rest is None:
                probes = {str(instance): probe for instance, probe in collector.probes(self.now).items()}
                # What hangs may be gone by now.
                self.problems = {instance: late for instance, late in self.problems.items() if instance in probes}
                self.rest = iter(list(probes.items()))
        except RAISED as error:  # isolation: whatever a collector raises stays with its family
            self.problems[SINGLE] = problem(error)
            return
        while following := self._following(self.rest):
            self._read(*following)

    @property
    def late(self) -> bool:
        """Whether what it reads is past its deadline."""
        return not self.done and time.monotonic() - self.since > DEADLINE - _EARLY

    def leave(self) -> str | None:
        """Return the instance that is past its deadline, if one is: another run takes over what comes after it."""
        with self._turn:
            self._left = self.late
            return self.current if self._left else None

    def stop(self) -> None:
        """Read nothing after what is being read."""
        with self._turn:
            self._left = True

    def _following(self, rest: Iterator[tuple[str, _Probe]]) -> tuple[str, _Probe] | None:
        with self._turn:
            if self._left:
                return None
            for instance, probe in rest:
                if instance not in self.problems:
                    self.since, self.current = time.monotonic(), instance
                    return instance, probe
        return None

    def _read(self, instance: str, probe: _Probe) -> None:
        try:
            reading = probe()
            if reading is not None and reading is not self.before.get(instance):
                check_reading(self._family, reading)
        except RAISED as error:  # isolation: one instance must not cost the others
            self.problems[instance] = problem(error)
        else:
            if reading is not None:
                self.readings[instance] = reading


class Waiting:
    """The threads that wait for what hangs in one family, of all who observe it: they share what is known of that."""

    def __init__(self) -> None:
        self._stuck: dict[threading.Thread, str] = {}
        """The instance that each waits for."""
        self._gone: dict[threading.Thread, str] = {}
        """The same of what is not listed any more."""
        self._ended: dict[threading.Thread, _Run] = {}
        """The last runs of those that were ended meanwhile: what they read may hang, or only take its time."""

    def late(self) -> set[str]:
        """Return the instances that are not to be read."""
        for each in (self._stuck, self._gone, self._ended):
            for thread in [thread for thread in each if not thread.is_alive()]:
                del each[thread]
        for thread in [thread for thread, run in self._ended.items() if run.late]:
            self._stuck[thread] = self._ended.pop(thread).current
        return {*self._stuck.values(), *(self._gone.values() if len(self._gone) >= GONE else ())}

    def hangs(self, thread: threading.Thread, instance: str) -> None:
        """Take note of a thread that is left to wait."""
        self._stuck[thread] = instance

    def went(self, instances: Collection[str]) -> None:
        """Give up what hangs and is not listed any more: what comes in its place is another thing."""
        for thread in [thread for thread, instance in self._stuck.items() if instance in instances]:
            self._gone[thread] = self._stuck.pop(thread)

    def ends(self, thread: threading.Thread, run: _Run) -> None:
        """Take note of a thread that nobody waits for any more, and that is still reading."""
        run.stop()
        self._ended[thread] = run

    def require_room(self, *, beside: bool) -> None:
        """Raise RuntimeError where there can't be another thread; who observes `beside` the samples takes them none."""
        if (count := len(self._gone)) >= MOST:
            raise RuntimeError(f"{count} wait for what hung and is gone")
        if (count := len(self._ended)) >= (GONE if beside else MOST):
            raise RuntimeError(f"{count} wait for what was read before")


class ProbingRunner:
    """Runs one collector whose reads can block, for the samples or `beside` them."""

    def __init__(
        self, collector: Probing, woken: Callable[[], None], waiting: Waiting | None = None, *, beside: bool = False
    ) -> None:
        self.family = collector.reading.family
        self._collector = collector
        self._woken = woken
        self._waiting = waiting or Waiting()
        self._beside = beside
        self._run: _Run | None = None
        self._work: queue.SimpleQueue[_Run | None] | None = None
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._before: Mapping[str, Reading] = {}

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None and not self._run.done

    def begin(self, now: Instant) -> bool:
        """Start a run, and say so; what the one before brought must have been taken."""
        if self._run is not None:
            return False
        skip = {instance: self._late(instance) for instance in self._waiting.late()}
        self._run = _Run(self.family, now, skip)
        self._run.before = self._before
        if SINGLE in skip:
            self._run.ended = time.monotonic()
        else:
            self._hand_over(self._run)
        return True

    def end(self) -> None:
        """Let the thread end, at once or when what it waits for returns."""
        if self._work:
            work, self._work = self._work, None
            work.put(None)
            if self._run and self._thread and not self._run.done:
                self._waiting.ends(self._thread, self._run)

    def give_up(self) -> None:
        """Past its deadline, leave the hanging instance behind: the run goes on without it."""
        if self._run and (late := self._run.leave()) is not None:
            self._run = self._leave_behind(self._run, late)

    def take(self) -> Observation | None:
        """Return what the run brought once it is done, but for what is past its deadline."""
        self.give_up()
        run = self._run
        if run is None or run.ended is None:
            return None
        self._run, self._before = None, run.readings
        if SINGLE not in run.problems:
            self._waiting.went(run.skipped - run.problems.keys())
        if run.problems and any(found.code not in protocol.NO_FAULTS for found in run.problems.values()):
            self._failures += 1
        return Observation(self.family, run.now, run.readings, run.problems, run.ended - run.began, self._failures)

    def _leave_behind(self, run: _Run, instance: str) -> _Run:
        """Let the thread wait for the hanging instance alone, and go on with the others in a new one."""
        assert self._thread
        self._waiting.hangs(self._thread, instance)
        self._thread = self._work = None
        successor = _Run(self.family, run.now, run.problems | {instance: self._late(instance)})
        successor.before, successor.readings = run.before, dict(run.readings)
        successor.rest, successor.began, successor.skipped = run.rest, run.began, run.skipped
        if instance == SINGLE:
            successor.ended = time.monotonic()
        else:
            self._hand_over(successor)
        return successor

    def _late(self, instance: str) -> Problem:
        what = instance or self.family.name
        return Problem(protocol.TIMEOUT, f"{what} has not answered for {DEADLINE:g} s", "")

    def _hand_over(self, run: _Run) -> None:
        if self._thread is None or self._work is None:
            self._work = queue.SimpleQueue()
            try:
                self._thread = self._started(self._work)
            except RuntimeError as error:
                self._work = None
                reason = f"there is no thread to read it in: {error}"
                run.fail(Problem(protocol.FAILED, reason, _MORE))
                return
        self._work.put(run)

    def _started(self, work: "queue.SimpleQueue[_Run | None]") -> threading.Thread:
        """Return a thread that serves; raises RuntimeError where there can't be another one."""
        self._waiting.require_room(beside=self._beside)
        thread = threading.Thread(target=self._serve, args=(work,), name=f"observe-{self.family.name}", daemon=True)
        thread.start()
        return thread

    def _serve(self, work: "queue.SimpleQueue[_Run | None]") -> None:
        # A thread that was left behind ends when what it waits for returns.
        while self._work is work:
            run = work.get()
            if run is None:
                return
            run.go(self._collector)
            run.ended = time.monotonic()
            with suppress(RuntimeError):  # the loop is closed: the daemon ends
                self._woken()
