"""From a declaration follows all else, and a wrong one is refused at once."""

import dataclasses
import math

import pytest

from healthd.metric import PRESSURE, SHARE, Band, Kind, Table, Unit, counter, gauge, state, table


@table("Example")
class Example(Table):
    """Every type."""

    share: float = gauge(Unit.PERCENT, "A share.")
    maybe_share: float | None = gauge(Unit.PERCENT, "A share or nothing.")
    fine_share: float | None = gauge(Unit.PERCENT, "A pressure.", band=PRESSURE, digits=2)
    total_bytes: int | None = state("A total.", Unit.BYTES)
    used_bytes: int | None = gauge(Unit.BYTES, "A part.", of="total_bytes")
    count: int = counter(Unit.COUNT, "A counter.")
    text: str | None = state("A text.")
    flag: bool = state("A flag.")
    maybe_flag: bool | None = state("A flag or nothing.")
    cores: tuple[float, ...] | None = gauge(Unit.PERCENT, "Per core.", live=True)
    names: tuple[str, ...] = state("Names.")
    interval: int = state("A number that is small.", signature="u")
    plain: float | None = gauge(Unit.NONE, "A number.")
    warm_celsius: float | None = gauge(Unit.CELSIUS, "Warmth.", span=(0.0, 50.0))


METRICS = {metric.name: metric for metric in Example.metrics}


def test_metrics_stand_in_the_order_of_their_declaration():
    assert [*METRICS] == [field.name for field in dataclasses.fields(Example)]
    assert Example.interface == "org.healthd.Health1.Example"


@pytest.mark.parametrize(
    ("name", "plain", "optional", "signature"),
    [
        ("share", float, False, "d"),
        ("maybe_share", float, True, "d"),
        ("count", int, False, "t"),
        ("total_bytes", int, True, "t"),
        ("text", str, True, "s"),
        ("flag", bool, False, "b"),
        ("maybe_flag", bool, True, "i"),
        ("cores", tuple[float, ...], True, "ad"),
        ("names", tuple[str, ...], False, "as"),
        ("interval", int, False, "u"),
    ],
)
def test_the_type_on_the_bus_follows_from_the_type_in_python(name, plain, optional, signature):
    assert (METRICS[name].type, METRICS[name].optional, METRICS[name].signature) == (plain, optional, signature)


def test_kind_unit_and_sentence_are_those_declared():
    assert (METRICS["share"].kind, METRICS["share"].unit, METRICS["share"].summary) == (
        Kind.GAUGE,
        Unit.PERCENT,
        "A share.",
    )
    assert (METRICS["count"].kind, METRICS["text"].kind) == (Kind.COUNTER, Kind.STATE)


def test_counters_and_values_per_core_are_live_and_make_no_difference_between_readings():
    assert {name for name, metric in METRICS.items() if metric.live} == {"count", "cores"}
    values = dict.fromkeys(METRICS)
    assert Example(**values) == Example(**values | {"count": 5, "cores": (1.0,)})
    assert Example(**values) != Example(**values | {"text": "a"})


def test_bands_are_those_of_the_unit_unless_another_is_declared():
    assert METRICS["share"].band == SHARE == Band(absolute=0.5)
    assert METRICS["fine_share"].band == PRESSURE
    assert METRICS["used_bytes"].band == Band(relative=0.001, of="total_bytes")
    assert [METRICS[name].band for name in ("total_bytes", "count", "text", "flag", "plain")] == [None] * 5


def test_floats_have_a_resolution_and_others_none():
    digits = {name: metric.digits for name, metric in METRICS.items() if metric.digits is not None}
    assert digits == {"share": 1, "maybe_share": 1, "fine_share": 2, "cores": 1, "plain": 3, "warm_celsius": 1}


def test_the_range_is_that_of_the_unit_unless_another_is_declared():
    spans = {name: (metric.minimum, metric.maximum) for name, metric in METRICS.items()}
    assert spans["share"] == (0.0, 100.0)
    assert spans["used_bytes"] == (0.0, math.inf)
    assert spans["warm_celsius"] == (0.0, 50.0)


def test_a_table_is_frozen_and_takes_every_field_by_name():
    made = Example(**dict.fromkeys(METRICS))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.share = 1.0
    with pytest.raises(TypeError):
        Example(1.0)
    with pytest.raises(TypeError, match="missing"):
        Example(share=1.0)


def test_a_type_that_no_metric_has_is_refused_by_class_and_field():
    class Wrong(Table):
        values: list[int] = gauge(Unit.COUNT, "Numbers.")

    with pytest.raises(TypeError, match=r"Wrong\.values: list\[int\] is no type of a metric"):
        table("Wrong")(Wrong)


def test_a_field_that_is_not_declared_is_refused_by_class_and_field():
    class Wrong(Table):
        value: float = 0.0

    with pytest.raises(TypeError, match=r"Wrong\.value: declare it by gauge, counter or state"):
        table("Wrong")(Wrong)


def test_a_part_of_something_that_is_not_there_is_refused_by_class_and_field():
    class Wrong(Table):
        used_bytes: int = gauge(Unit.BYTES, "A part.", of="total")

    with pytest.raises(TypeError, match=r"Wrong\.used_bytes: there is no total to take a part of"):
        table("Wrong")(Wrong)


@pytest.mark.parametrize(
    ("band", "accepted", "edge", "beyond"),
    [
        (Band(), 5.0, 5.0, 5.001),
        (Band(absolute=0.5), 5.0, 5.5, 5.51),
        (Band(absolute=0.5), -5.0, -5.5, -5.51),
        (Band(absolute=0.1), 0.3, 0.2, 0.19),
        (Band(relative=0.05), 100.0, 95.0, 94.9),
        (Band(relative=0.05), -100.0, -95.0, -94.9),
        (Band(absolute=10.0, relative=0.05), 100.0, 110.0, 110.1),
        (Band(absolute=1.0, relative=0.05), 100.0, 105.0, 105.1),
        (Band(absolute=0.1, coarse_from=5.0, coarse=0.5), 4.9, 5.0, 5.1),
        (Band(absolute=0.1, coarse_from=5.0, coarse=0.5), 5.0, 4.5, 4.4),
        (Band(absolute=1.0, coarse_from=5.0, coarse=0.5), 6.0, 7.0, 7.1),
    ],
)
def test_a_band_is_left_beyond_its_edge(band, accepted, edge, beyond):
    assert not band.left(accepted, edge, accepted)
    assert band.left(accepted, beyond, accepted)


def test_a_relative_band_is_a_part_of_the_whole():
    band = Band(relative=0.001, of="total_bytes")
    assert not band.left(500.0, 510.0, 10_000.0)
    assert band.left(500.0, 511.0, 10_000.0)


def test_to_and_from_zero_every_band_is_left():
    band = Band(absolute=1000.0)
    assert band.left(0.0, 0.1, 0.0)
    assert band.left(0.1, 0.0, 0.1)
    assert not band.left(0.0, 0.0, 0.0)
