"""healthd on a recorded machine that goes on working, for pictures: `lively_healthd.py FIXTURE ROOT [OPTIONS…]`.

With `--record DIR` there is an hour before now.
"""

import asyncio
import os
import random
import re
import sys
import threading
import time
from functools import partial
from math import sin
from zlib import crc32

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, *(os.path.join(TESTS, name) for name in ("machines", "observe"))]

import replica  # noqa: E402

from healthd import archive, cli, observe  # noqa: E402
from healthd.clock import Instant  # noqa: E402
from healthd.health.judge import Judge  # noqa: E402
from healthd.observe import Runner  # noqa: E402
from healthd.pipeline import Pipeline  # noqa: E402
from healthd.publish.jsonl import Keeping, Recorder  # noqa: E402
from healthd.state.history import History  # noqa: E402
from healthd.state.store import Store  # noqa: E402
from healthd.worker import Worker  # noqa: E402

STEP = 5.0
PAST = 720
"""Samples before now."""


class Lively(replica.Replica):
    """A machine that does now more, now less."""

    def __init__(self, name: str, root: str) -> None:
        super().__init__(name, root)
        self._root, self._random = root, random.Random(1)
        self.instant = Instant(0.0, 0.0, 0.0)
        root_files = self._figures["/"]
        self._figures["/"] = {
            **root_files,
            "f_bfree": root_files["f_blocks"] // 11,
            "f_bavail": root_files["f_blocks"] // 12,
        }

    def now(self) -> Instant:
        """Be a clock that stands."""
        return self.instant

    def live(self, time_: float, seconds: float) -> None:
        """Work for some seconds."""
        wave = 0.5 + 0.3 * sin(time_ / 300) + 0.2 * sin(time_ / 47) * sin(time_ / 1100)
        busy = min(max(wave * self._random.uniform(0.7, 1.2), 0.02), 0.97)

        def some(most: float) -> int:
            return int(most * seconds * busy * self._random.uniform(0.2, 1.0))

        ticks = int(100 * seconds)
        user, system, waiting = (int(ticks * busy * share) for share in (0.7, 0.2, 0.05))
        replica._CPU = {1: user, 3: system, 4: max(ticks - user - system - waiting, 0), 5: waiting}
        replica._DISK = {3: some(60), 5: some(6e3), 7: some(90), 9: some(16e3), 12: some(700)}
        replica._INTERFACE = {1: some(2.2e6), 2: some(900), 9: some(3e5), 10: some(400)}
        self.work()
        self._write("proc/loadavg", f"{4 * busy:.2f} {3.4 * wave:.2f} 1.42 2/312 4711\n")
        for resource, most in (("cpu", 30.0), ("io", 9.0), ("memory", 0.4)):
            some_, full = (most * busy * share for share in (1.0, 0.4))
            lines = (f"{kind} avg10={share:.2f} avg60={share:.2f} avg300={share:.2f} total=1\n"
                     for kind, share in (("some", some_), ("full", 0.0 if resource == "cpu" else full)))  # fmt: skip
            self._write(f"proc/pressure/{resource}", "".join(lines))
        free = int(8245408 * (0.62 - 0.22 * wave))
        self._write(
            "proc/meminfo", re.sub(r"(?m)^MemAvailable: .*", f"MemAvailable: {free} kB", self._text("proc/meminfo"))
        )
        for directory, _, names in os.walk(f"{self._root}/sys"):
            for name in names:
                if re.fullmatch(r"temp(\d+_input)?", name):
                    path = os.path.relpath(f"{directory}/{name}", self._root)
                    cooler = crc32(path.encode()) % 13
                    self._write(path, f"{int(1000 * (45 + 24 * wave + busy - cooler))}\n")

    def _text(self, path: str) -> str:
        with open(f"{self._root}/{path}", encoding="utf-8") as file:
            return file.read()

    def _write(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(f"{self._root}/{path}"), exist_ok=True)
        # In its place and at once: healthd has it open, and reads it at any time.
        with open(os.open(f"{self._root}/{path}", os.O_WRONLY | os.O_CREAT, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
            file.truncate()


async def record(machine: Lively, directory: str) -> None:
    """Record the hour before now."""
    families = observe.families(machine.collectors())
    recorder = Recorder(directory, Keeping(), Worker("record"), Worker("tidy"), partial(archive.summary, families))
    runner = Runner(machine.collectors(), machine.roots, STEP, machine, machine.ask)
    pipeline = Pipeline(runner, Store(), Judge(replica.RULES), History(), [recorder])
    begun, up = time.time() - STEP * PAST, time.clock_gettime(time.CLOCK_BOOTTIME) - STEP * PAST
    for number in range(PAST):
        passed = STEP * number
        machine.instant = Instant(begun + passed, up + passed, 0.0)
        machine.live(begun + passed, STEP)
        await pipeline.cycle()
    await recorder.close()


def work(machine: Lively) -> None:
    """Go on."""
    while True:
        time.sleep(1.0)
        machine.live(time.time(), 1.0)


def main() -> None:
    """Be healthd there."""
    name, root, *options = sys.argv[1:]
    machine = Lively(name, root)
    if "--record" in options:
        asyncio.run(record(machine, options[options.index("--record") + 1]))
    collectors = machine.collectors()
    observe.roots = lambda: machine.roots  # type: ignore[assignment]
    observe.collectors = lambda *_: collectors  # type: ignore[assignment]
    threading.Thread(target=work, args=(machine,), daemon=True).start()
    sys.argv = ["healthd", *options]
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
