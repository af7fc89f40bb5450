"""A real dbus-daemon on a private address with the shipped policy, and a real healthd on it."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
POLICY = os.path.join(os.path.dirname(HERE), "data", "dbus", "org.healthd.Health1.conf")

# As Debian's system.conf, with the shipped policy included.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{policy}</include>
  {extra}
</busconfig>
"""
OWNER = '<policy user="{user}"><allow own="org.healthd.Health1"/></policy>'


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> object:
    """Wait until a condition is true, and return what it gave."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < until, f"did not come true within {seconds} s"
        pause.wait(0.01)
    return found


def stopped(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> int:
    """End a process by a signal, and return its exit code; one that does not heed it is no more afterwards."""
    process.send_signal(number)
    try:
        return process.wait(20)
    finally:
        process.kill()
        process.wait()


class Bus:
    """A real dbus-daemon on a private address, with the shipped policy."""

    def __init__(self, directory: str, *, extra: str = "") -> None:
        self.directory = directory
        self.address = f"unix:path={directory}/bus"
        if os.geteuid():
            # The shipped policy lets root and healthd own the name, and this is neither.
            extra += OWNER.format(user=pwd.getpwuid(os.geteuid()).pw_name)
        self._config = f"{directory}/bus.conf"
        with open(self._config, "w") as file:
            file.write(BUS.format(address=self.address, policy=POLICY, extra=extra))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/bus")
        command = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--nosyslog"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        eventually(self._listens)
        os.chmod(f"{self.directory}/bus", 0o777)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(f"{self.directory}/bus") == 0

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def busctl(self, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["busctl", f"--address={self.address}", "--no-pager", *arguments],
            capture_output=True, text=True, timeout=30, check=False, user=user,
        )  # fmt: skip


class Healthd:
    """A real healthd as a process of its own."""

    def __init__(self, bus: str, *options: str, environment: dict[str, str] | None = None) -> None:
        self.start([sys.executable, "-m", "healthd", "--bus", bus, *options], environment)

    def start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        self.output = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=self.errors, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "error", **(environment or {})},
        )  # fmt: skip

    @property
    def log(self) -> str:
        """What it wrote on standard error."""
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    @property
    def printed(self) -> str:
        """What it wrote on standard output."""
        return os.pread(self.output.fileno(), 1 << 24, 0).decode()

    def ready(self) -> "Healthd":
        def serves() -> bool:
            assert self.process.poll() is None, self.log
            return "serving" in self.log

        eventually(serves)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        try:
            return stopped(self.process, number)
        finally:
            self.errors.close()
            self.output.close()


@contextlib.contextmanager
def private_bus(extra: str = "") -> Iterator[Bus]:
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not installed (apt install dbus-daemon)")
    directory = tempfile.mkdtemp(prefix="healthd-test-")
    os.chmod(directory, 0o755)
    bus = Bus(directory, extra=extra)
    try:
        yield bus
    finally:
        bus.stop()
        shutil.rmtree(directory)
