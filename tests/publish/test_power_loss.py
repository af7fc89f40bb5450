"""The recorder when the power fails: what a disk holds at any moment, mounted again, has all that was synced."""

import asyncio
import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from mmap import MAP_POPULATE, MAP_SHARED, PROT_READ, mmap
from typing import NamedTuple

import pytest
from record_child import FAMILIES, Machine, story
from test_jsonl import CHILD, Recording, environment, known, plain, read, replayed

from healthd import protocol, recording
from healthd.model import Cycle, Event
from healthd.recording import CLOSED, PLAIN, Fault, segments

LOSSES = int(os.environ.get("HEALTHD_TEST_POWER_LOSSES", "20"))
"""How often the power fails."""
FARTHEST = 200
"""How many cycles after the last time it fails at most."""
SIZE = 16 << 20
STEP, BATCH, SEGMENT, AGE = 120.0, 240.0, 1200.0, 14400.0
"""Seconds: a batch is 3 cycles, a segment 10, a day 720; 12 segments are kept."""
URGENT = 7
SLOW = 0.002
"""Seconds that each sync takes longer, as on a disk: so there is time to fail between one and what comes after it."""
MEMORY = "/dev/shm"


class Disk:
    """A file system on a loop device that lies in memory."""

    def __init__(self, image: str, mount: str) -> None:
        self.image, self.mount = image, mount

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it; the journal is replayed by that. Raises CalledProcessError."""
        os.makedirs(self.mount, exist_ok=True)
        run("mount", "-t", "ext4", "-o", "loop", self.image, self.mount)
        try:
            yield
        except BaseException:
            # A traceback holds open files.
            run("umount", "-l", self.mount)
            raise
        run("umount", self.mount)  # the loop device goes with it

    def writes(self) -> tuple[str, ...]:
        """Return writes and sectors that are done, and requests that are on the way (Documentation/block/stat)."""
        device = os.stat(self.mount).st_dev
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat", encoding="ascii") as file:
            fields = file.read().split()
        return fields[4], fields[6], fields[8]


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Give a file system that is mounted."""
    if os.geteuid():
        pytest.skip("only root can mount")
    missing = [tool for tool in ("mkfs.ext4", "e2fsck", "mount", "umount") if not shutil.which(tool)]
    if missing or not os.path.isdir(MEMORY):
        pytest.skip(f"there is no {', '.join(missing) or MEMORY}")
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, ExitStack() as stack:
        made = Disk(f"{directory}/image", f"{directory}/mount")
        with open(made.image, "wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", made.image)
        try:
            stack.enter_context(made.mounted())
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop device can be mounted here: {error.stderr.strip()}")
        yield made


