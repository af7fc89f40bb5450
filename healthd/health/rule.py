"""Rules: tables of TOML in, frozen definitions of problems out, every fault reported at once."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from healthd import protocol
from healthd.errors import HealthdError
from healthd.health._reader import Filter, Reader
from healthd.health._scale import Scale
from healthd.health.operand import Operator
from healthd.health.threshold import Field, Level, Names
from healthd.metric import Unit
from healthd.model import Entry, Family, Reading, Snapshot
from healthd.quantity import found, short

LEVELS = (protocol.NOTICE, protocol.WARNING, protocol.CRITICAL)
"""The severities that a rule may have, the least first."""
CLEAR_AFTER = 300.0
"""How long a condition has to be clear before it is over, where its rule says nothing, seconds."""
RESOURCES = ("cpu", "memory", "io")
"""What can run short because some process uses much of it."""

_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_KEYS = (
    "enabled", "summary", "why", "remedy", "metric", "per", "operator", "window", "least", "limit", *LEVELS,
    "clear_after", "where", "requires", "unless", "inhibits", "grace", "who",
)  # fmt: skip


class RuleError(HealthdError):
    """Rules can't be used: `faults` are all their faults, a line each."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Rule(NamedTuple):
    """The definition of a problem."""

    name: str
    summary: str
    """What is the matter while it is so, in one sentence."""
    why: str
    """Why that is a problem, and why the thresholds are what they are."""
    remedy: str
    """What to do about it."""
    metric: str
    """What is looked at, as the rule names it."""
    family: Family
    fields: tuple[Field, ...]
    """What is added up."""
    per: tuple[Field, ...]
    """What that is divided by."""
    scale: Scale
    operator: Operator | None
    window: float
    levels: tuple[Level, ...]
    """The worst last."""
    clear_after: float
    where: Mapping[str, tuple[str, ...]]
    """Patterns for facts of the instance or of the machine, by field; with `!` before one for what must not match."""
    filters: tuple[Filter, ...]
    """The same, as what is done."""
    requires: tuple[Field, ...]
    """What must be known for the rule to hold at all."""
    unless: tuple[Field, ...]
    """What must not."""
    inhibits: tuple[str, ...]
    """The rules that are silent while this one has a condition: it causes them."""
    grace: float
    """Seconds after boot in which it is not judged."""
    who: str
    """What runs short: one of `RESOURCES`, or ""."""
    looks_at: Callable[[Reading], Any]
    """Gives what a reading of its own family has for it: where that did not change, nothing is to be judged anew."""
    others: frozenset[str]
    """The families that it looks at beside its own."""
    causes: tuple[tuple[str, bool], ...] = ()
    """The rules that inhibit it, and whether each does so for the same instance alone."""

    @property
    def form(self) -> str:
        """What its states depend on: those of another form say nothing about it."""
        operator = f"{self.operator.name} within {self.window:g} of " if self.operator else ""
        per = f" per {' + '.join(field.name for field in self.per)}" if self.per else ""
        return f"{operator}{self.metric}{per}: {', '.join(level.severity for level in self.levels)}"

    @property
    def judges_problems(self) -> bool:
        """Whether it looks at why an instance is unavailable, and not at its values."""
        return self.fields[0].is_problem

    def unit(self, field: str) -> Unit:
        """Return the unit of a field that its thresholds name, or for "" that of its own value."""
        named = {each.name: each.scale.unit for level in self.levels for each in level.enter.fields}
        return named.get(field, self.scale.unit)

    def raw(self, snapshot: Snapshot, entry: Entry) -> Any:
        """Return the value before the operator, `None` where it is unknown; for one that divides part and whole."""
        if len(self.fields) == 1 and not self.per:
            return self.fields[0].read(snapshot, entry)
        total, whole = _sum(self.fields, snapshot, entry), _sum(self.per, snapshot, entry)
        if not self.per or total is None or whole is None:
            return None if self.per else total
        if self.operator and self.operator.divides:
            return total, whole
        # Where there was nothing at all there was no fault, and where there were faults alone all was one.
        return total / whole if whole else float(total > 0)

    def is_for(self, snapshot: Snapshot, entry: Entry) -> bool:
        """Tell whether the rule is meant for an instance."""
        for read, matches in self.filters:
            if not matches(read(snapshot, entry)):
                return False
        if not (self.requires or self.unless):
            return True
        known = {field.read(snapshot, entry) is not None for field in self.requires}
        unknown = {field.read(snapshot, entry) is None for field in self.unless}
        return False not in known | unknown


def _sum(fields: Sequence[Field], snapshot: Snapshot, entry: Entry) -> Any:
    values = [field.read(snapshot, entry) for field in fields]
    return None if None in values else sum(values)


Layer = tuple[str, Mapping[str, Any]]
"""A file, and its rules by name, as TOML has them."""


