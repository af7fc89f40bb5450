"""What a threshold says, as text: `>= 90% and available_bytes < 20GiB`.

One or more bounds, joined by `and` or by `or`. A bound is a comparison (`>` `>=` `<` `<=` `==` `!=`) with a quantity;
before it stands a field of the same family or `family.field` of a family that has one instance, and nothing where the
rule's own value is meant. A quantity is a number in the unit of what it is compared with, or written with one: `20GiB`,
`90%`, `75°C`, `5min`; `true`, `false`, a word; or `limit`, `limit - 15`: what the rule declares as its limit.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from healthd.health._scale import TRUE, BadThreshold, Scale, quantity
from healthd.metric import Unit
from healthd.model import SINGLE, Entry, Family, Snapshot
from healthd.quantity import found

Read = Callable[[Snapshot, Entry], Any]
"""Gives a value, `None` where it is unknown; the entry is that of the instance that is judged."""

PROBLEM = "problem"
"""What is read like a field: why the instance is unavailable, "" while it is not."""

_BOUND = re.compile(r"(?:([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)\s*)?(>=|<=|==|!=|>|<)\s*(\S.*)")
_JOINED = re.compile(r"\s+(and|or)\s+")
_LIMIT = re.compile(r"limit(?:\s*([+-])\s*(\S.*))?")
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}


class Field(NamedTuple):
    """Something that can be read, and how it is compared."""

    name: str
    family: str
    read: Read
    scale: Scale

    @property
    def is_problem(self) -> bool:
        """Whether it is read of what is unavailable, too."""
        return self.name.rpartition(".")[2] == PROBLEM


class Bound(NamedTuple):
    """One comparison."""

    field: Field | None
    """What is compared; `None` for the rule's own value."""
    sign: str
    compare: Callable[[Any, Any], Any]
    threshold: Any
    """What it is compared with; beside a limit, what is added to that."""
    limit: Read | None

    def value(self, snapshot: Snapshot, entry: Entry, value: Any) -> Any:
        """Return what is compared."""
        return value if self.field is None else self.field.read(snapshot, entry)

    def against(self, snapshot: Snapshot, entry: Entry) -> Any:
        """Return what it is compared with now."""
        return self.threshold if self.limit is None else self.limit(snapshot, entry) + self.threshold

    def holds(self, snapshot: Snapshot, entry: Entry, value: Any) -> bool | None:
        """Tell whether it is so, `None` where that is unknown."""
        mine = self.value(snapshot, entry, value)
        return None if mine is None else bool(self.compare(mine, self.against(snapshot, entry)))

    @property
    def opposite(self) -> "Bound":
        """The bound that holds where this one does not."""
        sign = _OPPOSITE[self.sign]
        return self._replace(sign=sign, compare=_COMPARE[sign])

    def excludes(self, other: "Bound") -> bool:
        """Tell whether it can't hold while another one on the same holds."""
        for point, bound in ((self, other), (other, self)):
            if point.sign == "==":
                return not bound.compare(point.threshold, bound.threshold)
        if "!=" in (self.sign, other.sign) or self.sign[0] == other.sign[0]:
            return False
        above, below = (self, other) if self.sign[0] == ">" else (other, self)
        apart = above.threshold - below.threshold
        return bool(apart > 0 or (apart == 0 and (above.sign, below.sign) != (">=", "<=")))

    @property
    def about(self) -> tuple[str, ...]:
        """What it is on, so that two bounds can be compared."""
        own = (self.field.family, self.field.name.rpartition(".")[2]) if self.field else ()
        return (*own, "limit") if self.limit else own


