"""CPU time of judging: all rules of healthd on a machine of 40 instances, per cycle.

    python -m bench.health [--runs 7]

The snapshots are made, not observed: a busy machine has other values of `cpu`, `disk`, `load`, `memory` and `pressure`
in each cycle, and of its file systems every 30 s, as they are observed no oftener; an idle one has none.
"""

import argparse
import itertools
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import healthd
from bench.figures import cost, machine, number, table
from healthd import observe
from healthd.clock import Instant
from healthd.health.judge import Judge
from healthd.health.rule import Rule, rules
from healthd.model import SINGLE, Entry, Reading, Snapshot, Status
from healthd.observe.cpu import Cpu
from healthd.observe.disk import Disk
from healthd.observe.filesystem import Filesystem
from healthd.observe.host import Host
from healthd.observe.load import Load
from healthd.observe.memory import Memory
from healthd.observe.network import Network
from healthd.observe.pressure import Pressure
from healthd.observe.sensor import Sensor

INTERVAL = 5.0
CYCLES = 720
"""An hour: so that all windows are full, and what comes seldom has its share."""
GIB = 2**30

Readings = Mapping[str, Mapping[str, Reading]]
Change = Callable[[Readings, int], Readings]


def shipped() -> tuple[Rule, ...]:
    """Return the rules of healthd."""
    with open(os.path.join(os.path.dirname(healthd.__file__), "health", "rules.toml"), "rb") as file:
        tables = tomllib.load(file)
    return rules(observe.families(observe.collectors()), [("rules.toml", tables)])


def quiet() -> Readings:
    """Return what is observed of a machine of 40 instances on which all is well."""
    calm = {f"{what}_avg{time}": 1.0 for what in ("cpu_some", "memory_full", "io_full") for time in (10, 60)}
    shares = {"user": 5.0, "nice": 0.0, "system": 2.0, "idle": 93.0, "iowait": 0.0, "irq": 0.0, "softirq": 0.0}
    faults = {f"{way}_errors_per_second": 0.0 for way in ("rx", "tx")}
    packets = {f"{way}_packets_per_second": 100.0 for way in ("rx", "tx")}
    return {
        "host": {SINGLE: made(Host, model="PC")},
        "cpu": {SINGLE: made(Cpu, **shares, steal=0.0, online=8)},
        "load": {SINGLE: made(Load, load1=1.0, load5=1.0, load15=1.0)},
        "memory": {
            SINGLE: made(
                Memory, percent=40.0, available_bytes=9 * GIB, oom_kills=0, swap_total_bytes=GIB, swap_percent=5.0,
                swap_out_bytes_per_second=0.0,
            )
        },
        "pressure": {SINGLE: made(Pressure, **calm)},
        "filesystem": {
            f"/srv/{number}": made(
                Filesystem, read_only=False, percent=75.0, available_bytes=90 * GIB, inodes_percent=9.0
            )
            for number in range(12)
        },
        "disk": {f"sd{letter}": made(Disk, read_bytes_per_second=0.0) for letter in "abcdefgh"},
        "network": {
            f"eth{number}": made(Network, kind="physical", carrier=True, **faults, **packets) for number in range(5)
        },
        "sensor": {
            f"coretemp/{number}": made(Sensor, driver="coretemp", role="cpu", celsius=50.0, critical_celsius=100.0)
            for number in range(10)
        },
    }  # fmt: skip


def made(reading: type[Reading], **fields: Any) -> Reading:
    """Return a reading of which these fields are known."""
    return reading(**{**dict.fromkeys(reading.family.by_name), **fields})


def busy(known: Readings, step: int) -> Readings:
    """Return other values of what changes in each cycle, and each 30 s of file systems."""
    wave = step % 20
    changed = {
        "cpu": each(known["cpu"], user=5.0 + wave, idle=93.0 - wave),
        "disk": each(known["disk"], read_bytes_per_second=wave * 1e6),
        "load": each(known["load"], load1=1.0 + wave / 10, load5=1.0 + wave / 20),
        "memory": each(known["memory"], percent=40.0 + wave, available_bytes=9 * GIB - wave * 2**20),
        "pressure": each(known["pressure"], cpu_some_avg60=1.0 + wave, io_full_avg60=1.0 + wave),
    }
    return {**filesystems(known, step, available_bytes=90 * GIB - step * 2**20), **changed}


