"""The recorder on real files: what is put in can be read back, whatever disk, clock and power do."""

import asyncio
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from lively import Machine as Living
from record_child import FAMILIES, START, Machine, no_summary

from healthd import observe, protocol, recording
from healthd.clock import Instant
from healthd.description import opening
from healthd.errors import RecordingTaken
from healthd.events import decode, encode
from healthd.health.judge import Judge
from healthd.model import Account, Cycle, Event, Family, Kind, Snapshot
from healthd.observe import Runner
from healthd.pipeline import Pipeline
from healthd.publish import jsonl
from healthd.publish.jsonl import Keeping, Recorder
from healthd.recording import Fault, segments
from healthd.replay import ordered
from healthd.rewind import Rewind
from healthd.state.history import History
from healthd.state.store import Store
from healthd.worker import Worker

CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "record_child.py")
KILLS = int(os.environ.get("HEALTHD_TEST_KILLS", "10"))
"""How often a recorder is killed."""
ROOMY = Keeping(segment=600.0, min_free=0)
EAGER = Keeping(segment=600.0, batch=0.0, min_free=0)


class Recording:
    """A recorder at work, and what it was given."""

    def __init__(self, directory, keeping: Keeping = ROOMY, summary: Callable[[str], bytes] = no_summary) -> None:
        self.directory = str(directory)
        self.worker = Worker("record")
        self.recorder = Recorder(self.directory, keeping, self.worker, self.worker, summary)
        self.machine = Machine()
        self.cycles: list[Cycle] = []

    def publish(self, *names: str, **how: Any) -> Cycle:
        """Publish the next cycle of the machine."""
        self.cycles.append(self.machine.cycle(*names, **how))
        self.recorder.publish(self.cycles[-1])
        return self.cycles[-1]

    async def idle(self) -> None:
        """Wait until the thread has nothing to do."""
        while self.worker.waiting or self.recorder._tidying:  # noqa: ASYNC110  # a condition, and no time
            await asyncio.sleep(0.001)

    async def write(self, *names: str, **how: Any) -> Cycle:
        """Publish a cycle, and wait until it is where it goes."""
        cycle = self.publish(*names, **how)
        await self.idle()
        return cycle

    @property
    def events(self) -> list[Event]:
        return plain(event for cycle in self.cycles for event in cycle.events)

    def names(self) -> list[str]:
        return [os.path.relpath(segment.path, self.directory) for segment in segments(self.directory)]


def plain(events: Iterable[Event]) -> list[Event]:
    """Return events as they are after they were lines."""
    return [decode(encode(event)) for event in events]


def no_fault(fault: Fault) -> None:
    pytest.fail(str(fault))


def read(directory, report: Callable[[Fault], None] = no_fault) -> list[Event]:
    """Return what was recorded, but for what files open with."""
    extra = (protocol.SNAPSHOT, protocol.HISTORY)
    found = ordered(segments(str(directory)))
    return [event for one in found for _, event in recording.events(one.path, report) if event.name not in extra]


