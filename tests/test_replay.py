"""A recording in place of a machine: the same cycles, and again the same recording."""

import asyncio
import json
import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lively import MACHINES, RULES, Machine, Ticking, record

from healthd import observe, protocol
from healthd.description import opening
from healthd.errors import BadRecording, NoRecording
from healthd.events import encode
from healthd.health.judge import Judge
from healthd.health.rule import Rule
from healthd.model import Account, Cycle, Event, Snapshot
from healthd.pipeline import Pipeline
from healthd.recording import Fault, segments, stem
from healthd.replay import Replay, ordered
from healthd.rewind import Rewind
from healthd.state.history import History
from healthd.state.store import Store

FAMILIES = observe.families(observe.collectors())
NOON = 1767268800.0


class Notes:
    """A publisher that keeps the cycles, and writes them down as a recorder does, in segments of some cycles."""

    name = "notes"

    def __init__(self, cycles: int = 20) -> None:
        self.cycles: list[Cycle] = []
        self.segments: list[list[str]] = []
        self.names: list[str] = []
        self._length = cycles
        self._last: Event | None = None

    def publish(self, cycle: Cycle) -> None:
        if cycle.before is None or cycle.snapshot.seq % self._length == 0 or not self.segments:
            first = opening(cycle)
            self.segments.append([encode(first)])
            self.names.append(stem(cycle.snapshot.instant.time))
            self._last = first
        for event in cycle.events:
            self.segments[-1].append(encode(event, self._last))
            self._last = event
        self.cycles.append(cycle)

    def account(self) -> Account:
        return Account()

    def save(self, directory) -> str:
        for name, lines in zip(self.names, self.segments, strict=True):
            path = f"{directory}/{name}.jsonl"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        return str(directory)


async def played(directory: str, notes: Notes, rules: Sequence[Rule] = RULES, **options: float) -> Replay:
    """Replay a recording at full speed."""
    replay = Replay(directory, FAMILIES, speed=float("inf"), **options)
    pipeline = Pipeline(replay, Store(), Judge(rules), History(), [notes])
    async for _ in replay.ticks():
        await pipeline.cycle()
    return replay


def told(snapshot: Snapshot) -> object:
    """Return what is known, but for what only the machine itself can tell: counters, durations and the like."""
    return {
        name: {
            instance: (
                [getattr(entry.reading, metric.name) for metric in type(entry.reading).metrics if not metric.live],
                entry.status.available,
                entry.status.problem,
            )
            for instance, entry in sorted(entries.items())
        }
        for name, entries in sorted(snapshot.entries.items())
        if entries
    }


@pytest.mark.parametrize("name", MACHINES)
def test_a_replay_knows_at_each_sample_what_the_machine_knew(name, tmp_path):
    made, again = Notes(), Notes()
    asyncio.run(record(Machine(name, str(tmp_path / "machine")), 60, [made], Ticking(5.0)))
    asyncio.run(played(made.save(tmp_path / "recording"), again))
    assert [cycle.snapshot.seq for cycle in again.cycles] == [cycle.snapshot.seq for cycle in made.cycles]
    for old, new in zip(made.cycles, again.cycles, strict=True):
        assert told(new.snapshot) == told(old.snapshot)
        assert new.snapshot.health == old.snapshot.health
        assert new.snapshot.instant[:2] == pytest.approx(old.snapshot.instant[:2], abs=0.05)
        assert new.events == tuple(event for event in old.events)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_that_lives_goes_through_many_transitions(name, tmp_path):
    made = Notes()
    asyncio.run(record(Machine(name, str(tmp_path / "machine")), 60, [made], Ticking(5.0)))
    rules = [event.data["condition"] for cycle in made.cycles for event in cycle.events if "transition" in event.name]
    assert len(rules) > 10
    assert {"loaded", "mean", "changes", "filling"} <= set(rules)


@pytest.mark.parametrize("name", MACHINES)
def test_the_recording_of_a_replay_is_that_recording(name, tmp_path):
    made, again = Notes(), Notes()
    asyncio.run(record(Machine(name, str(tmp_path / "machine"), seed=7), 60, [made], Ticking(5.0)))
    asyncio.run(played(made.save(tmp_path / "recording"), again))
    assert again.segments == made.segments


