"""healthd as its user runs it: a machine is recorded, and shown again from what was recorded."""

import fcntl
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import termios

import pytest
from private_bus import Bus, Healthd, eventually, private_bus

from healthd import protocol
from healthd.events import encode
from healthd.recording import events, segments

HEALTHD = [sys.executable, "-m", "healthd"]
CALL = ["call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HEALTHD, *options], capture_output=True, text=True, timeout=60, check=False)


def healthctl(bus: Bus, *arguments: str) -> str:
    command = [sys.executable, "-m", "healthctl", *arguments, "--bus", bus.address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def content(directory) -> dict[str, list[str]]:
    """Return the lines of each segment by its name, as they were before it was compressed."""
    found = {}
    for segment in segments(str(directory)):
        read = gzip.open if segment.closed else open
        with read(segment.path, "rt", encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines() if '"name":"history"' not in line]
        found[os.path.relpath(segment.path, directory).partition(".")[0]] = lines
    return found


def no_fault(fault) -> None:
    pytest.fail(str(fault))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> str:
    """Give a recording of this machine: two runs, in the first of which healthd stood still for a while."""
    directory = str(tmp_path_factory.mktemp("recorded"))
    with private_bus() as own:
        for run_number in range(2):
            daemon = Healthd(own.address, "--interval", "0.25", "--record", directory).ready()
            told = Told(own)
            told.samples(6)
            if not run_number:
                os.kill(daemon.process.pid, signal.SIGSTOP)
                told.silence(1.6)
                os.kill(daemon.process.pid, signal.SIGCONT)
                told.samples(3)
            log = daemon.log
            assert daemon.stop() == 0, log
    return directory


class Told:
    """Asks a bus what is served on it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def described(self) -> dict:
        answer = json.loads(self._bus.busctl("--json=short", *CALL, "Describe").stdout)
        return json.loads(answer["data"][0])

    def samples(self, number: int) -> None:
        """Wait until there are so many more samples."""
        last = self.described()["seq"]
        eventually(lambda: self.described()["seq"] >= last + number)

    def silence(self, seconds: float) -> None:
        """Wait until a call to a daemon that stands still has timed out."""
        ended = self._bus.busctl(f"--timeout={seconds}", *CALL, "Describe")
        assert ended.returncode


def test_a_recording_of_this_machine_has_what_happened(recorded):
    found = [event for segment in segments(recorded) for _, event in events(segment.path, no_fault)]
    names = [event.name for event in found if event.name.startswith("runtime.")]
    assert names == ["runtime.started", "runtime.gap", "runtime.stopped", "runtime.started", "runtime.stopped"]
    (gap,) = (event for event in found if event.name == protocol.RUNTIME_GAP)
    assert gap.data["reason"] == protocol.OVERRUN
    assert 1.0 < gap.data["seconds"] < 30
    assert {"system.cpu.usage.updated", "system.memory.usage.updated", "system.host.updated"} <= {
        event.name for event in found
    }


def test_the_recording_of_a_replay_is_that_recording_byte_for_byte(recorded, tmp_path):
    ended = run("--replay", recorded, "--record", str(tmp_path), "--speed", "max")
    assert ended.returncode == 0, ended.stderr
    assert content(tmp_path) == content(recorded)


def test_a_replay_prints_all_events_whole_and_in_order(recorded):
    ended = run("--replay", recorded, "--console", "--speed", "max")
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    made = [event for segment in segments(recorded) for _, event in events(segment.path, no_fault)]
    assert ended.stdout.splitlines() == [
        encode(event) for event in made if event.name not in (protocol.SNAPSHOT, protocol.HISTORY)
    ]


def test_a_reader_that_takes_its_time_gets_all_events_of_a_replay(recorded):
    whole = run("--replay", recorded, "--console", "--speed", "max").stdout
    command = [*HEALTHD, "--replay", recorded, "--console", "--speed", "max"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pipesize=4096) as replay:
        assert replay.stdout
        # Nobody reads until the first lines are there, and they are a small part of what such a pipe takes.
        eventually(lambda: struct.unpack("i", fcntl.ioctl(replay.stdout, termios.FIONREAD, bytes(4)))[0] > 0)
        taken = replay.stdout.read()
        assert replay.wait(20) == 0
    assert taken.decode() == whole
    assert len(whole) > 10_000


def test_a_replay_on_the_bus_shows_the_recorded_machine_with_its_clock_and_stays(bus, recorded):
    made = [event for segment in segments(recorded) for _, event in events(segment.path, no_fault)]
    daemon = Healthd(bus.address, "--replay", recorded, "--speed", "max").ready()
    try:
        told = Told(bus)
        last = max(event.seq for event in made[-20:])
        eventually(lambda: told.described()["seq"] == last)
        described = told.described()
        assert (described["boot_id"], described["interval"]) == (made[-1].boot_id, 0.25)
        assert described["time"][:16] == json.loads(encode(made[-1]))["time"][:16]
        assert described["readings"]["memory"]["total_bytes"] > 0
        log = [json.loads(line)["name"] for line in healthctl(bus, "log", "--json").splitlines()]
        assert log.count("runtime.started") == 2
        assert log.count("runtime.gap") == 1
        history = json.loads(healthctl(bus, "history", "memory.percent", "--since", "@0", "--json"))
        assert len(history["metrics"]["memory.percent"]["points"]) >= 1
        assert "memory" in healthctl(bus, "metrics", "memory")
    finally:
        assert daemon.stop() == 0


def test_a_replay_from_a_time_knows_everything_that_was_known_then(recorded):
    made = [event for segment in segments(recorded) for _, event in events(segment.path, no_fault)]
    loads = [event for event in made if event.name == "system.cpu.usage.updated"]
    chosen = encode(loads[4])[9:33]
    ended = run("--replay", recorded, "--console", "--speed", "max", "--from", chosen)
    lines = ended.stdout.splitlines()
    assert lines[0][9:33] >= chosen
    assert encode(loads[4]) in lines
    assert encode(loads[3]) not in lines
    assert not any('"name":"instance.added"' in line for line in lines[:3]), "what was there before did not come now"


def test_a_replay_up_to_a_time_ends_there(recorded):
    made = [event for segment in segments(recorded) for _, event in events(segment.path, no_fault)]
    chosen = encode(made[30])[9:33]
    ended = run("--replay", recorded, "--console", "--speed", "max", "--to", chosen)
    assert ended.stdout.splitlines()[-1][9:33] <= chosen


def test_a_second_healthd_refuses_the_directory_and_the_first_goes_on(bus, healthd, tmp_path):
    with_other_bus = Bus(str(tmp_path))
    try:
        healthd("--interval", "0.25", "--record", f"{tmp_path}/recording").ready()
        ended = run("--bus", with_other_bus.address, "--record", f"{tmp_path}/recording")
        assert ended.returncode == protocol.EXIT_TAKEN
        (line,) = ended.stderr.splitlines()
        assert f"{tmp_path}/recording is recorded to by another healthd" in line
        Told(bus).samples(2)
    finally:
        with_other_bus.stop()


def test_a_restart_keeps_the_history_and_the_events(bus, healthd, recorded):
    daemon = healthd("--interval", "0.25", "--record", recorded).ready()
    made = [event for segment in segments(recorded) for _, event in events(segment.path, lambda _: None)]
    first = made[0].instant.time
    answer = bus.busctl("--json=short", *CALL, "GetHistory", "sttu", "cpu.busy", str(int(first * 1e6)), "0", "100")
    points = eventually(lambda: json.loads(answer.stdout)["data"][0])
    assert points[0][0] <= (first + 10) * 1e6
    names = [json.loads(line)["name"] for line in healthctl(bus, "log", "--json").splitlines()]
    assert names.count("runtime.started") == 3
    assert daemon.stop() == 0
    # What the next test replays is as it was.
    for segment in segments(recorded)[-1:]:
        os.unlink(segment.path)


def test_what_is_recorded_is_not_lost_by_a_bus_that_goes_away(bus, healthd, tmp_path):
    daemon = healthd("--interval", "0.25", "--record", str(tmp_path)).ready()
    Told(bus).samples(2)
    bus.stop()
    eventually(lambda: "the bus is gone" in daemon.log)
    assert daemon.stop() == 0
    names = [event.name for segment in segments(str(tmp_path)) for _, event in events(segment.path, no_fault)]
    assert names[-1] == protocol.RUNTIME_STOPPED


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--replay", "/no/such", "--console"], protocol.EXIT_NO_INPUT, "/no/such can't be read"),
        (["--replay", "/tmp"], protocol.EXIT_USAGE, "add --bus, --console or --record"),
        (["--speed", "2"], protocol.EXIT_USAGE, "--speed is for a replay"),
        (
            ["--replay", "/tmp", "--console", "--speed", "fast"],
            protocol.EXIT_USAGE,
            "'fast' is neither max nor a number",
        ),
        (["--replay", "/tmp", "--console", "--speed", "-1"], protocol.EXIT_USAGE, "'-1' is neither max nor a number"),
        (["--replay", "/tmp", "--console", "--from", "soon"], protocol.EXIT_USAGE, "'soon' is no time like"),
        (
            ["--replay", "/tmp", "--console", "--from", "2026-01-02", "--to", "2026-01-01"],
            protocol.EXIT_USAGE,
            "--from is after --to",
        ),
        (["--replay", "/tmp", "--record", "/tmp/../tmp"], protocol.EXIT_USAGE, "name another directory"),
        (["--record", "/tmp/x", "--no-record"], protocol.EXIT_USAGE, "exclude each other"),
        (["--replay", "", "--console"], protocol.EXIT_USAGE, "--replay is empty"),
        (["--record", ""], protocol.EXIT_USAGE, "--record is empty"),
        (["--config", ""], protocol.EXIT_USAGE, "--config is empty"),
        (["--bus", ""], protocol.EXIT_USAGE, "--bus is empty"),
        (["--replay", "/tmp", "--console", "--interval", "1"], protocol.EXIT_USAGE, "leave --interval out"),
        (["--config", "/no/such.toml"], protocol.EXIT_CONFIG, "/no/such.toml: can't be read"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_a_code(options, code, said):
    ended = run(*options)
    assert ended.returncode == code
    (line,) = ended.stderr.splitlines()
    assert said in line


def test_all_faults_of_a_configuration_are_said_a_line_each(tmp_path):
    (tmp_path / "healthd.toml").write_text('interval = "soon"\n[record]\nbatch = 0\nfoo = 1\n')
    ended = run("--config", f"{tmp_path}/healthd.toml")
    assert ended.returncode == protocol.EXIT_CONFIG
    assert [line.split(": ")[2] for line in ended.stderr.splitlines()] == ["interval", "record.batch", "record.foo"]


def test_the_configuration_says_what_the_command_line_does_not(bus, healthd, tmp_path):
    (tmp_path / "healthd.toml").write_text(
        f'interval = "500ms"\n[record]\ndirectory = "{tmp_path}/recording"\nbatch = "1s"\nmin_free = "0B"\n'
    )
    daemon = healthd("--config", f"{tmp_path}/healthd.toml").ready()
    assert Told(bus).described()["interval"] == 0.5
    eventually(lambda: len(content(f"{tmp_path}/recording").popitem()[1]) > 20)
    assert daemon.stop() == 0
    daemon = healthd("--config", f"{tmp_path}/healthd.toml", "--no-record", "--interval", "0.25").ready()
    assert Told(bus).described()["interval"] == 0.25
    assert len(segments(f"{tmp_path}/recording")) == 1


def test_a_recording_of_which_parts_are_damaged_is_replayed_as_far_as_it_goes(recorded, tmp_path):
    lines = next(iter(content(recorded).values()))
    path = tmp_path / "2026-01-01" / "12-00-00.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([*lines[:20], "nonsense", *lines[20:-1], lines[-1][:40]]))
    ended = run("--replay", str(tmp_path), "--console", "--speed", "max")
    assert ended.returncode == protocol.EXIT_DATA
    first, last = ended.stderr.splitlines()
    assert f"{path}:21: this is no JSON" in first
    assert "2 lines in 1 files of the recording could not be replayed" in last
    assert len(ended.stdout.splitlines()) > 15


def test_of_a_replay_the_last_hour_is_that_of_the_recorded_machine(bus, tmp_path):
    """What was recorded long ago is asked for as if it were now."""
    lines = [
        {"schema": 1, "interval": 5.0, "readings": {}, "unavailable": {}},
        {"load1": 1.5, "load5": 1.0, "load15": 1.0},
        {"load1": 2.5},
    ]
    path = tmp_path / "2026-01-01" / "12-00-00.jsonl"
    path.parent.mkdir()
    path.write_text(
        "".join(
            json.dumps(
                {
                    "time": f"2026-01-01T12:00:{5 * number:02}.000Z",
                    "name": "system.load.updated" if number else "snapshot",
                    "data": data,
                    "boot_id": "b",
                    "since_boot": 100.0 + 5 * number,
                    "seq": number,
                }
            )
            + "\n"
            for number, data in enumerate(lines)
        )
    )
    daemon = Healthd(bus.address, "--replay", str(tmp_path), "--speed", "max").ready()
    try:
        eventually(lambda: Told(bus).described()["seq"] == 2)
        found = json.loads(healthctl(bus, "history", "load.load1", "--json"))
        assert (found["since"], found["until"]) == ("2026-01-01T11:00:10.000Z", "2026-01-01T12:00:10.000Z")
        assert [point["mean"] for point in found["metrics"]["load.load1"]["points"]] == [1.5, 2.5]
    finally:
        assert daemon.stop() == 0
