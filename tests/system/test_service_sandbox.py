import contextlib
import json
import re

import pytest
from machine import CHECKOUT
from private_bus import eventually

FILE = "/usr/lib/systemd/system/healthd.service"

# A file system whose server never answers, as one of a network whose other end is gone.
STALLED = """
import ctypes, os, signal
door = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={door},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
assert ctypes.CDLL(None).mount(b"stalled", b"/mnt/stalled", b"fuse.server", 0, options) == 0
signal.pause()
"""


@pytest.fixture
def drop_in(service):
    """Give a function that lays a shipped drop-in over the unit."""

    def lay(name: str) -> None:
        with open(f"{CHECKOUT}/data/systemd/drop-ins/{name}.conf") as file:
            service.change(name, file.read())
        service.machine.do("systemctl", "daemon-reload")

    return lay


@pytest.fixture
def mounted(service):
    """Give a function that mounts a file system of its own, of some MiB."""
    points = []

    def mount(point: str, size: int) -> None:
        image = f"/tmp/{len(points)}.img"
        service.machine.do("mkdir", "-p", point)
        service.machine.do("truncate", f"--size={size}M", image)
        service.machine.do("mkfs.ext4", "-q", image)
        service.machine.do("mount", "-n", "-o", "loop", image, point)  # the kernel detaches it
        points.append(point)

    yield mount
    for point in reversed(points):
        # The service's own view of the mounts must not hold it.
        service.machine.do("umount", point)
    if points:
        assert service.machine.do("losetup", "--list", "--noheadings", "--output=NAME,BACK-FILE").find("/tmp/") < 0


@pytest.fixture
def stalled(service):
    with open("/proc/filesystems") as file:
        if "\tfuse\n" not in file.read():
            pytest.skip("this kernel has no FUSE")
    service.machine.do("mkdir", "-p", "/mnt/stalled")
    service.machine.do("mknod", "/dev/fuse", "c", "10", "229")
    service.machine.write("/run/stalled.py", STALLED)
    service.machine.do("systemd-run", "--quiet", "--unit=stalled", "/usr/bin/python3", "/run/stalled.py")
    eventually(lambda: service.machine.run("findmnt", "/mnt/stalled").returncode == 0)
    yield "/mnt/stalled"
    service.machine.do("systemctl", "stop", "stalled")
    service.machine.do("umount", "--lazy", "/mnt/stalled")
    service.machine.remove("/dev/fuse")


@contextlib.contextmanager
def unconfined(machine):
    """Run healthd as root and without a sandbox, on a bus of its own, and give a function that tells what it sees."""
    address = "unix:path=/run/another-bus"
    bus = ("dbus-daemon", "--nofork", "--nosyslog", "--session", f"--address={address}")
    machine.do("systemd-run", "--quiet", "--unit=another-bus", *bus)
    eventually(lambda: machine.run("test", "-S", "/run/another-bus").returncode == 0)
    machine.do("systemd-run", "--quiet", "--unit=unconfined", "healthd", "--bus", address, "--interval", "0.5")

    def described():
        told = machine.run("healthctl", "--bus", address, "--json", "status").stdout
        return json.loads(told) if told else None

    eventually(described)
    try:
        yield described
    finally:
        machine.do("systemctl", "stop", "unconfined", "another-bus")


def known(readings):
    """Return which fields are known, by family and instance."""
    single = {family for family, of in readings.items() if not all(isinstance(each, dict) for each in of.values())}
    return {
        (family, instance): {field for field, value in reading.items() if value is not None}
        for family, of in readings.items()
        for instance, reading in ({"": of} if family in single else of).items()
    }


def test_systemd_finds_no_fault_in_the_unit(service):
    verified = service.machine.run("systemd-analyze", "verify", "--man=no", FILE)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_finds_no_fault_in_the_shipped_drop_ins(service, drop_in):
    for name in ("clock", "raspberry-pi", "private-mounts"):
        drop_in(name)
    verified = service.machine.run("systemd-analyze", "verify", "--man=no", FILE)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_its_exposure_is_low(service):
    told = service.machine.do("systemd-analyze", "security", "--no-pager", "healthd.service")
    [level] = re.findall(r"exposure level for healthd\.service: ([0-9.]+)", told)
    assert float(level) <= 1.2


def test_what_is_seen_outside_is_seen_inside(service, mounted, drop_in):
    mounted("/home", 40)
    service.machine.do("install", "-d", "-m", "700", "-o", "ana", "/home/ana")
    mounted("/var/tmp", 30)
    mounted("/var/tmp/below", 20)
    drop_in("clock")
    service.restart()
    with unconfined(service.machine) as described:
        inside, outside = service.described(), described()
    assert inside["unavailable"] == outside["unavailable"]
    assert {problem["problem"] for problem in inside["unavailable"].values()} <= {"unsupported"}
    for told in (inside, outside):
        # Its rates come with the minute.
        assert told["readings"].pop("self")["resident_bytes"]
    assert known(inside["readings"]) == known(outside["readings"])
    fixed = ("device", "type", "read_only", "total_bytes", "inodes_total")
    there = outside["readings"]["filesystem"]
    for point, reading in inside["readings"]["filesystem"].items():
        assert {name: reading[name] for name in fixed} == {name: there[point][name] for name in fixed}
    assert inside["readings"]["filesystem"]["/home"]["total_bytes"] < 40 * 2**20
    assert inside["readings"]["sensor"]["oven/oven/door"]["celsius"] == 21.0
    assert inside["readings"]["memory"]["total_bytes"] == outside["readings"]["memory"]["total_bytes"]
    assert inside["readings"]["host"] == outside["readings"]["host"]
    assert inside["readings"]["network"].keys() == outside["readings"]["network"].keys() == {"lo"}


