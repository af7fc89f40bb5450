"""What is streamed and answered as JSON."""

import json
import math
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.description import describe, reading_data
from healthd.errors import BadEvent
from healthd.events import changes, decode, encode, reading_from
from healthd.model import SINGLE, Event, HealthReport, Observation, Problem, Reading, Sample, Snapshot
from healthd.observe.cpu import Cpu
from healthd.observe.disk import Disk
from healthd.observe.load import Load
from healthd.observe.sensor import Sensor
from healthd.state.store import Store

NOON = 1767268800.0
BOOT_ID = "0d1d4bd4-5f0e-4b39-8a4c-6a2ee3b7a5f1"
FAILED = Problem(protocol.FAILED, "it failed", "mend it")
TIMEOUT = Problem(protocol.TIMEOUT, "it has not answered")


def load(load1: float | None = 0.5, load5: float | None = 0.25, load15: float | None = 1.0) -> Load:
    return Load(load1=load1, load5=load5, load15=load15)


def sensor(celsius: float | None, label: str | None = "Core") -> Sensor:
    return replace(Sensor.family.unknown, label=label, driver="chip", celsius=celsius, critical_celsius=95.0)


def disk(model: str = "ACME", read_bytes: int = 0) -> Disk:
    return Disk(**dict.fromkeys(Disk.family.by_name) | {"model": model, "read_bytes": read_bytes})


class Machine:
    """A store fed by hand, and the events of each cycle."""

    def __init__(self) -> None:
        self.store = Store()
        self.seq = 0
        self.before: Snapshot | None = None
        self.snapshot: Snapshot | None = None

    def cycle(self, *families: tuple[type[Reading], dict[str, Reading], dict[str, Problem]]) -> list[str]:
        now = Instant(NOON + 5 * self.seq, 100.25 + 5 * self.seq, 0.0)
        self.seq += 1
        observations = tuple(
            Observation(of.family, now, readings, problems, 0.0, 0) for of, readings, problems in families
        )
        self.before, self.snapshot = self.snapshot, self.store.accept(Sample(now, BOOT_ID, self.seq, observations))
        return [encode(event) for event in changes(self.before, self.snapshot)]

    def short(self, *families: tuple[type[Reading], dict[str, Reading], dict[str, Problem]]) -> list[str]:
        """Return names and data only."""
        return [
            f"{event['name']} {json.dumps(event['data'], separators=(',', ':'))}"
            for event in map(json.loads, self.cycle(*families))
        ]


def test_an_event_of_a_family_with_one_instance_is_this_line():
    assert Machine().cycle((Load, {SINGLE: load(load5=None)}, {})) == [
        (
            '{"time":"2026-01-01T12:00:00.000Z","name":"system.load.updated",'
            '"data":{"load1":0.5,"load5":null,"load15":1},'
            '"boot_id":"0d1d4bd4-5f0e-4b39-8a4c-6a2ee3b7a5f1","since_boot":100.25,"seq":1}'
        )
    ]


def test_an_event_of_a_family_with_several_has_what_changed_of_those_that_were_accepted_by_instance():
    machine = Machine()
    machine.cycle((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {}))
    assert machine.cycle((Sensor, {"a": sensor(40.2), "b": sensor(51.0, "µ \u2013 é")}, {})) == [
        (
            '{"time":"2026-01-01T12:00:05.000Z","name":"system.temperature.updated","data":{"b":{'
            '"label":"µ \u2013 é","celsius":51}},'
            '"boot_id":"0d1d4bd4-5f0e-4b39-8a4c-6a2ee3b7a5f1","since_boot":105.25,"seq":2}'
        )
    ]


def test_instances_are_added_before_their_first_values_and_removed_after_the_last_ones():
    machine = Machine()
    fields = dict.fromkeys(Sensor.family.by_name) | {"label": "Core", "driver": "chip"}
    a = f'"a":{json.dumps(fields | {"celsius": 40, "critical_celsius": 95}, separators=(",", ":"))}'
    assert machine.short((Sensor, {"a": sensor(40.0)}, {})) == [
        'instance.added {"family":"sensor","instance":"a"}',
        f"system.temperature.updated {{{a}}}",
    ]
    b = a.replace('"a"', '"b"')
    assert machine.short((Sensor, {"b": sensor(40.0)}, {})) == [
        'instance.added {"family":"sensor","instance":"b"}',
        f"system.temperature.updated {{{b}}}",
        'instance.removed {"family":"sensor","instance":"a"}',
    ]
    assert machine.short((Sensor, {}, {})) == ['instance.removed {"family":"sensor","instance":"b"}']


