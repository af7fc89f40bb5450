import time
from itertools import islice
from math import inf
from pathlib import Path

import pytest

from healthd.observe._units import cgroups, place, unit

USER = "/user.slice/user-1000.slice"
MANAGER = f"{USER}/user@1000.service"


@pytest.mark.parametrize(
    ("path", "name", "own"),
    [
        ("/system.slice/ssh.service", "ssh.service", "/system.slice/ssh.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", None),
        ("/init.scope", "init.scope", "/init.scope"),
        (f"{USER}/session-2.scope", "session-2.scope", None),
        ("/system.slice/var-tmp.mount", "var-tmp.mount", None),
        # What a unit has inside is its own affair.
        ("/system.slice/postgresql.service/worker/1", "postgresql.service", "/system.slice/postgresql.service"),
        ("/machine.slice/web.scope/payload/system.slice/nginx.service", "web.scope", "/machine.slice/web.scope"),
        # A user's units, and his manager.
        (f"{MANAGER}/app.slice/app-firefox-12.scope", "app-firefox-12.scope", None),
        (f"{MANAGER}/init.scope", "user@1000.service", f"{MANAGER}/init.scope"),
        (MANAGER, "user@1000.service", MANAGER),
        (f"{MANAGER}/app.slice/user@5.service", "user@5.service", None),
        # Escaped, because the kernel's own files are called cpu.stat and the like.
        ("/system.slice/_cpu.service", "cpu.service", "/system.slice/_cpu.service"),
        ("/", "", ""),
        ("/docker/0123456789abcdef", "", ""),
        ("/kubepods.slice/kubepods-pod7.slice", "", ""),
        ("/../other", "", ""),
        ("", "", ""),
    ],
)
def test_a_cgroup_belongs_to_a_unit_as_systemd_counts(path, name, own):
    assert unit(path) == (name, path if own is None else own)


@pytest.mark.parametrize(
    ("cgroup", "path"),
    [
        (b"0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
        (b"12:pids:/a.service\n1:name=systemd:/system.slice/ssh.service\n0::/\n", "/system.slice/ssh.service"),
        # Some mount systemd's old hierarchy for containers that want it; it is empty.
        (b"1:name=systemd:/\n0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
        (b"0::/system.slice/ssh.service (deleted)\n", "/system.slice/ssh.service"),
        (b"0::/system.slice/a:b.service/c\n", "/system.slice/a:b.service"),
        (b"0::/system.slice/caf\xe9.service\n", "/system.slice/caf\udce9.service"),
        (b"4:memory:/system.slice/ssh.service\n", ""),
        (b"0::/\n", ""),
        (b"0\n::\n:", ""),
        (b"", ""),
    ],
)
def test_the_unit_of_a_process_is_found_in_either_version_of_cgroups(cgroup, path):
    assert place(cgroup) == path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in (
        "init.scope",
        "system.slice/ssh.service/inside.service",
        "system.slice/system-getty.slice/getty@tty1.service",
        "docker/web.service",
        f"{MANAGER[1:]}/app.slice/editor.service",
        f"{MANAGER[1:]}/init.scope",
    ):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "system.slice/file.service").touch()
    return tmp_path


def test_all_units_are_found_and_what_is_inside_them_is_not(tree):
    found = dict(cgroups(str(tree), inf))
    assert set(found) == {
        "/init.scope",
        "/system.slice/ssh.service",
        "/system.slice/system-getty.slice/getty@tty1.service",
        f"{MANAGER}/app.slice/editor.service",
        f"{MANAGER}/init.scope",
    }
    assert found["/init.scope"] == (tree / "init.scope").stat().st_ino


def test_without_cgroups_there_are_no_units(tmp_path):
    assert list(cgroups(str(tmp_path / "absent"), inf)) == []


def test_the_walk_ends_in_time_whatever_a_user_makes(tree):
    assert list(cgroups(str(tree), time.monotonic())) == []
    (tree / "loop.slice").symlink_to(tree)
    assert len(list(islice(cgroups(str(tree), inf), 100))) == 5
