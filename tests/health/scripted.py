"""A machine that is what a test says, looked at at times that a test says, and judged each time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from healthd.clock import Instant
from healthd.health.condition import State, States, restored
from healthd.health.evaluator import Transition, address, step
from healthd.health.rule import Rule, rules
from healthd.model import SINGLE, Entry, Family, HealthReport, Reading, Snapshot, Status, Unit, family, gauge, state

START = 1767268800.0


@family("tank")
class Tank(Reading):
    """One of a kind."""

    percent: float | None = gauge(Unit.PERCENT, "How full it is.")
    spare_bytes: int | None = gauge(Unit.BYTES, "What is free.")
    spills: int | None = state("How often it spilled.", Unit.COUNT)
    dry: bool | None = state("Whether it is empty.")
    mode: str | None = state("What it does.")


@family("pump", instances="pump")
class Pump(Reading):
    """One of several."""

    speed: float | None = gauge(Unit.NONE, "Turns.")
    faults: float | None = gauge(Unit.PER_SECOND, "Faults.")
    strokes: float | None = gauge(Unit.PER_SECOND, "Strokes.")
    running: bool | None = state("Whether it runs.")
    kind: str | None = state("What it is.")


@family("slow", instances="meter", every=30.0)
class Slow(Reading):
    """Observed every 30 s."""

    level: float | None = gauge(Unit.NONE, "A level.")


FAMILIES = (Tank.family, Pump.family, Slow.family)

Told = tuple[float, str, str, str]
"""When (seconds since the start of the test), the condition, the severity before and after."""


def made(text: dict[str, Any], families: Iterable[Family] = FAMILIES) -> tuple[Rule, ...]:
    """Return rules from tables."""
    return rules(families, [("test.toml", text)])


class Machine:
    """What is observed, and what is judged of it."""

    def __init__(
        self, judged_by: Sequence[Rule] | dict[str, Any], interval: float = 5.0, since_boot: float = 10000.0
    ) -> None:
        self.rules = made(judged_by) if isinstance(judged_by, dict) else tuple(judged_by)
        self.interval = interval
        self.begun = self.since_boot = since_boot
        self.boot_id = "first"
        self.entries: dict[str, dict[str, Entry]] = {}
        self.states = States()
        self.told: list[Told] = []
        self.transitions: list[Transition] = []
        self._booted = START

    @property
    def now(self) -> float:
        """Return the time since the start of the test."""
        return self.since_boot - self.begun

    @property
    def health(self) -> HealthReport:
        return self.states.report

    def set(self, reading: type[Reading], instance: str = SINGLE, **fields: Any) -> "Machine":
        """Observe these fields of a family; the others are as before, or unknown."""
        entries = self.entries.get(reading.family.name, {})
        known = entries.get(instance)
        before = known.reading if known and known.status.available else reading.family.unknown
        status = Status(instance=instance, available=True, problem="", sampled_at_usec=None)
        entry = Entry(replace(before, **fields), status)
        if known != entry:
            self.entries[reading.family.name] = {**entries, instance: entry}
        return self

    def fail(self, reading: type[Reading], instance: str = SINGLE, problem: str = "failed") -> "Machine":
        """Have an instance unavailable; its values are lost unless it is only late."""
        entries = self.entries.get(reading.family.name, {})
        known = entries.get(instance)
        kept = known.reading if known and problem == "timeout" else reading.family.unknown
        status = Status(instance=instance, available=False, problem=problem, sampled_at_usec=None)
        self.entries[reading.family.name] = {**entries, instance: Entry(kept, status)}
        return self

    def drop(self, reading: type[Reading], instance: str) -> "Machine":
        """Have an instance go."""
        entries = self.entries[reading.family.name]
        self.entries[reading.family.name] = {name: entry for name, entry in entries.items() if name != instance}
        return self

    def look(self) -> list[Told]:
        """Look once, at the present time."""
        instant = Instant(self._booted + self.since_boot, self.since_boot, 0.0)
        snapshot = Snapshot(instant, 0, self.boot_id, self.interval, dict(self.entries), {})
        self.states, transitions = step(self.rules, self.states, snapshot)
        self.transitions += transitions
        told = [
            (self.now, address(each.rule.name, each.state.instance), each.before, each.state.severity)
            for each in transitions
        ]
        self.told += told
        return told

    def pass_(self, seconds: float) -> list[Told]:
        """Look at each interval until so much time has passed; return what was told meanwhile."""
        told = []
        for _ in range(round(seconds / self.interval)):
            self.since_boot = round(self.since_boot + self.interval, 3)
            told += self.look()
        return told

    def sleep(self, seconds: float) -> None:
        """Let time pass that nobody observes."""
        self.since_boot += seconds

    def reboot(self) -> None:
        """Boot anew, and look from the first seconds on."""
        self._booted += self.since_boot
        self.begun -= self.since_boot
        self.boot_id, self.since_boot = self.boot_id + "again", 0.0

    def restart(self, judged_by: Sequence[Rule] | None = None) -> None:
        """Go on from what was recorded."""
        self.rules = tuple(judged_by) if judged_by is not None else self.rules
        self.states = restored(recorded(self.states), self.rules)

    def state(self, rule: str, instance: str = SINGLE) -> State:
        return self.states.states[rule][instance]

    def severity(self, rule: str, instance: str = SINGLE) -> str | None:
        """Return a condition's severity, `None` where there is no such condition."""
        found = self.states.states.get(rule, {}).get(instance)
        return found.severity if found else None


def recorded(states: States) -> Any:
    """Return what becomes of states in a recording."""
    return json.loads(json.dumps(states.data(), allow_nan=False))
