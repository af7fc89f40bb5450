"""What is streamed and answered as JSON."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from healthd import observe, protocol
from healthd.clock import Instant
from healthd.events import changes, describe, encode, reading_data
from healthd.model import SINGLE, HealthReport, Observation, Problem, Reading, Sample, Snapshot
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
    return Sensor(label=label, driver="chip", celsius=celsius, high_celsius=None, critical_celsius=95.0)


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
            '"data":{"load1":0.5,"load5":null,"load15":1.0},'
            '"boot_id":"0d1d4bd4-5f0e-4b39-8a4c-6a2ee3b7a5f1","since_boot":100.25,"seq":1}'
        )
    ]


def test_an_event_of_a_family_with_several_has_those_that_were_accepted_by_instance():
    machine = Machine()
    machine.cycle((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {}))
    assert machine.cycle((Sensor, {"a": sensor(40.2), "b": sensor(51.0, "µ \u2013 é")}, {})) == [
        (
            '{"time":"2026-01-01T12:00:05.000Z","name":"system.temperature.updated","data":{"b":{'
            '"label":"µ \u2013 é","driver":"chip","celsius":51.0,"high_celsius":null,"critical_celsius":95.0}},'
            '"boot_id":"0d1d4bd4-5f0e-4b39-8a4c-6a2ee3b7a5f1","since_boot":105.25,"seq":2}'
        )
    ]


def test_instances_are_added_before_their_first_values_and_removed_after_the_last_ones():
    machine = Machine()
    a = '"a":{"label":"Core","driver":"chip","celsius":40.0,"high_celsius":null,"critical_celsius":95.0}'
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
        'system.load.updated {"load1":0.5,"load5":0.25,"load15":1.0}',
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
    assert [line.split()[0] for line in machine.short((Sensor, {"a": sensor(40.0), "b": sensor(50.0)}, {}))] == [
        "collector.recovered",
        "system.temperature.updated",
    ]


def test_a_family_that_can_not_be_observed_at_start_says_so_and_nothing_else():
    assert [line.split()[0] for line in Machine().short((Load, {}, {SINGLE: FAILED}))] == ["collector.failed"]
    assert [line.split()[0] for line in Machine().short((Sensor, {}, {"a": FAILED}))] == [
        "collector.failed",
        "instance.added",
    ]


def test_what_is_not_a_number_is_null_wherever_it_stands():
    reading = Cpu(**dict.fromkeys(Cpu.family.by_name) | {"user": math.nan, "core_busy": (1.5, math.nan, math.inf)})
    data = reading_data(reading)
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
    here = {"label": "Core", "driver": "chip", "high_celsius": None, "critical_celsius": 95.0}
    assert json.loads(describe(machine.snapshot, 5.0)) == {
        "version": protocol.VERSION,
        "time": "2026-01-01T12:00:05.000Z",
        "boot_id": BOOT_ID,
        "since_boot": 105.25,
        "interval": 5.0,
        "seq": 2,
        "health": {"severity": "unknown", "reasons": ["no rules are loaded"]},
        "readings": {
            "load": {"load1": 0.5, "load5": 0.25, "load15": 1.0},
            "sensor": {
                "a/b": here | {"celsius": 40.0},
                "c": dict.fromkeys([*here, "celsius"]),
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
    assert list(json.loads(describe(machine.snapshot, 5.0))) == [
        "version",
        "time",
        "boot_id",
        "since_boot",
        "interval",
        "seq",
        "health",
        "readings",
        "unavailable",
    ]


def test_describe_gives_the_verdict():
    snapshot = Snapshot(Instant(NOON, 1.0, 0.0), 1, BOOT_ID, {}, {}, HealthReport("warning", ("memory",)))
    assert json.loads(describe(snapshot, 5.0))["health"] == {"severity": "warning", "reasons": ["memory"]}


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
        for text in (*lines, describe(machine.snapshot, 5.0)):
            assert "\n" not in text
            assert isinstance(json.loads(text.encode(), parse_constant=refuse), dict)
        assert all(list(json.loads(line)) == ["time", "name", "data", "boot_id", "since_boot", "seq"] for line in lines)


def test_a_lone_surrogate_is_escaped_so_that_a_reader_gets_what_was_meant():
    (line,) = Machine().cycle((Load, {}, {SINGLE: FAILED._replace(reason="/caf\udce9")}))
    assert r'"reason":"/caf\udce9"' in line
    assert json.loads(line)["data"]["reason"] == "/caf\udce9"
