"""The recorder: events as lines in files, segment by segment. A disk that is slow, full or broken never delays a cycle.

Lines wait in memory and are written in batches by a thread; what must not be lost is written at once and synced. Each
batch can begin a segment: after a loss the next one does, as lines tell only what changed.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from healthd import protocol
from healthd.description import opening
from healthd.events import encode
from healthd.model import Account, Cycle, Event, Problem
from healthd.publish._writer import Batch, Keeping, Outcome, Writer
from healthd.worker import Worker

__all__ = ["Keeping", "Recorder"]

_log = logging.getLogger(__name__)

LARGEST = 64 * 1024
"""How many bytes wait for a batch to be due."""
MOST = 4 * 1024 * 1024
"""How many bytes wait for the disk; what comes then is lost."""
HELD = 16 * 1024
"""How many bytes a batch counts for besides its lines: it holds what was known before it."""
PATIENCE = 5.0
"""How long `close` waits for a disk that hangs, seconds."""
HANGING = 60.0
"""After how long a disk that does not answer is a problem, seconds."""


def urgent(event: Event) -> bool:
    """Tell whether an event is to be on disk at once."""
    return event.name.startswith("runtime.") or event.name in (protocol.HEALTH_TRANSITION, protocol.HEALTH_ACKNOWLEDGED)


def _weight(batch: Batch) -> int:
    return HELD + len(batch.lines)


class Recorder:
    """Publishes events into the files of `directory`; `worker` writes, and `tidier` compresses and removes.

    `summary` gives the line that a closed segment begins with; the thread calls it. Raises RecordingTaken where another
    process records to that directory; one that can't be had for another reason is a problem (`account`), and is tried
    again with each batch.
    """

    name: ClassVar[str] = "recorder"

    def __init__(
        self, directory: str, keeping: Keeping, worker: Worker, tidier: Worker, summary: Callable[[str], bytes]
    ) -> None:
        self.directory = directory
        self.lost = 0
        """Events that are in no file."""
        self.synced = 0
        """Number of the sample of the last event that is known to be on disk."""
        self._keeping = keeping
        self._worker = worker
        self._tidier = tidier
        self._writer = Writer(directory, keeping, summary)
        self._slot: float | None = None
        """Which multiple of `segment` is recorded; `None` where nothing can follow what was recorded."""
        self._fresh = True
        self._first: Cycle | None = None
        """The first cycle of which lines wait."""
        self._last: Event | None = None
        """The event of the last line."""
        self._lines = bytearray()
        self._events: list[Event] = []
        self._given: deque[Batch] = deque()
        self._outstanding = 0
        self._overflowing = False
        self._tidying = False
        self._room = asyncio.Event()
        self._room.set()

    @property
    def written(self) -> int:
        """Bytes that the file system took since start."""
        return self._writer.written

    def account(self) -> Account:
        """Tell how it goes."""
        problem = self._writer.problem
        if self._given and time.monotonic() - self._given[0].given > HANGING:
            reason = f"the disk of {self.directory} has not answered for more than {HANGING:g} s"
            problem = Problem(protocol.TIMEOUT, reason, "look for errors of the disk in the kernel's log (dmesg)")
        return Account(problem, self.lost)

    def keep(self, keeping: Keeping) -> None:
        """Record in this way from now on."""
        self._keeping = keeping
        self._writer.keep(keeping)
        self._tidy()

    def unwritten(self) -> list[Event]:
        """Return the events that no file has yet, oldest first."""
        return [event for batch in self._given for event in batch.events] + self._events

    async def room(self) -> None:
        """Wait while the disk is so far behind that events could be lost: for a source that can wait."""
        await self._room.wait()

    def flush(self) -> None:
        """Have written what waits."""
        self._hand_over()

    def publish(self, cycle: Cycle) -> None:
        """Take the cycle's events, and have written what is due."""
        instant = cycle.snapshot.instant
        if cycle.events:
            slot = cycle.events[0].instant.time // self._keeping.segment
            begins = cycle.before is None or self._slot is None
            # What happens between samples belongs to the one before it.
            if begins or (slot != self._slot and cycle.before and cycle.before.seq != cycle.snapshot.seq):
                self._hand_over()
                self._fresh, self._slot = True, slot
            self._take(cycle)
        if self._first is None:
            return
        waited = instant.since_boot - self._first.snapshot.instant.since_boot
        overdue = not 0.0 <= waited < self._keeping.batch
        if overdue or len(self._lines) > LARGEST or any(map(urgent, cycle.events)):
            self._hand_over()

    def _take(self, cycle: Cycle) -> None:
        after = self._last
        if not self._events:
            # A segment may begin with each batch: its first line leaves out no more than the boot.
            after = (opening(cycle) if after is None or self._fresh else after)._replace(seq=-1)
        lines = []
        try:
            for event in cycle.events:
                lines.append(encode(event, after).encode())
                after = event
        except (TypeError, ValueError):
            self._lose(len(cycle.events))
            raise
        self._first, self._last = self._first or cycle, after
        self._lines += b"".join([line + b"\n" for line in lines])
        self._events += cycle.events

    def _hand_over(self) -> None:
        """Give what waits to the thread, or lose it where too much waits there."""
        if self._first is None:
            return
        batch = Batch(self._first, self._fresh, bytes(self._lines), tuple(self._events), time.monotonic())
        self._first, self._fresh = None, False
        self._lines.clear()
        self._events.clear()
        if self._given and self._outstanding + _weight(batch) > MOST:
            if not self._overflowing:
                _log.warning("%s takes less than there is to be recorded: events are lost", self.directory)
            self._overflowing = True
            self._lose(len(batch.events))
            return
        self._overflowing = False
        self._given.append(batch)
        self._owe(_weight(batch))
        self._worker.submit(partial(self._writer.write, batch)).add_done_callback(self._written)

    def _lose(self, events: int) -> None:
        self.lost += events
        self._slot = None

    def _owe(self, more: int) -> None:
        self._outstanding += more
        if self._outstanding < MOST // 2:
            self._room.set()
        else:
            self._room.clear()

    def _written(self, done: "asyncio.Future[Outcome]") -> None:
        batch = self._given.popleft()
        self._owe(-_weight(batch))
        if done.exception():
            # No fault of the disk but of healthd; the loop says it.
            self.lost += len(batch.events)
        outcome = done.result()
        if not outcome.written:
            self.lost += len(batch.events)
        elif batch.events:
            self.synced = batch.events[-1].seq
        if outcome.more:
            self._tidy()

    def _tidy(self) -> None:
        """Have things put in order, piece by piece: so it ends soon after it is told to."""
        if not self._tidying:
            self._tidying = True
            self._tidier.submit(self._writer.tidy).add_done_callback(self._tidied)

    def _tidied(self, done: "asyncio.Future[bool]") -> None:
        self._tidying = False
        if done.result():
            self._tidy()

    async def close(self) -> None:
        """Have everything written and synced, within `PATIENCE`. The open segment is closed by the next start."""
        self._hand_over()
        closing = self._worker.submit(self._writer.close)
        await asyncio.wait([closing], timeout=PATIENCE)
        unwritten = len(self.unwritten())
        if not closing.done():
            self.lost += unwritten
            _log.warning("%s does not answer: %d events are not recorded", self.directory, unwritten)
        elif error := closing.exception():
            _log.warning("%s was not closed: %s", self.directory, error)
