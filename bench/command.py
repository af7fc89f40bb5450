"""What a user waits for `healthctl`: the time of whole processes, beside the least that Python and D-Bus take.

    python -m bench.command [--times 40]

The commands take turns, so that whatever else goes on meets them all.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.bus import Bus, end
from bench.figures import machine, number, table
from healthd import protocol

# What the installed command does, without a look for where it is installed.
_HEALTHCTL = "import sys; from healthctl.cli import main; sys.exit(main())"


def run(command: Sequence[str]) -> tuple[float, float]:
    """Run a command with its output thrown away; return its time by the clock and of the CPU, milliseconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > protocol.EXIT_UNKNOWN:
        raise SystemExit(f"{command} exits with {process.returncode}")
    return (ended - began) * 1000, (used.ru_utime + used.ru_stime) * 1000


def commands(address: str) -> dict[str, list[str]]:
    """Return the commands to compare, by what they are called in the table."""
    healthctl = [sys.executable, "-c", _HEALTHCTL]
    bus = ["--bus", address]
    busctl = ["busctl", f"--address={address}", "get-property", protocol.BUS_NAME]
    return {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`busctl get-property`": [*busctl, f"{protocol.ROOT}/load", f"{protocol.INTERFACE}.Load", "Load1"],
        "`healthctl --version`": [*healthctl, "--version"],
        "`healthctl status`": [*healthctl, "status", *bus],
        "`healthctl status --json`": [*healthctl, "status", "--json", *bus],
        "`healthctl get load.load1`": [*healthctl, "get", "load.load1", *bus],
        "`healthctl metrics`": [*healthctl, "metrics", *bus],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.command", description="What a user waits for healthctl.")
    parser.add_argument("--times", type=int, default=40, help="how often each command is run (default: 40)")
    chosen = parser.parse_args()
    with Bus() as bus:
        healthd = bus.healthd(5.0)
        try:
            compared = commands(bus.address)
            for command in compared.values():
                run(command)
            rounds = [{name: run(command) for name, command in compared.items()} for _ in range(chosen.times)]
        finally:
            end(healthd)
    print(machine(), "\n")
    rows = []
    for name in compared:
        waited, used = zip(*(turn[name] for turn in rounds), strict=True)
        rows.append(
            [name, *(number(figure, 1) for figure in (statistics.median(waited), min(waited), statistics.median(used)))]
        )
    print(table(("", "median ms", "least ms", "CPU ms"), rows))


if __name__ == "__main__":
    main()
