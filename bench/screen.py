"""What the screen of `healthctl watch` costs: CPU time of healthctl, what it writes, and what that costs a terminal.

    python -m bench.screen [--seconds 60] [--sizes 80x24,160x48,300x80] [--intervals 1,0.25] [--sampled 5]

The terminal is tmux where that is installed, the cheapest that draws what it is sent; what is written is counted on
another one that throws it away.
"""

import argparse
import fcntl
import os
import pty
import select
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import time
from typing import NamedTuple

from bench.bus import Bus, end
from bench.figures import machine, number, table
from bench.process import state


class Size(NamedTuple):
    """Of a terminal."""

    columns: int
    lines: int


def watch(interval: float) -> list[str]:
    return [sys.executable, "-m", "healthctl", "watch", "-n", str(interval)]


def environment(bus: str) -> dict[str, str]:
    return {**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}


def thrown_away(bus: str, interval: float, size: Size, chosen: argparse.Namespace) -> tuple[float, float]:
    """Return the CPU time of healthctl, ms a second, and the bytes that it writes a second."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
    process = subprocess.Popen(watch(interval), stdin=slave, stdout=slave, stderr=slave, env=environment(bus))
    try:
        count(master, chosen.settle)
        before = state(process.pid)
        written = count(master, chosen.seconds)
        after = state(process.pid)
    finally:
        end(process)
        os.close(master)
        os.close(slave)
    passed = after.moment - before.moment
    return (after.cpu - before.cpu) / 1e6 / passed, written / passed


def count(master: int, seconds: float) -> int:
    """Read what is written for a while, and return how much that was."""
    until, written = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            written += len(os.read(master, 1 << 16))
    return written


def drawn(bus: Bus, interval: float, size: Size, chosen: argparse.Namespace) -> float | None:
    """Return the CPU time of a terminal that draws it, ms a second; `None` where there is none."""
    if not shutil.which("tmux"):
        return None
    tmux = ["tmux", "-S", f"{bus.directory}/tmux", "-f", os.devnull]
    command = shlex.join(watch(interval))
    start = [*tmux, "new-session", "-d", "-x", str(size.columns), "-y", str(size.lines), command]
    subprocess.run(start, check=True, env=environment(bus.address))
    try:
        pid = int(subprocess.check_output([*tmux, "display-message", "-p", "#{pid}"]))
        time.sleep(chosen.settle)
        before = state(pid)
        time.sleep(chosen.seconds)
        after = state(pid)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    return (after.cpu - before.cpu) / 1e6 / (after.moment - before.moment)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.screen", description="What the screen of watch costs.")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each run (default: 60)")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before each run (default: 5)")
    parser.add_argument("--sizes", default="80x24,160x48,300x80", help="default: %(default)s")
    parser.add_argument("--intervals", default="1,0.25", help="of the screen, seconds (default: %(default)s)")
    parser.add_argument("--sampled", type=float, default=5.0, help="healthd's own interval, seconds (default: 5)")
    chosen = parser.parse_args()
    print(machine(), "\n")
    rows = []
    with Bus() as bus:
        process = bus.healthd(chosen.sampled)
        try:
            for size in (Size(*map(int, text.split("x"))) for text in chosen.sizes.split(",")):
                for interval in map(float, chosen.intervals.split(",")):
                    spent, written = thrown_away(bus.address, interval, size, chosen)
                    terminal = drawn(bus, interval, size, chosen)
                    name = f"{size.columns}x{size.lines}, every {interval:g} s"
                    rows.append([name, number(spent, 2), number(terminal, 2), number(written)])
        finally:
            end(process)
    print(table(("screen", "healthctl, ms/s", "tmux, ms/s", "bytes/s"), rows))


if __name__ == "__main__":
    main()
