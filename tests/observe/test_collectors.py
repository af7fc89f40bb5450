"""Every collector keeps the contract of its extension point."""

import asyncio
import inspect
import os
import pkgutil

import pytest

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Asking, Probing, Reading
from healthd.observe._asking import nobody

COLLECTORS = observe.collectors()
LACKING = {("pressure", "container"), ("pressure", "raspberry-pi-4"), ("sensor", "container")}
LACKING |= {("battery", "container"), ("battery", "raspberry-pi-4"), ("battery", "server-64")}
LACKING |= {("throttling", "container"), ("throttling", "laptop"), ("throttling", "server-64")}
_BIG = ("laptop", "raspberry-pi-4", "server-64", "container")
LACKING |= {(family, name) for family in ("self", "services") for name in _BIG}
_SMALL = ("docker", "lxc", "vm", "zfs-host")
LACKING |= {(family, name) for family in ("battery", "self", "sensor", "services", "throttling") for name in _SMALL}
LACKING |= {("pressure", "docker"), ("pressure", "lxc")}
"""What a recorded machine does not have, or can't be asked for."""
_OF_THE_CLOCK = {"synchronised", "offset_seconds", "estimated_error_seconds", "maximum_error_seconds"}
NEEDS_NO_FILE = {"host": {"architecture"}, "clock": _OF_THE_CLOCK}
PROBING = ("battery", "filesystem", "sensor", "throttling")
FAMILIES = ["battery", "clock", "self", "services"]
FAMILIES += ["cpu", "disk", "filesystem", "host", "load", "memory", "network", "pressure", "sensor", "throttling"]


@pytest.fixture(params=COLLECTORS, ids=lambda collector: collector.reading.family.name)
def collector(request):
    return request.param


def readings(made, now: Instant) -> dict[str, Reading]:
    if isinstance(made, Probing):
        found = {instance: probe() for instance, probe in made.probes(now).items()}
        return {instance: reading for instance, reading in found.items() if reading is not None}
    if isinstance(made, Asking):
        return dict(asyncio.run(made.inquire(now, nobody)))
    return dict(made.collect(now))


def test_a_module_in_the_directory_is_a_collector_in_the_list():
    modules = [module.name for module in pkgutil.iter_modules(observe.__path__) if not module.name.startswith("_")]
    assert [family.name for family in observe.families(COLLECTORS)] == sorted(modules) == sorted(FAMILIES)


def test_a_collector_collects_probes_or_asks_and_only_what_can_block_probes(collector):
    assert [hasattr(collector, form) for form in ("collect", "probes", "inquire")].count(True) == 1
    assert hasattr(collector, "inquire") == (collector.reading.family.name == "services")
    assert hasattr(collector, "probes") == (collector.reading.family.name in PROBING)


def test_a_collector_needs_nothing_but_roots_and_reads_nothing_before_it_is_asked(collector, tmp_path):
    needed = [one for one in inspect.signature(collector).parameters.values() if one.default is one.empty]
    assert [parameter.name for parameter in needed] == ["roots"]
    assert collector(observe.roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path)))


@pytest.mark.parametrize("name", ["laptop", "raspberry-pi-4", "server-64", "container", *_SMALL])
def test_on_every_recorded_machine_all_values_are_as_declared(collector, machine, name):
    family = collector.reading.family
    if family.name == "filesystem":
        made = collector(machine(name), statvfs=lambda _: os.statvfs("/"))
    else:
        made = collector(machine(name))
    if (family.name, name) in LACKING:
        with pytest.raises(Unobserved) as caught:
            readings(made, Instant(1767254400.0, 1000.0, 0.0))
        assert caught.value.problem == protocol.UNSUPPORTED
        assert (caught.value.reason + caught.value.remedy).isprintable()
        return
    for number in range(3):
        found = readings(made, Instant(1767254400.0 + 5 * number, 1000.0 + 5 * number, 0.0))
        assert (set(found) == {SINGLE}) == family.single
        for reading in found.values():
            assert type(reading) is family.reading
            for metric in family.reading.metrics:
                check(metric, getattr(reading, metric.name))


def check(metric, value) -> None:
    if value is None:
        return
    if isinstance(value, tuple):
        kind = float if metric.type == tuple[float, ...] else str
        assert all(type(item) is kind for item in value), metric.name
        values = value
    else:
        assert type(value) is metric.type, metric.name
        values = (value,)
    for item in values:
        if isinstance(item, str):
            assert item.isprintable(), metric.name
        elif item == item:  # noqa: PLR0124  # not NaN
            assert metric.minimum <= item <= metric.maximum, metric.name
            if isinstance(item, float):
                assert item == round(item, metric.digits), metric.name


def test_on_a_machine_without_anything_a_family_is_unobserved_or_empty_and_never_wrong(collector, tmp_path):
    made = collector(observe.roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path)))
    try:
        found = readings(made, Instant(1767254400.0, 1000.0, 0.0))
    except (Unobserved, OSError):
        return
    assert collector.reading.family.name in NEEDS_NO_FILE, "all others need a file"
    for reading in found.values():
        known = {metric.name for metric in reading.metrics if getattr(reading, metric.name) is not None}
        assert known <= NEEDS_NO_FILE[collector.reading.family.name]


def test_this_machine_is_observed(collector):
    made = collector(observe.roots())
    try:
        found = readings(made, Instant(1767254400.0, 1000.0, 0.0))
    except Unobserved as error:
        pytest.skip(f"not here: {error.reason}")
    for reading in found.values():
        for metric in reading.metrics:
            check(metric, getattr(reading, metric.name))
