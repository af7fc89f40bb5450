"""What it costs to draw the frames of `healthctl watch`: as healthctl does, and as rich does where that is installed.

    python -m bench.frames [--frames 200] [--sizes 80x24,160x48,300x80]

The frames are of a recorded machine on which every strip and three figures change; nobody but this program reads them.
"""

import argparse
import fcntl
import json
import os
import pty
import random
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from bench.figures import machine, number, table
from healthctl.render.dashboard import dashboard
from healthctl.render.dashboard_rows import Picture
from healthctl.render.dashboard_series import strip_values
from healthctl.render.dashboard_state import Ui
from healthctl.render.described import Described
from healthctl.render.style import Style
from healthctl.screen import Screen
from healthctl.strips import LONGEST, Strips

DESCRIBED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                         "tests", "healthctl", "describe", "desktop.json")  # fmt: skip
Frames = Sequence[list[str]]


def frames(count: int, columns: int, lines: int) -> Frames:
    """Return so many screens, a second apart."""
    style = Style(colour=True, colours=256)
    with open(DESCRIBED, encoding="utf-8") as file:
        described = Described(json.load(file), style)
    strips, chance = Strips(1.0, 1.0), random.Random(1)
    base, drawn = strip_values(described), []
    for second in range(LONGEST + count):
        strips.put(second, {address: value * chance.uniform(0.7, 1.0) for address, value in base.items()})
        if second >= LONGEST:
            used, received = 9e9 + second * 1e6, chance.uniform(1e5, 1e6)
            changed = {"cpu.busy": chance.uniform(20, 40), "memory.used_bytes": used,
                       "network.rx_bytes_per_second@wlp0s20f3": received}  # fmt: skip
            described.take(1767268800.0 + second, second, changed)
            drawn.append(dashboard(Picture(described, strips), (columns, lines), style, Ui(), 1.0).lines)
    return drawn


def by_healthctl(shown: Frames) -> float:
    """Return the CPU time of drawing on standard output, seconds."""
    screen = Screen()
    began = time.thread_time()
    for frame in shown:
        screen.draw(frame)
    spent = time.thread_time() - began
    screen.leave()
    return spent


def by_rich(shown: Frames) -> float:
    """Return the same for rich."""
    from rich.console import Console  # noqa: PLC0415  # it need not be there
    from rich.live import Live  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415  # as above

    console = Console(force_terminal=True, color_system="256")
    with Live(console=console, screen=True, auto_refresh=False) as live:
        began = time.thread_time()
        for frame in shown:
            live.update(Text.from_ansi("\n".join(frame)), refresh=True)
        return time.thread_time() - began


def on_a_terminal(draw: Callable[[Frames], float], shown: Frames, columns: int, lines: int) -> tuple[float, float]:
    """Return milliseconds and bytes for each frame, drawn on a terminal that throws away what it is sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    read = [0]

    def take() -> None:
        try:
            while chunk := os.read(master, 1 << 16):
                read[0] += len(chunk)
        except OSError:
            os.close(master)

    reader = threading.Thread(target=take)
    reader.start()
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(slave, 1)
    os.close(slave)
    try:
        spent = draw(shown)
        sys.stdout.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    reader.join()
    return spent * 1e3 / len(shown), read[0] / len(shown)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.frames", description="What drawing costs.")
    parser.add_argument("--frames", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--sizes", default="80x24,160x48,300x80", help="default: %(default)s")
    chosen = parser.parse_args()
    print(machine(), "\n")
    ways = {"healthctl": by_healthctl, **({"rich": by_rich} if find_spec("rich") else {})}
    rows = []
    for size in chosen.sizes.split(","):
        columns, lines = map(int, size.split("x"))
        shown = frames(chosen.frames, columns, lines)
        for name, draw in ways.items():
            spent, written = on_a_terminal(draw, shown, columns, lines)
            rows.append([f"{size}, {name}", number(spent, 2), number(written)])
    print(table(("frame", "ms of CPU", "bytes"), rows))


if __name__ == "__main__":
    main()
