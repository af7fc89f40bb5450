"""A recording in place of collectors: the samples that it came of, at any speed."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise

from healthd import protocol
from healthd.errors import BadRecording, NoRecording
from healthd.model import Family, Sample
from healthd.recording import Fault, Segment, events, segments
from healthd.rewind import Rewind

_log = logging.getLogger(__name__)

_SLICE = 0.02


def ordered(recorded: Iterable[Segment]) -> list[Segment]:
    """Return segments in the order in which they were written.

    Their names do not tell it alone: a board without a battery-backed clock starts with an old time at each boot.
    """
    heads: list[tuple[Segment, str, float]] = []
    boot_id, since_boot = "", 0.0
    for segment in recorded:
        head = next(
            (event for _, event in events(segment.path, lambda _: None) if event.name != protocol.HISTORY), None
        )
        if head:
            boot_id, since_boot = head.boot_id, head.instant.since_boot
        heads.append((segment, boot_id, since_boot))
    latest = {boot: segment.opened for segment, boot, _ in sorted(heads)}
    return [head[0] for head in sorted(heads, key=lambda head: (latest[head[1]], head[1], head[2], head[0].opened))]


def _beginning(recorded: Sequence[Segment], since: float) -> int:
    """Return the number of the segment from which on all that happened since a time is told.

    It is the first after which the time is passed, or the clock was set back.
    """
    for number, (segment, following) in enumerate(pairwise(recorded)):
        if segment.opened <= since and not segment.opened <= following.opened <= since:
            return number
    return len(recorded) - 1 if recorded[-1].opened <= since else 0


class Replay:
    """A recording as the source of samples.

    `since` and `until`: where it begins and ends, seconds since 1970 UTC; what comes before is taken in silently, from
    the snapshot on that precedes it. `speed`: how many times as fast as it was recorded. Raises NoRecording.
    """

    def __init__(
        self,
        directory: str,
        families: Iterable[Family],
        since: float = -math.inf,
        until: float = math.inf,
        speed: float = 1.0,
    ) -> None:
        try:
            recorded = segments(directory)
        except OSError as error:
            raise NoRecording(f"{directory} can't be read: {error.strerror}") from None
        if not recorded:
            raise NoRecording(f"{directory} holds no recording: no file is named like 2026-01-01/12-00-00.jsonl there")
        recorded = ordered(recorded)
        first = _beginning(recorded, since)
        self._rewind = Rewind(families)
        self._samples = self._rewind.samples(recorded[first:], self._report)
        self._since, self._until, self._speed = since, until, speed
        self._next: Sample | None = None
        self._last: Sample | None = None
        self._faults: dict[str, int] = {}

    async def ticks(self) -> AsyncIterator[None]:
        """Yield whenever the next sample is due; end with the recording."""
        loop = asyncio.get_running_loop()
        due = turn = loop.time()
        begun = False
        for sample in self._samples:
            # Once it has begun it goes on, even where the clock is set back.
            begun = begun or sample.instant.time >= self._since
            if begun and sample.instant.time > self._until:
                break
            silent = sample.silent or not begun
            # What happened after a sample may have been later than it ends.
            events = tuple([event for event in sample.events if event.instant.time <= self._until])
            self._next = sample._replace(silent=silent, events=events)
            if not silent and self._speed < math.inf:
                due = max(due + self._distance(sample) / self._speed, loop.time() - 1.0)
            if due > loop.time() or loop.time() > turn + _SLICE:
                await asyncio.sleep(max(due - loop.time(), 0.0))
                turn = loop.time()
            yield
            if not silent:
                self._last = sample
        self._conclude()

    async def sample(self) -> Sample:
        """Return the sample that is due."""
        assert self._next
        return self._next

    def _distance(self, sample: Sample) -> float:
        """Return the seconds from the sample before; what was not observed is not waited for."""
        if self._last is None or sample.begins:
            return 0.0
        return min(max(sample.instant.since_boot - self._last.instant.since_boot, 0.0), sample.interval)

    def _report(self, fault: Fault) -> None:
        """Say the first fault of each file, and count the others."""
        if fault.path not in self._faults:
            _log.warning("%s", fault)
        self._faults[fault.path] = self._faults.get(fault.path, 0) + 1

    def _conclude(self) -> None:
        if self._rewind.unknown:
            names = ", ".join(sorted(self._rewind.unknown)[:5])
            _log.warning("%d events of unknown names were passed over: %s", self._rewind.unknown.total(), names)

    def check(self) -> None:
        """Raise BadRecording where parts of the recording could not be read."""
        if self._faults:
            lines, files = sum(self._faults.values()), len(self._faults)
            raise BadRecording(f"{lines} lines in {files} files of the recording could not be replayed")
