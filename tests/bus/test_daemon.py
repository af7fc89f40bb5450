"""The daemon as a process: how it starts, what it says, how it ends, and what it does without a bus."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys

import pytest
from private_bus import Healthd, eventually

from healthd import protocol

# Its fifth cycle never ends; all else goes on.
STUCK = """
import asyncio, sys
from healthd import cli
from healthd.pipeline import Pipeline
cycle = Pipeline.cycle
async def stuck(self):
    if self.snapshot and self.snapshot.seq == 4:
        await asyncio.Event().wait()
    return await cycle(self)
Pipeline.cycle = stuck
sys.exit(cli.main(sys.argv[1:]))
"""


def run(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "healthd", *options],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def started(limits, *options):
    """Start a healthd from a shell that has limited itself."""
    daemon = Healthd.__new__(Healthd)
    command = [sys.executable, "-m", "healthd", *options]
    daemon.start(["sh", "-c", f'{limits} && exec "$@"', "sh", *command])
    return daemon


@pytest.fixture
def manager(tmp_path):
    """Be the service manager, at `notify`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(30)
        yield receiver


def until_silence(manager):
    """Yield what is told until nothing is, for the time of several cycles."""
    manager.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while True:
            yield manager.recv(4096)


def events(daemon):
    # The last line may be half written.
    return [json.loads(line) for line in daemon.printed.splitlines(keepends=True) if line.endswith("\n")]


def owner(bus):
    answer = bus.busctl(
        "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s",
        protocol.BUS_NAME,
    )  # fmt: skip
    return answer.stdout.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_zero_on_a_signal(healthd, bus, number):
    daemon = healthd().ready()
    assert owner(bus)
    assert daemon.stop(number) == 0
    assert not owner(bus)


def test_whoever_waits_for_the_name_finds_everything_there(bus, healthd):
    healthd("--interval", "60")
    eventually(lambda: owner(bus))
    assert f"{protocol.ROOT}/memory" in bus.busctl("tree", "--list", protocol.BUS_NAME).stdout