def test_a_replay_begins_at_a_time_with_everything_known_and_ends_at_another(tmp_path):
    made, again = Notes(), Notes()
    asyncio.run(record(Machine("laptop", str(tmp_path / "machine")), 60, [made], Ticking(5.0)))
    times = [cycle.snapshot.instant.time for cycle in made.cycles]
    directory = made.save(tmp_path / "recording")
    asyncio.run(played(directory, again, since=times[33], until=times[44]))
    assert [cycle.snapshot.seq for cycle in again.cycles] == list(range(34, 46))
    assert [told(cycle.snapshot) for cycle in again.cycles] == [told(cycle.snapshot) for cycle in made.cycles[33:45]]
    assert again.cycles[0].events == made.cycles[33].events, "before that, all was taken in silently"


def test_a_recording_whose_beginning_was_deleted_is_replayed_from_its_first_snapshot(tmp_path):
    made, again = Notes(), Notes()
    asyncio.run(record(Machine("raspberry-pi-4", str(tmp_path / "machine")), 60, [made], Ticking(5.0)))
    whole = made.segments
    made.segments, made.names = whole[1:], made.names[1:]
    replay = asyncio.run(played(made.save(tmp_path / "recording"), again))
    replay.check()
    assert again.segments == whole[1:]
    assert [told(cycle.snapshot) for cycle in again.cycles] == [told(cycle.snapshot) for cycle in made.cycles[19:]]


def test_a_start_in_between_is_a_start_again(tmp_path):
    made, again = Notes(), Notes()
    asyncio.run(record(Machine("laptop", str(tmp_path / "1")), 30, [made], Ticking(5.0)))
    asyncio.run(record(Machine("laptop", str(tmp_path / "2"), seed=1), 30, [made], Ticking(5.0, 1100.0)))
    asyncio.run(played(made.save(tmp_path / "recording"), again))
    assert again.segments == made.segments
    assert [cycle.before is None for cycle in again.cycles] == [number in (0, 30) for number in range(60)]


def test_a_machine_that_was_suspended_is_replayed_with_the_gap(tmp_path):
    made, again, clock = Notes(), Notes(), Ticking(5.0)
    machine = Machine("laptop", str(tmp_path / "machine"))

    class Sleepy(Machine):
        def live(self):
            machine.live()
            if len(made.cycles) == 10:
                clock.sleep(3600.0)

    sleepy = Sleepy("laptop", str(tmp_path / "other"))
    sleepy._root = machine._root
    asyncio.run(record(sleepy, 20, [made], clock))
    gaps = [event for cycle in made.cycles for event in cycle.events if event.name == protocol.RUNTIME_GAP]
    assert [gap.data for gap in gaps] == [{"reason": "suspend", "seconds": 3600.0}]
    asyncio.run(played(made.save(tmp_path / "recording"), again))
    assert again.segments == made.segments


def test_silent_cycles_are_made_up_for_at_their_times(tmp_path):
    lines = [
        (
            '{"time":"2026-01-01T12:00:00.001Z","name":"snapshot","data":{"schema":1,"interval":5.0,"readings":{},'
            '"unavailable":{}},"boot_id":"b","since_boot":100.001,"seq":0}'
        ),
        (
            '{"time":"2026-01-01T12:00:00.001Z","name":"system.load.updated","data":{"load1":0.1,"load5":0.1,"load15":0.1},'
            '"since_boot":100.001,"seq":1}'
        ),
        '{"time":"2026-01-01T12:00:20.003Z","name":"system.load.updated","data":{"load1":0.2},"since_boot":120.003,"seq":5}',
        '{"time":"2026-01-01T12:00:21.000Z","name":"runtime.stopped","data":{},"since_boot":121.0,"seq":5}',
    ]
    notes = Notes()
    asyncio.run(played(saved(tmp_path, lines), notes))
    assert [(cycle.snapshot.seq, *cycle.snapshot.instant[:2]) for cycle in notes.cycles] == [
        (1, NOON + 0.001, 100.001),
        (2, NOON + 5.0, 105.0),
        (3, NOON + 10.0, 110.0),
        (4, NOON + 15.0, 115.0),
        (5, NOON + 20.003, 120.003),
    ]
    assert [[event.name for event in cycle.events] for cycle in notes.cycles[1:]] == [
        [],
        [],
        [],
        ["system.load.updated", "runtime.stopped"],
    ]
    assert notes.cycles[3].snapshot.latest["load"].instant.since_boot == 115.0, "it was observed, and had not changed"


