"""The store: samples in, snapshots out. Deadbands are applied here, once."""

from collections.abc import Mapping
from typing import Any

from healthd import protocol
from healthd.model import SINGLE, Entry, Family, Observation, Problem, Reading, Sample, Snapshot, Status


def accepts(accepted: Reading, new: Reading) -> bool:
    """Tell whether `new` differs from the `accepted` reading by more than the deadbands of its fields.

    Fields that are `live` are not looked at. To or from unknown always counts.
    """
    if accepted is new or accepted == new:
        return False
    for name, left, whole in _bands(type(new)):
        old, value = getattr(accepted, name), getattr(new, name)
        if old == value:
            continue
        if old is None or value is None or left is None:
            return True
        if left(old, value, getattr(accepted, whole) or 0.0):
            return True
    return False


_known_bands: dict[type[Reading], list[tuple[str, Any, str]]] = {}


def _bands(reading: type[Reading]) -> list[tuple[str, Any, str]]:
    """Return name, test and the field of the whole for each metric that can make a difference."""
    bands = _known_bands.get(reading)
    if bands is None:
        bands = _known_bands[reading] = [
            (metric.name, metric.band.left if metric.band else None, (metric.band and metric.band.of) or metric.name)
            for metric in reading.metrics
            if not metric.live
        ]
    return bands


class Store:
    """Holds what is accepted."""

    def __init__(self) -> None:
        self._entries: dict[str, Mapping[str, Entry]] = {}
        self._latest: dict[str, Observation] = {}

    def accept(self, sample: Sample) -> Snapshot:
        """Take a sample in and return what is known now. What did not change stays the same object."""
        if sample.begins:
            self._entries, self._latest = {}, {}
        entries, latest = dict(self._entries), dict(self._latest)
        for observation in sample.observations:
            name = observation.family.name
            latest[name], before = observation, latest.get(name)
            # A replay gives the same objects where nothing changed.
            if not before or before.readings is not observation.readings or before.problems is not observation.problems:
                entries[name] = _fold(entries.get(name, {}), before, observation)
        self._entries, self._latest = entries, latest
        return Snapshot(sample.instant, sample.seq, sample.boot_id, sample.interval, entries, latest)


def _fold(known: Mapping[str, Entry], before: Observation | None, observation: Observation) -> Mapping[str, Entry]:
    """Return the entries of one family after an observation; the same mapping where nothing changed."""
    problems = observation.problems
    if observation.problem:
        # Nobody knows which instances there are now: those known before stay, as unavailable.
        instances = known or ([SINGLE] if observation.family.single else [])
        problems = dict.fromkeys(instances, observation.problem)
    folded = {
        instance: _available(known.get(instance), instance, reading)
        for instance, reading in observation.readings.items()
    }
    for instance, problem in problems.items():
        folded[instance] = _unavailable(known.get(instance), instance, problem, before, observation.family)
    if len(folded) == len(known) and all(entry is known.get(instance) for instance, entry in folded.items()):
        return known
    return folded


def _available(known: Entry | None, instance: str, reading: Reading) -> Entry:
    if known is None or not known.status.available:
        return Entry(reading, Status(instance=instance, available=True, problem="", sampled_at_usec=None))
    return Entry(reading, known.status) if accepts(known.reading, reading) else known


def _unavailable(
    known: Entry | None, instance: str, problem: Problem, before: Observation | None, family: Family
) -> Entry:
    """Return the entry of what can't be observed: after a timeout the last values stay, else nothing is known."""
    sampled_at = None
    if known and before:
        sampled_at = round(before.instant.time * 1e6) if known.status.available else known.status.sampled_at_usec
    status = Status(instance=instance, available=False, problem=problem.code, sampled_at_usec=sampled_at)
    reading = family.unknown
    if known and problem.code == protocol.TIMEOUT:
        reading = _last(known, before.readings.get(instance) if before else None)
    if known and known.status == status and known.reading is reading:
        return known
    return Entry(reading, status)


def _last(known: Entry, raw: Reading | None) -> Reading:
    """Return the accepted reading, with what is live in it as it was last observed."""
    accepted = known.reading
    if raw is None or not any(metric.live for metric in accepted.metrics):
        return accepted
    return type(accepted)(
        **{metric.name: getattr(raw if metric.live else accepted, metric.name) for metric in accepted.metrics}
    )