def heads(directory) -> list[Event]:
    """Return the first event of each segment."""
    return [next(event for _, event in recording.events(one.path, no_fault)) for one in segments(str(directory))]


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a loop of its own, which takes no fault lightly."""

    async def watched(**arguments: Any) -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await test(**arguments)
        assert not faults

    def run(**arguments: Any) -> None:
        asyncio.run(watched(**arguments))

    run.__name__ = test.__name__
    run.__signature__ = __import__("inspect").signature(test)
    return run


@pytest.fixture(autouse=True)
def _debug(caplog):
    caplog.set_level(logging.DEBUG, "healthd.publish")


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# What is put in can be read back


@asynchronous
async def test_what_was_put_in_is_read_back_over_segments_open_and_closed(tmp_path):
    made = Recording(tmp_path, Keeping(batch=60.0, segment=600.0, min_free=0), lambda _: b"")
    for number in range(400):
        await made.write(*([protocol.HEALTH_TRANSITION] if number % 30 == 7 else []), quiet=number % 9 == 8)
    await made.recorder.close()
    assert made.names() == [
        f"2026-01-01/12-{at}" for at in ("00-00.jsonl.gz", "10-00.jsonl.gz", "20-00.jsonl.gz", "30-00.jsonl")
    ]
    assert read(tmp_path) == made.events
    assert made.recorder.account() == Account(None, 0)
    assert made.recorder.synced == made.events[-1].seq


@asynchronous
async def test_each_segment_opens_with_what_was_known_before_the_events_that_follow(tmp_path):
    made = Recording(tmp_path, EAGER)
    for _ in range(250):
        await made.write()
    first = [made.cycles[0], made.cycles[120], made.cycles[240]]
    assert heads(tmp_path) == plain(opening(cycle) for cycle in first)


def known(snapshot: Snapshot) -> dict[tuple[str, str], Any]:
    """Return availability and accepted values, but for counters, of all that is known."""
    return {
        (name, instance): (
            entry.status.available,
            entry.status.problem,
            {
                metric.name: repr(getattr(entry.reading, metric.name))
                for metric in type(entry.reading).metrics
                if metric.kind is not Kind.COUNTER and not metric.live
            },
        )
        for name, entries in snapshot.entries.items()
        for instance, entry in entries.items()
    }


def replayed(directory, families: Sequence[Family]) -> dict[int, Any]:
    """Return what is known at each sample of a recording."""
    store = Store()
    samples = Rewind(families).samples(ordered(segments(str(directory))), no_fault)
    return {sample.seq: known(store.accept(sample)) for sample in samples}


@asynchronous
async def test_a_replay_knows_at_each_sample_what_was_known_then(tmp_path):
    made = Recording(tmp_path)
    for number in range(300):
        await made.write(quiet=number % 9 == 8)
    await made.recorder.close()
    assert replayed(tmp_path, FAMILIES) == {cycle.snapshot.seq: known(cycle.snapshot) for cycle in made.cycles}


@asynchronous
async def test_a_replay_of_every_family_knows_what_was_known(tmp_path):
    collectors = observe.collectors()
    worker, shelf = Worker("record"), []
    recorder = Recorder(str(tmp_path), Keeping(batch=10.0, segment=20.0, min_free=0), worker, worker, no_summary)

    class Shelf:
        name = "shelf"

        def publish(self, cycle: Cycle) -> None:
            shelf.append(cycle)

        def account(self) -> Account:
            return Account()

    class Script:
        passed = 0.0

        def now(self) -> Instant:
            self.passed += 5.0
            return Instant(START + self.passed, 100.0 + self.passed, 0.0)

    machine = Living("server-64", str(tmp_path / "machine"))
    runner = Runner(collectors, machine.roots, 5.0, Script())
    pipeline = Pipeline(runner, Store(), Judge(()), History(), [recorder, Shelf()])
    for _ in range(10):
        await pipeline.cycle()
        machine.live()
    await recorder.close()
    assert read(tmp_path) == plain(event for cycle in shelf for event in cycle.events)
    assert len(segments(str(tmp_path))) == 3
    then = replayed(tmp_path, observe.families(collectors))
    snapshots = {cycle.snapshot.seq: known(cycle.snapshot) for cycle in shelf}
    assert len(then) > 5
    assert then == {seq: snapshots[seq] for seq in then}
    assert len(then[max(then)]) > 10


# When what is written


@asynchronous
async def test_samples_wait_in_memory_until_the_batch_is_due(tmp_path):
    made = Recording(tmp_path, Keeping(batch=300.0, min_free=0))
    for _ in range(60):
        await made.write()
        assert plain(made.recorder.unwritten()) == made.events
    assert made.names() == []
    assert made.recorder.written == made.recorder.synced == 0
    await made.write()
    assert made.recorder.unwritten() == []
    assert read(tmp_path) == made.events
    assert made.recorder.synced == 61
    assert made.recorder.written == (tmp_path / "2026-01-01/12-00-00.jsonl").stat().st_size


@asynchronous
async def test_what_is_urgent_is_on_disk_at_once_behind_all_before_it(tmp_path):
    for name in (
        protocol.RUNTIME_GAP,
        protocol.RUNTIME_STOPPED,
        protocol.HEALTH_TRANSITION,
        protocol.HEALTH_ACKNOWLEDGED,
    ):
        made = Recording(tmp_path / name)
        for _ in range(5):
            await made.write()
        await made.write(name)
        assert made.recorder.synced == 6
        assert read(tmp_path / name) == made.events
        await made.recorder.close()


@asynchronous
async def test_so_much_that_it_should_not_wait_is_written_before_it_is_due(tmp_path):
    made = Recording(tmp_path)
    made.machine = Machine(width=2000)
    until = 0
    while not made.names():
        await made.write()
        until += 1
        assert until < 10
    assert (tmp_path / "2026-01-01/12-00-00.jsonl").stat().st_size > jsonl.LARGEST


@asynchronous
async def test_a_machine_on_which_nothing_happens_costs_nothing(tmp_path):
    made = Recording(tmp_path)
    await made.write()
    for _ in range(250):
        await made.write(quiet=True)
    await made.recorder.close()
    (segment,) = segments(str(tmp_path))
    assert sum(1 for _ in recording.lines(segment.path, no_fault)) == 1 + len(made.events)


@asynchronous
async def test_a_cycle_told_again_without_events_costs_nothing(tmp_path):
    made = Recording(tmp_path, EAGER)
    cycle = await made.write()
    written = made.recorder.written
    made.recorder.publish(Cycle(cycle.snapshot, cycle.snapshot, ()))
    assert made.worker.waiting == 0
    assert made.recorder.written == written


@asynchronous
async def test_what_happens_between_cycles_is_recorded_with_the_one_before(tmp_path):
    made = Recording(tmp_path)
    cycle = await made.write(protocol.RUNTIME_STARTED)
    stopped = cycle.events[0]._replace(name=protocol.RUNTIME_STOPPED)
    made.recorder.publish(Cycle(cycle.snapshot, cycle.snapshot, (stopped,)))
    await made.recorder.close()
    assert read(tmp_path) == [*made.events, *plain([stopped])]


@asynchronous
async def test_the_first_line_of_a_batch_leaves_out_no_more_than_the_boot_as_a_segment_may_begin_there(tmp_path):
    made = Recording(tmp_path, EAGER)
    for _ in range(3):
        await made.write()
    (segment,) = segments(str(tmp_path))
    complete = [b'"seq"' in line for _, line in recording.lines(segment.path, no_fault)]
    assert complete == [
        True,
        *(first is event for cycle in made.cycles for first in cycle.events[:1] for event in cycle.events),
    ]


@asynchronous
async def test_a_clock_that_steps_back_and_forth_opens_segments_and_confuses_none(tmp_path):
    made = Recording(tmp_path, Keeping(batch=0.0, max_age=1e9, min_free=0))
    year = 365 * 86400.0
    steps = {10: -3600.0, 15: 3600.0, 20: -700.0, 25: year, 30: -year, 35: 700.0}
    for number in range(40):
        await made.write(stepped=steps.get(number, 0.0))
    await made.recorder.close()
    assert made.names() == [
        "2026-01-01/11-00-50.jsonl.gz",
        "2026-01-01/11-50-00.jsonl.gz",
        "2026-01-01/11-50-50.jsonl.gz",
        "2026-01-01/12-00-00.jsonl.gz",
        "2026-01-01/12-01-15.jsonl.gz",
        "2026-01-01/12-02-55.jsonl",
        "2027-01-01/11-50-25.jsonl.gz",
    ]
    assert read(tmp_path) == made.events
    assert replayed(tmp_path, FAMILIES) == {cycle.snapshot.seq: known(cycle.snapshot) for cycle in made.cycles}


@asynchronous
async def test_where_nothing_holds_of_what_was_known_a_segment_opens(tmp_path):
    made = Recording(tmp_path, EAGER)
    await made.write()
    made.machine = Machine(time=START + 7, boot_id="boot-2")
    await made.write()
    assert made.names() == ["2026-01-01/12-00-00.jsonl.gz", "2026-01-01/12-00-07.jsonl"]
    assert [head.data["readings"] for head in heads(tmp_path)] == [{}, {}]
    assert {event.boot_id for event in read(tmp_path)} == {"boot-1", "boot-2"}


@asynchronous
async def test_what_can_not_be_written_as_json_is_lost_and_a_segment_opens_after_it(tmp_path):
    made = Recording(tmp_path, EAGER)
    await made.write()
    bad = made.machine.cycle()
    with pytest.raises(TypeError, match="JSON"):
        made.recorder.publish(bad._replace(events=(bad.events[0]._replace(data={"x": b""}),)))
    assert made.recorder.lost == 1
    after = await made.write()
    assert heads(tmp_path)[1:] == plain([opening(after)])
    assert read(tmp_path) == made.events


@asynchronous
async def test_a_batch_waits_for_no_more_than_one_file_to_be_put_in_order(tmp_path):
    day = tmp_path / "2025-01-01"
    day.mkdir()
    for number in range(5):
        (day / f"00-00-0{number}.jsonl").write_text("x\n")
    begun, go_on, order = threading.Semaphore(0), threading.Semaphore(0), []

    def summary(path: str) -> bytes:
        begun.release()
        assert go_on.acquire(timeout=20.0)
        order.append((path, made.recorder._writer.written))
        return b""

    made = Recording(tmp_path, Keeping(min_free=0, max_age=1e9), summary)
    made.publish(protocol.RUNTIME_STARTED)
    for _ in range(5):
        assert await asyncio.to_thread(begun.acquire, timeout=20.0)
        made.publish(protocol.HEALTH_TRANSITION)
        go_on.release()
    await made.idle()
    assert [path for path, _ in order] == [f"{day}/00-00-0{number}.jsonl" for number in range(5)]
    growth = [after - before for (_, before), (_, after) in pairwise(order)]
    assert all(more > 300 for more in growth), "each time a batch was written in between"
    assert read(tmp_path, lambda _: None) == made.events


# A directory that is no good, taken or gone


@asynchronous
async def test_a_directory_that_can_not_be_made_is_a_problem_said_once_and_tried_with_each_batch(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file/recording"
    made = Recording(directory, EAGER)
    for _ in range(3):
        await made.write()
    lost = len(made.events)
    problem = made.recorder.account().problem
    assert problem == (protocol.FAILED, f"{directory} can't be written: Not a directory", "")
    assert made.recorder.account().lost == lost
    assert messages(caplog) == [problem.reason]
    os.unlink(tmp_path / "file")
    for _ in range(3):
        await made.write()
    assert made.recorder.account() == Account(None, lost)
    assert messages(caplog)[1:] == [f"{directory} is recorded to again"]
    assert read(directory) == made.events[lost:]
    assert heads(directory) == plain([opening(made.cycles[3])])
    assert oct(directory.stat().st_mode) == "0o40755"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_of_somebody_else_is_a_problem_of_permission(tmp_path):
    os.makedirs(tmp_path / "theirs", 0o700)
    for directory in (tmp_path, *list(tmp_path.parents)[:-2]):
        os.chmod(directory, 0o755)
    script = f"""
