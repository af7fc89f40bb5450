"""What was: answers from the history in memory, from the latest events, and from a recording.

Files are read in a thread of its own, for no longer than `PATIENCE`.
"""

import asyncio
import logging
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, ClassVar

from healthd import protocol
from healthd.errors import BadEvent
from healthd.events import decode, encode
from healthd.health.judge import Judge
from healthd.health.rule import Rule
from healthd.model import Account, Cycle, Event, Family, Point
from healthd.recording import Fault, Segment, lines, segments
from healthd.replay import ordered
from healthd.rewind import Rewind
from healthd.state.history import History, Row, Tier, coarser, fold, points_of, rows_data, rows_from
from healthd.state.movers import movers
from healthd.state.store import Store
from healthd.worker import Worker

_log = logging.getLogger(__name__)

PATIENCE = 5.0
"""How long one answer may read files, seconds."""
RECENT = 1000
"""How many events that are no samples are held in memory."""
EXACT = 2 * 3600.0
"""The longest range of which every sample is looked at, where files are read, seconds."""

_MINUTE = 60.0
_FINE = 5.0
# A segment is no longer than this.
_DAY = 86400.0


class Archive:
    """Answers `publish.bus.behind.Archive`; told of each cycle like a publisher.

    `directory` is that of the recording, "" where there is none; `unwritten` gives the events that no file has yet.
    """

    name: ClassVar[str] = "archive"

    def __init__(
        self,
        history: History,
        families: Iterable[Family],
        worker: Worker,
        directory: str = "",
        unwritten: Callable[[], Sequence[Event]] = list,
    ) -> None:
        self._history = history
        self._families = list(families)
        self._samples = {family.event for family in self._families}
        self._worker = worker
        self._directory = directory
        self._unwritten = unwritten
        self._recent: deque[Event] = deque(maxlen=RECENT)

    def publish(self, cycle: Cycle) -> None:
        """Remember what is no sample."""
        self._recent.extend(event for event in cycle.events if event.name not in self._samples)

    def account(self) -> Account:
        """Nothing here goes outside."""
        return Account()

    async def history(self, address: str, since: float, until: float, most: int) -> list[Point]:
        """Return points: from memory where it reaches back so far, else from the recording before it."""
        try:
            points = self._history.points(address, since, until)
        except KeyError:
            if not self._directory:
                raise
            points = []
        if self._directory:
            found = await self._read(address, since, until, most, points)
            # What is on disk ends before what is not written yet.
            end = found[-1].time + _step(found) if found else -math.inf
            points = [*found, *(point for point in points if point.time >= end)]
        return fold(points, since, until, most)

    async def _read(self, address: str, since: float, until: float, most: int, known: list[Point]) -> list[Point]:
        """Return what the recording has before what is `known`; or of all of it, where that is finer and asked for."""
        exact = until - since <= EXACT
        finer = exact and _step(known) > max((until - since) / most, _FINE)
        end = known[0].time if known and not finer else until
        if end <= since + max(_step(known), _FINE):
            return []
        read = _exact if exact else _by_minute
        return await self._worker.submit(partial(read, self._directory, self._families, address, since, end))

    async def events(self, since: float, until: float, names: Sequence[str], most: int) -> list[str]:
        """Return events as JSON lines."""
        wanted = _Wanted(since, until, names, self._samples)
        recent = [event for event in self._recent if wanted(event)]
        if not self._directory:
            return [encode(event) for event in recent[-most:]]
        unwritten = [event for event in self._unwritten() if wanted(event)]
        return await self._worker.submit(partial(_recorded, self._directory, wanted, most, unwritten, recent))

    def movers(self, begun: float, until: float, *, lag: float, but: str) -> list[dict[str, Any]] | None:
        """Return what moved most, as far as memory knows (`healthd.state.movers`)."""
        return movers(self._history, self._families, begun, until, lag=lag, but=but)

    async def judged(self, rules: Sequence[Rule]) -> Mapping[str, Any] | None:
        """Return what judging was at when the recording ends; `None` where that is not known.

        A disk that hangs is not waited for longer than `PATIENCE`.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._worker.submit(partial(_judged, self._directory, self._families, rules))
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  # an extra: whatever files hold, it must not end the daemon
            why = "the disk does not answer" if isinstance(error, TimeoutError) else error
            _log.warning("what was judged before this start can't be read: %s", why)
            return None

    async def restore(self, now: float) -> None:
        """Put what the recording knows of the time before `now` into the history."""
        rows: dict[float, list[Row]] = {tier.step: [] for tier in self._history.tiers}
        try:
            # Piece by piece, so that questions come in between.
            look = partial(_pieces, self._directory, self._families, self._history.tiers, now)
            for piece in await self._worker.submit(look):
                for step, found in (await self._worker.submit(piece)).items():
                    rows[step] += found
        except Exception as error:  # noqa: BLE001  # an extra: whatever files hold, it must not end the daemon
            _log.warning("the history before this start can't be read: %s", error)
            return
        for step, found in rows.items():
            self._history.restore(step, found)


class _Wanted:
    """What is asked for of the events."""

    def __init__(self, since: float, until: float, names: Sequence[str], samples: set[str]) -> None:
        self.since, self.until = since, until
        self._exact = {name for name in names if not name.endswith(".*")}
        self._prefixes = tuple(name[:-1] for name in names if name.endswith(".*"))
        self._all = not names
        self._samples = samples

    def __call__(self, event: Event) -> bool:
        return self.since <= event.instant.time <= self.until and self.name(event.name)

    def name(self, name: str) -> bool:
        """Tell whether events of this name are wanted."""
        if name in (protocol.SNAPSHOT, protocol.HISTORY):
            return False
        if self._all:
            return name not in self._samples
        return name in self._exact or name.startswith(self._prefixes)


def _step(points: Sequence[Point]) -> float:
    """Return how far points are apart at least, the finest step where that can't be told."""
    return min((after.time - before.time for before, after in pairwise(points)), default=_FINE)