def saved(directory, lines: list[str], name: str = "2026-01-01/12-00-00") -> str:
    path = f"{directory}/{name}.jsonl"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return str(directory)


START = (
    '{"time":"2026-01-01T12:00:00.000Z","name":"snapshot","data":{"schema":1,"interval":5.0,"readings":{},'
    '"unavailable":{}},"boot_id":"b","since_boot":100.0,"seq":0}'
)


def load(seq: int, load1: float, extra: str = "") -> str:
    return (
        f'{{"time":"2026-01-01T12:{seq // 12:02}:{seq % 12 * 5:02}.000Z","name":"system.load.updated",'
        f'"data":{{"load1":{load1}{extra}}},"boot_id":"b","since_boot":{100.0 + 5 * seq},"seq":{seq}}}'
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("nonsense", "this is no JSON"),
        (load(3, 9.0, ',"load5":"high"'), "load.load5 is 'high', and it takes no such value"),
        (load(1, 9.0), "sample 1 comes after sample 2"),
        (START.replace('"schema":1', '"schema":2'), "it was written with schema 2, and this healthd reads 1"),
        (START.replace('"interval":5.0', '"interval":-5'), "-5 is no interval"),
        (START.replace('"readings":{}', '"readings":[]'), "readings is no object"),
        (START.replace('"unavailable":{}', '"unavailable":{"load":{}}'), "problem, reason or remedy is missing"),
        (load(3, 9.0).replace("system.load.updated", "collector.failed"), "it names no family, or no instance"),
        (
            load(3, 9.0).replace("system.load.updated", "instance.added").replace('"load1":9.0', '"family":["load"]'),
            "it names no family, or no instance",
        ),
        (load(3, 9.0).replace("2026-01-01T12", "2026-99-99T12"), "the time is missing"),
    ],
)
def test_what_can_not_be_replayed_is_said_once_a_file_and_passed_over(tmp_path, caplog, bad, reason):
    directory = saved(
        tmp_path, [START, load(1, 1.0), load(2, 2.0), bad, bad, START.replace('"seq":0', '"seq":2'), load(4, 4.0)]
    )
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    notes = Notes()
    replay = asyncio.run(played(directory, notes))
    loads = [cycle.snapshot.entries["load"][""].reading.load1 for cycle in notes.cycles]
    assert (loads[:2], loads[-1]) == ([1.0, 2.0], 4.0)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{directory}/2026-01-01/12-00-00.jsonl:4: {reason}")
    with pytest.raises(BadRecording, match=r"2 lines in 1 files of the recording could not be replayed"):
        replay.check()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")} == before, "reading changes nothing"


def test_events_before_any_snapshot_say_nothing(tmp_path, caplog):
    notes = Notes()
    asyncio.run(
        played(saved(tmp_path, [load(1, 1.0), load(2, 2.0), START.replace('"seq":0', '"seq":2'), load(3, 3.0)]), notes)
    )
    assert [cycle.snapshot.seq for cycle in notes.cycles] == [3]
    assert "there is no snapshot before it" in caplog.text