def test_where_nothing_was_accepted_there_is_no_event():
    machine = Machine()
    machine.cycle((Load, {SINGLE: load()}, {}), (Disk, {"sda": disk()}, {}))
    assert machine.cycle((Load, {SINGLE: load(0.54)}, {}), (Disk, {"sda": disk(read_bytes=10**9)}, {})) == []
    assert machine.cycle() == []


def test_a_problem_is_told_once_and_so_is_its_end():
    machine = Machine()
    machine.cycle((Load, {SINGLE: load()}, {}))
    failed = (
        'collector.failed {"family":"load","instance":"","problem":"failed","reason":"it failed","remedy":"mend it"}'
    )
    assert machine.short((Load, {}, {SINGLE: FAILED})) == [failed]
    assert machine.short((Load, {}, {SINGLE: FAILED._replace(reason="it still fails")})) == []
    late = failed.replace('"failed"', '"timeout"').replace("it failed", "it has not answered").replace("mend it", "")
    assert machine.short((Load, {}, {SINGLE: TIMEOUT})) == [late]
    assert machine.short() == []
    assert machine.short((Load, {SINGLE: load()}, {})) == [
        'collector.recovered {"family":"load","instance":""}',
        'system.load.updated {"load1":0.5,"load5":0.25,"load15":1}',
    ]


def test_a_problem_of_one_instance_names_it_and_gives_no_values():
    machine = Machine()
    machine.cycle((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {}))
    assert machine.short((Sensor, {"b": sensor(50.0)}, {"a": TIMEOUT})) == [
        (
            'collector.failed {"family":"sensor","instance":"a","problem":"timeout","reason":"it has not answered",'
            '"remedy":""}'
        )
    ]
    assert machine.short((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {})) == [
        'collector.recovered {"family":"sensor","instance":"a"}'
    ]


def test_after_a_timeout_the_values_are_compared_with_the_last_ones_else_with_nothing():
    machine = Machine()
    machine.cycle((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {}))
    machine.cycle((Sensor, {}, {"a": TIMEOUT, "b": FAILED}))
    assert machine.short((Sensor, {"a": sensor(41.0), "b": sensor(50.0)}, {}))[2:] == [
        (
            'system.temperature.updated {"a":{"celsius":41},'
            '"b":{"label":"Core","driver":"chip","celsius":50,"critical_celsius":95}}'
        )
    ]


def test_a_family_that_can_not_be_observed_at_start_says_so_and_nothing_else():
    assert [line.split()[0] for line in Machine().short((Load, {}, {SINGLE: FAILED}))] == ["collector.failed"]
    assert [line.split()[0] for line in Machine().short((Sensor, {}, {"a": FAILED}))] == [
        "collector.failed",
        "instance.added",
    ]


def test_what_is_not_a_number_is_null_wherever_it_stands():
    reading = Cpu(**dict.fromkeys(Cpu.family.by_name) | {"user": math.nan, "core_busy": (1.5, math.nan, math.inf)})
    data = json.loads(encode(Event(Instant(NOON, 1.0, 0.0), "a", reading_data(reading), BOOT_ID, 1)))["data"]
    assert (data["user"], data["core_busy"], data["system"]) == (None, [1.5, None, None], None)


def test_describe_is_this_object():
    machine = Machine()
    machine.cycle(
        (Load, {SINGLE: load()}, {}),
        (Sensor, {"a/b": sensor(40.0), "c": sensor(50.0), "d": sensor(60.0)}, {}),
        (Disk, {"sda": disk(read_bytes=1)}, {}),
        (Cpu, {}, {SINGLE: Problem(protocol.UNSUPPORTED, "no such thing", "buy one")}),
    )
    machine.cycle(
        (Load, {SINGLE: load(0.54)}, {}),
        (Sensor, {"d": sensor(60.2)}, {"a/b": TIMEOUT, "c": FAILED}),
        (Disk, {"sda": disk(read_bytes=2)}, {}),
    )
    unknown = dict.fromkeys(Sensor.family.by_name)
    here = unknown | {"label": "Core", "driver": "chip", "critical_celsius": 95.0}
    assert json.loads(describe(machine.snapshot)) == {
        "version": protocol.VERSION,
        "time": "2026-01-01T12:00:05.000Z",
        "boot_id": BOOT_ID,
        "since_boot": 105.25,
        "interval": 5.0,
        "seq": 2,
        "configuration": "",
        "health": {"severity": "unknown", "since": None, "reasons": [], "conditions": {}},
        "readings": {
            "load": {"load1": 0.5, "load5": 0.25, "load15": 1.0},
            "sensor": {
                "a/b": here | {"celsius": 40.0},
                "c": unknown,
                "d": here | {"celsius": 60.0},
            },
            "disk": {"sda": dict.fromkeys(Disk.family.by_name) | {"model": "ACME", "read_bytes": 2}},
            "cpu": dict.fromkeys(Cpu.family.by_name),
        },
        "unavailable": {
            "sensor@a/b": {"problem": "timeout", "reason": "it has not answered", "remedy": ""},
            "sensor@c": {"problem": "failed", "reason": "it failed", "remedy": "mend it"},
            "cpu": {"problem": "unsupported", "reason": "no such thing", "remedy": "buy one"},
        },
    }


