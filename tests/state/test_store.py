"""What is observed is accepted when it left its deadband, and stays the same object when it did not."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.model import (
    PRESSURE,
    SINGLE,
    Band,
    Observation,
    Problem,
    Reading,
    Sample,
    Snapshot,
    Unit,
    counter,
    family,
    gauge,
    state,
)
from healthd.state.store import Store, accepts

GIB = 2**30
TIMEOUT = Problem(protocol.TIMEOUT, "it has not answered")
FAILED = Problem(protocol.FAILED, "it failed", "mend it")


@family("plain")
class Plain(Reading):
    """One field of every kind."""

    share: float | None = gauge(Unit.PERCENT, "A share.")
    other: float | None = gauge(Unit.PERCENT, "The rest.")
    load: float | None = gauge(Unit.LOAD, "A load.")
    celsius: float | None = gauge(Unit.CELSIUS, "A temperature.")
    hertz: float | None = gauge(Unit.HERTZ, "A frequency.")
    bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "A rate of bytes.")
    per_second: float | None = gauge(Unit.PER_SECOND, "A rate.")
    avg10: float | None = gauge(Unit.PERCENT, "A pressure.", band=PRESSURE, digits=2)
    total_bytes: int | None = state("A total.", Unit.BYTES)
    used_bytes: int | None = gauge(Unit.BYTES, "A part of the total.", of="total_bytes")
    stepped: float | None = state("A fact that moves a little.", Unit.TIME, band=Band(absolute=2.0))
    count: int | None = gauge(Unit.COUNT, "A gauge whose unit has no band.")
    text: str | None = state("A text.")
    flag: bool | None = state("A flag.")
    names: tuple[str, ...] | None = state("Names.")
    read_bytes: int | None = counter(Unit.BYTES, "A counter.")
    core_share: tuple[float, ...] | None = gauge(Unit.PERCENT, "Shares per core.", live=True)


@family("thing", instances="thing")
class Thing(Reading):
    """One of several."""

    value: float | None = gauge(Unit.PERCENT, "A share.")
    read_bytes: int | None = counter(Unit.BYTES, "A counter.")


START = Plain(
    share=40.0,
    other=60.0,
    load=1.0,
    celsius=50.0,
    hertz=1_000_000_000.0,
    bytes_per_second=10_000.0,
    per_second=10.0,
    avg10=2.0,
    total_bytes=8 * GIB,
    used_bytes=4 * GIB,
    stepped=1767254400.0,
    count=5,
    text="a",
    flag=False,
    names=("a", "b"),
    read_bytes=1000,
    core_share=(1.0, math.nan),
)


def test_a_reading_of_every_kind_is_declared_here():
    assert {metric.name for metric in Plain.metrics} == {metric.name for metric in START.metrics}
    assert all(getattr(START, metric.name) is not None for metric in Plain.metrics)


# Name, accepted value, one exactly at the band's edge, one at the next step of its resolution beyond it.
EDGES = [
    ("share", 40.0, 40.5, 40.6),
    ("share", 40.0, 39.5, 39.4),
    ("share", 99.4, 99.9, 100.0),
    ("load", 1.0, 1.05, 1.06),
    ("load", 0.3, 0.25, 0.24),
    ("celsius", 50.0, 50.5, 50.6),
    ("celsius", -10.0, -10.5, -10.6),
    ("celsius", -0.2, 0.3, 0.4),
    ("hertz", 1e9, 1.05e9, 1.0501e9),
    ("hertz", 1e9, 0.95e9, 0.9499e9),
    # 5 % of what was accepted, and at least 1 KiB/s.
    ("bytes_per_second", 10_000.0, 11_024.0, 11_025.0),
    ("bytes_per_second", 10_000.0, 8_976.0, 8_975.0),
    ("bytes_per_second", 100_000.0, 105_000.0, 105_001.0),
    ("bytes_per_second", 100_000.0, 95_000.0, 94_999.0),
    ("per_second", 10.0, 11.0, 11.1),
    ("per_second", 100.0, 105.0, 105.1),
    # 0.1 below 5, else 0.5.
    ("avg10", 2.0, 2.1, 2.11),
    ("avg10", 4.99, 5.09, 5.10),
    ("avg10", 5.0, 5.5, 5.51),
    ("avg10", 5.0, 4.5, 4.49),
    ("avg10", 50.0, 49.5, 49.49),
    # A thousandth of 8 GiB, which is 8589934.592.
    ("used_bytes", 4 * GIB, 4 * GIB + 8_589_934, 4 * GIB + 8_590_000),
    ("used_bytes", 4 * GIB, 4 * GIB - 8_589_934, 4 * GIB - 8_590_000),
    ("stepped", 1767254400.0, 1767254402.0, 1767254402.1),
    # No band: every change counts.
    ("total_bytes", 8 * GIB, 8 * GIB, 8 * GIB + 1),
    ("count", 5, 5, 6),
    ("text", "a", "a", "b"),
    ("flag", False, False, True),
    ("names", ("a", "b"), ("a", "b"), ("b", "a")),
]


@pytest.mark.parametrize(("name", "accepted", "edge", "beyond"), EDGES)
def test_a_value_counts_beyond_its_band_and_not_at_its_edge(name, accepted, edge, beyond):
    old = replace(START, **{name: accepted})
    assert not accepts(old, replace(old, **{name: edge}))
    assert accepts(old, replace(old, **{name: beyond}))


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("share", 0.1),
        ("load", 0.01),
        ("celsius", 0.1),
        ("celsius", -0.1),
        ("hertz", 1.0),
        ("bytes_per_second", 1.0),
        ("per_second", 0.1),
        ("avg10", 0.01),
        ("used_bytes", 1),
        ("stepped", 0.5),
    ],
)
def test_to_and_from_zero_and_unknown_always_counts(name, small):
    values = [replace(START, **{name: value}) for value in (0, small, None)]
    for old in values:
        for new in values:
            assert accepts(old, new) == (old is not new)


def test_counters_and_values_per_core_never_count():
    new = replace(START, read_bytes=2**63, core_share=(100.0, 0.0, 3.0))
    assert not accepts(START, new)
    assert not accepts(START, replace(START, read_bytes=None, core_share=None))


def test_without_the_whole_every_change_of_a_part_counts():
    old = replace(START, total_bytes=None)
    assert accepts(old, replace(old, used_bytes=4 * GIB + 1))
    assert not accepts(old, replace(old))


def test_a_part_is_measured_by_the_whole_that_was_accepted():
    old = replace(START, total_bytes=GIB, used_bytes=GIB // 2)
    # A thousandth of 1 GiB is 1073741.824.
    assert not accepts(old, replace(old, used_bytes=GIB // 2 + 1_073_741))
    assert accepts(old, replace(old, used_bytes=GIB // 2 + 1_073_800))


class Machine:
    """A store fed by hand."""

    def __init__(self) -> None:
        self.store = Store()
        self.seq = 0

    def now(self) -> Instant:
        return Instant(1000.5 + self.seq, float(self.seq), 0.0)

    def observe(self, *observations: Observation) -> Snapshot:
        return self.store.accept(Sample(self.now(), "boot", self.seq, observations))

    def things(self, readings: dict[str, float], problems: dict[str, Problem] | None = None) -> Snapshot:
        self.seq += 1
        made = {name: Thing(value=value, read_bytes=self.seq) for name, value in readings.items()}
        return self.observe(Observation(Thing.family, self.now(), made, problems or {}, 0.0, 0))

    def plain(self, reading: Plain | None, problem: Problem | None = None) -> Snapshot:
        self.seq += 1
        readings = {SINGLE: reading} if reading else {}
        problems = {SINGLE: problem} if problem else {}
        return self.observe(Observation(Plain.family, self.now(), readings, problems, 0.0, 0))


def test_a_snapshot_says_when_and_what():
    snapshot = Machine().plain(START)
    assert (snapshot.instant, snapshot.seq, snapshot.boot_id) == (Instant(1001.5, 1.0, 0.0), 1, "boot")
    entry = snapshot.entries["plain"][SINGLE]
    assert entry.reading is START
    assert (entry.status.instance, entry.status.available, entry.status.problem) == (SINGLE, True, "")
    assert entry.status.sampled_at_usec is None


def test_a_reading_is_accepted_whole():
    machine = Machine()
    machine.plain(replace(START, share=40.0, other=60.0))
    moved = replace(START, share=40.3, other=59.7)
    assert machine.plain(moved).entries["plain"][SINGLE].reading.share == 40.0
    with_others = replace(moved, load=2.0, read_bytes=5000)
    reading = machine.plain(with_others).entries["plain"][SINGLE].reading
    assert reading is with_others
    assert reading.share + reading.other == 100.0


def test_small_steps_add_up_against_what_was_accepted():
    machine = Machine()
    shown = [
        machine.plain(replace(START, share=round(40.0 + 0.2 * step, 1))).entries["plain"][SINGLE].reading.share
        for step in range(7)
    ]
    assert shown == [40.0, 40.0, 40.0, 40.6, 40.6, 40.6, 41.2]


def test_what_did_not_change_is_the_same_object():
    machine = Machine()
    first = machine.things({"a": 10.0, "b": 20.0})
    second = machine.things({"a": 10.4, "b": 20.0})
    assert second.entries["thing"] is first.entries["thing"]
    third = machine.things({"a": 11.0, "b": 20.0})
    assert third.entries["thing"] is not second.entries["thing"]
    assert third.entries["thing"]["a"] is not second.entries["thing"]["a"]
    assert third.entries["thing"]["a"].status is second.entries["thing"]["a"].status
    assert third.entries["thing"]["b"] is second.entries["thing"]["b"]


def test_a_snapshot_is_not_changed_by_what_comes_after():
    machine = Machine()
    first = machine.things({"a": 10.0})
    machine.things({"a": 50.0, "b": 1.0})
    machine.plain(START)
    assert set(first.entries) == set(first.latest) == {"thing"}
    assert first.entries["thing"]["a"].reading.value == 10.0


def test_a_family_that_was_not_observed_this_time_stays():
    machine = Machine()
    first = machine.things({"a": 10.0})
    second = machine.plain(START)
    assert second.entries["thing"] is first.entries["thing"]
    assert second.latest["thing"] is first.latest["thing"]


def test_live_values_come_from_the_latest_sample_and_others_from_the_accepted_reading():
    machine = Machine()
    machine.things({"a": 10.0})
    snapshot = machine.things({"a": 10.3})
    metrics = Thing.family.by_name
    assert snapshot.value(Thing.family, "a", metrics["value"]) == 10.0
    assert snapshot.value(Thing.family, "a", metrics["read_bytes"]) == 2
    with pytest.raises(KeyError):
        snapshot.value(Thing.family, "b", metrics["value"])


def test_instances_come_and_go():
    machine = Machine()
    first = machine.things({"a": 10.0})
    second = machine.things({"a": 10.0, "b": 20.0})
    assert set(second.entries["thing"]) == {"a", "b"}
    assert second.entries["thing"]["a"] is first.entries["thing"]["a"]
    third = machine.things({"b": 20.0})
    assert set(third.entries["thing"]) == {"b"}
    back = machine.things({"a": 10.1, "b": 20.0})
    assert back.entries["thing"]["a"].reading.value == 10.1
    assert machine.things({}).entries["thing"] == {}


def entry(snapshot: Snapshot, name: str = "a") -> tuple[Any, ...]:
    found = snapshot.entries["thing"][name]
    return found.reading.value, found.status.available, found.status.problem, found.status.sampled_at_usec


def test_what_fails_is_unknown_and_knows_when_it_was_last_seen():
    machine = Machine()
    machine.things({"a": 10.0, "b": 20.0})
    machine.things({"a": 10.1, "b": 20.0})
    failed = machine.things({"b": 20.0}, {"a": FAILED})
    assert entry(failed) == (None, False, "failed", 1_002_500_000)
    assert failed.entries["thing"]["a"].reading is Thing.family.unknown
    assert entry(failed, "b") == (20.0, True, "", None)
    assert failed.value(Thing.family, "a", Thing.family.by_name["read_bytes"]) is None


def test_after_a_timeout_the_last_accepted_values_stay():
    machine = Machine()
    machine.things({"a": 10.0})
    machine.things({"a": 10.1})
    late = machine.things({}, {"a": TIMEOUT})
    assert entry(late) == (10.0, False, "timeout", 1_002_500_000)


def test_after_a_timeout_counters_stay_as_they_were_last_observed():
    machine = Machine()
    machine.things({"a": 10.0})
    machine.things({"a": 10.1})
    for _ in range(2):
        late = machine.things({}, {"a": TIMEOUT})
        assert late.value(Thing.family, "a", Thing.family.by_name["read_bytes"]) == 2


def test_while_nothing_changes_something_unavailable_is_the_same_object_and_keeps_its_time():
    for problem in (FAILED, TIMEOUT):
        machine = Machine()
        machine.things({"a": 10.0})
        first = machine.things({}, {"a": problem})
        second = machine.things({}, {"a": problem._replace(reason="it still does")})
        assert second.entries["thing"] is first.entries["thing"]
        assert entry(second)[3] == 1_001_500_000


def test_from_one_problem_to_another_the_time_stays_and_the_values_only_while_it_times_out():
    machine = Machine()
    machine.things({"a": 10.0})
    assert entry(machine.things({}, {"a": TIMEOUT})) == (10.0, False, "timeout", 1_001_500_000)
    assert entry(machine.things({}, {"a": FAILED})) == (None, False, "failed", 1_001_500_000)
    assert entry(machine.things({}, {"a": TIMEOUT})) == (None, False, "timeout", 1_001_500_000)


def test_what_never_was_there_is_unknown_since_ever():
    machine = Machine()
    assert entry(machine.things({}, {"a": TIMEOUT})) == (None, False, "timeout", None)
    assert entry(machine.things({}, {"a": FAILED})) == (None, False, "failed", None)


def test_what_comes_back_is_accepted_as_it_is_now():
    for problem in (FAILED, TIMEOUT):
        machine = Machine()
        machine.things({"a": 10.0})
        machine.things({}, {"a": problem})
        assert entry(machine.things({"a": 10.1})) == (10.1, True, "", None)


def test_a_problem_of_the_whole_family_keeps_the_known_instances_as_unavailable():
    machine = Machine()
    machine.things({"a": 10.0, "b": 20.0})
    failed = machine.things({}, {SINGLE: FAILED})
    assert set(failed.entries["thing"]) == {"a", "b"}
    assert entry(failed) == (None, False, "failed", 1_001_500_000)
    again = machine.things({}, {SINGLE: FAILED})
    assert again.entries["thing"] is failed.entries["thing"]
    back = machine.things({"b": 20.0})
    assert set(back.entries["thing"]) == {"b"}
    assert entry(back, "b") == (20.0, True, "", None)


def test_a_problem_of_the_whole_family_that_never_was_there_makes_no_instance():
    machine = Machine()
    first = machine.things({}, {SINGLE: FAILED})
    assert first.entries["thing"] == {}
    assert machine.things({}, {SINGLE: FAILED}).entries["thing"] is first.entries["thing"]
    assert machine.things({"a": 1.0}).entries["thing"]["a"].status.available


def test_a_single_family_is_there_even_before_it_could_be_observed():
    machine = Machine()
    failed = machine.plain(None, Problem(protocol.UNSUPPORTED, "no such thing"))
    found = failed.entries["plain"][SINGLE]
    assert found.reading is Plain.family.unknown
    assert (found.status.available, found.status.problem) == (False, "unsupported")
    assert machine.plain(START).entries["plain"][SINGLE].reading is START


def numbers(low: float, high: float, digits: int) -> st.SearchStrategy[float | None]:
    scale = 10**digits
    whole = st.integers(int(low * scale), int(high * scale))
    return st.none() | st.just(0.0) | whole.map(lambda value: round(value / scale, digits))


SERIES = {
    "share": numbers(0, 100, 1),
    "load": numbers(0, 20, 2),
    "celsius": numbers(-50, 120, 1),
    "hertz": numbers(1e8, 5e9, 0),
    "bytes_per_second": numbers(0, 1e6, 0),
    "per_second": numbers(0, 1000, 1),
    "avg10": numbers(0, 100, 2),
    "used_bytes": st.none() | st.integers(0, 8 * GIB),
}


def width(name: str, accepted: float) -> float:
    """Return how far a value may be from the accepted one, as DESIGN has it."""
    return {
        "share": 0.5,
        "load": 0.05,
        "celsius": 0.5,
        "hertz": 0.05 * accepted,
        "bytes_per_second": max(1024.0, 0.05 * accepted),
        "per_second": max(1.0, 0.05 * accepted),
        "avg10": 0.5 if accepted >= 5.0 else 0.1,
        "used_bytes": 0.001 * 8 * GIB,
    }[name]


@given(st.data())
def test_what_is_published_is_never_farther_from_the_truth_than_its_band(data):
    machine = Machine()
    name = data.draw(st.sampled_from(sorted(SERIES)))
    for value in data.draw(st.lists(SERIES[name], min_size=1, max_size=20)):
        raw = replace(START, **{name: value})
        snapshot = machine.plain(raw)
        published = getattr(snapshot.entries["plain"][SINGLE].reading, name)
        if not value or not published:
            assert published == value
        else:
            assert abs(published - value) <= width(name, published) * 1.00001
        assert machine.plain(replace(raw)).entries["plain"] is snapshot.entries["plain"]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"), st.none() | numbers(0, 100, 1) | st.sampled_from([FAILED, TIMEOUT]), max_size=3
        )
        | st.sampled_from([FAILED, TIMEOUT]),
        max_size=12,
    )
)
def test_whatever_happens_what_is_known_is_what_was_last_observed(steps):
    machine = Machine()
    for step in steps:
        if isinstance(step, Problem):
            snapshot = machine.things({}, {SINGLE: step})
            assert all(found.status.problem == step.code for found in snapshot.entries["thing"].values())
            continue
        problems = {name: what for name, what in step.items() if isinstance(what, Problem)}
        readings = {name: what for name, what in step.items() if name not in problems}
        snapshot = machine.things(readings, problems)
        assert set(snapshot.entries["thing"]) == set(step)
        for name, found in snapshot.entries["thing"].items():
            assert found.status.instance == name
            assert found.status.available == (name in readings)
            assert found.status.problem == (problems[name].code if name in problems else "")
            if name in readings:
                assert not accepts(found.reading, Thing(value=readings[name], read_bytes=0))
            elif problems[name] is FAILED:
                assert found.reading is Thing.family.unknown


@pytest.mark.parametrize(("accepted", "new"), [(40.0, math.nan), (math.nan, 40.0), (40.0, math.inf)])
def test_what_is_no_number_never_hides_behind_a_band(accepted, new):
    machine = Machine()
    machine.plain(replace(START, share=accepted))
    seen = machine.plain(replace(START, share=new)).entries["plain"][SINGLE].reading.share
    assert seen == new or math.isnan(seen)
    assert seen != accepted
