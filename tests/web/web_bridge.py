"""A real `healthctl web` as a process of its own, and who asks it."""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from private_bus import eventually, stopped


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Bridge:
    def __init__(self, bus: str, *options: str, **environment: str) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        command = [sys.executable, "-m", "healthctl", "--bus", bus, "web"]
        if "--listen" not in options:
            command += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, *options], stdin=subprocess.DEVNULL, stderr=self.errors,
            env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        )  # fmt: skip
        self.address, self.port = "", 0

    @property
    def log(self) -> str:
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def ready(self) -> "Bridge":
        def serves() -> object:
            found = re.search(r"http://(\S+):(\d+)/\n", self.log)
            assert found or self.process.poll() is None, self.log
            return found

        found = eventually(serves)
        assert isinstance(found, re.Match)
        self.address, self.port = found[1].strip("[]"), int(found[2])
        return self

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, self.port, timeout=20)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def stop(self) -> int:
        try:
            return stopped(self.process)
        finally:
            self.errors.close()


class Events:
    """Server-sent events, read as they come."""

    def __init__(self, bridge: Bridge, path: str, **headers: str) -> None:
        self._connection = bridge.connect()
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()

    def next(self, name: str) -> str:
        """Return the data of the next event of a name."""
        found = ""
        while line := self.answer.readline().decode():
            if line.startswith("event: "):
                found = line.removeprefix("event: ").strip()
            elif line.startswith("data: ") and found == name:
                return line.removeprefix("data: ").rstrip("\n")
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._connection.close()
