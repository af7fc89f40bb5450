"""How cost grows with mounts, interfaces, disks and sensors, beside a C program that reads the same files.

    sudo python -m bench.scale [--runs 7]

Each row is measured in a process of its own (`--part NAME --count N` prints it as JSON); what is *real* are objects of
the kernel, in namespaces. README.md says what each row is.
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import count as counting
from typing import NamedTuple

import psutil

from bench import namespace, peers, trees
from bench.cycle import SteppingClock, Work, collector, observing
from bench.figures import cost, machine, number, stay, table
from bench.machines import CYCLES, INTERVAL, least, spent, whole
from healthd import observe
from healthd.model import Probing

# In cycles: what is read each 30 s, and each 60 s.
_HALF, _MINUTE = round(30 / INTERVAL), round(60 / INTERVAL)


class Subject(NamedTuple):
    """What is measured."""

    collector: str
    roots: observe.Roots
    plan: Sequence[str]
    """What the C program reads (read.c)."""
    prepare: Work = int
    peer: Work | None = None


class Kind(NamedTuple):
    """A kind of subject: its sizes, how it is made below a directory, and the script of namespaces that it needs."""

    sizes: tuple[int, int, int]
    make: Callable[[str, int], Subject]
    script: Callable[[str, int], str] = lambda *_: ""


def below(root: str) -> observe.Roots:
    """Return the roots of a tree."""
    return observe.roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", root)


def mounts(root: str, count: int) -> Subject:
    """Make a synthetic mount table, of directories that can be asked for their space."""
    trees.mounts(root, count)
    places = [f"s 1 {root}/"] + [f"s 1 {root}/srv/volume{index}" for index in range(count)]
    plan = [f"h 1 {root}/proc/self/mountinfo", f"o 1 {root}/etc/fstab", *places]
    return Subject("filesystem", below(root), plan)


def coming_mounts(root: str, count: int) -> Subject:
    """Have one come or go before each look."""
    steps = counting()
    return mounts(root, count)._replace(prepare=lambda: trees.mounted(root, count - next(steps) % 2))


def real_mounts(_: str, count: int) -> Subject:
    """Take the mounts of the namespace; they are of tmpfs, which has no space of its own."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert sum(1 for _ in file) > count
    made = collector("filesystem", observe.roots())
    assert isinstance(made, Probing)
    places = [f"s 1 {point}" for point in made.probes(SteppingClock().now())]
    plan = ["h 1 /proc/self/mountinfo", "o 1 /etc/fstab", *places]
    return Subject("filesystem", observe.roots(), plan, peer=peers.filesystem)


def tmpfs(root: str, count: int) -> str:
    """Return the script that mounts so many."""
    return (
        f"i=0; while [ $i -lt {count} ]; do mkdir {root}/$i; mount -t tmpfs -o size=4k none {root}/$i; i=$((i+1)); done"
    )


def real_interfaces(_: str, count: int) -> Subject:
    """Take the interfaces of the namespace."""
    names = os.listdir("/sys/class/net")
    assert len(names) > count
    links = [f"/sys/class/net/{name}/{file}" for name in names for file in ("operstate", "carrier", "speed")]
    seldom = [*links, "/proc/net/route", "/proc/net/ipv6_route"]
    plan = ["h 1 /proc/net/dev", *(f"o {_HALF} {path}" for path in seldom)]
    return Subject("network", observe.roots(), plan, peer=peers.network)


def busy_interfaces(root: str, count: int) -> Subject:
    """Have each of them carry a packet before each look."""
    return real_interfaces(root, count)._replace(prepare=namespace.traffic(count))


def veths(_: str, count: int) -> str:
    """Return the script that makes so many."""
    return namespace.veths(count)


def disks(root: str, count: int) -> Subject:
    """Make synthetic disks, of which nobody reads or writes."""
    trees.disks(root, count)
    files = ("device/model", "size", "queue/rotational")
    facts = [f"o {_MINUTE} {root}/sys/block/{trees.disk(index)}/{file}" for index in range(count) for file in files]
    return Subject("disk", below(root), [f"h 1 {root}/proc/diskstats", *facts])


def busy_disks(root: str, count: int) -> Subject:
    """Have each of them read and write before each look."""
    steps = counting(1)
    return disks(root, count)._replace(prepare=lambda: trees.transfers(root, count, next(steps)))


def sensors(root: str, count: int) -> Subject:
    """Make synthetic thermometers, which `/sys` shows in the namespace."""
    trees.sensors(root, count)
    inputs = trees.thermometers(root, count)
    names = dict.fromkeys(f"{os.path.dirname(path)}/name" for path in inputs)
    seldom = [*names, *(path.replace("_input", "_label") for path in inputs)]
    plan = [*(f"h 1 {path}" for path in inputs), *(f"o {_MINUTE} {path}" for path in seldom)]
    shown = sum(map(len, psutil.sensors_temperatures().values())) == count
    return Subject("sensor", below(root), plan, peer=peers.sensor if shown else None)


def warming_sensors(root: str, count: int) -> Subject:
    """Have each of them show something else at each look."""
    steps = counting(1)
    return sensors(root, count)._replace(prepare=lambda: trees.warm(root, count, next(steps)))