class Load:
    """A process that records without a pause, and what it told so far."""

    def __init__(self, directory: str, told: str, *arguments: str) -> None:
        keeping = f"--batch {BATCH} --segment {SEGMENT} --age {AGE} --step {STEP} --urgent {URGENT} --slow {SLOW}"
        command = [sys.executable, CHILD, directory, *keeping.split(), "--summary", "--wait", *arguments]
        self._told = told
        with open(told, "wb") as file:
            self._running = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment())

    def told(self, what: str) -> int:
        """Return how far it is."""
        with open(self._told, "rb") as file:
            file.seek(max(os.path.getsize(self._told) - 4096, 0))
            *whole, _ = file.read().decode().split("\n")
        return max((int(line.split()[1]) for line in whole if line.startswith(what)), default=0)

    def reach(self, what: str, seq: int) -> None:
        """Wait until it is so far."""
        while self.told(what) < seq:
            with open(self._told, encoding="utf-8") as file:
                assert self._running.poll() is None, file.read()
            time.sleep(0.001)

    def complaints(self) -> list[str]:
        """Return what else it said."""
        with open(self._told, encoding="utf-8") as file:
            return [line for line in file if not line.startswith(("published ", "synced "))]

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Stop it meanwhile: it is the load on the disk, and none on the checks."""
        self._running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._running.kill()
        self._running.wait()


@contextmanager
def load(disk: Disk, *arguments: str) -> Iterator[Load]:
    running = Load(disk.mount, f"{disk.image}.told", *arguments)
    try:
        yield running
    finally:
        running.end()


class Lost(NamedTuple):
    """What the power left when it failed."""

    directory: str
    synced: int
    """The last sample of which it was told, before, that it is on disk."""


def copied(disk: Disk, running: Load) -> tuple[bytearray, int]:
    """Return what would be left if the power failed now, and what was told before to be synced.

    That is what the loop device was given: it writes to the pages of the image, which lies in memory, and has no
    others; what the file system still holds back is not there. What was copied while something was written is thrown
    away: it could hold a later write without an earlier one, as no disk does that obeys. So the power fails between
    writes, and not in one: to outlive that is up to the file system.
    """
    copy = bytearray(SIZE)
    with (
        open(disk.image, "rb") as image,
        mmap(image.fileno(), SIZE, MAP_SHARED | MAP_POPULATE, PROT_READ) as pages,
        memoryview(copy) as into,
    ):
        into[:] = pages  # the first time takes long
        while True:
            synced, before = running.told("synced"), disk.writes()
            into[:] = pages
            if disk.writes() == before and before[-1] == "0":
                return copy, synced


@contextmanager
def power_loss(disk: Disk, running: Load) -> Iterator[Lost]:
    """Give what is left, mounted; at the end it is a file system without faults."""
    copy, synced = copied(disk, running)
    # Each has names of its own: somebody's new mount namespace keeps the one before, and the kernel would give that.
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        left = Disk(f"{directory}/image", f"{directory}/mount")
        with open(left.image, "wb") as file:
            file.write(copy)
        with left.mounted():
            yield Lost(left.mount, synced)
            run("mount", "-o", "remount,ro", left.mount)
        run("e2fsck", "-fn", left.image)


class Story:
    """What happened, worked out once more."""

    def __init__(self) -> None:
        self._going_on = story(Machine(), URGENT, STEP)
        self._cycles: list[Cycle] = []

    def cycles(self, first: int, last: int) -> list[Cycle]:
        """Return the cycles of these numbers; those before are forgotten but for one."""
        while not self._cycles or self._cycles[-1].snapshot.seq < last:
            self._cycles.append(next(self._going_on))
        del self._cycles[: max(first - 1 - self._cycles[0].snapshot.seq, 0)]
        start = self._cycles[0].snapshot.seq
        return self._cycles[first - start : last - start + 1]


def told_of(cycles: list[Cycle]) -> list[Event]:
    return plain(event for cycle in cycles for event in cycle.events)


def readable(directory: str) -> None:
    """Check that each file gives all its whole lines, and that compressed ones have no others."""
    for day in recording.days(directory):
        for name in os.listdir(f"{directory}/{day}"):
            path = f"{directory}/{day}/{name}"
            with open(path, "rb") as file:
                content = file.read()
            faults: list[Fault] = []
            found = [event.name for _, event in recording.events(path, faults.append)]
            if name.endswith(CLOSED):
                content = gzip.decompress(content)
                assert (content[-1:], found[:1], faults) == (b"\n", [protocol.HISTORY], []), path
            elif not name.endswith(PLAIN):
                assert name.endswith(".tmp")
                continue
            assert len(found) == content.count(b"\n"), (path, faults)
            assert [fault.reason for fault in faults] in ([], ["the last line is torn"])


def check(lost: Lost, script: Story) -> list[Event]:
    """Check that all is there that was synced, but for what is too old, and nothing but what was published."""
    readable(lost.directory)
    found = read(lost.directory, lambda _: None)
    assert found
    first, last = found[0].seq, found[-1].seq
    assert last >= lost.synced
    cycles = script.cycles(max(first - 1, 1), last)
    if first > 1:
        removed = cycles.pop(0)
        # What is removed may go while the batch is written that tells how late it is.
        assert removed.snapshot.instant.time < found[-1].instant.time + STEP - AGE + SEGMENT
    assert found == told_of(cycles)[: len(found)]
    assert len(found) >= len(told_of([cycle for cycle in cycles if cycle.snapshot.seq <= lost.synced]))
    return found


async def goes_on(directory: str, script: Story, found: list[Event]) -> None:
    """Check that a start on what is left puts it in order, records on, and leaves what can be replayed."""
    made = Recording(directory)
    made.machine = Machine(time=found[-1].instant.time + 1000, boot_id="boot-2")
    made.machine.seq = 2 * found[-1].seq
    try:
        await made.write(protocol.RUNTIME_STARTED)
        await made.write()
    finally:
        await made.recorder.close()
    files = [name for day in recording.days(directory) for name in os.listdir(f"{directory}/{day}")]
    assert sum(name.endswith(CLOSED) for name in files) == len(files) - 1 == len(segments(directory)) - 1
    assert read(directory) == found + made.events
    whole = script.cycles(found[0].seq, found[-1].seq)[:-1] + made.cycles
    then = replayed(directory, FAMILIES)
    assert {cycle.snapshot.seq: known(cycle.snapshot) for cycle in whole} == {
        cycle.snapshot.seq: then[cycle.snapshot.seq] for cycle in whole
    }


@pytest.mark.timeout(60 + 10 * LOSSES)
def test_after_a_power_loss_at_any_moment_all_that_was_synced_is_there_and_the_next_start_goes_on(disk):
    chance, script, moment = random.Random(LOSSES), Story(), 0
    with load(disk) as running:
        for _ in range(LOSSES):
            moment = max(moment, running.told("published")) + chance.randrange(1, FARTHEST)
            running.reach("published", moment)
            with power_loss(disk, running) as lost, running.resting():
                found = check(lost, script)
                asyncio.run(goes_on(lost.directory, script, found))
                assert not running.complaints()


def test_without_syncs_what_was_told_to_be_on_disk_is_missing_and_that_is_found(disk):
    with load(disk, "--unsynced") as running:
        running.reach("synced", 100)
        with power_loss(disk, running) as lost:
            assert lost.synced not in {event.seq for event in read(lost.directory, lambda _: None)}
            with pytest.raises(AssertionError):
                check(lost, Story())
