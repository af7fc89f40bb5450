"""What was is answered from memory, and from the recording where memory does not reach."""

import asyncio
import gzip
import itertools
import json
import os
import threading

import pytest
from lively import RULES, Machine, Ticking, record
from test_replay import FAMILIES, NOON, Notes

from healthd import archive, protocol
from healthd.archive import Archive, summary
from healthd.events import decode
from healthd.model import Cycle
from healthd.recording import segments
from healthd.state.history import History, Tier, rows_from
from healthd.worker import Worker

CYCLES = 400


class Remembered(Notes):
    """Notes of a machine, with the history that it had in memory."""

    def __init__(self) -> None:
        super().__init__(cycles=120)
        self.history = History()

    def publish(self, cycle: Cycle) -> None:
        super().publish(cycle)
        self.history.take(cycle.snapshot)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Remembered:
    """Give what a laptop did in half an hour."""
    notes = Remembered()
    root = tmp_path_factory.mktemp("laptop")
    asyncio.run(record(Machine("laptop", str(root)), CYCLES, [notes], Ticking(5.0)))
    return notes


@pytest.fixture
def recording(made, tmp_path) -> str:
    """Give its recording, all but the last segment closed."""
    made.save(tmp_path)
    for segment in segments(str(tmp_path))[:-1]:
        with open(segment.path, "rb") as plain:
            content = gzip.compress(summary(FAMILIES, segment.path)) + gzip.compress(plain.read())
        with open(f"{segment.path}.gz", "wb") as closed:
            closed.write(content)
        os.unlink(segment.path)
    return str(tmp_path)


def ask(directory: str, question: str, *arguments, history: History | None = None, cycles=(), unwritten=list):
    async def answer():
        asked = Archive(history or History(), FAMILIES, Worker("archive"), directory, unwritten)
        for cycle in cycles:
            asked.publish(cycle)
        return await getattr(asked, question)(*arguments)

    return asyncio.run(answer())


def others(notes: Notes) -> list[str]:
    """Return the events that are no samples, as lines."""
    return [
        json.dumps(json.loads(line))
        for cycle in notes.cycles
        for event in cycle.events
        if not (line := archive.encode(event)).count('"name":"system.')
    ]


def told(lines: list[str]) -> list[str]:
    return [json.dumps(json.loads(line)) for line in lines]


EVER = (0.0, 4e9)


def test_events_that_are_no_samples_come_from_the_recording_whole_and_in_order(made, recording):
    lines = ask(recording, "events", *EVER, [], 10_000)
    assert told(lines) == others(made)
    assert len(lines) > 20
    assert all(list(json.loads(line)) == ["time", "name", "data", "boot_id", "since_boot", "seq"] for line in lines)


def test_events_without_a_recording_come_from_memory(made):
    assert told(ask("", "events", *EVER, [], 10_000, cycles=made.cycles)) == others(made)[-archive.RECENT :]
    assert ask("", "events", *EVER, ["system.*"], 10_000, cycles=made.cycles) == []


@pytest.mark.parametrize("directory", [True, False])
def test_the_newest_of_the_range_come_and_no_more_than_were_asked_for(made, recording, directory):
    where = recording if directory else ""
    middle = made.cycles[200].snapshot.instant.time
    early = [line for line in others(made) if decode(line).instant.time <= middle]
    late = [line for line in others(made) if decode(line).instant.time >= middle]
    assert told(ask(where, "events", 0.0, middle, [], 5, cycles=made.cycles)) == early[-5:]
    assert told(ask(where, "events", middle, 4e9, [], 10_000, cycles=made.cycles)) == late
    assert len(late) < archive.RECENT


def test_names_are_exact_or_the_beginning_of_some(made, recording):
    names = ["runtime.*", protocol.COLLECTOR_FAILED]
    wanted = [line for line in others(made) if json.loads(line)["name"] in ("runtime.started", "collector.failed")]
    assert told(ask(recording, "events", *EVER, names, 10_000)) == wanted
    loads = ask(recording, "events", *EVER, ["system.load.updated"], 10_000)
    assert {json.loads(line)["name"] for line in loads} == {"system.load.updated"}
    assert len(loads) > CYCLES / 2
    assert ask(recording, "events", *EVER, ["snapshot", "history"], 10_000) == []


def test_what_is_not_written_yet_and_what_the_disk_lost_is_there_once(made, recording):
    recent = [event for cycle in made.cycles[-100:] for event in cycle.events]
    os.unlink(segments(recording)[-1].path)
    lines = told(ask(recording, "events", *EVER, [], 10_000, cycles=made.cycles, unwritten=lambda: recent))
    assert lines == others(made)


def test_history_is_that_of_memory_where_that_reaches_back(made):
    since, until = made.cycles[300].snapshot.instant.time, made.cycles[399].snapshot.instant.time
    points = ask("", "history", "load.load1", since, until, 1000, history=made.history)
    assert points == made.history.points("load.load1", since, until)
    assert len(points) > 80


def test_history_before_memory_is_that_of_the_recording(made, recording):
    since, until = made.cycles[10].snapshot.instant.time, made.cycles[110].snapshot.instant.time
    assert ask(recording, "history", "load.load1", since, until, 1000) == made.history.points(
        "load.load1", since, until
    )


def test_history_over_a_long_range_is_that_of_the_minutes(made, recording):
    since, until = NOON - 86400, NOON + 86400
    points = ask(recording, "history", "memory.percent", since, until, 10_000)
    assert len(points) == len({point.time for point in points}) > 30
    assert all(point.time % 60 == 0 for point in points)
    exact = made.history.points("memory.percent", made.cycles[0].snapshot.instant.time, until)
    assert min(point.low for point in points) == pytest.approx(min(point.low for point in exact), rel=1e-5)
    assert max(point.high for point in points) == pytest.approx(max(point.high for point in exact), rel=1e-5)