def test_describe_gives_its_keys_in_this_order():
    machine = Machine()
    machine.cycle((Load, {SINGLE: load()}, {}))
    assert list(json.loads(describe(machine.snapshot))) == [
        "version",
        "time",
        "boot_id",
        "since_boot",
        "interval",
        "seq",
        "configuration",
        "health",
        "readings",
        "unavailable",
    ]


def test_describe_gives_the_verdict():
    snapshot = Snapshot(Instant(NOON, 1.0, 0.0), 1, BOOT_ID, 5.0, {}, {}, HealthReport("warning", ("memory",)))
    assert json.loads(describe(snapshot))["health"] == {
        "severity": "warning",
        "since": None,
        "reasons": ["memory"],
        "conditions": {},
    }


ANY_TEXT = st.text(st.characters(exclude_categories=()))  # surrogates included
VALUES = {
    float: st.floats(),
    int: st.integers(-(2**80), 2**80),
    str: ANY_TEXT,
    bool: st.booleans(),
    tuple[float, ...]: st.lists(st.floats(), max_size=3).map(tuple),
    tuple[str, ...]: st.lists(ANY_TEXT, max_size=3).map(tuple),
}
FAMILIES = observe.families(observe.collectors())


@st.composite
def observed(draw):
    of = draw(st.sampled_from(FAMILIES))
    readings = st.builds(of.reading, **{metric.name: st.none() | VALUES[metric.type] for metric in of.reading.metrics})
    problems = st.builds(Problem, ANY_TEXT, ANY_TEXT, ANY_TEXT)
    names = st.just(SINGLE) if of.single else ANY_TEXT.filter(bool)
    found = draw(st.dictionaries(names, readings | problems, min_size=1, max_size=3))
    return (
        of.reading,
        {name: one for name, one in found.items() if not isinstance(one, Problem)},
        {name: one for name, one in found.items() if isinstance(one, Problem)},
    )


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(st.lists(observed(), min_size=1, max_size=3))
def test_whatever_is_observed_events_are_lines_and_everything_is_json_in_utf_8(cycles):
    machine = Machine()
    for cycle in cycles:
        lines = machine.cycle(cycle)
        for text in (*lines, describe(machine.snapshot)):
            assert "\n" not in text
            assert isinstance(json.loads(text.encode(), parse_constant=refuse), dict)
        assert all(list(json.loads(line)) == ["time", "name", "data", "boot_id", "since_boot", "seq"] for line in lines)


def test_a_lone_surrogate_is_escaped_so_that_a_reader_gets_what_was_meant():
    (line,) = Machine().cycle((Load, {}, {SINGLE: FAILED._replace(reason="/caf\udce9")}))
    assert r'"reason":"/caf\udce9"' in line
    assert json.loads(line)["data"]["reason"] == "/caf\udce9"


@given(st.lists(observed(), min_size=1, max_size=3))
def test_whatever_is_observed_its_events_are_read_back_as_they_were(cycles):
    machine = Machine()
    for cycle in cycles:
        for line in machine.cycle(cycle):
            assert encode(decode(line)) == line


def known(reading: Reading) -> Reading:
    """Return a reading as JSON can say it: what is no finite number is unknown."""

    def plain(value):
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return type(reading)(
        **{
            metric.name: tuple(map(plain, value))
            if isinstance(value := getattr(reading, metric.name), tuple)
            else plain(value)
            for metric in reading.metrics
        }
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_reading_is_read_back_as_it_was(family):
    values = VALUES | {int: st.integers(-(2**64), 2**64)}
    readings = st.builds(
        family.reading, **{metric.name: st.none() | values[metric.type] for metric in family.reading.metrics}
    )

    @given(readings)
    def holds(reading):
        event = Event(Instant(NOON, 1.0, 0.0), family.event, reading_data(reading), BOOT_ID, 1)
        again = reading_from(family, decode(encode(event)).data, family.unknown)
        assert repr(known(again)) == repr(known(reading))

    holds()


def test_of_a_reading_only_what_changed_is_written_and_the_rest_is_as_it_was():
    reading = load(0.5)
    assert reading_from(Load.family, {"load1": 2.0}, reading) == load(2.0)
    assert reading_from(Load.family, {"load5": None, "of_a_later_version": 1}, reading) == load(0.5, None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "the reading of load is no object"),
        ({"load1": "0.5"}, "load.load1 is '0.5', and it takes no such value"),
        ({"load1": True}, "load.load1 is 'True', and it takes no such value"),
        ({"load1": [0.5]}, "load.load1 is '[0.5]', and it takes no such value"),
        ({"load1": 10**400}, "load.load1 is '1000000000000000000000000000000000000000', and it takes no such value"),
    ],
)
def test_a_value_of_another_type_is_refused(data, reason):
    with pytest.raises(BadEvent) as error:
        reading_from(Load.family, data, Load.family.unknown)
    assert str(error.value) == reason


