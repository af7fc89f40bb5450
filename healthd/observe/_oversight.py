"""How observing itself goes: who observes healthd takes in every sample."""

from healthd import protocol
from healthd.model import Sample

_FAULTS = (protocol.FAILED, protocol.MALFORMED, protocol.TIMEOUT)
"""What is a fault of a collector, or of what it asks; what is closed to healthd, or not there, is none."""


class Oversight:
    """What a collector is besides that is told of all samples."""

    def __init__(self) -> None:
        self.late = 0
        """How many samples came more than an interval late."""
        self.failing: frozenset[str] = frozenset()
        """The families of which nothing could be observed at the last try, for a fault."""

    def oversee(self, sample: Sample) -> None:
        """Take in a sample."""
        gaps = [event.data["reason"] for event in sample.events if event.name == protocol.RUNTIME_GAP]
        self.late += protocol.OVERRUN in gaps
        problems = {each.family.name: each.problem for each in sample.observations}
        failing = {name for name, problem in problems.items() if problem and problem.code in _FAULTS}
        self.failing = self.failing - problems.keys() | failing
