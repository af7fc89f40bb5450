"""What a user waits for `healthctl`: the time of whole processes, beside the least that Python and D-Bus take.

    python -m bench.command [--times 40] [--peer 'glances --stdout load --stop-after 1 --disable-check-update']

The commands take turns, so that whatever else goes on meets them all; the peer, which may take seconds, has every
tenth.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from bench.bus import Bus, end
from bench.figures import machine, number, table
from healthd import protocol

# What the installed command does, without a look for where it is installed.
_HEALTHCTL = "import sys; from healthctl.cli import main; sys.exit(main())"


_SELDOM = 10


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command with its output thrown away; return its time by the clock and of the CPU, milliseconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > protocol.EXIT_UNKNOWN:
        raise SystemExit(f"{command} exits with {process.returncode}")
    return (ended - began) * 1000, (used.ru_utime + used.ru_stime) * 1000


def commands(address: str) -> dict[str, list[str]]:
    """Return the commands to compare, by what they are called in the table; HEALTHD_BUS names the bus to healthctl."""
    healthctl = [sys.executable, "-c", _HEALTHCTL]
    busctl = ["busctl", f"--address={address}", "get-property", protocol.BUS_NAME]
    return {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`busctl get-property`": [*busctl, f"{protocol.ROOT}/load", f"{protocol.INTERFACE}.Load", "Load1"],
        "`healthctl --version`": [*healthctl, "--version"],
        "`healthctl status`": [*healthctl, "status"],
        "`healthctl status --json`": [*healthctl, "status", "--json"],
        "`healthctl status --short`": [*healthctl, "status", "--short"],
        "`healthctl get load.load1`": [*healthctl, "get", "load.load1"],
        "`healthctl get -q load.load1`": [*healthctl, "get", "-q", "load.load1"],
        # An option that only click knows.
        "the same by click": [*healthctl, "get", "-q", "load.load1", "--color", "never"],
        "`healthctl check`": [*healthctl, "check"],
        "`healthctl metrics`": [*healthctl, "metrics"],
    }


def environment(address: str) -> dict[str, str]:
    """Return the environment of an installed healthctl, whose modules are compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        protocol.BUS_VARIABLE: address
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.command", description="What a user waits for healthctl.")
    parser.add_argument("--times", type=int, default=40, help="how often each command is run (default: 40)")
    parser.add_argument("--peer", default="", metavar="COMMAND", help="another program that tells the load")
    chosen = parser.parse_args()
    with Bus() as bus:
        healthd = bus.healthd(5.0)
        try:
            compared = commands(bus.address)
            around = environment(bus.address)
            for command in compared.values():
                run(command, around)
            program, *options = shlex.split(chosen.peer) or [""]
            peer = f"`{' '.join([os.path.basename(program), *options])}`"
            if program:
                compared[peer] = [program, *options]
            took: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
            for turn in range(chosen.times):
                for name, command in compared.items():
                    if name != peer or turn % _SELDOM == 0:
                        took[name].append(run(command, around))
        finally:
            end(healthd)
    print(machine(), "\n")
    rows = []
    for name, times in took.items():
        waited, used = zip(*times, strict=True)
        rows.append(
            [name, *(number(figure, 1) for figure in (statistics.median(waited), min(waited), statistics.median(used)))]
        )
    print(table(("", "median ms", "least ms", "CPU ms"), rows))


if __name__ == "__main__":
    main()
