"""Every family is declared as DESIGN has it, and a wrong declaration is refused."""

import math
import re

import pytest

from healthd import observe, protocol
from healthd.metric import Kind, Unit
from healthd.model import Band, Reading, Status, family, gauge, state

FAMILIES = {one.name: one for one in observe.families(observe.collectors())}
METRICS = [
    pytest.param(one, metric, id=f"{one.name}.{metric.name}")
    for one in FAMILIES.values()
    for metric in one.reading.metrics
]

SUFFIXES = {
    Unit.BYTES: "bytes",
    Unit.BYTES_PER_SECOND: "bytes_per_second",
    Unit.DBM: "dbm",
    Unit.CELSIUS: "celsius",
    Unit.HERTZ: "hertz",
    Unit.PER_SECOND: "per_second",
    Unit.SECONDS: "seconds",
    Unit.USEC: "usec",
    Unit.AMPERES: "amperes",
    Unit.PASCALS: "pascals",
    Unit.RPM: "rpm",
    Unit.VOLTS: "volts",
    Unit.WATT_HOURS: "watt_hours",
    Unit.WATTS: "watts",
}
EITHER_WAY = (Unit.CELSIUS, Unit.AMPERES, Unit.PASCALS, Unit.VOLTS, Unit.WATTS)
"""What can be below zero."""
"""What a field's name ends in; names of shares, counts, flags and texts end in no unit."""

RANGES = {"clock.offset_seconds": (-1.0, 1.0), "network.signal_dbm": (-127.0, -1.0)}
"""Of what can be below zero, or can't be beyond something."""

EVENTS = {
    "battery": "system.battery.updated",
    "throttling": "system.throttling.updated",
    "clock": "system.clock.updated",
    "services": "system.services.updated",
    "cpu": "system.cpu.usage.updated",
    "disk": "system.disk.io.updated",
    "filesystem": "system.disk.usage.updated",
    "host": "system.host.updated",
    "load": "system.load.updated",
    "memory": "system.memory.usage.updated",
    "network": "system.network.usage.updated",
    "pressure": "system.pressure.updated",
    "self": "system.self.updated",
    "sensor": "system.temperature.updated",
}
SIGNATURES = {float: "d", int: "t", str: "s", bool: "i", tuple[float, ...]: "ad", tuple[str, ...]: "as"}


def test_families_and_their_events_have_the_names_of_the_design():
    assert {one.name: one.event for one in FAMILIES.values()} == EVENTS
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_no_event_of_a_family_has_the_name_of_another_event():
    others = (
        protocol.INSTANCE_ADDED,
        protocol.INSTANCE_REMOVED,
        protocol.COLLECTOR_FAILED,
        protocol.COLLECTOR_RECOVERED,
    )
    assert not set(others) & set(EVENTS.values())


def test_families_of_several_say_what_one_of_them_is():
    assert {one.name: one.instances for one in FAMILIES.values() if not one.single} == {
        "battery": "power supply",
        "disk": "block device",
        "filesystem": "mount point",
        "network": "interface",
        "sensor": "sensor",
    }


def test_slow_families_have_their_own_time():
    assert {one.name: one.every for one in FAMILIES.values() if one.every} == {
        "clock": 60.0,
        "battery": 10.0,
        "filesystem": 30.0,
        "host": 600.0,
        "self": 60.0,
        "services": 30.0,
        "sensor": 5.0,
    }


