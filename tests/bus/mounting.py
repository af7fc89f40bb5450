"""A mount namespace of its own, and a real healthd that is handed what is mounted there, as the host does it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from private_bus import Bus, Healthd, eventually

from healthd import protocol

SOON = 10.0
"""Far less than it would take to see two changes if each waited for the family's 30 s, seconds."""


class Space:
    """Holds the namespace. Nothing that is mounted below its directory is seen by the host."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        shared = 'mount -t tmpfs tmpfs "$0" && mount --make-shared "$0" && echo ready && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", shared, directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout
        if self._holder.stdout.readline() != "ready\n":
            pytest.skip(f"no mount namespace here: {last_words(self._holder)}")

    def enter(self, *command: str) -> list[str]:
        """Return what runs a command in the namespace."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", *command]

    def do(self, *command: str) -> str:
        """Run a command in the namespace and return what it says."""
        done = subprocess.run(self.enter(*command), capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def healthd(self, bus: Bus, *options: str) -> Healthd:
        """Start healthd in a namespace behind this one: what is mounted here comes there, and not the other way."""
        daemon = Healthd.__new__(Healthd)
        slave = self.enter("unshare", "--mount", "--propagation", "slave")
        command = [*slave, sys.executable, "-m", "healthd", "--bus", bus.address, *options]
        daemon.start(command, {"PYTHONPATH": os.pathsep.join(sys.path)})
        return daemon

    def stir(self) -> None:
        """Change the table of mounts, and leave it as it was: all file systems are asked at the next tick."""
        self.do("sh", "-c", 'mkdir -p "$0" && mount -t tmpfs tmpfs "$0" && umount "$0"', f"{self.directory}/stirred")

    def stop(self) -> None:
        self._holder.kill()
        self._holder.communicate()


def last_words(process: subprocess.Popen[str]) -> str:
    """Return why a process ended."""
    _, errors = process.communicate()
    return "".join(errors.splitlines()[-1:])


@contextmanager
def mount_space(directory: str) -> Iterator[Space]:
    if os.geteuid():
        pytest.skip("needs root, to mount")
    missing = [tool for tool in ("unshare", "nsenter", "mount", "umount") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    space = Space(directory)
    try:
        yield space
    finally:
        space.stop()


class Shown:
    """What a healthd shows of file systems."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def describe(self) -> dict[str, Any]:
        call = ("call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER, "Describe")
        done = self._bus.busctl("--json=short", *call)
        assert done.returncode == 0, done.stderr
        return json.loads(json.loads(done.stdout)["data"][0])

    def row(self, point: str) -> dict[str, Any] | None:
        """Return the reading of a file system; `None` where there is none."""
        return self.describe()["readings"]["filesystem"].get(point)

    def problem(self, point: str) -> dict[str, str] | None:
        """Return why a file system can't be observed; `None` where it can."""
        return self.describe()["unavailable"].get(f"filesystem@{point}")

    def condition(self, rule: str, point: str) -> dict[str, Any] | None:
        """Return a condition of a file system; `None` where it is ok."""
        return self.describe()["health"]["conditions"].get(f"{rule}@{point}")

    def sampled_at(self, point: str) -> int:
        """Return when a file system was observed, µs since 1970."""
        path = object_path(point)
        got = self._bus.busctl("get-property", protocol.BUS_NAME, path, protocol.READING, "SampledAtUSec")
        assert got.returncode == 0, got.stderr
        return int(got.stdout.split()[1])

    def observed_after(self, space: Space, point: str) -> None:
        """Have all file systems observed, and wait until that was done."""
        before = self.sampled_at(point)
        space.stir()
        eventually(lambda: self.sampled_at(point) > before, SOON)


def object_path(point: str) -> str:
    escaped = "".join(char if char.isalnum() else f"_{ord(char):02x}" for char in point)
    return f"{protocol.ROOT}/filesystem/{escaped}"


def signals(bus: Bus) -> subprocess.Popen[str]:
    """Return a monitor that prints what healthd signals, a line of JSON each."""
    return subprocess.Popen(
        ["busctl", f"--address={bus.address}", "monitor", "--json=short", protocol.BUS_NAME],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
