"""The vocabulary of healthd as types, and its extension points.

What else belongs to it is declared beside it: readings and families in `reading.py`, their fields in `metric.py`, what
is judged in `verdict.py`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from healthd import protocol
from healthd.clock import Instant
from healthd.metric import PRESSURE, SHARE, Band, Kind, Metric, Table, Unit, counter, gauge, state, table
from healthd.reading import SINGLE, Family, Reading, family
from healthd.verdict import Acknowledgement, Condition, Explaining, HealthReport, Remembered

__all__ = [
    "PRESSURE",
    "SHARE",
    "SINGLE",
    "Account",
    "Acknowledgement",
    "Ask",
    "Asking",
    "Band",
    "Collector",
    "Condition",
    "Cycle",
    "Entry",
    "Event",
    "Explaining",
    "Family",
    "HealthReport",
    "Kind",
    "Metric",
    "Noticing",
    "Observation",
    "Point",
    "Probing",
    "Problem",
    "Publisher",
    "Reading",
    "Remembered",
    "Sample",
    "Snapshot",
    "Source",
    "Status",
    "Table",
    "Unit",
    "counter",
    "family",
    "gauge",
    "state",
    "table",
]


class Problem(NamedTuple):
    """Why something is unavailable: a code of `protocol`, the reason, and what to do about it ("" for nothing)."""

    code: str
    reason: str
    remedy: str = ""


@table("Reading")
class Status(Table):
    """What every reading's object says of itself."""

    instance: str = state("Which one of its family this is; empty where there is only one.")
    available: bool = state("Whether the values are true now; if not, Problem tells why.")
    problem: str = state(
        "Empty, or why there is no true value: permission, vanished, unmounted, timeout (the last values stay), "
        "unsupported, disabled, malformed or failed."
    )
    sampled_at_usec: int | None = state(
        "When the values were last observed, µs since 1970 UTC; the largest number where they never were.",
        Unit.USEC,
        live=True,
    )
    """While available this is the time of the family's latest observation, and kept there alone."""


class Entry(NamedTuple):
    """What is known of one instance: the accepted reading, and whether it is true now."""

    reading: Reading
    status: Status


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run of a collector brought, and how it went."""

    family: Family
    instant: Instant
    """When the values were read."""
    readings: Mapping[str, Reading]
    """Raw readings by instance."""
    problems: Mapping[str, Problem]
    """Instances that could not be read; `SINGLE` stands for the whole family."""
    duration: float
    """CPU or waiting time of the run, seconds."""
    failures: int
    """Runs that failed since start."""

    @property
    def problem(self) -> Problem | None:
        """What is wrong with the family as a whole."""
        return self.problems.get(SINGLE)


class Event(NamedTuple):
    """What happened: a time, a name, data."""

    instant: Instant
    name: str
    data: Mapping[str, Any]
    boot_id: str
    seq: int


class Sample(NamedTuple):
    """All readings of one cycle."""

    instant: Instant
    boot_id: str
    seq: int
    """Counts samples since the source began."""
    observations: tuple[Observation, ...]
    interval: float = protocol.INTERVAL
    """Time from sample to sample, seconds."""
    events: tuple[Event, ...] = ()
    """What happened besides: `runtime.…`."""
    begins: bool = False
    """Whether nothing holds of what was known before: healthd was started here."""
    silent: bool = False
    """Whether it is only taken in: what comes before the point where a replay begins."""
    states: Mapping[str, Any] | None = None
    """What judging goes on from, as it was recorded; `None`: from where it is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest reading of everything."""

    instant: Instant
    seq: int
    boot_id: str
    interval: float
    entries: Mapping[str, Mapping[str, Entry]]
    """By family and instance; an entry that did not change is the same object as in the snapshot before."""
    latest: Mapping[str, Observation]
    """By family: the last run of its collector, with raw readings for what is `live`."""
    health: HealthReport = field(default_factory=HealthReport)
    configuration: str = ""
    """Why the configuration on disk is not the one in force: its faults, a line each; "" where it is."""

    def value(self, family: Family, instance: str, metric: Metric) -> Any:
        """Return the present value of one metric, `None` where it is unknown; KeyError where there is no instance."""
        reading = self.entries[family.name][instance].reading
        if metric.live:
            reading = self.latest[family.name].readings.get(instance, reading)
        return getattr(reading, metric.name)


class Cycle(NamedTuple):
    """What one turn of the pipeline brought."""

    before: Snapshot | None
    """`None` where nothing holds of what was known before."""
    snapshot: Snapshot
    events: tuple[Event, ...]
    """What turns the one into the other, and what happened besides."""
    states: Mapping[str, Any] | None = None
    """What judging went on from, where nothing else holds of what was known before."""


class Point(NamedTuple):
    """A metric over a while: when that begins (seconds since 1970 UTC), and its least, mean and greatest value."""

    time: float
    low: float
    mean: float
    high: float


class Collector(Protocol):
    """Extension point: observes one family without ever blocking."""

    reading: ClassVar[type[Reading]]

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return the raw readings by instance, `SINGLE` where there is only one.

        Floats are rounded to their metric's `digits`. Raises Unobserved or OSError where the family can't be observed.
        """


@runtime_checkable
class Probing(Protocol):
    """Extension point: observes one family by reads that can block; runs in a thread of its own."""

    reading: ClassVar[type[Reading]]

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Reading | None]]:
        """Return, by instance, what reads it; one that gives `None` has no such instance after all.

        Each may raise Unobserved or OSError for its instance alone.
        """


class Ask(Protocol):
    """Asks a service on the system bus by its well-known name; one that does not run is not started."""

    async def __call__(
        self, service: str, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        """Return what a method answers: variants as their values, and nothing where it is longer than 64 KiB.

        Raises Unobserved.
        """


@runtime_checkable
class Asking(Protocol):
    """Extension point: observes one family by what other services tell; what takes longer than 5 s is given up."""

    reading: ClassVar[type[Reading]]

    async def inquire(self, now: Instant, ask: Ask) -> Mapping[str, Reading]:
        """Return the raw readings as `Collector.collect` does."""


@runtime_checkable
class Noticing(Protocol):
    """What each of these can be besides: one that notices what can't wait until it is due."""

    def changed(self) -> bool:
        """Tell whether to observe at once: asked at each tick, also while a thread reads, and for microseconds."""


class Source(Protocol):
    """Where samples come from."""

    def ticks(self) -> AsyncIterator[None]:
        """Yield whenever the next sample is due."""

    async def sample(self) -> Sample:
        """Return the next sample."""


class Account(NamedTuple):
    """How a publisher does."""

    problem: Problem | None = None
    """Why nothing gets outside by it now."""
    lost: int = 0
    """What nobody took, in the publisher's own pieces, since start."""


class Publisher(Protocol):
    """Extension point: takes a cycle's result outside."""

    name: ClassVar[str]

    def publish(self, cycle: Cycle) -> None:
        """Publish without blocking."""

    def account(self) -> Account:
        """Tell how it goes."""