def test_in_a_file_a_line_leaves_out_what_follows_from_the_line_before():
    first = Event(Instant(NOON, 100.25, 0.0), "a", {}, BOOT_ID, 1)
    of_the_same_sample = first._replace(name="b")
    following = Event(Instant(NOON + 5.001, 105.251, 0.0), "c", {"x": 1}, BOOT_ID, 2)
    after_a_silent_one = Event(Instant(NOON + 15, 115.25, 0.0), "d", {}, BOOT_ID, 4)
    after_a_step_of_the_clock = Event(Instant(NOON, 120.25, 0.0), "e", {}, BOOT_ID, 5)
    rebooted = Event(Instant(NOON + 9, 1.0, 0.0), "f", {}, "other", 2)
    events = [first, of_the_same_sample, following, after_a_silent_one, after_a_step_of_the_clock, rebooted]
    lines = [encode(event, after) for after, event in pairwise(events)]
    assert lines == [
        '{"time":"2026-01-01T12:00:00.000Z","name":"b","data":{}}',
        '{"time":"2026-01-01T12:00:05.001Z","name":"c","data":{"x":1}}',
        '{"time":"2026-01-01T12:00:15.000Z","name":"d","data":{},"since_boot":115.25,"seq":4}',
        '{"time":"2026-01-01T12:00:00.000Z","name":"e","data":{},"since_boot":120.25,"seq":5}',
        '{"time":"2026-01-01T12:00:09.000Z","name":"f","data":{},"boot_id":"other","since_boot":1.0,"seq":2}',
    ]
    assert [decode(line, after) for line, after in zip(lines, events, strict=False)] == events[1:]


LINE = '{"time":"2026-01-01T12:00:00.000Z","name":"a","data":{},"boot_id":"b","since_boot":1.0,"seq":1}'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "this is no JSON"),
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        (b"\xff\xfe", "this is no JSON"),
        (LINE.replace("1.0", "NaN"), "this is no JSON: NaN is no number in JSON"),
        ("[]", "this is no JSON object"),
        (LINE.replace('"a"', "7"), "the name of the event is missing, or none"),
        (LINE.replace('"a"', '"os; import"'), "the name of the event is missing, or none"),
        (LINE.replace("{}", "[]"), "the data of the event are missing, or no object"),
        (LINE.replace("2026-01-01T", "2026-02-30T"), "the time is missing"),
        (LINE.replace("2026-01-01T", "0000-01-01T"), "the time is missing"),
        (LINE.replace("T12:", "T24:"), "the time is missing"),
        (LINE.replace(".000Z", "Z"), "the time is missing"),
        (LINE.replace("2026", "٢٠٢٦"), "the time is missing"),
        (LINE.replace(',"seq":1', ""), "boot_id, since_boot or seq is missing"),
        (LINE.replace('"seq":1', '"seq":true'), "boot_id, since_boot or seq is missing"),
        (LINE.replace('"b"', "5"), "boot_id, since_boot or seq is missing"),
        (LINE.replace('"seq":1', '"seq":-1'), "since_boot or seq is absurd"),
        (LINE.replace("1.0", "1e400"), "since_boot or seq is absurd"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(line, reason):
    with pytest.raises(BadEvent, match=f"^{reason}"):
        decode(line)


@given(st.text() | st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_whatever_a_line_is_it_is_an_event_or_refused(line):
    with suppress(BadEvent):
        decode(line, Event(Instant(NOON, 1.0, 0.0), "a", {}, BOOT_ID, 1))


def test_a_whole_number_is_written_short_and_comes_back_as_the_float_that_it_is():
    (line,) = Machine().cycle((Load, {SINGLE: load(load5=0.0, load15=-3.0)}, {}))
    assert '"load5":0,"load15":-3}' in line
    reading = reading_from(Load.family, decode(line).data, Load.family.unknown)
    assert (repr(reading.load5), repr(reading.load15)) == ("0.0", "-3.0")
    cores = reading_from(Cpu.family, {"core_busy": [0, None, 1.5]}, Cpu.family.unknown).core_busy
    assert repr(cores) == "(0.0, nan, 1.5)"