class Threshold(NamedTuple):
    """Bounds that must hold, all of them or one of them."""

    text: str
    bounds: tuple[Bound, ...]
    every: bool
    """Whether all of them must hold."""

    def holds(self, snapshot: Snapshot, entry: Entry, value: Any) -> bool | None:
        """Tell whether it is so; `None` where what is known does not decide it."""
        unknown = False
        for bound in self.bounds:
            holds = bound.holds(snapshot, entry, value)
            if holds is None:
                unknown = True
            elif holds is not self.every:
                return holds
        return None if unknown else self.every

    def deciding(self, snapshot: Snapshot, entry: Entry, value: Any) -> Bound:
        """Return the bound that a person wants to hear of: the first that makes it so, or not so; else the first."""
        for bound in self.bounds:
            if bound.holds(snapshot, entry, value) is (not self.every):
                return bound
        return self.bounds[0]

    @property
    def opposite(self) -> "Threshold":
        """The threshold that holds where this one does not."""
        first, *others = self.bounds
        text = f"not ({self.text})" if others else self.text.replace(first.sign, first.opposite.sign, 1)
        return Threshold(text, tuple([bound.opposite for bound in self.bounds]), not self.every)

    @property
    def cases(self) -> Sequence[tuple[Bound, ...]]:
        """The ways in which it can hold: by bounds that must hold together."""
        return [self.bounds] if self.every else [(bound,) for bound in self.bounds]

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is named in it."""
        return tuple([bound.field for bound in self.bounds if bound.field])


class Level(NamedTuple):
    """From when on, and until when, a condition has a severity."""

    severity: str
    enter: Threshold
    clear: Threshold
    hold: float
    """How long `enter` must hold, seconds."""

    @property
    def overlaps(self) -> bool:
        """Whether both thresholds can hold at once, as far as they are on the same: it would come and go for ever."""
        for enter, clear in product(self.enter.cases, self.clear.cases):
            same = [(one, other) for one, other in product(enter, clear) if one.about == other.about]
            if same and not any(one.excludes(other) for one, other in same):
                return True
        return False


class Names(NamedTuple):
    """What a threshold of a rule may name."""

    families: Mapping[str, Family]
    own: Family
    scale: Scale
    """That of the rule's own value."""
    limit: Read | None = None

    def field(self, name: str) -> Field:
        """Return a field of the own family by its name, or `family.field` of another that has one instance.

        Raises BadThreshold. Counters and values per core are none: they are not recorded as they are judged.
        """
        family_name, dot, field = name.rpartition(".")
        family = self.families.get(family_name) if dot else self.own
        metric = family.by_name.get(field) if family else None
        is_known = field == PROBLEM or (metric is not None and metric.type in TRUE and not metric.live)
        if family is None or not is_known:
            raise BadThreshold(f"a metric of one value that is no counter, like {_example(self.own)}", found(name))
        if family is not self.own and not family.single:
            raise BadThreshold(f"a metric of {self.own.name} or of a family that has one instance", found(name))
        if metric is None:
            return Field(name, family.name, _problem_of(family, own=family is self.own), Scale(Unit.NONE, str))
        read = (_own if family is self.own else _other)(family.name, field, TRUE[metric.type])
        return Field(name, family.name, read, Scale(metric.unit, metric.type))


def _example(family: Family) -> str:
    return f"{family.name}.{next(metric.name for metric in reversed(family.reading.metrics) if not metric.live)}"


def _own(_: str, field: str, is_true: Callable[[Any], bool]) -> Read:
    def read(_: Snapshot, entry: Entry) -> Any:
        value = getattr(entry.reading, field)
        return value if is_true(value) else None

    return read


def _other(family: str, field: str, is_true: Callable[[Any], bool]) -> Read:
    def read(snapshot: Snapshot, _: Entry) -> Any:
        entry = snapshot.entries.get(family, {}).get(SINGLE)
        value = getattr(entry.reading, field) if entry and entry.status.available else None
        return value if is_true(value) else None

    return read


def _problem_of(family: Family, *, own: bool) -> Read:
    if own:
        return lambda _, entry: entry.status.problem

    def read(snapshot: Snapshot, _: Entry) -> Any:
        entry = snapshot.entries.get(family.name, {}).get(SINGLE)
        return entry.status.problem if entry else None

    return read


def parse(text: str, names: Names) -> Threshold:
    """Return the threshold that a text says, or raise BadThreshold."""
    first, *others = _JOINED.split(text.strip())
    joints = set(others[::2])
    if len(joints) > 1:
        raise BadThreshold("bounds joined by `and` alone, or by `or` alone", found(text))
    bounds = tuple(_bound(part, names) for part in (first, *others[1::2]))
    return Threshold(text, bounds, joints != {"or"})


def _bound(text: str, names: Names) -> Bound:
    match = _BOUND.fullmatch(text.strip())
    if match is None:
        raise BadThreshold('a comparison like "> 90%" or "available_bytes < 1GiB"', found(text))
    name, sign, against = match.groups()
    field = names.field(name) if name else None
    scale = field.scale if field else names.scale
    if scale.type in (str, bool) and sign not in ("==", "!="):
        raise BadThreshold(f"== or != before a {'word' if scale.type is str else 'flag'}", found(text))
    limit, threshold = _against(against, scale, names)
    return Bound(field, sign, _COMPARE[sign], threshold, limit)


def _against(text: str, scale: Scale, names: Names) -> tuple[Read | None, Any]:
    match = _LIMIT.fullmatch(text)
    if match is None:
        return None, quantity(text, scale)
    if names.limit is None:
        raise BadThreshold("a quantity, or the key `limit` in this rule", found(text))
    if not scale.is_number:
        raise BadThreshold("a word or a flag: a limit is a number", found(text))
    sign, more = match.groups()
    beside = quantity(more, scale) if more else 0.0
    return names.limit, -beside if sign == "-" else beside
