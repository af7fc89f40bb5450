"""Days that were never recorded, of hours that were: a recording is cut where its machine rests, and joined anew."""

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from shipped import FAMILIES, RULES

from healthd.clock import Instant
from healthd.health.condition import States
from healthd.health.judge import Judge
from healthd.health.rule import Rule
from healthd.model import SINGLE, Event, Sample
from healthd.recording import Fault, segments
from healthd.replay import ordered
from healthd.rewind import Rewind
from healthd.state.store import Store

_RECORDINGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recordings")
MACHINES = ("busy", "idle")

DAY = 86400.0
PIECE = 300.0
"""How long a piece is at least, seconds."""
_PAUSE = 60.0
_REST = 10.0

Piece = Sequence[Sample]


class Verdict(NamedTuple):
    """What became of samples."""

    transitions: list[Event]
    conditions: dict[str, dict[str, Any]]
    """By their names, as `healthctl conditions` has them, in the last sample."""
    states: States


def directory(machine: str) -> str:
    """Return where the recording of a machine is."""
    return f"{_RECORDINGS}/{machine}"


def recorded(where: str) -> list[Sample]:
    """Return the samples of a recording, all of which can be read."""
    faults: list[Fault] = []
    found = list(Rewind(FAMILIES).samples(ordered(segments(where)), faults.append))
    assert not faults
    return found


def judged(samples: Iterable[Sample], rules: Sequence[Rule] = RULES) -> Verdict:
    """Judge samples from nothing."""
    store, judge, transitions = Store(), Judge(rules), []
    for sample in samples:
        transitions += judge.take(store.accept(sample))[1]
    return Verdict(transitions, judge.listed(), judge.states)


def cpu(samples: Iterable[Sample], field: str) -> list[float]:
    """Return what the processor did, %, by sample in which that is known."""
    seen = [each for sample in samples for each in sample.observations if each.family.name == "cpu"]
    values = [getattr(each.readings[SINGLE], field) for each in seen if SINGLE in each.readings]
    return [value for value in values if value is not None]


def pieces(samples: Piece) -> list[Piece]:
    """Cut a recording where its machine goes on after a pause, or has rested for long; the last piece is left out.

    So work keeps the pause after it: cut anywhere, it would lie closer together than it ever did.
    """
    found, start = [], 0
    for end in range(1, len(samples)):
        lasts = samples[end].instant.since_boot - samples[start].instant.since_boot
        goes_on = _rests(samples, end, _PAUSE) and not _rests(samples, end + 1, samples[end].interval)
        if lasts >= PIECE and (goes_on or _rests(samples, end, PIECE)):
            found.append(samples[start:end])
            start = end
    return found


def _rests(samples: Piece, end: int, seconds: float) -> bool:
    """Tell whether the processor did next to nothing for so long before a sample."""
    used = cpu(samples[max(end - round(seconds / samples[0].interval), 0) : end], "busy")
    return sum(used) < _REST * len(used)


def joined(drawn: Iterable[Piece]) -> Iterator[Sample]:
    """Yield samples one after another as one machine's: its clocks and numbers go on from piece to piece."""
    seq, instant = 0, None
    for piece in drawn:
        first = piece[0].instant
        # The next sample is due one interval later.
        instant = _later(instant, piece[0].interval) if instant else first
        begun = instant
        for sample in piece:
            seq += 1
            instant = Instant(
                round(begun.time + sample.instant.time - first.time, 3),
                round(begun.since_boot + sample.instant.since_boot - first.since_boot, 3),
                0.0,
            )
            yield sample._replace(
                instant=instant,
                seq=seq,
                observations=tuple([replace(seen, instant=instant) for seen in sample.observations]),
                events=(),
                states=None,
            )


def day(samples: Piece, seed: int) -> Iterator[Sample]:
    """Yield a day of a recorded machine: how it began, then pieces drawn at random."""
    first, *others = pieces(samples)
    chance = random.Random(seed)
    return joined(_drawn(first, others, chance))


def _drawn(first: Piece, others: Sequence[Piece], chance: random.Random) -> Iterator[Piece]:
    piece, lasted = first, 0.0
    while lasted < DAY:
        yield piece
        lasted += len(piece) * piece[0].interval
        piece = chance.choice(others)


def fuller(samples: Piece, percent: float) -> Piece:
    """Return samples in which every file system had been so full at first, %, and changes by as much as it did."""
    more: dict[str, int] = {}
    return [
        sample._replace(
            observations=tuple(
                [
                    replace(seen, readings={mount: _filled(each, mount, percent, more) for mount, each in its.items()})
                    if seen.family.name == "filesystem" and (its := seen.readings)
                    else seen
                    for seen in sample.observations
                ]
            )
        )
        for sample in samples
    ]


def _filled(reading: Any, mount: str, percent: float, more: dict[str, int]) -> Any:
    room = reading.used_bytes + reading.available_bytes
    added = more.setdefault(mount, round(room * percent / 100) - reading.used_bytes)
    used, available = reading.used_bytes + added, reading.available_bytes - added
    return replace(reading, used_bytes=used, available_bytes=available, percent=round(100 * used / room, 1))


def _later(instant: Instant, seconds: float) -> Instant:
    return Instant(instant.time + seconds, instant.since_boot + seconds, 0.0)
