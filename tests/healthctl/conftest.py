import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pyte
import pytest
from private_bus import Bus, Healthd, private_bus

import healthd

HERE = os.path.dirname(os.path.abspath(__file__))
DESCRIBE = os.path.join(HERE, "describe")


def environment(bus: str, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LANG")}
    return {
        **kept, "HEALTHD_BUS": bus, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error", **changes,
    }  # fmt: skip


@pytest.fixture
def described() -> Callable[[str], dict[str, Any]]:
    """Return what healthd described of a recorded machine, by its name."""

    def of(machine: str) -> dict[str, Any]:
        with open(os.path.join(DESCRIBE, f"{machine}.json")) as file:
            return json.load(file)

    return of


@pytest.fixture
def healthctl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run healthctl to its end as a process of its own."""

    def run(bus: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "healthctl", *arguments],
            capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
            env=environment(bus, **changes),
        )  # fmt: skip

    return run


# Conditions that are there on every machine, one that is about to be and one that never is.
RULES = """
[rules.used]
summary = "There is memory in use."
why = "Whatever runs needs some."
remedy = "End all programs."
metric = "memory.percent"
who = "memory"
warning = { enter = "> 0" }
critical = { enter = "> 100%", clear = "< 99%", hold = "1min" }

[rules.looped]
summary = "An interface leads back."
metric = "network.kind"
warning = { enter = "== loopback" }

[rules.noted]
summary = "Some memory is left."
metric = "memory.available_bytes"
notice = { enter = "> 1KiB" }

[rules.coming]
summary = "Memory was in use for an hour."
metric = "memory.percent"
warning = { enter = "> 0", hold = "1h" }

[rules.beyond]
summary = "More memory is in use than there is."
metric = "memory.percent"
critical = { enter = "> 100%" }
"""


def without_shipped(rules: str) -> str:
    """Return a configuration under which a machine is judged by these rules alone."""
    with open(os.path.join(os.path.dirname(healthd.__file__), "health", "rules.toml"), "rb") as file:
        shipped = tomllib.load(file)
    return "".join(f"[rules.{name}]\nenabled = false\n" for name in shipped) + rules


@pytest.fixture(scope="session")
def judged_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    """Give a bus on which healthd judges this machine by `RULES` alone; for tests that only read."""
    path = tmp_path_factory.mktemp("judged") / "healthd.toml"
    path.write_text(without_shipped(RULES))
    with private_bus() as made:
        daemon = Healthd(made.address, "--interval", "1", "--config", str(path)).ready()
        yield made
        log = daemon.log
        assert daemon.stop() == 0, log
        assert "Traceback" not in log


@pytest.fixture
def calm(tmp_path) -> Callable[..., str]:
    """Write a configuration under which nothing is wrong on any machine, but by the rules that are given."""

    def write(rules: str = "") -> str:
        path = tmp_path / "healthd.toml"
        path.write_text(
            without_shipped('[rules.never]\nmetric = "memory.percent"\ncritical = { enter = "> 100" }\n' + rules)
        )
        return str(path)

    return write


class Terminal:
    """A process in a real pseudo-terminal, and what a person sees there."""

    def __init__(self, bus: str, command: list[str], columns: int = 80, lines: int = 40) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._master, self.slave = pty.openpty()
        self.raw = b""
        self._size(columns, lines)
        self.modes = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment(bus),
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )  # fmt: skip

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self._size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    @property
    def text(self) -> str:
        """The rows on the screen without trailing spaces."""
        return "\n".join(row.rstrip() for row in self.screen.display)

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Take in what the process writes until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"did not come true; on the screen:\n{self.text}"
            self._take(0.05)

    def shows(self, text: str) -> None:
        """Wait until text is on the screen."""
        self.until(lambda: text in self.text)

    def _take(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            chunk = os.read(self._master, 65536)
            self.raw += chunk
            self._stream.feed(chunk)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def ended(self) -> int:
        """Wait for the end of the process and return its exit code."""
        self.until(lambda: self.process.poll() is not None)
        while select.select([self._master], [], [], 0)[0]:
            self._take(0)
        return self.process.wait()

    def given_back(self) -> bool:
        """Tell whether the terminal is as it was: modes, cursor, main screen."""
        left = self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h")
        return left and not self.screen.cursor.hidden and termios.tcgetattr(self.slave) == self.modes

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start a command, healthctl without another, in a pseudo-terminal."""
    opened: list[Terminal] = []

    def start(bus: str, *arguments: str, command: list[str] | None = None, **size: int) -> Terminal:
        opened.append(Terminal(bus, command or [sys.executable, "-m", "healthctl", *arguments], **size))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
