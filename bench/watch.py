"""What watches cost: CPU time and wake-ups of healthd, and of the bus, without one, with one client and with ten.

    python -m bench.watch [--seconds 60] [--rounds 3] [--clients 0,1,10] [--interval 1] [--sampled 60]
                          [--libraries dbus_fast,dbus_next] [--apart]

The clients watch the same metrics, as panels do, or with `--apart` one each, as the modules of a bar do. healthd itself
samples once in `--sampled` seconds, so that what is shown is the watches.
"""

import argparse
import select
import statistics
import sys
import time
from contextlib import ExitStack, closing
from typing import NamedTuple

from bench.bus import Bus, end
from bench.figures import machine, number, table
from bench.process import state
from healthctl.client import Client

METRICS = (
    "cpu.busy",
    "cpu.core_busy",
    "load.load1",
    "memory.available_bytes",
    "memory.percent",
    "pressure.cpu_some_avg10",
    "pressure.io_some_avg10",
    "disk.read_bytes_per_second",
    "disk.write_bytes_per_second",
    "network.rx_bytes_per_second",
    "network.tx_bytes_per_second",
)


class Figures(NamedTuple):
    """What one run took."""

    healthd: float
    """CPU of healthd, ms a second."""
    bus: float
    """CPU of the bus daemon, ms a second."""
    wakes: float
    """Of healthd, a second."""
    samples: float
    """That each client was told of, a second."""
    rss: float
    """Of healthd, MiB."""


def run(library: str, clients: int, chosen: argparse.Namespace) -> Figures:
    """Measure a healthd with so many clients."""
    with Bus() as bus, ExitStack() as stack:
        process = bus.healthd(chosen.sampled, library)
        stack.callback(end, process)
        watching = [stack.enter_context(closing(Client(bus.address))) for _ in range(clients)]
        for which, client in enumerate(watching):
            client.watch(METRICS[which % len(METRICS) :][:1] if chosen.apart else METRICS, chosen.interval)
        read(watching, chosen.settle)
        pids = process.pid, bus.process.pid
        before = [state(pid) for pid in pids]
        samples = read(watching, chosen.seconds)
        after = [state(pid) for pid in pids]
        passed = after[0].moment - before[0].moment
        cpu = [(late.cpu - early.cpu) / 1e6 / passed for early, late in zip(before, after, strict=True)]
        woken = (after[0].woken - before[0].woken) / passed
        return Figures(cpu[0], cpu[1], woken, samples / max(clients, 1) / passed, after[0].rss / 1024)


def read(clients: list[Client], seconds: float) -> int:
    """Take what comes for a while, and return how many samples that was."""
    until, samples = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        for client in select.select(clients, [], [], left)[0]:
            samples += len(list(client.samples()))
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.watch", description="What watches cost.")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each run (default: 60)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians of so many (default: 3)")
    parser.add_argument("--settle", type=float, default=3.0, help="seconds before each run (default: 3)")
    parser.add_argument("--clients", default="0,1,10", help="one run each (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=1.0, help="of the watches, seconds (default: 1)")
    parser.add_argument("--sampled", type=float, default=60.0, help="healthd's own interval, seconds (default: 60)")
    parser.add_argument("--libraries", default="dbus_fast,dbus_next", help="default: %(default)s")
    parser.add_argument("--apart", action="store_true", help="each client watches another one of the metrics")
    chosen = parser.parse_args()
    print(machine(), "\n")
    rows = []
    for library in chosen.libraries.split(","):
        counts = [int(count) for count in chosen.clients.split(",")]
        runs: dict[int, list[Figures]] = {count: [] for count in counts}
        for _ in range(chosen.rounds):
            for count in counts:
                runs[count].append(run(library, count, chosen))
                print(f"{library}, {count} clients: {runs[count][-1]}", file=sys.stderr)
        one = statistics.median(figures.healthd for figures in runs.get(1, [])) if 1 in runs else None
        for count, found in runs.items():
            cells = [statistics.median(column) for column in zip(*found, strict=True)]
            ratio = number(cells[0] / one if one else None, 2)
            name = f"{library}, {count} client{'' if count == 1 else 's'}"
            rows.append([name, number(cells[0], 3), ratio, *(number(cell, 2) for cell in cells[1:])])
    head = ("healthd with", "CPU ms/s", "/ one client", "bus CPU ms/s", "wakes/s", "samples/s each", "RSS MiB")
    print(table(head, rows))


if __name__ == "__main__":
    main()