def rules(families: Iterable[Family], layers: Sequence[Layer], absent: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return the rules of files, of which later ones override by name and key; raises RuleError with all faults.

    A rule comes after those that inhibit it. `absent` are rules that there are not, and that may be inhibited.
    """
    by_name = {family.name: family for family in families}
    merged, origin = _merged(layers)
    made: dict[str, Rule] = {}
    readers: dict[str, Reader] = {}
    for name, table in merged.items():
        readers[name] = reader = Reader(name, table if isinstance(table, Mapping) else {}, origin)
        if not isinstance(table, Mapping):
            reader.fault("", "a table", found(table))
        elif rule := _rule(name, reader, by_name):
            made[name] = rule
    for rule in made.values():
        _check_inhibits(rule, made, (*merged, *absent), readers[rule.name])
    if faults := [fault for reader in readers.values() for fault in reader.faults]:
        raise RuleError(*faults)
    return _causes_first(made)


def _merged(layers: Sequence[Layer]) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """Return all tables, and the file of each rule, key, and key of a key."""
    merged: dict[str, Any] = {}
    origin: dict[tuple[str, ...], str] = {}

    def merge(path: tuple[str, ...], known: Any, value: Any, file: str) -> Any:
        origin[path] = file
        # Nothing lies deeper than a key of a key of a rule.
        if not isinstance(value, Mapping) or len(path) == 3:
            return value
        below = dict(known) if isinstance(known, dict) else {}
        for key, each in value.items():
            below[key] = merge((*path, key), below.get(key), each, file)
        return below

    for file, tables in layers:
        for name, table in tables.items():
            merged[name] = merge((name,), merged.get(name), table, file)
    return merged, origin


def _rule(name: str, reader: Reader, families: Mapping[str, Family]) -> Rule | None:
    """Return a rule, `None` where it is disabled or can't be read for faults."""
    if not _NAME.fullmatch(name):
        reader.fault("", "a name of small letters, digits and _", short(repr(name)))
    reader.only(_KEYS)
    is_enabled = reader.flag("enabled", default=True)
    metrics = reader.texts("metric")
    if not metrics:
        if not reader.faults:
            reader.fault("metric", "a metric, like memory.percent", "nothing")
        return None
    family = families.get(metrics[0].partition(".")[0])
    if family is None:
        reader.fault("metric", f"a metric of {', '.join(sorted(families))}", found(metrics[0]))
        return None
    made = _made(name, reader, Names(families, family, Scale(Unit.NONE, float)))
    return made if is_enabled and not reader.faults else None


def _made(name: str, reader: Reader, names: Names) -> Rule | None:
    """Return a rule; without its metric nothing can be said of its thresholds."""
    fields, per = reader.fields("metric", names), reader.fields("per", names)
    if not fields:
        return None
    if (len(fields) > 1 or per) and not all(field.scale.is_number for field in (*fields, *per)):
        reader.fault("metric", "numbers, where several are added or divided", fields[0].name)
    operator = reader.operator(fields, per)
    bases, limit = reader.limit(names)
    names = names._replace(scale=_scale(fields, per, operator), limit=limit)
    levels = tuple([level for severity in LEVELS if (level := reader.level(severity, names))])
    if not any(reader.has(severity) for severity in LEVELS):
        reader.fault("", f"one of {', '.join(LEVELS)}", "none")
    where, filtered, filters = reader.filters("where", names)
    requires, unless = reader.fields("requires", names), reader.fields("unless", names)
    metric = " + ".join(reader.texts("metric"))
    compared = [field for level in levels for threshold in (level.enter, level.clear) for field in threshold.fields]
    looked_at = (*fields, *per, *bases, *filtered, *requires, *unless, *compared)
    return Rule(
        name=name,
        summary=reader.text("summary") or (f"{metric} {levels[0].enter.text}" if levels else ""),
        why=reader.text("why"),
        remedy=reader.text("remedy"),
        metric=metric,
        family=names.own,
        fields=fields,
        per=per,
        scale=names.scale,
        operator=operator,
        window=reader.seconds("window", 0.0) if operator else 0.0,
        levels=levels,
        clear_after=reader.seconds("clear_after", CLEAR_AFTER),
        where=where,
        filters=filters,
        requires=requires,
        unless=unless,
        inhibits=reader.texts("inhibits"),
        grace=reader.seconds("grace", 0.0),
        who=reader.one_of("who", RESOURCES),
        looks_at=_looks_at(names.own, looked_at),
        others=frozenset({field.family for field in looked_at} - {names.own.name}),
    )


def _looks_at(family: Family, fields: Iterable[Field]) -> Callable[[Reading], Any]:
    """Return what reads those of a family from its reading."""
    names = {field.name.rpartition(".")[2] for field in fields if field.family == family.name and not field.is_problem}
    return attrgetter(*sorted(names)) if names else lambda _: None


def _scale(fields: Sequence[Field], per: Sequence[Field], operator: Operator | None) -> Scale:
    if operator and operator.unit:
        return Scale(operator.unit, float)
    return Scale(Unit.NONE, float, is_ratio=True) if per else fields[0].scale


def _check_inhibits(rule: Rule, made: Mapping[str, Rule], known: Iterable[str], reader: Reader) -> None:
    """Find the faults that lie between rules."""
    for name in rule.inhibits:
        if name not in known:
            reader.fault("inhibits", f"one of {', '.join(known)}", found(name))
    reached: set[str] = set()
    front = set(rule.inhibits)
    while front:
        reached |= front
        front = {other for name in front if name in made for other in made[name].inhibits} - reached
    if rule.name in reached:
        reader.fault("inhibits", "rules that do not inhibit this one", ", ".join(rule.inhibits))


def _causes_first(made: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """Return rules so that each comes after those that inhibit it, and knows them."""
    ordered: dict[str, Rule] = {}

    def place(rule: Rule) -> None:
        if rule.name in ordered:
            return
        causes = [other for other in made.values() if rule.name in other.inhibits]
        for cause in causes:
            place(cause)
        ordered[rule.name] = rule._replace(causes=tuple([(each.name, each.family is rule.family) for each in causes]))

    for rule in made.values():
        place(rule)
    return tuple(ordered.values())