def test_events_of_unknown_names_are_passed_over_and_counted(tmp_path, caplog):
    unknown = load(2, 2.0).replace("system.load.updated", "system.tide.updated")
    notes = Notes()
    replay = asyncio.run(played(saved(tmp_path, [START, load(1, 1.0), unknown, unknown, load(3, 3.0)]), notes))
    replay.check()
    assert [cycle.snapshot.seq for cycle in notes.cycles] == [1, 2, 3]
    assert "2 events of unknown names were passed over: system.tide.updated" in caplog.text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("collector.failed", '"family":"tide","instance":"","problem":"failed","reason":"","remedy":""'),
        ("collector.recovered", '"family":"tide","instance":""'),
        ("instance.added", '"family":"tide","instance":"x"'),
        ("instance.removed", '"family":"tide","instance":"x"'),
    ],
)
def test_what_became_of_a_family_whose_plugin_is_not_here_is_passed_over_and_counted(tmp_path, caplog, name, data):
    became = load(2, 2.0).replace("system.load.updated", name).replace('"load1":2.0', data)
    notes = Notes()
    replay = asyncio.run(played(saved(tmp_path, [START, load(1, 1.0), became, load(3, 3.0)]), notes))
    replay.check()
    assert [cycle.snapshot.seq for cycle in notes.cycles] == [1, 2, 3]
    assert name not in {event.name for cycle in notes.cycles for event in cycle.events}
    assert f"1 events of unknown names were passed over: {name} of 'tide'" in caplog.text


def sensors(seq: int, readings: dict[str, dict[str, object]]) -> str:
    return load(seq, 0.0).replace("system.load", "system.temperature").replace('{"load1":0.0}', json.dumps(readings))


CORE = {"label": "Core 0", "driver": "coretemp", "celsius": 70.0}
PACKAGE = {"label": "Package id 0", "driver": "coretemp", "celsius": 71.0}
BOARD = {"label": "CPU", "driver": "nct6775", "celsius": 72.0}


def roles(directory: str) -> list[dict[str, object]]:
    """Return the role of each sensor, sample by sample."""
    notes = Notes()
    asyncio.run(played(directory, notes)).check()
    snapshots = [cycle.snapshot for cycle in notes.cycles]
    return [{name: entry.reading.role for name, entry in found.entries["sensor"].items()} for found in snapshots]


def test_sensors_of_a_recording_from_before_there_were_roles_have_those_that_they_would_have_today(tmp_path):
    hotter = sensors(3, {"c": {"celsius": 99.0}})
    lines = [START, sensors(1, {"a": CORE, "b": BOARD}), sensors(2, {"c": PACKAGE}), hotter]
    expected = [{"a": "cpu", "b": None}, *[{"a": None, "b": None, "c": "cpu"}] * 2]
    assert roles(saved(tmp_path / "started", lines)) == expected
    middle = START.replace('"readings":{}', f'"readings":{json.dumps({"sensor": {"a": CORE, "c": PACKAGE}})}')
    found = roles(saved(tmp_path / "middle", [middle, hotter]))
    assert found[0] == found[-1] == {"a": None, "c": "cpu"}


def test_roles_that_were_recorded_stay_as_they_are(tmp_path):
    known = {"a": {**CORE, "role": None}, "b": {**BOARD, "role": None}}
    assert roles(saved(tmp_path, [START, sensors(1, known)])) == [{"a": None, "b": None}]


def test_keys_and_families_of_a_later_version_are_passed_over(tmp_path):
    later = START.replace(
        '"readings":{}', '"readings":{"tide":{"celsius":1},"load":{"load1":0.5,"load99":1}},"tides":[]'
    )
    notes = Notes()
    asyncio.run(played(saved(tmp_path, [later, load(1, 1.0, ',"load99":5')]), notes)).check()
    assert [told(cycle.snapshot) for cycle in notes.cycles] == [{"load": {"": ([1.0, None, None], True, "")}}]


@pytest.mark.parametrize("what", ["nothing", "empty", "foreign", "a file"])
def test_where_there_is_no_recording_is_said_what_was_looked_for(tmp_path, what):
    directory = tmp_path / "recording"
    if what != "nothing":
        directory.mkdir()
    if what == "foreign":
        (directory / "notes.jsonl").write_text("hello\n")
    if what == "a file":
        directory = directory / "x"
        directory.write_text("")
    with pytest.raises(NoRecording, match=f"^{directory} (can't be read|holds no recording)"):
        Replay(str(directory), FAMILIES)


