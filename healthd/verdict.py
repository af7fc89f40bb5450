"""What is judged, as types: conditions, and the verdict on the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from healthd import protocol
from healthd.metric import Table, Unit, state, table


class Acknowledgement(NamedTuple):
    """Somebody has taken note of a condition: it does not count for the host's health meanwhile."""

    who: str
    time: float
    """When, seconds since 1970 UTC."""
    until: float
    """Until when; at the latest until the condition is over or becomes worse."""
    severity: str
    """That of the condition at that time."""


@table("Condition")
class Condition(Table):
    """A problem that there is now: what one rule says of one instance."""

    rule: str = state("Name of the rule.")
    instance: str = state("Which one of the rule's family it is about; empty where there is only one.")
    severity: str = state("notice, warning, critical, or unknown while nothing is known of what the rule looks at.")
    since_usec: int = state("Since when it has this severity, µs since 1970 UTC.", Unit.USEC)
    summary: str = state("What is the matter, in one sentence.")
    metric: str = state("What the value is of: family.field, or several that are added.")
    unit: str = state("What the value is measured in.")
    value: float | None = state("What decided: the value when it last changed; NaN where that is no number.")
    threshold: float | None = state("What the value was compared with; NaN where that is no number.")
    remedy: str = state("What to do about it.")
    inhibited_by: str = state("The rule whose condition caused this one, which does not count meanwhile; else empty.")
    acknowledged_by: str = state("Who has taken note of it, so that it does not count meanwhile; else empty.")
    acknowledged_usec: int | None = state(
        "When that was, µs since 1970 UTC; the largest number where nobody has.", Unit.USEC
    )
    acknowledged_until_usec: int | None = state(
        "Until when at most, µs since 1970 UTC; the largest number without an end, or where nobody has.", Unit.USEC
    )


class Remembered(Protocol):
    """What judging goes on from."""

    def data(self) -> Mapping[str, Any]:
        """Return it as JSON has it."""


class Explaining(Protocol):
    """Tells of conditions more than their objects do."""

    def listed(self) -> Mapping[str, Mapping[str, Any]]:
        """Return all conditions by their names, those that are ok too.

        Each: rule, instance, severity, since, value, threshold, headroom, metric, unit, summary, pending,
        inhibited_by, acknowledged_by, next: the severity that it would have beyond the threshold; and whatever decided,
        own_value and own_unit of what the rule looks at, with bounds on that: sign and threshold by severity.
        """

    def explain(self, name: str) -> Mapping[str, Any]:
        """Return one condition with its rule and its evidence; raises KeyError where there is none of that name."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The verdict on the host and its reasons."""

    severity: str = protocol.UNKNOWN
    reasons: tuple[str, ...] = ()
    """The conditions that count, `rule` or `rule@instance`, the worst first."""
    since: float = 0.0
    """Since when the host has this severity, seconds since 1970 UTC; 0 before anything was judged."""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """All that are not ok, by their names; one that did not change is the same object as before."""
    remembered: Remembered | None = field(default=None, compare=False)
