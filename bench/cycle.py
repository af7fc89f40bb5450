"""CPU time of one cycle, of each collector beside psutil, and on machines with many interfaces or CPUs.

    python -m bench.cycle [--runs 7]

Each part runs in a process of its own (`--part NAME` prints its rows as JSON). README.md says what each row is.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import psutil

from bench import namespace, peers, trees
from bench.bus import Bus
from bench.figures import cost, machine, number, table
from healthd import dbus, health, observe, protocol
from healthd.clock import Instant, SystemClock, ticks
from healthd.config import read
from healthd.errors import Unobserved
from healthd.health.judge import Judge
from healthd.health.rule import Rule, rules
from healthd.model import Asking, Collector, Cycle, Observation, Point, Probing, Sample, Snapshot
from healthd.observe.cpu import Frequencies
from healthd.pipeline import Pipeline
from healthd.publish.bus.server import BusServer
from healthd.publish.bus.tree import Changed, difference, tree
from healthd.state.history import History
from healthd.state.store import Store

LIBRARIES = ("dbus_fast", "dbus_next")
CYCLES, SETTLING, INTERVAL = 200, 20, 0.1
INTERFACES, CPUS = 200, 256
# Two rounds of what is read every 30 s, at 1 Hz.
STEPS = 60

Work = Callable[[], object]
Rows = list[list[str]]


class SteppingClock:
    """A clock that is a second, or another step, later at each look: all cadences come as often, without the wait."""

    def __init__(self, step: float = 1.0) -> None:
        self._now = SystemClock().now()
        self._step = step

    def now(self) -> Instant:
        """Return the time of the next step."""
        now = self._now
        self._now = now._replace(time=now.time + self._step, since_boot=now.since_boot + self._step)
        return self._now


class Nothing:
    """An archive that is asked nothing."""

    def movers(self, begun: float, until: float, *, lag: float, but: str) -> None:
        """Return nothing."""

    async def history(self, address: str, since: float, until: float, most: int) -> list[Point]:  # noqa: ARG002
        """Return nothing."""
        return []

    async def events(self, since: float, until: float, names: Sequence[str], most: int) -> list[str]:  # noqa: ARG002
        """Return nothing."""
        return []


NOTHING = Nothing()


class TimedStore(Store):
    """A store that knows what it took, in ns of CPU time."""

    spent = 0

    def accept(self, sample: Sample) -> Snapshot:
        """Accept."""
        began = time.process_time_ns()
        snapshot = super().accept(sample)
        self.spent = time.process_time_ns() - began
        return snapshot


class TimedServer(BusServer):
    """A server that knows what it took, in ns of CPU time, and what it had to publish."""

    spent = 0
    cycle: Cycle

    def publish(self, cycle: Cycle) -> None:
        """Publish."""
        began = time.process_time_ns()
        super().publish(cycle)
        self.spent = time.process_time_ns() - began
        self.cycle = cycle


def shipped() -> tuple[Rule, ...]:
    """Return the rules that healthd comes with."""
    file = os.path.join(os.path.dirname(health.__file__), "rules.toml")
    return rules(observe.families(observe.collectors()), [(file, read(file))])


def nobody(*_: object) -> None:
    """Acknowledge nothing."""


def changes(cycle: Cycle) -> list[Changed]:
    """Return what one cycle has to signal of objects that stay."""
    assert cycle.before
    found = difference(tree(cycle.before), tree(cycle.snapshot))
    return [change for change in found if isinstance(change, Changed)]


async def pipeline() -> Rows:
    """Run the whole pipeline on this machine; return total, stages and signals of its cycles, each the median."""
    collectors = observe.collectors()
    store, server = TimedStore(), TimedServer(observe.families(collectors), NOTHING, dict, Judge(()), nobody)
    whole = Pipeline(
        observe.Runner(collectors, observe.roots(), INTERVAL), store, Judge(shipped()), History(), [server]
    )
    cycles = []
    with Bus() as bus:
        connection = await dbus.connect(bus.address)
        await whole.cycle()
        server.attach(connection)
        await connection.own(protocol.BUS_NAME)
        async for _ in ticks(SystemClock(), INTERVAL):
            began = time.process_time_ns()
            await whole.cycle()
            total = time.process_time_ns() - began
            observing = total - store.spent - server.spent
            signals = len(changes(server.cycle))
            cycles.append((total / 1000, observing / 1000, store.spent / 1000, server.spent / 1000, signals))
            if len(cycles) == SETTLING + CYCLES:
                break
        connection.close()
        await connection.lost
    medians = [statistics.median(column) for column in zip(*cycles[SETTLING:], strict=True)]
    return [[dbus.LIBRARY, *(number(median) for median in medians)]]


async def signals(runs: int) -> Rows:
    """Publish changes of many interfaces at once; return what one costs, and how many properties it carries."""
    server = BusServer(observe.families(observe.collectors()), NOTHING, dict, Judge(()), nobody)
    with tempfile.TemporaryDirectory() as root, Bus() as bus:
        first, second = snapshots(root)
        connection = await dbus.connect(bus.address)
        server.attach(connection)
        server.publish(Cycle(None, first, ()))
        forth, back = Cycle(first, second, ()), Cycle(second, first, ())
        spent = []
        for cycle in (forth, back) * 10 * runs:
            while connection.backlog:  # noqa: ASYNC110  # the loop has its turns until the bus has taken all
                await asyncio.sleep(0)
            began = time.process_time_ns()
            server.publish(cycle)
            spent.append((time.process_time_ns() - began) / 1000)
        connection.close()
        await connection.lost
    changed = changes(forth)
    properties = statistics.mean(len(change.names) for change in changed)
    return [[dbus.LIBRARY, number(statistics.median(spent) / len(changed), 1), number(properties, 1)]]


def snapshots(root: str) -> tuple[Snapshot, Snapshot]:
    """Return two snapshots of a machine of many interfaces, with other rates for each in the second."""
    trees.interfaces(root, INTERFACES)
    network = collector("network", observe.roots(f"{root}/proc", f"{root}/sys"))
    assert not isinstance(network, Probing)
    clock, store, made = SteppingClock(), Store(), []
    for step in (0, 1, 11):
        trees.traffic(root, INTERFACES, step)
        now = clock.now()
        seen = Observation(network.reading.family, now, network.collect(now), {}, 0.0, 0)
        made.append(store.accept(Sample(now, "", step, (seen,))))
    return made[1], made[2]


def collectors(runs: int) -> Rows:
    """Return for each collector its own time and psutil's, on this machine."""
    clock = SteppingClock()
    rows = []
    for make in observe.collectors():
        made = make(observe.roots())
        if isinstance(made, Asking):
            continue  # it waits for others, and takes what their answers take to be read
        name = made.reading.family.name
        rows.append(row(f"`{name}`", observing(made, clock), peers.BY_FAMILY.get(name), runs))
    return rows