def test_a_second_daemon_is_refused_in_one_line_and_the_first_goes_on(bus, healthd):
    healthd().ready()
    first = owner(bus)
    second = run("--bus", bus.address)
    assert second.returncode == protocol.EXIT_TAKEN
    told = [line for line in second.stderr.splitlines() if "unavailable" not in line]
    assert len(told) == 1
    assert "is taken" in told[0]
    assert owner(bus) == first


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--bus", "unix:path=/no/such/bus"], protocol.EXIT_UNAVAILABLE, "there is no bus at /no/such/bus"),
        (["--bus", "nonsense"], protocol.EXIT_USAGE, "'nonsense' is no bus"),
        (["--bus", "tcp:host=localhost,port=1"], protocol.EXIT_USAGE, "no address of a local bus"),
        (["--interval", "0"], protocol.EXIT_USAGE, "from 0.25 to 3600"),
        (["--interval", "nan"], protocol.EXIT_USAGE, "from 0.25 to 3600"),
        (["--interval", "soon"], protocol.EXIT_USAGE, "'soon' is no number"),
        (["--no-such-option"], protocol.EXIT_USAGE, "--no-such-option"),
        (["stray"], protocol.EXIT_USAGE, "stray"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_a_code(options, code, said):
    ended = run(*options)
    assert ended.returncode == code
    (line,) = ended.stderr.splitlines()
    assert line.startswith("<3>healthd: ")
    assert said in line
    assert not ended.stdout


def test_a_bus_that_does_not_let_it_own_the_name_is_said(bus):
    if os.geteuid():
        pytest.skip("needs root: this user is the one that the test's policy lets own the name")
    # As another user: the interpreter and the code are loaded before the change of user.
    script = (
        "import os, shutil, sys; from healthd import cli, daemon, options, settings; loaded = settings.load(None); "
        f"settings.load = lambda _, **__: loaded; os.setuid(65534); sys.exit(cli.main(['--bus', {bus.address!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == protocol.EXIT_NOT_ALLOWED, ended.stderr
    assert "does not let uid 65534 own" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_library_that_is_not_there_is_one_line():
    ended = run("--bus", "unix:path=/no/such/bus", HEALTHD_DBUS_LIBRARY="bogus")
    assert ended.returncode == protocol.EXIT_USAGE
    assert ended.stderr == "<3>healthd: there is no D-Bus library 'bogus' (HEALTHD_DBUS_LIBRARY): install dbus-next\n"


def test_a_closed_standard_output_is_no_other_descriptor(bus):
    command = f"exec {sys.executable} -m healthd --bus {bus.address} --interval 0.25 --console >&-"
    daemon = Healthd.__new__(Healthd)
    daemon.start(["sh", "-c", command])
    try:
        daemon.ready()
        assert os.readlink(f"/proc/{daemon.process.pid}/fd/1") == os.devnull
    finally:
        assert daemon.stop() == 0


def test_help_and_version_need_no_bus():
    version, library = run("--version").stdout.splitlines()
    assert version == f"healthd {protocol.VERSION}"
    assert re.fullmatch(r"D-Bus library: dbus_(next|fast) [\d.]+", library)
    helped = run("--help")
    assert helped.returncode == 0
    for option in ("--bus", "--interval", "--console"):
        assert option in helped.stdout


def test_the_environment_names_the_bus_and_the_option_wins(bus):
    assert "/no/such/bus" in run(HEALTHD_BUS="unix:path=/no/such/bus").stderr
    assert "/other" in run("--bus", "unix:path=/other", HEALTHD_BUS=bus.address).stderr


def test_console_prints_events_as_json_lines_with_stable_keys(healthd):
    daemon = healthd("--console", "--interval", "0.25").ready()
    eventually(lambda: len(events(daemon)) > 10)
    seen = events(daemon)
    for event in seen:
        assert list(event) == ["time", "name", "data", "boot_id", "since_boot", "seq"]
    names = {event["name"] for event in seen}
    assert {"system.host.updated", "system.cpu.usage.updated", "system.memory.usage.updated", "instance.added"} <= names


def test_console_ends_the_daemon_when_its_reader_goes(bus):
    reading, writing = os.pipe()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "healthd", "--bus", bus.address, "--interval", "0.25", "--console"],
        stdout=writing, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    assert os.read(reading, 1)
    os.close(reading)
    _, errors = daemon.communicate(timeout=30)
    assert daemon.returncode == 0
    assert "Traceback" not in errors


def test_a_lost_bus_is_looked_for_while_sampling_goes_on(bus, healthd):
    daemon = healthd("--console", "--interval", "0.25").ready()
    for _ in range(2):
        bus.stop()
        eventually(lambda: "the bus is gone" in daemon.log)
        sampled = events(daemon)[-1]["seq"]
        eventually(lambda last=sampled: events(daemon)[-1]["seq"] > last + 3)
        bus.start()
        eventually(lambda: owner(bus))
        assert "memory" in bus.busctl("tree", "--list", protocol.BUS_NAME).stdout
    assert daemon.stop() == 0


def test_it_ends_at_once_while_the_bus_is_away(bus, healthd):
    daemon = healthd().ready()
    bus.stop()
    eventually(lambda: "the bus is gone" in daemon.log)
    assert daemon.stop() == 0


def test_it_ends_at_once_while_the_bus_hangs(bus, healthd):
    daemon = healthd("--interval", "0.25").ready()
    bus.signal(signal.SIGSTOP)
    assert daemon.stop() == 0


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(bus, healthd, manager, tmp_path):
    daemon = healthd("--interval", "60", NOTIFY_SOCKET=str(tmp_path / "notify"))
    said = manager.recv(4096).decode()
    assert said.startswith("READY=1\nSTATUS=")
    assert owner(bus)
    assert daemon.stop() == 0
    assert re.match(rb"STOPPING=1\nSTATUS=.*\nEXTEND_TIMEOUT_USEC=\d+", manager.recv(4096))


def test_systemd_is_told_how_long_a_start_with_a_record_may_take(healthd, manager, tmp_path):
    healthd("--record", str(tmp_path / "record"), NOTIFY_SOCKET=str(tmp_path / "notify"))
    assert re.match(rb"STATUS=.*\nEXTEND_TIMEOUT_USEC=\d+", manager.recv(4096))
    assert manager.recv(4096).startswith(b"READY=1\n")


@pytest.mark.parametrize(("text", "faults"), [("interval = 30\n", False), ("interval = no\n", True)])
def test_systemd_is_told_of_a_reload_and_of_how_it_ended(healthd, manager, tmp_path, text, faults):
    (tmp_path / "healthd.toml").write_text("interval = 60\n")
    daemon = healthd("--config", str(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify"))
    assert manager.recv(4096).startswith(b"READY=1\n")
    (tmp_path / "healthd.toml").write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(4096))
    # The sample that goes by it may have its own say.
    said = next(said for said in iter(lambda: manager.recv(4096).decode(), "") if said.startswith("READY=1\n"))
    assert ("the configuration has faults" in said) is faults


def test_cycles_that_are_complete_feed_the_watchdog_and_nothing_else_does(bus, manager, tmp_path):
    daemon = Healthd.__new__(Healthd)
    command = [sys.executable, "-c", STUCK, "--bus", bus.address, "--interval", "0.25"]
    daemon.start(command, {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"})
    try:
        assert manager.recv(4096).startswith(b"READY=1\n")
        said = list(until_silence(manager))
        # It serves from the second cycle on.
        assert said.count(b"WATCHDOG=1") == 3
        described = bus.busctl("call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER, "Describe")
        assert described.returncode == 0, described.stderr
    finally:
        assert daemon.stop() == 0


def test_a_fault_in_proc_costs_its_family_only(bus, tmp_path):
    """Mount an empty file over /proc/loadavg, in a mount namespace of its own."""
    if os.geteuid():
        pytest.skip("needs root, for a mount namespace")
    fake = tmp_path / "loadavg"
    fake.write_text("garbage\n")
    script = f"mount --bind {fake} /proc/loadavg && exec {sys.executable} -m healthd --bus {bus.address} --console"
    daemon = Healthd.__new__(Healthd)
    daemon.start(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
    try:
        daemon.ready()
        memory = bus.busctl("get-property", protocol.BUS_NAME, f"{protocol.ROOT}/memory", protocol.READING, "Available")
        load = bus.busctl(
            "get-property", protocol.BUS_NAME, f"{protocol.ROOT}/load", protocol.READING, "Available", "Problem"
        )
        assert memory.stdout == "b true\n"
        assert load.stdout == 'b false\ns "malformed"\n'
        assert "load is unavailable" in daemon.log
    finally:
        daemon.stop()


def test_it_ends_at_once_while_the_bus_hangs_at_start(bus):
    bus.signal(signal.SIGSTOP)
    daemon = Healthd(bus.address)
    with open(f"/proc/{daemon.process.pid}/status") as status:

        def catches_sigterm():
            status.seek(0)
            caught = next(line for line in status if line.startswith("SigCgt"))
            return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1

        eventually(catches_sigterm)
    assert daemon.stop() == 0


def test_a_fault_of_ours_is_an_exit_code_and_whole_in_the_log(bus):
    script = (
        "import sys; from healthd import cli, pipeline; pipeline.Pipeline.cycle = None; "
        f"sys.exit(cli.main(['--bus', {bus.address!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == protocol.EXIT_SOFTWARE
    assert "internal error: TypeError" in ended.stderr


def test_a_reload_before_it_serves_is_not_told_as_readiness(manager, tmp_path):
    with socket.socket(socket.AF_UNIX) as bus:
        # It is never answered there.
        bus.bind(str(tmp_path / "bus"))
        bus.listen()
        daemon = Healthd(f"unix:path={tmp_path}/bus", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        connection, _ = bus.accept()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096).startswith(b"STOPPING=1\n")
        connection.close()
        assert daemon.process.wait(20) == 0
        daemon.stop()


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [("ulimit -Sn 256", 16384), ("ulimit -n 512 && ulimit -Sn 256", 512), ("ulimit -Sn 17000", 17000)],
)
def test_it_may_open_as_many_files_as_watches_take_where_that_is_allowed(bus, limits, allowed):
    if (hard := resource.getrlimit(resource.RLIMIT_NOFILE)[1]) != resource.RLIM_INFINITY and hard < allowed:
        pytest.skip(f"no more than {hard} files are allowed here")
    daemon = started(limits, "--bus", bus.address, "--no-record")
    try:
        daemon.ready()
        assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[0] == allowed
    finally:
        assert daemon.stop() == 0
