"""A machine for tests: a real systemd as process 1 of new namespaces, on a copy-on-write view of the file system.

It is as root as its maker, and no prison. What it writes is gone with it, and with it go its processes, mounts and
cgroups, whatever happens to those who made it: see `keep`.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Self

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))

_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net")
# Where a test machine can be had, this does nothing; elsewhere it says why.
_PROBE = """
set -e
mount --make-rprivate / && mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc" && mount -t sysfs sysfs "$1/root/sys"
"""
# What a machine consists of, and the packages of Debian that have it.
_PARTS = {
    "/lib/systemd/systemd": "systemd", "/lib/systemd/system/dbus.service": "dbus", "dbus-daemon": "dbus-daemon",
    "/usr/lib/polkit-1/polkitd": "polkitd", "unshare": "util-linux", "mount": "mount", "ip": "iproute2",
    "kill": "procps", "mkfs.ext4": "e2fsprogs",
    **{f"/usr/lib/python3/dist-packages/{name.replace('-', '_')}": f"python3-{name}"
       for name in ("click", "dbus-next", "humanize", "jeepney", "psutil", "sdnotify", "tomli-w")},
}  # fmt: skip


class Done(subprocess.CompletedProcess[str]):
    """A command that has ended."""

    @property
    def printed(self) -> str:
        """What it printed, where it was successful."""
        assert self.returncode == 0, f"{self.args} gave {self.returncode}: {self.stdout}{self.stderr}"
        return self.stdout.strip()


def hindrance() -> str:
    """Return why there can be no such machine here; "" where there can."""
    if os.geteuid():
        return "only root can boot a machine"
    there = {part for part in _PARTS if os.path.exists(part) or shutil.which(part)}
    missing = sorted({package for part, package in _PARTS.items() if part not in there})
    if missing:
        return f"not installed: {' '.join(missing)}"
    if not _cgroups():
        return "no cgroup v2 hierarchy is mounted"
    with tempfile.TemporaryDirectory(prefix="healthd-machine-") as base:
        command = ["unshare", "--fork", "--cgroup", *_NAMESPACES, "sh", "-c", _PROBE, "sh", base]
        probe = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return f"namespaces are not permitted: {probe.stderr.strip()}" if probe.returncode else ""


def _cgroups() -> str:
    """Return where the cgroup v2 hierarchy is mounted."""
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("cgroup2 ") and os.access(path := left.split()[4], os.W_OK):
                return path
    return ""


class Machine:
    """Boots at once; a context that ends it.

    `over_sys`: a directory whose files appear in /sys.
    """

    def __init__(self, over_sys: str = "") -> None:
        self.base = tempfile.mkdtemp(prefix="healthd-machine-")
        self.cgroup = f"{_cgroups()}/{os.path.basename(self.base)}"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # open as long as the machine
        self.keeper = subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(__file__), self.base, self.cgroup, over_sys],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            assert self.keeper.stdout
            self.pid = int(self.keeper.stdout.readline() or "0")
            self._wait_until_up()
        except BaseException:
            self.end()
            raise

    def _wait_until_up(self) -> None:
        until = time.monotonic() + 60
        while True:
            assert self.pid, self._said()
            assert self.keeper.poll() is None, self._said()
            if os.path.isdir(f"{self.root}/run/systemd/system"):
                state = self.run("systemctl", "is-system-running", "--wait")
                if state.stdout.strip() in ("running", "degraded"):
                    return
            assert time.monotonic() < until, f"no boot within 60 s: {self._said()}"
            time.sleep(0.01)

    def _said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    @property
    def root(self) -> str:
        """Its file system, as it is seen from outside. Links in it that begin with / lead astray."""
        return f"/proc/{self.pid}/root"

    def run(
        self, *command: str, user: str = "", seconds: float = 30, send: str = "", environment: Mapping[str, str] = {}
    ) -> Done:
        """Run a command inside, and return when it has ended."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **environment}
        # timeout(1) ends it from inside: else it would be nobody's child there, and the machine could not end.
        full = [
            "nsenter", f"--target={self.pid}", "--cgroup", *_NAMESPACES, "env", "-i",
            *(f"{name}={value}" for name, value in variables.items()),
            *who, "timeout", "--kill-after=1", str(seconds), *command,
        ]  # fmt: skip
        done = subprocess.run(full, capture_output=True, text=True, input=send, check=False, cwd="/")
        assert done.returncode != 124, f"{command} took longer than {seconds} s: {done.stdout}{done.stderr}"
        return Done(command, done.returncode, done.stdout, done.stderr)

    def do(self, *command: str, send: str = "", seconds: float = 30) -> str:
        """Run a command inside that has to succeed, and return what it printed."""
        return self.run(*command, send=send, seconds=seconds).printed

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Make a file inside, and its directories."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)
        os.chmod(self.root + path, mode)

    def remove(self, path: str) -> None:
        """Remove a file or a directory inside, if it is there."""
        if os.path.isdir(self.root + path):
            shutil.rmtree(self.root + path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.root + path)

    def end(self) -> None:
        """Shut it down, and leave nothing."""
        assert self.keeper.stdin
        assert self.keeper.stdout
        self.keeper.stdin.close()
        self.keeper.wait(60)
        self.keeper.stdout.close()
        self.log.close()
        # Where the keeper was killed.
        _clean(self.base, self.cgroup)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def keep(base: str, cgroup: str, over_sys: str) -> None:
    """Make a machine, print the PID of its process 1, and end it when standard input ends: with who wanted it.

    The kernel ends the machine where this process is killed.
    """
    os.mkdir(cgroup)
    # Process 1 alone is in the cgroup that becomes the root of its own: a second one would keep controllers off.
    enter = 'echo 0 >"$1/cgroup.procs" && shift && exec unshare --cgroup sh "$@"'
    command = [
        "setpriv", "--pdeathsig=KILL", "unshare", "--fork", "--kill-child", *_NAMESPACES,
        "sh", "-c", enter, "sh", cgroup, f"{HERE}/boot.sh", base, "/", CHECKOUT, over_sys,
    ]  # fmt: skip
    above = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        pid = _child(above)
        print(pid, flush=True)
        if pid and _ends_first(0, above.pid):
            os.kill(pid, signal.SIGRTMIN + 4)  # systemd(1): power off
            with contextlib.suppress(subprocess.TimeoutExpired):
                above.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    finally:
        above.wait()
        _clean(base, cgroup)


def _child(above: subprocess.Popen[bytes]) -> int:
    path = f"/proc/{above.pid}/task/{above.pid}/children"
    while above.poll() is None:
        with open(path) as file:
            if pids := file.read().split():
                return int(pids[0])
        time.sleep(0.001)
    return 0


def _ends_first(descriptor: int, pid: int) -> bool:
    """Wait until a descriptor or a process ends, and tell whether it was the descriptor."""
    process = os.pidfd_open(pid)
    ready, _, _ = select.select([descriptor, process], [], [])
    os.close(process)
    return descriptor in ready


def _clean(base: str, cgroup: str) -> None:
    until = time.monotonic() + 10
    while os.path.isdir(cgroup) and time.monotonic() < until:
        # A cgroup can go when its last process is reaped.
        for directory, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        time.sleep(0.01)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    keep(*sys.argv[1:])
