"""What healthd costs as a process at 1 Hz, beside another program if wanted.

    python -m bench.process [--minutes 1] [--rounds 3] [--libraries dbus_fast,dbus_next]
                            [--clients none,listener,watch] [--peer 'COMMAND …']

One run after the other, so that none warms the caches for the next; the peer has its turn in each round.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from bench.bus import Bus, end
from bench.figures import machine, number, table

# The kernel's number for the CPU clock of another process (clock_getcpuclockid(3)).
_PROCESS_CLOCK = 2
_MIB = 1024.0


class State(NamedTuple):
    """A process at one moment."""

    moment: float
    """CLOCK_MONOTONIC, seconds."""
    cpu: int
    """CPU time of all threads, also of those that ended, ns."""
    woken: int
    """Times that a thread went on after it had waited."""
    threads: int
    rss: int
    """Resident, KiB."""
    uss: int
    """Resident and nobody else's, KiB."""


class Figures(NamedTuple):
    """What a process took over one run."""

    cpu: float
    """Seconds a minute."""
    wakes: float
    """A tick."""
    signals: float | None
    """A tick, as a listener counted them."""
    rss: float
    """MiB."""
    uss: float
    """MiB."""
    threads: int
    growth: int
    """Of what is resident, over the run, KiB."""


def state(pid: int) -> State:
    """Look at a process. Raises SystemExit where it is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        woken = sum(_fields(f"/proc/{pid}/task/{thread}/status")["voluntary_ctxt_switches"] for thread in threads)
        memory = _fields(f"/proc/{pid}/smaps_rollup")
        cpu = time.clock_gettime_ns(~pid << 3 | _PROCESS_CLOCK)
    except OSError as error:
        raise SystemExit(f"process {pid} has ended: {error}") from error
    uss = memory["Private_Clean"] + memory["Private_Dirty"]
    return State(time.monotonic(), cpu, woken, len(threads), memory["Rss"], uss)


def _fields(path: str) -> dict[str, int]:
    with open(path, encoding="utf-8") as file:
        words = [line.split() for line in file]
    return {word[0].rstrip(":"): int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def watch(pid: int, seconds: float, interval: float) -> Figures:
    """Let a process run, and return what it took."""
    before = state(pid)
    time.sleep(seconds)
    after = state(pid)
    passed = after.moment - before.moment
    return Figures(
        cpu=(after.cpu - before.cpu) / 1e9 / passed * 60,
        wakes=(after.woken - before.woken) / passed * interval,
        signals=None,
        rss=after.rss / _MIB,
        uss=after.uss / _MIB,
        threads=after.threads,
        growth=after.rss - before.rss,
    )


def healthd(library: str, client: str, chosen: argparse.Namespace) -> Figures:
    """Measure a healthd with a library and one client, or none."""
    with Bus() as bus, ExitStack() as stack, tempfile.TemporaryFile() as output:
        recorded = ["--record", stack.enter_context(tempfile.TemporaryDirectory())] if chosen.record else []
        process = bus.healthd(chosen.interval, library, *recorded)
        stack.callback(end, process)
        if client != "none":
            stack.callback(end, bus.client(client, output))
        time.sleep(chosen.settle)
        heard = _signals(output.fileno())
        figures = watch(process.pid, 60 * chosen.minutes, chosen.interval)
        ticks = 60 * chosen.minutes / chosen.interval
        return figures._replace(signals=(_signals(output.fileno()) - heard) / ticks if client == "listener" else None)


def _signals(descriptor: int) -> int:
    return os.pread(descriptor, 1 << 26, 0).count(b"PropertiesChanged")


def peer(command: str, chosen: argparse.Namespace) -> Figures:
    """Measure another program, in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(shlex.split(command), cwd=directory, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            time.sleep(chosen.settle)
            return watch(process.pid, 60 * chosen.minutes, chosen.interval)
        finally:
            end(process)


def row(name: str, runs: Sequence[Figures], theirs: Sequence[Figures]) -> list[str]:
    """Return the medians of a program's runs; the ratio to the peer is that of the same rounds."""
    columns = [statistics.median(column) if None not in column else None for column in zip(*runs, strict=True)]
    cpu, wakes, signals, rss, uss, threads, _ = columns
    ratio = (
        statistics.median(ours.cpu / other.cpu for ours, other in zip(runs, theirs, strict=True)) if theirs else None
    )
    spread = f"{min(run.cpu for run in runs):.3f}-{max(run.cpu for run in runs):.3f}"
    growth = ", ".join(str(run.growth) for run in runs)
    cells = [number(cpu, 3), spread, number(ratio, 2), number(wakes, 2), number(signals, 2)]
    return [name, *cells, number(rss, 1), number(uss, 1), number(threads), growth]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.process", description="What healthd costs as a process.")
    parser.add_argument("--minutes", type=float, default=1.0, help="length of each run (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians of so many (default: 3)")
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before each run (default: 8)")
    parser.add_argument("--interval", type=float, default=1.0, help="healthd's, seconds (default: 1)")
    parser.add_argument("--libraries", default="dbus_fast,dbus_next", help="default: %(default)s")
    parser.add_argument("--clients", default="none,listener,watch", help="one healthd each (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="let healthd record, as a peer may")
    parser.add_argument("--peer", default="", metavar="COMMAND", help="another program to run beside, at the same rate")
    chosen = parser.parse_args()
    variants: dict[str, Callable[[], Figures]] = {
        f"{library}, {client}": partial(healthd, library, client, chosen)
        for library in chosen.libraries.split(",")
        for client in chosen.clients.split(",")
    }
    if chosen.peer:
        variants["peer"] = partial(peer, chosen.peer, chosen)
    runs: dict[str, list[Figures]] = {name: [] for name in variants}
    for _ in range(chosen.rounds):
        for name, measure in variants.items():
            runs[name].append(measure())
            print(f"{name}: {runs[name][-1].cpu:.3f} s/min, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print(machine(), "\n")
    head = ("healthd with", "CPU s/min", "min-max", "/ peer", "wakes/tick", "signals/tick", "RSS MiB", "USS MiB")
    rows = [row(name, found, runs.get("peer", [])) for name, found in runs.items()]
    print(table((*head, "threads", "growth KiB"), rows))


if __name__ == "__main__":
    main()