def collector(name: str, roots: observe.Roots) -> Collector | Probing:
    """Return a new collector of a family."""
    return next(made for make in observe.collectors() if (made := make(roots)).reading.family.name == name)


def observing(made: Collector | Probing, clock: SteppingClock) -> Work:
    """Return what runs a collector once, here and not in its thread."""
    if isinstance(made, Probing):
        return lambda: [probe() for probe in made.probes(clock.now()).values()]
    return lambda: made.collect(clock.now())


def row(name: str, ours: Work, theirs: Work | None, runs: int, prepare: Work = int) -> list[str]:
    """Return a name, our time, theirs in µs, and the ratio; without ours where there is nothing to observe."""
    try:
        taken = cost(ours, STEPS, runs, prepare)
    except (Unobserved, OSError):
        return [f"{name} (not on this machine)", "-", "-", "-"]
    peer = cost(theirs, STEPS, runs, prepare) if theirs else None
    return [name, number(taken), number(peer), number(taken / peer if peer else None, 2)]


def interfaces(runs: int) -> Rows:
    """Return what many interfaces of a synthetic tree cost: user space alone, since a file holds what was written."""
    with tempfile.TemporaryDirectory() as root:
        trees.interfaces(root, INTERFACES)
        work = observing(collector("network", observe.roots(f"{root}/proc", f"{root}/sys")), SteppingClock())
        steps = iter(range(1, sys.maxsize))
        return [
            row(f"{INTERFACES} interfaces, synthetic, idle", work, None, runs),
            row(
                f"{INTERFACES} interfaces, synthetic, all busy",
                work, None, runs, lambda: trees.traffic(root, INTERFACES, next(steps)),
            ),
        ]  # fmt: skip


