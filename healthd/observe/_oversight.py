"""How observing itself goes: who observes healthd takes in every sample."""

from typing import Protocol, runtime_checkable

from healthd import protocol
from healthd.model import Sample

_FAULTS = (protocol.FAILED, protocol.MALFORMED, protocol.TIMEOUT)
"""What is a fault of a collector, or of what it asks; what is closed to healthd, or not there, is none."""


class Oversight:
    """What there is to say of the samples so far."""

    def __init__(self) -> None:
        self.late = 0
        """How many samples came more than an interval late."""
        self.failing: frozenset[str] = frozenset()
        """The families of which nothing could be observed at the last try, for a fault."""

    def oversee(self, sample: Sample) -> None:
        """Take in a sample."""
        for event in sample.events:
            self.late += event.name == protocol.RUNTIME_GAP and event.data["reason"] == protocol.OVERRUN
        failing = {
            each.family.name for each in sample.observations if (found := each.problem) and found.code in _FAULTS
        }
        if failing or self.failing:
            self.failing = self.failing - {each.family.name for each in sample.observations} | failing


@runtime_checkable
class Overseeing(Protocol):
    """A collector that tells of the others; who observes gives it what there is to say."""

    oversight: Oversight