def test_segments_are_replayed_boot_by_boot_whatever_the_clock_said(tmp_path):
    def segment(name: str, boot: str, since_boot: float) -> None:
        line = START.replace('"b"', f'"{boot}"').replace("100.0", str(since_boot))
        saved(tmp_path, [line], f"2026-01-01/{name}")

    # The second boot began with the clock of before the first one's end, and was then set.
    for name, boot, since_boot in (
        ("10-00-00", "one", 60.0),
        ("11-00-00", "one", 3660.0),
        ("10-30-00", "two", 5.0),
        ("18-00-00", "two", 65.0),
        ("18-10-00", "two", 665.0),
    ):
        segment(name, boot, since_boot)
    names = [os.path.basename(one.path)[:8] for one in ordered(segments(str(tmp_path)))]
    assert names == ["10-00-00", "11-00-00", "10-30-00", "18-00-00", "18-10-00"]


def test_a_replay_takes_its_time(tmp_path):
    """At 20 times the speed, 3 samples 5 s apart take half a second."""
    directory = saved(tmp_path, [START, load(1, 1.0), load(2, 2.0), load(3, 3.0)])

    async def play() -> float:
        loop = asyncio.get_running_loop()
        replay = Replay(directory, FAMILIES, speed=20.0)
        began = loop.time()
        async for _ in replay.ticks():
            await replay.sample()
        return loop.time() - began

    assert asyncio.run(play()) >= 0.5


@given(
    st.lists(
        st.sampled_from([START, load(1, 1.0), load(2, 2.0), load(4, 4.0), "{", "", START[:-9] + '"seq":3}']), max_size=8
    )
)
def test_however_lines_follow_each_other_a_replay_ends(tmp_path_factory, lines):
    directory = saved(tmp_path_factory.mktemp("any"), [START, *lines])
    faults: list[Fault] = []
    samples = list(Rewind(FAMILIES).samples(segments(directory), faults.append))
    assert all(isinstance(sample.seq, int) for sample in samples)


def test_a_replay_begins_in_the_boot_whose_clock_told_that_time(tmp_path):
    """The second boot of a board without a clock of its own began in 1970, which is before any time."""

    def segment(name: str, boot: str, since_boot: float) -> None:
        day, time = name.split("/")
        moment = f"{day}T{time.replace('-', ':')}"
        lines = [START, load(1, 1.0), load(2, 2.0)]
        lines = [line.replace('"b"', f'"{boot}"').replace("2026-01-01T12:00", moment[:16]) for line in lines]
        saved(tmp_path, [line.replace('"since_boot":1', f'"since_boot":{since_boot:.0f}1') for line in lines], name)

    segment("2026-01-01/12-00-00", "one", 1)
    segment("1970-01-01/00-00-00", "two", 1)
    segment("2026-01-02/12-00-00", "two", 2)
    notes = Notes()
    since = NOON + 7.0
    asyncio.run(played(str(tmp_path), notes, since=since, until=NOON + 3600))
    # What the second boot did before its clock was set has no time of its own.
    assert [cycle.snapshot.instant.time for cycle in notes.cycles] == [NOON + 10.0, 5.0, 10.0]


def test_what_a_damaged_number_says_is_not_made_up_for(tmp_path):
    absurd = load(3, 3.0).replace('"since_boot":115.0,"seq":3', '"since_boot":1000000000.0,"seq":900000000')
    directory = saved(tmp_path, [START, load(1, 1.0), absurd])
    samples = list(Rewind(FAMILIES).samples(segments(directory), lambda _: None))
    assert (samples[0].seq, samples[-1].seq) == (1, 900_000_000)
    assert len(samples) < 30_000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("instance.added", '"family":"load","instance":"x"'),
        ("instance.added", '"family":"disk","instance":""'),
        ("collector.failed", '"family":"load","instance":"x","problem":"failed","reason":"","remedy":""'),
        ("system.disk.io.updated", '"":{"busy":1.0}'),
    ],
)
def test_an_instance_that_a_family_can_not_have_is_refused(tmp_path, name, data):
    wrong = load(2, 2.0).replace("system.load.updated", name).replace('"load1":2.0', data)
    faults: list[Fault] = []
    list(Rewind(FAMILIES).samples(segments(saved(tmp_path, [START, load(1, 1.0), wrong])), faults.append))
    assert [fault.line for fault in faults] == [3]
