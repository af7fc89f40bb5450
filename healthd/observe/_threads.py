"""Reads that can block: each collector of them has a daemon thread of its own, and a deadline for each instance."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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
"""How many threads may wait for what hangs and is gone, before what comes in its place is not read while they do."""
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

    def leave(self) -> str | None:
        """Return the instance that is past its deadline, if one is: another run takes over what comes after it."""
        with self._turn:
            self._left = not self.done and time.monotonic() - self.since > DEADLINE - _EARLY
            return self.current if self._left else None

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


class ProbingRunner:
    """Runs one collector whose reads can block."""

    def __init__(self, collector: Probing, woken: Callable[[], None]) -> None:
        self.family = collector.reading.family
        self._collector = collector
        self._woken = woken
        self._run: _Run | None = None
        self._stuck: dict[str, threading.Thread] = {}
        """By what hangs: the thread that waits for it."""
        self._gone: dict[threading.Thread, str] = {}
        """The same of what is not listed any more."""
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
        self._stuck = {instance: thread for instance, thread in self._stuck.items() if thread.is_alive()}
        self._gone = {thread: instance for thread, instance in self._gone.items() if thread.is_alive()}
        late = {*self._stuck, *(self._gone.values() if len(self._gone) >= GONE else ())}
        skip = {instance: self._late(instance) for instance in late}
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
            # What hangs and is not listed any more is given up: what comes in its place is another thing.
            for instance in self._stuck.keys() - run.problems.keys():
                self._gone[self._stuck.pop(instance)] = instance
        if run.problems and any(found.code not in protocol.NO_FAULTS for found in run.problems.values()):
            self._failures += 1
        return Observation(self.family, run.now, run.readings, run.problems, run.ended - run.began, self._failures)

    def _leave_behind(self, run: _Run, instance: str) -> _Run:
        """Let the thread wait for the hanging instance alone, and go on with the others in a new one."""
        assert self._thread
        self._stuck[instance] = self._thread
        self._thread = self._work = None
        successor = _Run(self.family, run.now, run.problems | {instance: self._late(instance)})
        successor.before, successor.readings = run.before, dict(run.readings)
        successor.rest, successor.began = run.rest, run.began
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
        if len(self._gone) >= MOST:
            raise RuntimeError(f"{len(self._gone)} wait for what hung and is gone")
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