def overlay(root: str, _: int) -> str:
    """Return the script that shows the thermometers in `/sys`."""
    return f"mkdir -p {root}/sys/class; mount --bind {root}/sys/class /sys/class"


KINDS = {
    "file systems, synthetic": Kind((5, 50, 500), mounts),
    "the same, one comes or goes": Kind((5, 50, 500), coming_mounts),
    "mounts of tmpfs, real": Kind((5, 50, 500), real_mounts, tmpfs),
    "interfaces, real, idle": Kind((2, 20, 200), real_interfaces, veths),
    "interfaces, real, all busy": Kind((2, 20, 200), busy_interfaces, veths),
    "disks, synthetic, idle": Kind((5, 50, 500), disks),
    "disks, synthetic, all busy": Kind((5, 50, 500), busy_disks),
    "sensors, synthetic, steady": Kind((6, 60, 600), sensors, overlay),
    "sensors, synthetic, all change": Kind((6, 60, 600), warming_sensors, overlay),
}


class Figures(NamedTuple):
    """CPU time in µs: of an observation in healthd, in C and in psutil, and of a whole cycle of that family alone."""

    ours: float
    c: float | None
    psutil: float | None
    cycle: float


def measure(subject: Subject, reader: str, runs: int) -> Figures:
    """Measure one subject."""
    work = observing(collector(subject.collector, subject.roots), SteppingClock(INTERVAL))
    ours = cost(work, CYCLES, runs, subject.prepare, min)
    peer = cost(subject.peer, CYCLES, runs, subject.prepare, min) if subject.peer else None
    cycle = asyncio.run(whole_cycle(subject, runs))
    if not reader:
        return Figures(ours, None, peer, cycle)
    command = [reader, str(CYCLES), str(runs)]
    done = subprocess.run(command, input="\n".join(subject.plan), stdout=subprocess.PIPE, text=True, check=True)
    return Figures(ours, float(done.stdout), peer, cycle)


async def whole_cycle(subject: Subject, runs: int) -> float:
    """Return what a cycle takes with that family alone, from observing to publishing, µs."""
    alone = [made for made in observe.collectors() if made.reading.family.name == subject.collector]
    async with whole(alone, subject.roots) as made:
        return least([await spent(made, subject.prepare) for _ in range(runs)])


def part(name: str, count: int, reader: str, runs: int) -> Figures | None:
    """Measure one row in a process of its own, and in namespaces where it needs some; `None` where there are none."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "bench.scale", "--part", name, "--count", str(count), "--root", root]
        command += ["--runs", str(runs), "--reader", reader]
        script = KINDS[name].script(root, count)
        within = namespace.within(script, command) if script else command
        if within is None and KINDS[name].script is overlay:
            within = command
        if within is None:
            return None
        done = subprocess.run(within, stdout=subprocess.PIPE, check=False)
        return Figures(*json.loads(done.stdout)) if done.returncode == 0 else None


def compiled(directory: str) -> str:
    """Compile the C program and return its path; "" where there is no compiler."""
    if not shutil.which("cc"):
        return ""
    program = f"{directory}/read"
    subprocess.run(["cc", "-O2", "-o", program, f"{os.path.dirname(__file__)}/read.c"], check=True)
    return program


def rows(name: str, reader: str, runs: int) -> list[list[str]]:
    """Return a row for each size, with the growth since the size before."""
    found: list[list[str]] = []
    before: Figures | None = None
    for count in KINDS[name].sizes:
        now = part(name, count, reader, runs)
        if now is None:
            return [[f"{count} {name} (not here)", *["-"] * 8]]
        growth = [new / old if new and old else None for new, old in zip(now, before or [None] * 4, strict=True)]
        ratios = [now.ours / peer if peer else None for peer in (now.c, now.psutil)]
        found.append(
            [
                f"{count} {name}",
                number(now.ours),
                number(now.c),
                number(ratios[0], 1),
                number(growth[0], 1),
                number(growth[1], 1),
                number(ratios[1], 2),
                number(now.cycle),
                number(growth[3], 1),
            ]
        )
        before = now
    return found


def report(runs: int) -> None:
    """Measure everything and print the table."""
    head = ("", "healthd µs", "C µs", "ratio", "growth", "of C", "/ psutil", "cycle µs", "growth")
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as directory:
        reader = compiled(directory)
        print(table(head, [row for name in KINDS for row in rows(name, reader, runs)]), "\n")
    print(machine())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="How cost grows with the machine.")
    parser.add_argument("--runs", type=int, default=7, help="each figure is the least mean of so many (default: 7)")
    parser.add_argument("--part", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--root", default="", help=argparse.SUPPRESS)
    parser.add_argument("--reader", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    stay()
    if not chosen.part:
        report(chosen.runs)
        return
    # That there are more series than the history takes is so here.
    logging.disable(logging.WARNING)
    print(json.dumps(measure(KINDS[chosen.part].make(chosen.root, chosen.count), chosen.reader, chosen.runs)))


if __name__ == "__main__":
    main()