def _within(recorded: Sequence[Segment], since: float, until: float) -> list[Segment]:
    """Return the segments that can hold anything of the range, by their names."""
    first = max((index for index, segment in enumerate(recorded) if segment.opened <= since), default=0)
    return [segment for segment in recorded[first:] if segment.opened <= until]


def _recorded(
    directory: str, wanted: _Wanted, most: int, unwritten: Sequence[Event], recent: Sequence[Event]
) -> list[str]:
    """Return the newest `most` events as lines: those that could be read in time, and those that no file has."""
    found: list[Event] = []
    give_up = time.monotonic() + PATIENCE
    for segment in reversed(_within(segments(directory), wanted.since, wanted.until)):
        found[:0] = list(_picked(segment, wanted, give_up))
        if len(found) >= most or time.monotonic() > give_up:
            break
    lines = {encode(event): event.instant.time for event in (*found, *unwritten)}
    # What the disk did not take is still in memory.
    lost = {line: event.instant.time for event in recent if (line := encode(event)) not in lines}
    if lost:
        lines = dict(sorted((lines | lost).items(), key=itemgetter(1)))
    return list(lines)[-most:]


_NAMED = b'"name":"'
# What a line ends with that does not leave it to the one before (`events.encode`).
_TIMED = re.compile(rb'\},("boot_id":"[^"]*",)?"since_boot":[0-9.e+]+,"seq":[0-9]+\}$')
_TAIL = 200
# How long the beginning of a line with its time is.
_TIME = len('{"time":"2026-01-01T12:00:00.000Z"')


def _picked(segment: Segment, wanted: _Wanted, give_up: float) -> Iterator[Event]:
    """Yield what is wanted of a segment, until it is time to give up; other lines are not even decoded."""
    first = timed = at = b""
    samples = 0
    """How many there are after the line that was the last to say its number."""
    for _, line in lines(segment.path, _quietly):
        if tail := _TIMED.search(line, max(len(line) - _TAIL, 0)):
            first, timed, samples = (line if tail[1] else first), line, 0
        else:
            samples += line[:_TIME] != at
        at = line[:_TIME]
        start = line.find(_NAMED) + len(_NAMED)
        name = line[start : line.find(b'"', start)].decode("utf-8", "replace")
        if not wanted.name(name):
            continue
        if time.monotonic() > give_up:
            return
        try:
            before = decode(first) if first and first is not line else None
            if timed and timed is not line and timed is not first:
                before = decode(timed, before)
            event = decode(line, before)
        except BadEvent:
            continue
        if timed is not line and before:
            event = event._replace(seq=before.seq + samples)
        if wanted(event):
            yield event


def _quietly(_: Fault) -> None:
    """A torn line is reported when a recording is opened or replayed, not at each question."""


def _rolled(
    families: Iterable[Family], recorded: Iterable[Segment], tiers: Sequence[Tier], give_up: float = math.inf
) -> History:
    """Return the history of some segments, or of what could be read of them in time."""
    rewind, store, history = Rewind(families), Store(), History(tiers)
    for sample in rewind.samples(recorded, _quietly):
        if time.monotonic() > give_up:
            break
        snapshot = store.accept(sample)
        if not sample.silent:
            history.take(snapshot)
    history.close()
    return history


