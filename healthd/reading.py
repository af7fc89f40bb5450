"""What one family of metrics is at one time.

A *reading* is a frozen dataclass. Each field is declared once, with kind, unit and one sentence:

    @family("load")
    class Load(Reading):
        \"\"\"How many tasks run or wait (`/proc/loadavg`).\"\"\"

        load1: float | None = gauge(Unit.LOAD, "Mean over the last minute.")

and from that declaration follow the D-Bus property and its documentation, the JSON key, the row of
`healthctl metrics` and the deadband. Every field of a reading can be unknown: `None`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeVar, dataclass_transform

from healthd.metric import Kind, Metric, Table, camel, counter, gauge, state, table

SINGLE = ""
"""The instance of a family that has only one."""

_R = TypeVar("_R", bound="Reading")

_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Interfaces and objects that are no family's.
_RESERVED = ("condition", "error", "manager", "reading")


class Reading(Table):
    """One family's values for one instance at one time."""

    __slots__ = ()
    family: ClassVar["Family"]


@dataclass(frozen=True)
class Family:
    """Metrics that are observed together."""

    name: str
    reading: type[Reading]
    event: str
    """Name of the event that carries accepted readings."""
    instances: str
    """What an instance is (`mount point`); "" for a family that has only one."""
    every: float
    """Observed no more often than this, seconds; 0 is each tick."""
    source: str = ""
    """What it is read from: files of the kernel, calls."""

    @property
    def single(self) -> bool:
        """Whether there is only one instance."""
        return not self.instances

    @property
    def summary(self) -> str:
        """What the family is: the first paragraph of the reading's docstring, on one line."""
        return " ".join((self.reading.__doc__ or "").split("\n\n")[0].split())

    @cached_property
    def unknown(self) -> Reading:
        """The reading of which nothing is known."""
        return self.reading(**dict.fromkeys(self.by_name))

    @cached_property
    def recorded(self) -> Sequence[tuple[str, bool]]:
        """What its event tells, and whether it is per core: all but counters, which only snapshots tell."""
        return [(metric.name, metric.live) for metric in self.reading.metrics if metric.kind is not Kind.COUNTER]

    @cached_property
    def by_name(self) -> Mapping[str, Metric]:
        """The metrics by their names."""
        return {metric.name: metric for metric in self.reading.metrics}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(gauge, counter, state))
def family(
    name: str, *, event: str = "", instances: str = "", every: float = 0.0, source: str = ""
) -> Callable[[type[_R]], type[_R]]:
    """Make a class the reading of the family `name`; the words are those of `Family`.

    The event is `system.NAME.updated` where none is given. Raises TypeError for a name that can't be a family's.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise TypeError(f"{name!r} can't be the name of a family: small letters, digits and _, and none of {_RESERVED}")

    def decorate(cls: type[_R]) -> type[_R]:
        made = table(camel(name))(cls)
        for metric in made.metrics:
            if not metric.optional:
                raise TypeError(f"{cls.__name__}.{metric.name}: all of a reading can be unknown: declare it `… | None`")
        made.family = Family(name, made, event or f"system.{name}.updated", instances, every, source)
        return made

    return decorate