@pytest.mark.parametrize("one", FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_summed_up_on_one_line_and_has_an_interface_of_its_own(one):
    assert one.summary.endswith(".")
    assert "\n" not in one.summary
    assert one.reading.interface == f"org.healthd.Health1.{one.name.capitalize()}"
    assert one.reading.family is one


@pytest.mark.parametrize("one", FAMILIES.values(), ids=FAMILIES)
def test_of_the_unknown_reading_nothing_is_known(one):
    assert {getattr(one.unknown, name) for name in one.by_name} == {None}
    assert one.unknown is one.unknown


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_a_field_ends_in_its_unit(one, metric):  # noqa: ARG001
    expected = SUFFIXES.get(metric.unit)
    if expected:
        assert metric.name == expected or metric.name.endswith(f"_{expected}")
    else:
        endings = tuple(SUFFIXES.values())
        assert not metric.name.endswith(endings), "a share, count, flag or text carries the plain name"
    if metric.unit is Unit.BYTES:
        assert not metric.name.endswith("_per_second")


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_a_field_is_summed_up_in_one_sentence(one, metric):  # noqa: ARG001
    assert re.fullmatch(r"[A-Z`][^\n]*\.", metric.summary)
    assert metric.summary.isprintable()


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_a_field_is_a_name_of_the_kernels_kind(one, metric):  # noqa: ARG001
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_a_field_can_be_unknown_and_has_the_type_of_the_bus(one, metric):  # noqa: ARG001
    assert metric.optional
    assert metric.signature == SIGNATURES[metric.type]


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_a_number_has_range_and_resolution(one, metric):
    assert metric.minimum < metric.maximum
    assert (metric.digits is not None) == (metric.type in (float, tuple[float, ...]))
    if metric.unit is Unit.PERCENT:
        assert (metric.minimum, metric.maximum) == (0.0, 100.0)
    elif metric.unit not in EITHER_WAY:
        assert (metric.minimum, metric.maximum) == RANGES.get(f"{one.name}.{metric.name}", (0.0, math.inf))


@pytest.mark.parametrize(("one", "metric"), METRICS)
def test_what_goes_up_and_down_has_a_deadband_and_totals_are_live(one, metric):
    if metric.kind is Kind.COUNTER:
        assert metric.live
        assert metric.type is int
    if metric.type == tuple[float, ...]:
        assert metric.live
    if metric.kind is Kind.GAUGE and not metric.live:
        assert metric.band
        assert metric.band.of in ("", *one.by_name)
        # A value of the smallest step does not count alone.
        if metric.digits is not None and not metric.band.relative:
            assert metric.band.absolute >= 10**-metric.digits
    if metric.type in (str, bool):
        assert metric.band is None


def test_bands_are_those_of_the_design():
    shares, loads = Band(absolute=0.5), Band(absolute=0.05)
    found = {
        (one.name, metric.name): metric.band
        for one in FAMILIES.values()
        for metric in one.reading.metrics
        if metric.band
    }
    assert found["cpu", "user"] == found["memory", "percent"] == found["disk", "busy"] == shares
    assert found["load", "load1"] == loads
    assert found["memory", "available_bytes"] == Band(relative=0.001, of="total_bytes")
    assert found["memory", "swap_used_bytes"] == Band(relative=0.001, of="swap_total_bytes")
    assert found["filesystem", "used_bytes"] == Band(relative=0.001, of="total_bytes")
    assert found["network", "rx_bytes_per_second"] == Band(absolute=1024.0, relative=0.05)
    assert found["network", "rx_packets_per_second"] == Band(absolute=1.0, relative=0.05)
    assert found["network", "signal_dbm"] == Band(absolute=3.0)
    assert found["sensor", "celsius"] == Band(absolute=0.5)
    assert found["sensor", "rpm"] == Band(absolute=20.0, relative=0.05)
    assert found["sensor", "volts"] == Band(absolute=0.005, relative=0.01)
    assert found["sensor", "pascals"] == Band(absolute=20.0)
    assert found["sensor", "humidity"] == found["battery", "percent"] == shares
    assert found["battery", "empty_seconds"] == Band(absolute=60.0, relative=0.05)
    assert found["cpu", "frequency_hertz"] == Band(relative=0.05)
    assert found["pressure", "io_full_avg10"] == Band(absolute=0.1, coarse_from=5.0, coarse=0.5)


def test_what_every_object_says_of_itself_is_part_of_the_contract():
    assert [(metric.name, metric.signature, metric.live) for metric in Status.metrics] == [
        ("instance", "s", False),
        ("available", "b", False),
        ("problem", "s", False),
        ("sampled_at_usec", "t", True),
    ]


def test_a_reading_with_a_field_that_can_not_be_unknown_is_refused_by_class_and_field():
    class Wrong(Reading):
        """Wrong."""

        right: float | None = gauge(Unit.PERCENT, "A share.")
        value: float = gauge(Unit.PERCENT, "A share.")

    with pytest.raises(TypeError, match=r"Wrong\.value: .* declare it `… \| None`"):
        family("wrong")(Wrong)


def test_a_reading_with_a_type_that_no_metric_has_is_refused_by_class_and_field():
    class Wrong(Reading):
        """Wrong."""

        value: dict[str, int] | None = state("A table.")

    with pytest.raises(TypeError, match=r"Wrong\.value: .* is no type of a metric"):
        family("wrong")(Wrong)


def test_a_family_is_named_once_and_the_rest_follows():
    @family("example")
    class Example(Reading):
        """What it is,
        on two lines.

        And more of it.
        """

        value: float | None = gauge(Unit.PERCENT, "A share.")

    found = Example.family
    assert (found.name, found.event, found.instances, found.every) == ("example", "system.example.updated", "", 0.0)
    assert found.single
    assert found.summary == "What it is, on two lines."
    assert [*found.by_name] == ["value"]
