"""A file system that stops answering costs its own row, and nothing else: a real one, by a process of this test."""

import json
import os
import subprocess
import sys
import time

import fuse_server
import pytest
from mounting import SOON, Shown, Space, last_words, mount_space
from private_bus import Healthd, eventually

from healthd import protocol

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this machine has no /dev/fuse")

INTERVAL = 0.5
AT_ONCE = 5.0
"""What hangs does so until it is told otherwise: whoever waits for it never comes to that, seconds."""


class Unsteady:
    """A file system of a process, which does as it is told."""

    def __init__(self, space: Space, point: str) -> None:
        self.point = point
        space.do("mkdir", "-p", point)
        self._process = subprocess.Popen(
            space.enter(sys.executable, fuse_server.__file__, point),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout
        if self._process.stdout.readline() != "mounted\n":
            pytest.skip(f"no FUSE here: {last_words(self._process)}")

    def tell(self, word: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{word}\n"

    def stop(self) -> None:
        """End it: whoever waits for it has an error."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def space(tmp_path):
    with mount_space(str(tmp_path)) as made:
        yield made


@pytest.fixture
def unsteady(space):
    made = Unsteady(space, f"{space.directory}/unsteady")
    yield made
    made.stop()


@pytest.fixture
def daemon(bus, space, unsteady):
    started = space.healthd(bus, "--interval", str(INTERVAL), "--console")
    yield started.ready()
    # What hangs for good would hold the process, too.
    unsteady.stop()
    if not started.errors.closed:
        assert started.stop() == 0


def threads(daemon: Healthd) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def resident(daemon: Healthd) -> int:
    with open(f"/proc/{daemon.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def hang(space: Space, shown: Shown, unsteady: Unsteady, word: str = "deaf") -> float:
    """Let it hang while it is asked, and return how long it took until that was noticed, seconds."""
    unsteady.tell(word)
    began = time.monotonic()
    space.stir()
    problem = eventually(lambda: shown.problem(unsteady.point), SOON)
    assert problem["problem"] == protocol.TIMEOUT
    assert problem["reason"] == f"{unsteady.point} has not answered for 5 s"
    return time.monotonic() - began


def test_what_hangs_is_stale_within_the_deadline_and_all_else_goes_on_until_it_answers(bus, space, unsteady, daemon):
    shown = Shown(bus)
    there = shown.row(unsteady.point)
    assert (there["type"], there["device"], there["total_bytes"]) == (fuse_server.TYPE, "unsteady", 4096000)
    assert (there["percent"], there["inodes_percent"]) == (66.7, 25.0)  # 600 of 600 + 300, 50 of 200
    before, before_threads = shown.describe(), threads(daemon)

    took = hang(space, shown, unsteady)
    assert took > 4.9
    assert shown.row(unsteady.point) == there, "the last values stay"

    memory = resident(daemon)
    for _ in range(5):
        shown.observed_after(space, "/")
    began = time.monotonic()
    status = subprocess.run(
        [sys.executable, "-m", "healthctl", "--bus", bus.address, "status", "--json"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert time.monotonic() - began < AT_ONCE
    told = json.loads(status.stdout)
    assert told["unavailable"][f"filesystem@{unsteady.point}"]["problem"] == protocol.TIMEOUT
    waiting = threads(daemon)
    assert waiting <= before_threads + 2, "one waits, however often the others were asked, and one may be another's"
    assert resident(daemon) - memory < 2**22

    passed = (told["since_boot"] - before["since_boot"]) / INTERVAL
    assert told["seq"] - before["seq"] > 0.8 * passed, "ticks were left out"
    names = {json.loads(line)["name"] for line in daemon.printed.splitlines(keepends=True) if line.endswith("\n")}
    assert protocol.RUNTIME_GAP not in names

    unsteady.tell("answer")
    eventually(lambda: threads(daemon) < waiting)
    space.stir()
    eventually(lambda: shown.problem(unsteady.point) is None, SOON)
    assert shown.row(unsteady.point) == there

    unsteady.stop()
    space.stir()
    dead = eventually(lambda: shown.problem(unsteady.point), SOON)
    assert (dead["problem"], dead["reason"]) == (
        protocol.FAILED,
        f"{unsteady.point}: Transport endpoint is not connected",
    )


def test_healthd_ends_at_once_while_a_file_system_hangs(bus, space, unsteady, daemon):
    hang(space, Shown(bus), unsteady)
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < AT_ONCE


def test_the_name_is_given_back_even_where_the_kernel_keeps_the_process_until_there_is_an_answer(
    bus, space, unsteady, daemon
):
    hang(space, Shown(bus), unsteady, "mute")
    daemon.process.terminate()
    eventually(lambda: protocol.BUS_NAME not in bus.busctl("list", "--acquired").stdout, AT_ONCE)
    unsteady.stop()
    assert daemon.process.wait(SOON) == 0


def test_what_is_mounted_in_place_of_what_hangs_is_not_taken_for_it(bus, space, unsteady, daemon):
    shown = Shown(bus)
    hang(space, shown, unsteady)
    space.do("umount", "--lazy", "--no-canonicalize", "--internal-only", unsteady.point)
    eventually(lambda: shown.row(unsteady.point) is None, SOON)
    assert shown.problem(unsteady.point) is None
    waiting = threads(daemon)
    other = Unsteady(space, unsteady.point)
    try:
        eventually(lambda: shown.row(other.point), SOON)
        assert shown.problem(other.point) is None
        assert threads(daemon) >= waiting, "the one before still hangs"
    finally:
        other.stop()
