import json
import os

import pytest
from private_bus import eventually

STATE = "/var/lib/healthd"

# In place of a step of the real clock, which is one for the whole kernel: the process is told another time.
STEPPED = """
import time
real = time.time
def stepped():
    with open("/run/stepped") as file:
        return real() + float(file.read())
time.time = stepped
"""

# What a desktop and its friends do, over and over.
LOAD = """
while :; do
    busctl call org.healthd.Health1 /org/healthd/Health1 org.freedesktop.DBus.ObjectManager GetManagedObjects
    healthctl --json status
    echo a line for the journal
done
"""


@pytest.fixture
def load(service):
    service.machine.do("systemd-run", "--quiet", "--unit=load", "--property=User=bob", "sh", "-c", LOAD)
    yield
    service.machine.do("systemctl", "stop", "load")


@pytest.fixture
def small_disk(service):
    """A disk of 4 MiB for what healthd writes."""
    service.systemctl("stop")
    service.machine.do("mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", STATE)
    yield f"{STATE}/else"
    service.systemctl("stop")
    service.machine.do("umount", STATE)


def recorded(service):
    """Return what is recorded, not compressed yet."""
    content = b""
    for directory, _, names in os.walk(f"{service.machine.root}{STATE}/record"):
        for name in sorted(name for name in names if name.endswith(".jsonl")):
            with open(f"{directory}/{name}", "rb") as file:
                content += file.read()
    return content


def lost(service):
    """Return how many events the record misses."""
    return json.loads(service.machine.do("healthctl", "publishers", "--json"))["recorder"]["lost"]


@pytest.mark.usefixtures("load")
def test_the_bus_is_restarted_under_load_and_healthd_stays(service):
    pid = service.pid
    for _ in range(3):
        service.machine.do("systemctl", "restart", "dbus")
        eventually(lambda: service.machine.run("healthctl", "status").stdout)
        service.goes_on()
    assert (service.pid, service.shown("NRestarts")) == (pid, "0")
    assert not service.events("runtime.gap")
    # systemd sees the name too.
    assert service.systemctl("service-log-level").returncode == 0


def test_the_bus_is_gone_for_a_while_and_the_record_goes_on(service):
    pid = service.pid
    service.machine.do("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        service.heat(70)
        eventually(lambda: service.entries("HEALTHD_CONDITION=oven", "HEALTHD_EVENT=health.transition"))
        eventually(lambda: b'"health.transition"' in recorded(service))
        assert service.running()
    finally:
        service.machine.do("systemctl", "start", "dbus")
    eventually(lambda: service.machine.run("healthctl", "status").stdout)
    assert any(event["condition"] == "oven" for event in service.events("health.transition"))
    assert service.pid == pid


@pytest.mark.usefixtures("load")
def test_journald_is_restarted_under_load_and_takes_what_is_told_after(service):
    pid = service.pid
    for _ in range(3):
        service.machine.do("systemctl", "restart", "systemd-journald")
    service.goes_on()
    service.systemctl("reload")
    eventually(lambda: service.entries("HEALTHD_EVENT=config.loaded", f"_PID={pid}"))
    assert service.pid == pid
    service.systemctl("stop")
    eventually(lambda: service.entries("HEALTHD_EVENT=runtime.stopped", f"_PID={pid}"))


def test_a_full_disk_costs_the_record_alone_and_is_told(service, small_disk):
    service.configure("record", '[record]\nmin_free = "0B"\nbatch = "1s"\n')
    service.restart()
    eventually(lambda: b"runtime.started" in recorded(service))
    before = recorded(service)
    service.machine.run("dd", "if=/dev/zero", f"of={small_disk}", "bs=64k")
    eventually(lambda: lost(service) > 0)
    pid = service.pid
    service.goes_on()
    assert recorded(service).startswith(before)
    service.machine.remove(small_disk)
    so_far = len(recorded(service))
    eventually(lambda: len(recorded(service)) > so_far)
    assert service.pid == pid


@pytest.mark.parametrize("seconds", [86400.0 * 365 * 30, -3600.0])
def test_a_step_of_the_clock_is_told_and_upsets_nothing(service, seconds):
    service.machine.write("/run/stepped", "0")
    service.machine.write("/run/stepping/sitecustomize.py", STEPPED)
    service.change("stepped", "[Service]\nEnvironment=PYTHONPATH=/run/stepping\nWatchdogSec=3\n")
    service.restart()
    service.goes_on()
    pid, since = service.pid, service.described()["since_boot"]
    service.machine.write("/run/stepped", str(seconds))
    [gap] = eventually(lambda: service.entries("HEALTHD_EVENT=runtime.gap", f"_PID={pid}"))
    assert gap["HEALTHD_REASON"] == "clock"
    assert float(gap["HEALTHD_SECONDS"]) == pytest.approx(seconds, abs=1)
    eventually(lambda: service.described()["since_boot"] > since + 4)
    assert (service.pid, service.shown("NRestarts")) == (pid, "0")