def filesystems(known: Readings, step: int, **fields: Any) -> Readings:
    """Return other values of the file systems, where it is their turn: that is every 30 s, whatever the interval."""
    return {**known, "filesystem": each(known["filesystem"], **fields)} if step % 6 == 0 else known


def everything(known: Readings, step: int) -> Readings:
    """Return other values of everything."""
    wave = step % 20
    changed = {
        "network": each(known["network"], rx_packets_per_second=100.0 + wave),
        "sensor": each(known["sensor"], celsius=50.0 + wave),
    }
    return {**busy(known, step), **changed}


def trouble(known: Readings, step: int) -> Readings:
    """Return a busy machine on which a dozen conditions hold, with values that move."""
    wave = step % 20
    changed = {
        "memory": each(known["memory"], percent=92.0 + wave / 10, available_bytes=GIB - wave * 2**20),
        "pressure": each(known["pressure"], cpu_some_avg60=70.0 + wave / 10, io_full_avg60=50.0),
    }
    full = filesystems(busy(known, step), step, percent=96.0, available_bytes=5 * GIB - wave * 2**20)
    return {**full, **changed}


def idle(known: Readings, _: int) -> Readings:
    """Return what was."""
    return known


def each(known: Mapping[str, Any], **fields: Any) -> Mapping[str, Reading]:
    """Return readings of a family with these fields."""
    return {instance: replace(reading, **fields) for instance, reading in known.items()}


def snapshots(change: Change) -> Iterator[Snapshot]:
    """Yield snapshots; what did not change is the same object as before."""
    readings = quiet()
    known: Readings = {}
    entries: Mapping[str, Mapping[str, Entry]] = {}
    for step in itertools.count():
        for family, now in readings.items():
            if now is not known.get(family):
                seen = entries.get(family, {})
                entries = {**entries, family: {name: entered(name, now[name], seen.get(name)) for name in now}}
        known = readings
        passed = 1000.0 + step * INTERVAL
        yield Snapshot(Instant(1767268800.0 + passed, passed, 0.0), step, "boot", INTERVAL, entries, {})
        readings = change(readings, step)


def entered(instance: str, reading: Reading, seen: Entry | None) -> Entry:
    """Return what is known of an instance that is available; it says of itself what it said before."""
    if seen:
        return Entry(reading, seen.status)
    return Entry(reading, Status(instance=instance, available=True, problem="", sampled_at_usec=None))


def row(name: str, judged_by: Sequence[Rule], change: Change, runs: int) -> list[str]:
    """Return the cost of one cycle, and what there is to be judged in it."""
    judge, source = Judge(judged_by), snapshots(change)
    coming: list[Snapshot] = []

    def prepare() -> None:
        coming[:] = [next(source)]

    for _ in range(CYCLES):
        prepare()
        judge.take(coming[0])
    taken = cost(lambda: judge.take(coming[0]), CYCLES, runs, prepare)
    states = sum(1 for _ in judge.states.all())
    instances = sum(len(found) for found in coming[0].entries.values())
    return [name, number(taken), str(instances), str(states), str(len(judge.states.present))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.health", description="CPU time of judging.")
    parser.add_argument("--runs", type=int, default=7, help="each figure is the median of so many (default: 7)")
    chosen = parser.parse_args()
    judged_by = shipped()
    print(machine(), "\n")
    head = (f"{len(judged_by)} rules, one cycle", "µs", "instances", "conditions", "not ok")
    changes = {
        "nothing changes": idle,
        "cpu, disk, load, memory, pressure change": busy,
        "the same with a dozen problems": trouble,
        "everything changes": everything,
    }
    print(table(head, [row(name, judged_by, change, chosen.runs) for name, change in changes.items()]), "\n")
    print(machine())


if __name__ == "__main__":
    main()
