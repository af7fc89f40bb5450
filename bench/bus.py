"""A private bus, and a healthd on it."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Self

from healthd import protocol

_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
_PATIENCE = 60.0


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that was started here, gently if it lets us."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Bus:
    """A dbus-daemon of our own, with a directory that goes with it. Raises SystemExit where there is none to start."""

    def __init__(self) -> None:
        if not shutil.which("dbus-daemon"):
            raise SystemExit("dbus-daemon is not installed (apt install dbus-daemon)")
        self.directory = tempfile.mkdtemp(prefix="healthd-bench-")
        self.address = f"unix:path={self.directory}/bus"
        configuration = f"{self.directory}/bus.conf"
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(_CONFIGURATION.format(directory=self.directory))
        command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout
        # It prints the address once it listens.
        if not self.process.stdout.readline():
            raise SystemExit(f"{shlex.join(command)} does not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self.process)
        assert self.process.stdout
        self.process.stdout.close()
        shutil.rmtree(self.directory)

    def healthd(self, interval: float, library: str = "", *options: str) -> "subprocess.Popen[bytes]":
        """Start a healthd on this bus and return it once it serves.

        Raises SystemExit where it does not.
        """
        path = f"{self.directory}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(path)
            ready.settimeout(_PATIENCE)
            environment = os.environ | {"NOTIFY_SOCKET": path}
            if library:
                environment["HEALTHD_DBUS_LIBRARY"] = library
            command = [sys.executable, "-m", "healthd", "--bus", self.address, "--interval", f"{interval:g}", *options]
            with open(f"{self.directory}/log", "wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=environment)
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
            except TimeoutError:
                end(process)
                with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as log_text:
                    raise SystemExit(f"{shlex.join(command)} does not serve:\n{log_text.read()}") from None
            finally:
                os.unlink(path)
        return process

    def client(self, kind: str, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a client: a `listener` that prints a line for each signal, or a `watch` that asks at each sample."""
        if kind == "listener":
            rule = f"type='signal',sender='{protocol.BUS_NAME}'"
            command = ["dbus-monitor", "--address", self.address, "--profile", rule]
        else:
            command = [sys.executable, "-m", "healthctl", "watch", "--json", "--bus", self.address]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)
