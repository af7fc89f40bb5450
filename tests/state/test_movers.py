"""What moved while something built up is told by how unusual that is, and never made up."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthd.clock import Instant
from healthd.model import SINGLE, Entry, Reading, Snapshot, Status
from healthd.observe.cpu import Cpu
from healthd.observe.disk import Disk
from healthd.observe.load import Load
from healthd.observe.memory import Memory
from healthd.observe.network import Network
from healthd.observe.pressure import Pressure
from healthd.observe.sensor import Sensor
from healthd.state.history import History, Row, Tier
from healthd.state.movers import LENGTH, SHOWN, movers

FAMILIES = [reading.family for reading in (Cpu, Disk, Load, Memory, Network, Pressure, Sensor)]
T = 1_767_254_400.0
BEGUN = T + 1200.0
"""When it builds up, after twenty minutes."""
SINCE = BEGUN + 60.0
GIB = 2**30

Fields = dict[str, Any]
Machine = dict[tuple[type[Reading], str], Fields]


def entries(machine: Machine) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for (reading, instance), fields in machine.items():
        status = Status(instance=instance, available=True, problem="", sampled_at_usec=None)
        whole = reading(**dict.fromkeys(reading.family.by_name) | fields)
        found.setdefault(reading.family.name, {})[instance] = Entry(whole, status)
    return found


def lived(at: Callable[[float], Machine], *, until: float = 1400.0, history: History | None = None) -> History:
    """Return what was remembered of a machine that was looked at every 5 s, of which `at` tells what it did."""
    history = history or History()
    for number in range(int(until / 5)):
        time = T + 5 * number
        history.take(Snapshot(Instant(time, 5.0 * number, 0.0), number, "b", 5.0, entries(at(time)), {}))
    return history


def told(history: History, begun: float = BEGUN, until: float = SINCE, lag: float = 0.0, but: str = "memory.percent"):
    return movers(history, FAMILIES, begun, until, lag=lag, but=but)


def by(before: float, after: float, time: float) -> float:
    return before if time < BEGUN else after


def test_what_moved_is_told_with_what_was_usual_before_and_then():
    history = lived(lambda time: {(Disk, "sda"): {"read_bytes_per_second": by(0.0, 1e8, time)}})
    assert told(history) == [
        {"metric": "disk.read_bytes_per_second@sda", "unit": "bytes_per_second", "before": 0.0, "after": 1e8}
    ]


def test_the_most_unusual_comes_first_and_of_each_reading_that_alone():
    def at(time: float) -> Machine:
        return {
            (Load, SINGLE): {"load1": by(0.5, 8.0, time), "load5": by(0.5, 2.0, time), "load15": 0.5},
            (Pressure, SINGLE): {"io_some_avg10": by(0.0, 3.0, time), "cpu_some_avg10": 0.0},
            (Sensor, "chip"): {"celsius": by(40.0, 50.0, time)},
        }

    assert [move["metric"] for move in told(lived(at))] == [
        "load.load1",  # 0.5 to 8 of 8: 18.75 times what would be noticed
        "pressure.io_some_avg10",  # 3 of 0.4: 7.5 times
        "sensor.celsius@chip",  # 10 of 2.5: 4 times
    ]


def test_what_went_up_and_down_before_has_not_moved():
    noise = random.Random(1)

    def at(time: float) -> Machine:
        calm, lively = (by(10.0, 30.0, time) for _ in "ab")
        return {(Cpu, SINGLE): {"user": lively + noise.uniform(-10, 10), "steal": calm + noise.uniform(-1, 1)}}

    (move,) = told(lived(at))
    assert move["metric"] == "cpu.steal"
    assert move["before"] == pytest.approx(10.0, abs=0.5)
    assert move["after"] == pytest.approx(30.0, abs=0.5)


def test_one_burst_before_or_then_is_neither_usual_nor_a_move():
    def at(time: float) -> Machine:
        burst = 1e9 if time in (BEGUN - 300.0, BEGUN + 30.0) else 0.0
        moved = by(0.0, 1e6, time) + (1e9 if time == BEGUN - 300.0 else 0.0)
        return {(Disk, "sda"): {"read_bytes_per_second": burst}, (Disk, "sdb"): {"read_bytes_per_second": moved}}

    assert [move["metric"] for move in told(lived(at))] == ["disk.read_bytes_per_second@sdb"]


@pytest.mark.parametrize(
    ("reading", "instance", "fields"),
    [
        (Load, SINGLE, {"load1": (0.01, 0.03)}),
        (Pressure, SINGLE, {"io_some_avg10": (0.0, 0.5)}),
        (Network, "eth0", {"rx_bytes_per_second": (0.0, 9000.0), "rx_packets_per_second": (0.0, 9.0)}),
        (Cpu, SINGLE, {"user": (50.0, 57.0)}),
        # Bytes of a whole: the share tells it.
        (Memory, SINGLE, {"cached_bytes": (GIB, 9 * GIB), "available_bytes": (9 * GIB, GIB)}),
    ],
)
def test_next_to_nothing_is_no_move(reading, instance, fields):
    def at(time: float) -> Machine:
        return {(reading, instance): {name: by(*ends, time) for name, ends in fields.items()}}

    assert told(lived(at), but="sensor.celsius@chip") == []


def test_the_reading_that_the_rule_looks_at_is_left_out_and_that_of_another_instance_is_not():
    def at(time: float) -> Machine:
        moved = {"read_bytes_per_second": by(0.0, 1e8, time)}
        return {(Disk, "sda"): moved, (Disk, "sdb"): moved}

    assert [move["metric"] for move in told(lived(at), but="disk.busy@sda")] == ["disk.read_bytes_per_second@sdb"]


def test_there_are_five_at_most_and_a_family_of_many_hides_no_other():
    def at(time: float) -> Machine:
        rate, share = by(0.0, 1e8, time), by(0.0, 40.0, time)
        several = {(Disk, f"sd{letter}"): {"read_bytes_per_second": rate} for letter in "abcd"}
        more = {(Network, f"eth{number}"): {"rx_bytes_per_second": rate} for number in range(4)}
        return {**several, **more, (Cpu, SINGLE): {"steal": share}, (Pressure, SINGLE): {"io_some_avg10": share + 1}}

    metrics = [move["metric"] for move in told(lived(at))]
    assert len(metrics) == SHOWN == 5
    assert [sum(name.startswith(family) for name in metrics) for family in ("cpu", "disk", "network", "pressure")] == [
        1, 2, 1, 1,
    ]  # fmt: skip


def test_what_the_history_does_not_reach_back_to_is_unknown():
    history = lived(lambda time: {(Load, SINGLE): {"load1": by(0.0, 9.0, time)}})
    assert told(History()) is None
    assert told(history, begun=T + 110.0, until=T + 120.0) is None
    # From 60 s before the beginning on there is a minute.
    assert told(history, begun=T + 120.0, until=T + 130.0) == []
    assert told(history, begun=T - 86400.0, until=T - 86300.0) is None
    assert told(history, begun=T + 3600.0, until=T + 3700.0) is None


def test_a_healthd_that_began_minutes_ago_tells_as_exactly_as_it_looked():
    began, begun = T + 86.0, T + 330.0
    history = History()
    for number in range(61):
        time = began + 5 * number
        machine: Machine = {(Load, SINGLE): {"load1": 0.0 if time < begun else 9.0}}
        history.take(Snapshot(Instant(time, 5.0 * number, 0.0), number, "b", 5.0, entries(machine), {}))
    # They have begun before healthd did, and know no more for that: a minute, and a quarter of an hour from the record.
    first = history.rows(5)[0]
    history.restore(900, [Row(T, first.columns, first.low, first.mean, first.high)])
    assert history.rows(900)[0].time < history.rows(60)[0].time < history.rows(5)[0].time
    (move,) = told(history, begun=begun, until=begun + 55.0)
    assert (move["metric"], move["before"], move["after"]) == ("load.load1", 0.0, 9.0)


def test_of_a_machine_that_is_looked_at_but_seldom_it_is_told_too():
    history = History()
    for number in range(15):
        machine: Machine = {(Load, SINGLE): {"load1": by(0.0, 9.0, T + 120 * number)}}
        history.take(Snapshot(Instant(T + 120 * number, 0.0, 0.0), number, "b", 120.0, entries(machine), {}))
    assert [move["metric"] for move in told(history, until=BEGUN + 300.0)] == ["load.load1"]


def test_what_was_not_known_for_most_of_the_time_before_is_not_told():
    def at(time: float) -> Machine:
        return {(Load, SINGLE): {"load1": None if time < BEGUN - 400.0 else by(0.0, 9.0, time), "load5": None}}

    assert told(lived(at)) == []


def test_an_instance_that_came_or_went_is_no_move_and_hides_none():
    def at(time: float) -> Machine:
        there = "sda" if time < BEGUN else "sdb"
        stays = {(Load, SINGLE): {"load1": by(0.0, 9.0, time)}}
        return {
            **stays,
            (Disk, there): {"busy": 50.0},
            **({(Sensor, "new"): {"celsius": 40.0}} if time > SINCE else {}),
        }

    assert [move["metric"] for move in told(lived(at))] == ["load.load1"]


def test_what_looks_back_is_compared_with_the_time_before_that():
    moved = BEGUN - 500.0
    history = lived(lambda time: {(Load, SINGLE): {"load1": 0.0 if time < moved else 9.0}}, until=1400.0)
    (move,) = told(history, lag=600.0)
    assert (move["metric"], move["before"], move["after"]) == ("load.load1", 0.0, 9.0)


@pytest.mark.parametrize("passed", [2 * 3600.0, 40 * 3600.0])
def test_what_was_long_ago_is_told_from_what_is_still_remembered(passed):
    tiers = (Tier(5, 1800), Tier(60, 4 * 3600), Tier(900, 604800))
    history = History(tiers)
    begun = T + 4 * 3600.0
    for number in range(int((begun - T + passed) / 30)):
        time = T + 30 * number
        machine: Machine = {(Load, SINGLE): {"load1": 1.0 if time < begun else 7.0, "load5": 1.0}}
        history.take(Snapshot(Instant(time, 0.0, 0.0), number, "b", 30.0, entries(machine), {}))
    (move,) = told(history, begun=begun, until=begun + 60.0)
    assert (move["metric"], move["before"], move["after"]) == ("load.load1", 1.0, 7.0)


@settings(max_examples=25)
@given(st.data())
def test_whatever_was_remembered_it_is_an_answer(data):
    values = st.none() | st.floats(0, 1e30) | st.sampled_from([0.0, 1.0])
    series = {name: data.draw(st.lists(values, min_size=1, max_size=9)) for name in ("read_bytes_per_second", "busy")}

    def at(time: float) -> Machine:
        number = int(time - T) // 5
        return {(Disk, "sda"): {name: its[number % len(its)] for name, its in series.items()}}

    history = lived(at, until=300.0)
    found = told(history, begun=T + data.draw(st.floats(-2 * LENGTH, 500)), until=T + data.draw(st.floats(-9, 999)))
    assert found is None or all(set(move) == {"metric", "unit", "before", "after"} for move in found)