def test_history_of_what_nobody_knows_is_an_error_without_a_recording():
    with pytest.raises(KeyError):
        ask("", "history", "load.load1", 0.0, 1.0, 10)


def test_a_closed_segment_begins_with_its_minutes(made, recording):
    first = segments(recording)[0]
    with gzip.open(first.path) as file:
        event = decode(file.readline())
    assert event.name == protocol.HISTORY
    rows = rows_from(event.data)
    # The clock of that machine ticks at 12:01:40, 12:01:45 and so on.
    assert [row.time for row in rows] == [NOON + 60 * minute for minute in range(1, 12)]
    known = {row.time: row for row in made.history.rows(60)}
    inner = [row for row in rows[:-1] if row.time in known]
    assert len(inner) >= 9
    for row in inner:
        mean = dict(zip(row.columns, row.mean, strict=True))["load.load1"]
        other = known[row.time]
        assert mean == pytest.approx(dict(zip(other.columns, other.mean, strict=True))["load.load1"], rel=1e-5)


def test_a_restart_keeps_the_history(made, recording):
    """What a new healthd knows after it has looked at the recording is what the old one knew."""
    fresh, now = History(), made.cycles[-1].snapshot.instant.time + 1

    async def restore() -> None:
        await Archive(fresh, FAMILIES, Worker("archive"), recording).restore(now)

    asyncio.run(restore())
    for step in (5, 60, 900):
        old = {row.time: row for row in made.history.rows(step)}
        new = {row.time: row for row in fresh.rows(step)}
        assert set(old) <= set(new)
    since = made.cycles[0].snapshot.instant.time
    old, new = (known.points("cpu.busy", since, now) for known in (made.history, fresh))
    assert [point.time for point in new] == [point.time for point in old]
    assert [point.mean for point in new] == pytest.approx([point.mean for point in old], rel=1e-5)


def test_tiers_may_be_other_ones(recording):
    fresh = History((Tier(10, 600), Tier(300, 86400)))

    async def restore() -> None:
        await Archive(fresh, FAMILIES, Worker("archive"), recording).restore(NOON + 100 + 5 * CYCLES)

    asyncio.run(restore())
    assert len(fresh.rows(10)) == pytest.approx(60, abs=2)
    assert len(fresh.rows(300)) == pytest.approx(CYCLES / 60, abs=2)


def test_a_directory_that_is_gone_costs_the_restart_nothing(tmp_path, caplog):
    ask(f"{tmp_path}/none", "restore", NOON)
    assert "the history before this start can't be read" in caplog.text


def test_a_file_that_is_torn_or_foreign_costs_only_itself(made, recording):
    broken = segments(recording)[1].path
    with open(broken, "r+b") as file:
        file.truncate(os.path.getsize(broken) // 2)
    with open(f"{recording}/2026-01-01/00-00-00.jsonl", "w") as file:
        file.write("hello\n")
    lines = told(ask(recording, "events", *EVER, [], 10_000))
    assert 10 < len(lines) < len(others(made))
    assert set(lines) < set(others(made))


@pytest.mark.parametrize("minutes", [20, 30])
def test_what_is_not_on_disk_yet_is_not_missed_where_the_disk_is_asked_for_more(made, recording, minutes):
    """Memory has minutes, the disk has each sample but the last ones."""
    memory = History((Tier(60, 86400),))
    for cycle in made.cycles:
        memory.take(cycle.snapshot)
    os.unlink(segments(recording)[-1].path)
    now = made.cycles[-1].snapshot.instant.time
    points = ask(recording, "history", "cpu.busy", now - minutes * 60, now, 1000, history=memory)
    assert now - points[-1].time < 65
    assert all(after.time - before.time <= 65 for before, after in itertools.pairwise(points))
    times = [point.time for point in points]
    assert times == sorted(set(times))


def test_where_memory_takes_over_from_the_disk_nothing_is_told_twice(made, recording):
    memory = History()
    for cycle in made.cycles[200:]:
        memory.take(cycle.snapshot)
    points = ask(recording, "history", "load.load1", NOON - 86400, NOON + 86400, 10_000, history=memory)
    times = [point.time for point in points]
    assert times == sorted(set(times))
    spans = [(point.time, point.time + (60 if point.time % 60 == 0 else 5)) for point in points]
    minutes = [span for span in spans if span[1] - span[0] == 60 and span[0] < memory.rows(5)[0].time]
    assert all(not start <= other < end for start, end in minutes for other in times if other != start)


def test_a_history_that_can_not_be_read_is_said_and_ends_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(archive, "_pieces", lambda *_: 1 // 0)
    ask(str(tmp_path), "restore", NOON)
    assert "the history before this start can't be read" in caplog.text


def test_what_was_judged_is_judged_again_from_the_segment_that_was_left_open(made, recording):
    states = ask(recording, "judged", RULES)
    last = made.cycles[-1].snapshot.health
    assert json.dumps(states) == json.dumps(last.remembered.data())
    assert ask(f"{recording}/nowhere", "judged", RULES) is None


def test_a_disk_that_hangs_delays_the_start_by_no_more_than_its_patience(recording, monkeypatch, caplog):
    answer = threading.Event()
    monkeypatch.setattr(archive, "PATIENCE", 0.05)
    monkeypatch.setattr(archive, "_judged", lambda *_: answer.wait(60))
    assert ask(recording, "judged", RULES) is None
    answer.set()
    assert "what was judged before this start can't be read: the disk does not answer" in caplog.text