def summary(families: Iterable[Family], path: str) -> bytes:
    """Return the line that the closed form of a segment begins with: the event `history`, with its rows of a minute."""
    segment = Segment(0.0, path)
    rows = _rolled(families, [segment], (Tier(_FINE, _DAY), Tier(_MINUTE, _DAY))).rows(_MINUTE)
    head = next((decode(line) for _, line in lines(path, _quietly)), None)
    if head is None or not rows:
        return b""
    event = Event(head.instant, protocol.HISTORY, rows_data(_MINUTE, rows), head.boot_id, head.seq)
    return encode(event).encode() + b"\n"


def _minutes(families: Iterable[Family], segment: Segment, give_up: float = math.inf) -> list[Row]:
    """Return a segment's rows of a minute: as it says itself, or from its events."""
    if segment.closed:
        for _, line in lines(segment.path, _quietly):
            try:
                head = decode(line)
                if head.name == protocol.HISTORY:
                    return rows_from(head.data)
            except (BadEvent, ValueError):
                pass
            break
    return _rolled(families, [segment], (Tier(_FINE, _DAY), Tier(_MINUTE, _DAY)), give_up).rows(_MINUTE)


def _by_minute(directory: str, families: list[Family], address: str, since: float, until: float) -> list[Point]:
    points: list[Point] = []
    give_up = time.monotonic() + PATIENCE
    for segment in reversed(_within(segments(directory), since, until)):
        points = _joined(points_of(address, coarser(_minutes(families, segment, give_up), _MINUTE), _MINUTE), points)
        if time.monotonic() > give_up:
            break
    return [point for point in points if since < point.time + _MINUTE and point.time <= until]


def _joined(before: list[Point], after: list[Point]) -> list[Point]:
    """Return points that follow each other; a minute may have parts in two segments."""
    if before and after and before[-1].time == after[0].time:
        one, other = before[-1], after[0]
        both = Point(one.time, min(one.low, other.low), (one.mean + other.mean) / 2, max(one.high, other.high))
        return [*before[:-1], both, *after[1:]]
    return [*before, *after]


def _exact(directory: str, families: list[Family], address: str, since: float, until: float) -> list[Point]:
    recorded = _within(segments(directory), since, until)
    rows = _rolled(families, recorded, (Tier(_FINE, _DAY),), time.monotonic() + PATIENCE).rows(_FINE)
    points = points_of(address, rows, _FINE)
    return [point for point in points if since < point.time + _FINE and point.time <= until]


def _judged(directory: str, families: list[Family], rules: Sequence[Rule]) -> Mapping[str, Any] | None:
    """Judge the last segment again, from the snapshot that it opens with.

    It is the one that was not closed: that is left to the next start.
    """
    recorded = segments(directory)
    last_one = ordered([segment for segment in recorded if not segment.closed] or recorded[-1:])[-1:]
    give_up = time.monotonic() + 0.8 * PATIENCE
    rewind, store, judge = Rewind(families), Store(), Judge(rules)
    last = None
    for sample in rewind.samples(last_one, _quietly):
        if time.monotonic() > give_up:
            _log.warning("what was judged before this start is known but in part: reading it takes too long")
            break
        if sample.begins or sample.states is not None:
            judge.resume(sample.states)
        last, _ = judge.take(store.accept(sample), sample.events)
    return judge.states.data() if last else None


_Piece = Callable[[], dict[float, list[Row]]]


def _pieces(directory: str, families: list[Family], tiers: Sequence[Tier], now: float) -> list[_Piece]:
    """Return what is to be done to have the rows for each tier of what was recorded before `now`."""
    recorded = _within(segments(directory), now - max(tier.keep for tier in tiers), now)
    days = [list(day) for _, day in groupby(recorded, key=lambda segment: os.path.dirname(segment.path))]
    fine = [tier for tier in tiers if tier.step % _MINUTE]
    pieces: list[_Piece] = [partial(_fine, families, _within(recorded, now - tier.keep, now), tier) for tier in fine]
    # Day by day: a week of minutes at once would take more memory than all else.
    return pieces + [partial(_coarse, families, day, [tier for tier in tiers if tier not in fine], now) for day in days]


def _fine(families: list[Family], recorded: Sequence[Segment], tier: Tier) -> dict[float, list[Row]]:
    return {tier.step: _rolled(families, recorded, (tier,)).rows(tier.step)}


def _coarse(
    families: list[Family], day: Sequence[Segment], tiers: Sequence[Tier], now: float
) -> dict[float, list[Row]]:
    minutes = [row for segment in day for row in _minutes(families, segment)]
    return {tier.step: coarser([row for row in minutes if row.time > now - tier.keep], tier.step) for tier in tiers}
