"""A real journald on sockets and files of its own, in a mount namespace; and a strict reader of its protocol."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from typing import Any

import pytest
from private_bus import eventually

JOURNALD = "/lib/systemd/systemd-journald"
# The kernel's log and audit are the machine's, not the test's.
CONFIGURATION = """[Journal]
Storage=volatile
ReadKMsg=no
Audit=
RateLimitIntervalSec=0
ForwardToWall=no
ForwardToSyslog=no
"""


class Journald:
    """Starts with `start`; its sockets are below `directory`."""

    def __init__(self) -> None:
        if os.geteuid():
            pytest.skip("needs root, for a mount namespace")
        for program in (JOURNALD, "journalctl", "unshare"):
            if not shutil.which(program):
                pytest.skip(f"{program} is not installed (apt install systemd util-linux)")
        self.directory = tempfile.mkdtemp(prefix="healthd-test-")
        self.path = f"{self.directory}/run/journal/socket"
        os.makedirs(f"{self.directory}/run/journald.conf.d")
        os.makedirs(f"{self.directory}/run/journal")
        os.makedirs(f"{self.directory}/log")
        with open(f"{self.directory}/run/journald.conf.d/test.conf", "w") as file:
            file.write(CONFIGURATION)
        self._errors = open(f"{self.directory}/errors", "w+")  # noqa: SIM115  # open as long as this is
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        mounts = " && ".join(
            f"mount --bind {self.directory}/{ours} {place}"
            for ours, place in (("run", "/run/systemd"), ("log", "/run/log"))
        )
        script = f"mkdir -p /run/systemd /run/log && {mounts} && exec {JOURNALD}"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stderr=self._errors
        )
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            self._errors.seek(0)
            self.process = None
            pytest.skip(f"journald does not run here: {self._errors.read()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(self.path) == 0

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.kill()
        self._errors.close()
        shutil.rmtree(self.directory)

    def stream(self, identifier: str) -> socket.socket:
        """Return a connection like the one that systemd gives a service as standard error."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.connect(f"{self.directory}/run/journal/stdout")
        # Identifier, unit, priority, whether `<N>` is understood, and where else it goes: nowhere.
        made.sendall(f"{identifier}\n\n6\n1\n0\n0\n0\n".encode())
        return made

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """Return the entries with these fields, oldest first; what is no text is bytes."""
        shown = subprocess.run(
            ["journalctl", f"--directory={self.directory}/log/journal", "--all", "--quiet", "-o", "json", *matches],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return [
            {name: bytes(value) if isinstance(value, list) else value for name, value in json.loads(line).items()}
            for line in shown.stdout.splitlines()
        ]


def parse(entry: bytes) -> dict[str, bytes]:
    """Read an entry, and fail for what the protocol does not allow."""
    fields: dict[str, bytes] = {}
    while entry:
        line, end, rest = entry.partition(b"\n")
        assert end, "the last line has no end"
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value = rest[8 : 8 + size]
            assert len(value) == size, "the value is shorter than it says"
            assert rest[8 + size : 9 + size] == b"\n", "the value does not end where it says"
            rest = rest[9 + size :]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{,63}", name), name
        assert name not in fields, name
        fields[name.decode()] = value
        entry = rest
    return fields