import asyncio, os, sys
os.setuid(65534)
from record_child import *
async def main():
    recorder = Recorder({str(tmp_path / "theirs")!r}, Keeping(), Worker("record"), Worker("tidy"), no_summary)
    print(recorder.account().problem.code, recorder.account().problem.remedy, flush=True)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    if "ModuleNotFound" in done.stderr:
        pytest.skip("the code is where only root reads")
    assert done.stdout == "permission make the user of healthd the owner of the directory\n", done.stderr


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(CHILD), *sys.path])}


def child(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, CHILD, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


@asynchronous
async def test_of_two_on_one_directory_the_second_is_refused(tmp_path):
    made = Recording(tmp_path, EAGER)
    await made.write()
    second = child(str(tmp_path), "--cycles", "1")
    _, errors = second.communicate()
    assert second.returncode != 0
    assert errors.endswith(
        f"RecordingTaken: {tmp_path} is recorded to by another healthd: stop it, or use another directory\n"
    )
    await made.recorder.close()
    third = child(str(tmp_path), "--cycles", "1")
    assert third.communicate() == ("published 1\nsynced 1\n", "")


@pytest.mark.parametrize("how", ["removed", "moved away"])
@asynchronous
async def test_a_directory_that_goes_is_made_again_held_again_and_nothing_is_lost(tmp_path, how):
    directory = tmp_path / "recording"
    made = Recording(directory)
    await made.write(protocol.HEALTH_TRANSITION)
    await made.write()
    before = len(made.events)
    if how == "removed":
        shutil.rmtree(directory)
    else:
        os.rename(directory, tmp_path / "away")
        was = made.cycles[0].events
    await made.write()
    await made.write(protocol.HEALTH_TRANSITION)
    assert made.recorder.account() == Account(None, 0)
    assert heads(directory) == plain([opening(made.cycles[1])])
    assert read(directory) == made.events[len(plain(made.cycles[0].events)) :]
    assert before
    if how == "moved away":
        assert read(tmp_path / "away") == plain(was)
    with pytest.raises(RecordingTaken):
        Recorder(str(directory), ROOMY, made.worker, made.worker, no_summary)


# A disk that is full, read-only or hangs


@pytest.fixture
def disk(tmp_path):
    """Give a file system of 1 MB."""
    point = tmp_path / "disk"
    point.mkdir()
    if os.geteuid():
        pytest.skip("only root can mount")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(point)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def fill(disk, leave: int = 0) -> None:
    """Fill a disk but for some bytes."""
    found = os.statvfs(disk)
    with open(disk / "ballast", "ab") as file:
        file.truncate(file.tell())
        file.write(b"x" * (found.f_bavail * found.f_frsize - leave))


@asynchronous
async def test_a_full_disk_loses_new_records_and_never_old_ones_until_there_is_space(disk, caplog):
    directory = disk / "recording"
    made = Recording(directory, EAGER)
    made.machine = Machine(width=20)
    for _ in range(5):
        await made.write()
    kept = len(made.events)
    fill(disk, leave=4096)
    while not made.recorder.lost:
        kept = len(made.events)
        await made.write()
    for _ in range(5):
        await made.write()
    lost = len(made.events) - kept
    assert made.recorder.account() == Account(
        (protocol.FAILED, f"{directory} can't be written: No space left on device", "make space on that disk"), lost
    )
    assert read(directory) == made.events[:kept]
    os.unlink(disk / "ballast")
    resumed = len(made.cycles)
    for _ in range(5):
        await made.write()
    assert made.recorder.account() == Account(None, lost)
    assert read(directory) == made.events[:kept] + made.events[kept + lost :]
    assert heads(directory)[1:] == plain([opening(made.cycles[resumed])])
    said = [text for text in messages(caplog) if "stays as it is" not in text]
    assert said == [
        f"{directory} can't be written: No space left on device (make space on that disk)",
        f"{directory} is recorded to again",
    ]
    await made.recorder.close()


@asynchronous
async def test_a_batch_that_fits_only_in_part_leaves_no_part(disk):
    directory = disk / "recording"
    made = Recording(directory, EAGER)
    await made.write()
    fill(disk, leave=8192)
    made.machine = Machine(time=START + 1000, width=1000)
    await made.write()
    assert made.recorder.lost == len(made.cycles[-1].events)
    assert made.names() == ["2026-01-01/12-00-00.jsonl"] or made.names() == ["2026-01-01/12-00-00.jsonl.gz"]
    assert read(directory) == plain(made.cycles[0].events)
    assert sum(len(files) for _, _, files in os.walk(directory)) == 1


@asynchronous
async def test_what_can_not_be_compressed_on_a_full_disk_stays_and_is_compressed_later(disk):
    def fill_it(_: str) -> bytes:
        if not os.path.exists(disk / "ballast"):
            fill(disk)
        return b'{"time":"2026-01-01T12:00:00.000Z","name":"history","data":{},"boot_id":"","since_boot":0,"seq":0}\n'

    made = Recording(disk / "recording", EAGER, fill_it)
    await made.write()
    await made.write(passed=600.0)
    assert made.names()[0] == "2026-01-01/12-00-00.jsonl"
    assert sum(len(files) for _, _, files in os.walk(disk / "recording")) == 2, "nothing half made is left"
    found = read(disk / "recording")
    assert found == made.events[: len(found)]
    assert len(found) >= len(made.cycles[0].events)
    os.truncate(disk / "ballast", 0)
    await made.write(passed=600.0)
    await made.write(passed=600.0)
    assert made.names()[0] == "2026-01-01/12-00-00.jsonl.gz"
    assert read(disk / "recording") == made.events
    await made.recorder.close()


@asynchronous
async def test_below_the_floor_nothing_is_written_until_there_is_more(disk, caplog):
    directory = disk / "recording"
    made = Recording(directory, Keeping(batch=0.0, min_free=500_000))
    await made.write()
    fill(disk, leave=490_000)
    for _ in range(3):
        await made.write()
    kept = len(made.cycles[0].events)
    lost = len(made.events) - kept
    problem, counted = made.recorder.account()
    assert counted == lost
    assert problem.reason == "the disk has less than 500 kB free: nothing is recorded until there is more"
    assert read(directory) == made.events[:kept]
    os.unlink(disk / "ballast")
    await made.write()
    assert made.recorder.account() == Account(None, lost)
    assert read(directory) == made.events[:kept] + plain(made.cycles[-1].events)
    assert len(messages(caplog)) == 2
    await made.recorder.close()


def remount(disk, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@asynchronous
async def test_a_disk_that_turns_read_only_is_a_problem_until_it_is_writable_again(disk):
    directory = disk / "recording"
    made = Recording(directory, EAGER)
    await made.write()
    await made.recorder.close()
    remount(disk, "ro")
    again = Recording(directory, EAGER)
    again.machine = made.machine
    await again.write()
    problem, lost = again.recorder.account()
    assert problem.reason == f"{directory} can't be written: Read-only file system"
    assert problem.remedy.startswith("mount it writable")
    assert lost == len(again.events)
    remount(disk, "rw")
    await again.write()
    assert again.recorder.account() == Account(None, lost)
    assert read(directory) == made.events + again.events[lost:]
    await again.recorder.close()


@asynchronous
async def test_a_disk_that_hangs_takes_no_memory_without_bound_and_what_is_lost_is_counted(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(jsonl, "MOST", 1 << 20)
    made, released = Recording(tmp_path), threading.Event()
    made.machine = Machine(width=2000)
    await made.write()
    made.worker.submit(released.wait)
    while not made.recorder.lost:
        made.publish()
        waiting = made.recorder.unwritten()
        assert waiting
        assert made.recorder._outstanding <= jsonl.MOST
    room = asyncio.ensure_future(made.recorder.room())
    for _ in range(5):
        made.publish()
    assert not room.done()
    assert [text for text in messages(caplog) if "lost" in text] == [
        f"{tmp_path} takes less than there is to be recorded: events are lost"
    ]
    released.set()
    await room
    await made.idle()
    resumed = len(made.cycles)
    for _ in range(20):
        await made.write()
    await made.recorder.close()
    found = read(tmp_path)
    assert len(found) + made.recorder.lost == len(made.events)
    lost = {event.seq for event in made.events} - {event.seq for event in found}
    assert lost
    assert max(lost) <= resumed
    assert found == [event for event in made.events if event.seq not in lost]
    assert len(heads(tmp_path)) == 2
    then = replayed(tmp_path, FAMILIES)
    assert all(then[cycle.snapshot.seq] == known(cycle.snapshot) for cycle in made.cycles[resumed:])


@asynchronous
async def test_many_batches_with_little_in_them_are_too_much_as_well(tmp_path):
    made, released = Recording(tmp_path, EAGER), threading.Event()
    made.worker.submit(released.wait)
    for _ in range(2 * jsonl.MOST // jsonl.HELD):
        made.publish(protocol.HEALTH_TRANSITION)
    assert len(made.recorder._given) < jsonl.MOST / jsonl.HELD
    assert made.recorder.lost > 0
    released.set()
    await made.idle()
    assert len(read(tmp_path)) + made.recorder.lost == len(made.events)


@asynchronous
async def test_there_is_room_while_little_waits(tmp_path):
    made, released = Recording(tmp_path, EAGER), threading.Event()
    made.worker.submit(released.wait)
    await made.recorder.room()
    made.machine = Machine(width=2000)
    while made.recorder._outstanding < jsonl.MOST // 2:
        await made.recorder.room()
        made.publish()
    waiting = asyncio.ensure_future(made.recorder.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    released.set()
    await waiting
    assert made.recorder._outstanding < jsonl.MOST // 2


@asynchronous
async def test_a_disk_that_does_not_answer_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "HANGING", 0.0)
    made, released = Recording(tmp_path, EAGER), threading.Event()
    made.worker.submit(released.wait)
    made.publish()
    assert made.recorder.account().problem.code == protocol.TIMEOUT
    released.set()
    await made.idle()
    assert made.recorder.account().problem is None


# The end


@asynchronous
async def test_the_end_writes_and_syncs_everything_and_the_next_start_closes_the_segment(tmp_path):
    made = Recording(tmp_path)
    for _ in range(7):
        made.publish()
    await made.recorder.close()
    assert made.names() == ["2026-01-01/12-00-00.jsonl"]
    assert made.recorder.synced == 7
    again = Recording(tmp_path)
    again.machine = Machine(time=START + 60, boot_id="boot-2")
    await again.write(protocol.RUNTIME_STARTED)
    assert made.names() == ["2026-01-01/12-00-00.jsonl.gz", "2026-01-01/12-01-00.jsonl"]
    assert read(tmp_path) == made.events + again.events


@asynchronous
async def test_the_end_gives_up_on_a_disk_that_hangs(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(jsonl, "PATIENCE", 0.05)
    made, released = Recording(tmp_path), threading.Event()
    made.worker.submit(released.wait)
    made.publish()
    await made.recorder.close()
    assert made.recorder.lost == len(made.events)
    assert messages(caplog) == [f"{tmp_path} does not answer: {len(made.events)} events are not recorded"]
    released.set()


@asynchronous
async def test_a_recorder_that_was_given_nothing_leaves_nothing(tmp_path):
    made = Recording(tmp_path / "new")
    await made.recorder.close()
    assert os.listdir(tmp_path / "new") == []


BATCH = 4
"""Cycles."""


@pytest.mark.timeout(60 + 5 * KILLS)
def test_killed_at_any_moment_it_loses_no_more_than_a_batch_and_the_next_start_goes_on(tmp_path):
    script = Machine()
    events = plain(
        event
        for cycle in range(3000)
        for event in script.cycle(
            *([protocol.RUNTIME_STARTED] if not cycle else [protocol.HEALTH_TRANSITION] if cycle % 50 == 49 else [])
        ).events
    )
    chance = random.Random(KILLS)
    for number in range(KILLS):
        directory = tmp_path / str(number)
        arguments = ["--batch", "20", "--segment", "120", "--urgent", "50", "--cycles", "3000", "--wait"]
        running = child(str(directory), *arguments)
        told = [running.stdout.readline() for _ in range(chance.randrange(1, 600))]
        running.send_signal(signal.SIGKILL)
        rest, errors = running.communicate()
        assert not errors
        *told, last = [line for line in "".join([*told, rest]).split("\n") if line.startswith(("p", "s"))]
        published = max(int(line.split()[1]) for line in told if line.startswith("published"))
        synced = max([int(line.split()[1]) for line in told if line.startswith("synced")], default=0)
        faults: list[Fault] = []
        found = read(directory, faults.append)
        assert all(fault.reason == "the last line is torn" for fault in faults), faults
        assert len(faults) <= 1
        assert found == events[: len(found)]
        assert found[-1].seq >= max(synced, published - BATCH), (last, faults)
        asyncio.run(started_again(directory, found, published))


async def started_again(directory, found: list[Event], after: int) -> None:
    made = Recording(directory)
    made.machine = Machine(time=START + 5 * after + 3600, boot_id="boot-2")
    await made.write(protocol.RUNTIME_STARTED)
    assert [name.endswith(".gz") for name in made.names()[:-1]] == [True] * (len(made.names()) - 1)
    assert read(directory) == found + made.events
    assert not [name for _, _, names in os.walk(directory) for name in names if name.endswith(".tmp")]
    await made.recorder.close()