def veths(runs: int) -> Rows:
    """Return what many real interfaces cost; to be run where there are as many."""
    work = observing(collector("network", observe.roots()), SteppingClock())
    send = namespace.traffic(INTERFACES)
    return [
        row(f"{INTERFACES} interfaces, real, idle", work, peers.network, runs),
        row(f"{INTERFACES} interfaces, real, all busy", work, peers.network, runs, send),
    ]


def cpus(runs: int, root: str) -> Rows:
    """Return what a synthetic machine of many CPUs costs, in user space; psutil's frequencies where `/sys` shows it."""
    trees.cpus(root, CPUS)
    psutil.PROCFS_PATH = f"{root}/proc"
    roots, clock = observe.roots(f"{root}/proc", f"{root}/sys"), SteppingClock()
    work, frequencies = observing(collector("cpu", roots), clock), Frequencies(roots.sys)
    moments = (Instant(0.0, second, 0.0) for second in range(0, sys.maxsize, 30))
    steps = iter(range(1, sys.maxsize))

    def go_on() -> None:
        trees.work(root, CPUS, next(steps))

    def frequency() -> object:
        return frequencies.read(next(moments), list(range(CPUS)))

    shown = len(os.listdir(namespace.SYS_CPU)) > CPUS
    peer, both = (peers.frequencies, peers.cpu_and_frequencies) if shown else (None, None)
    rows = [
        row(f"{CPUS} CPUs: times", work, peers.cpu, runs, go_on),
        row(f"{CPUS} CPUs: frequencies", frequency, peer, runs),
        row(f"{CPUS} CPUs: both each time", lambda: (work(), frequency()), both, runs, go_on),
    ]
    trees.throttle(root, CPUS)
    return [*rows, row(f"{CPUS} CPUs: frequencies, all throttled", frequency, peer, runs)]


def part(name: str, library: str = "", script: str = "", **options: object) -> Rows:
    """Run one part in a process of its own, in namespaces where there is a script, and return its rows."""
    command = [sys.executable, "-m", "bench.cycle", "--part", name]
    command += [word for option, value in options.items() for word in (f"--{option}", str(value))]
    environment = os.environ | ({"HEALTHD_DBUS_LIBRARY": library} if library else {})
    if script:
        command = namespace.within(script, command) or []
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=False) if command else None
    rows: Rows = json.loads(done.stdout) if done and done.returncode == 0 else []
    return rows


def report(runs: int) -> None:
    """Run all parts and print the tables."""
    print(machine(), "\n")
    stages = ("whole cycle, µs", "total", "observe", "state", "publish", "signals")
    print(table(stages, [found for library in LIBRARIES for found in part("pipeline", library)]), "\n")
    each = ("PropertiesChanged", "µs each", "properties")
    print(table(each, [found for library in LIBRARIES for found in part("signals", library, runs=runs)]), "\n")
    rows = part("collectors", runs=runs) + part("interfaces", runs=runs)
    rows += part("veths", script=namespace.veths(INTERFACES), runs=runs)
    with tempfile.TemporaryDirectory() as root:
        trees.cpus(root, CPUS)
        rows += part("cpus", script=namespace.cpus(root), runs=runs, root=root) or part("cpus", runs=runs, root=root)
    print(table(("", "healthd µs", "psutil µs", "ratio"), rows), "\n")
    print(machine())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cycle", description="CPU time of one cycle.")
    parser.add_argument("--runs", type=int, default=7, help="each figure is the median of so many (default: 7)")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--root", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not chosen.part:
        report(chosen.runs)
        return
    parts: dict[str, Callable[[], Rows]] = {
        "pipeline": lambda: asyncio.run(pipeline()),
        "signals": lambda: asyncio.run(signals(chosen.runs)),
        "collectors": lambda: collectors(chosen.runs),
        "interfaces": lambda: interfaces(chosen.runs),
        "veths": lambda: veths(chosen.runs),
        "cpus": lambda: cpus(chosen.runs, chosen.root),
    }
    print(json.dumps(parts[chosen.part]()))


if __name__ == "__main__":
    main()
