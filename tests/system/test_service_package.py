import glob
import os

import pytest
from installed import CONFIG, MANAGE, MANAGER, NAME, ROOT, USERS, Service
from machine import CHECKOUT, Machine
from private_bus import eventually

# What Debian's tools keep for themselves.
KEPT = (
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/etc/.pwd.lock",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
)


@pytest.fixture
def package():
    """The path of the Debian package inside a machine."""
    found = glob.glob(f"{CHECKOUT}/.build/deb/healthd_*.deb")
    if not found:
        pytest.skip("no Debian package is built (make deb)")
    return found[0].replace(CHECKOUT, "/run/checkout")


@pytest.fixture
def clean():
    """A machine that has never seen healthd."""
    with Machine() as made:
        made.do("systemd-sysusers", "-", send=USERS)
        yield Service(made, "")


def files(service, *which):
    found = service.machine.do(
        "find", "/usr", "/etc", "/var/lib", "-not", "-name", "__pycache__", "-not", "-name", "*.pyc", *which
    )
    return {path for path in found.splitlines() if not path.startswith(KEPT)}


def test_the_package_is_installed_and_serves_everyone_at_once(clean, package):
    clean.machine.do("dpkg", "--install", package, seconds=120)
    assert clean.running()
    assert clean.shown("UnitFileState") == "enabled"
    assert clean.machine.run("healthctl", "get", "memory.percent", user="bob").printed
    assert clean.machine.run("healthctl", "reload", user="bob").returncode == 77
    assert clean.call("Reload").returncode == 0
    assert clean.machine.do("journalctl", "--no-pager", "-x", "HEALTHD_EVENT=runtime.started").count(
        "Defined-By: healthd"
    )
    assert clean.machine.run("systemd-analyze", "verify", "--man=no", "healthd.service").stderr == ""
    assert clean.machine.do("dpkg", "--verify", "healthd") == ""


def test_an_upgrade_restarts_it_and_keeps_what_is_the_users(clean, package):
    clean.machine.do("dpkg", "--install", package, seconds=120)
    clean.configure("mine", "interval = 2\n")
    pid = clean.pid
    clean.machine.do("dpkg", "--install", package, seconds=120)
    assert clean.running()
    assert clean.pid != pid
    assert clean.manager("SampleIntervalUSec") == 2_000_000
    assert len(clean.entries("HEALTHD_EVENT=runtime.stopped")) == 1


def test_a_removal_ends_it_and_a_purge_leaves_nothing(clean, package):
    before = files(clean)
    clean.machine.do("dpkg", "--install", package, seconds=120)
    clean.configure("mine", "interval = 2\n")
    eventually(lambda: os.path.isdir(f"{clean.machine.root}/var/lib/healthd/record"))

    clean.machine.do("dpkg", "--remove", "healthd", seconds=60)
    assert clean.shown("ActiveState") == "inactive"
    called = clean.machine.run("busctl", "call", NAME, ROOT, MANAGER, "Describe")
    assert called.returncode != 0
    assert os.path.exists(f"{clean.machine.root}{CONFIG}/mine.toml")
    assert os.path.isdir(f"{clean.machine.root}/var/lib/healthd/record")

    clean.machine.do("dpkg", "--purge", "healthd", seconds=60)
    assert files(clean) == before


def test_make_install_serves_from_usr_local_and_make_uninstall_leaves_what_is_the_users(clean):
    before = files(clean, "-not", "-type", "d")
    clean.machine.do("make", "-C", "/run/checkout", "install", seconds=120)
    clean.machine.do("systemctl", "enable", "--now", "healthd")
    assert clean.running()
    assert os.path.dirname(clean.shown("FragmentPath")) == "/usr/local/lib/systemd/system"
    assert clean.machine.run("systemd-analyze", "verify", "--man=no", "healthd.service").stderr == ""
    # The bus's policy and activation, polkit's action and the journal's catalog are found there.
    clean.systemctl("stop")
    assert clean.machine.run("/usr/local/bin/healthctl", "get", "memory.percent", user="bob").printed
    assert clean.running()
    assert clean.machine.run("/usr/local/bin/healthctl", "reload", user="bob").returncode == 77
    assert MANAGE in clean.machine.do("pkaction")
    assert "Defined-By: healthd" in clean.machine.do("journalctl", "-x", "HEALTHD_EVENT=runtime.started")
    eventually(lambda: os.path.isdir(f"{clean.machine.root}/var/lib/healthd/record"))

    clean.machine.do("make", "-C", "/run/checkout", "uninstall", seconds=60)
    assert clean.shown("ActiveState") == "inactive"
    assert clean.machine.run("busctl", "call", NAME, ROOT, MANAGER, "Describe").returncode != 0
    left = files(clean, "-not", "-type", "d") - before
    assert left
    assert all(path.startswith("/var/lib/healthd/") for path in left)