def test_its_clock_is_known_to_be_kept_by_who_keeps_it_and_else_the_drop_in_lets_it_ask(service, drop_in):
    def clock():
        service.restart()
        told = service.described()
        checks = json.loads(service.machine.run("healthctl", "doctor", "--json").stdout)["checks"]
        [found] = [check for check in checks if check["check"] == "family clock"]
        return told["readings"]["clock"], told["unavailable"].get("clock"), found

    _, problem, found = clock()
    assert problem["problem"] == "permission"
    assert "clock.conf" in problem["remedy"]
    assert found["state"] == "warn"
    service.machine.write("/run/systemd/timesync/synchronized", "")
    try:
        reading, problem, found = clock()
    finally:
        service.machine.remove("/run/systemd/timesync")
    assert (reading["synchronised"], reading["source"], problem) == (True, "systemd-timesyncd", None)
    assert found["state"] == "ok"
    drop_in("clock")
    reading, problem, found = clock()
    assert isinstance(reading["offset_seconds"], float)
    assert (problem, found["state"]) == (None, "ok")


def test_file_systems_that_are_mounted_later_are_seen(service, mounted):
    mounted("/home", 30)
    mounted("/mnt/stick", 20)

    def seen():
        return service.described()["readings"]["filesystem"].keys() >= {"/home", "/mnt/stick"}

    # Not after the 30 s that the family takes: the kernel tells that there are others.
    eventually(seen, 20)
    found = service.described()["readings"]["filesystem"]
    assert found["/mnt/stick"]["total_bytes"] < 20 * 2**20 < found["/home"]["total_bytes"] < 30 * 2**20
    assert found["/home"]["read_only"] is False


def test_a_file_system_that_does_not_answer_holds_up_neither_the_start_nor_the_rest(service, stalled):
    service.restart()
    [entry] = eventually(lambda: service.entries(f"HEALTHD_INSTANCE={stalled}"))
    assert entry["HEALTHD_PROBLEM"] == "timeout"
    service.goes_on()
    assert service.described()["readings"]["filesystem"]["/"]["total_bytes"]


def test_processes_of_others_are_seen(service):
    service.heat(70)
    # A machine that is busy has others witnessed as well.
    [witnessed] = eventually(lambda: [of for of in service.events("health.witnessed") if of["resource"] == "memory"])
    names = {process["name"] for process in witnessed["processes"]}
    assert witnessed["hidden"] == 0
    assert "systemd-journal" in names
    assert "healthd.service" in {unit["unit"] for unit in witnessed["units"]}


def test_a_closed_directory_hides_a_file_system_until_the_drop_in_opens_it(service, mounted, drop_in):
    service.machine.do("install", "-d", "-m", "700", "-o", "ana", "/srv/ana")
    mounted("/srv/ana/disk", 20)
    service.restart()
    [entry] = eventually(lambda: service.entries("HEALTHD_INSTANCE=/srv/ana/disk"))
    assert entry["HEALTHD_PROBLEM"] == "permission"
    drop_in("private-mounts")
    service.restart()
    assert service.described()["readings"]["filesystem"]["/srv/ana/disk"]["total_bytes"] < 20 * 2**20
    assert "private-mounts.conf" in entry["HEALTHD_REMEDY"]


@pytest.fixture
def pi(service):
    """Healthd on what says that it is a Raspberry Pi; the control of loop devices stands for the mailbox."""
    service.name_board("Raspberry Pi 4 Model B Rev 1.4\0")
    service.machine.do("mknod", "--mode=660", "/dev/vcio", "c", "10", "237")
    service.machine.do("chgrp", "video", "/dev/vcio")
    yield service
    service.machine.remove("/dev/vcio")
    service.name_board("")


def test_a_closed_mailbox_is_told_with_the_drop_in_that_opens_it(pi, drop_in):
    pi.restart()
    told = pi.described()
    assert told["readings"]["host"]["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert told["unavailable"]["throttling"]["problem"] == "permission"
    assert "raspberry-pi.conf" in told["unavailable"]["throttling"]["remedy"]
    drop_in("raspberry-pi")
    pi.restart()
    # It is open, and does not know the question.
    told = pi.described()["unavailable"]["throttling"]
    assert (told["problem"], told["reason"].count("/dev/vcio: Function not implemented")) == ("failed", 1)
