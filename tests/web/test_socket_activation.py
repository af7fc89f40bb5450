import http.client
import json
import shutil
import socket
import subprocess
import sys

import pytest
from private_bus import eventually

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")


class Local(http.client.HTTPConnection):
    """A connection to a socket that is a file."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@pytest.mark.parametrize("abstract", [False, True])
def test_the_first_request_starts_the_bridge_on_the_socket_that_waited_for_it(healthd_bus, tmp_path, abstract):
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("systemd-socket-activate is not installed")
    path = f"@{tmp_path}" if abstract else str(tmp_path / "http")
    bridge = [sys.executable, "-m", "healthctl", "--bus", healthd_bus.address, "web", "--listen", "127.0.0.1:1"]
    with (
        open(tmp_path / "log", "w") as log,
        subprocess.Popen([activate, "--listen", path, "-E", "PYTHONWARNINGS=error", *bridge], stderr=log) as process,
    ):
        try:
            eventually((lambda: path in (tmp_path / "log").read_text()) if abstract else (tmp_path / "http").is_socket)
            for _ in range(2):
                client = Local(path.replace("@", "\0", 1))
                client.request("GET", "/api/v1/status")
                answer = client.getresponse()
                assert answer.status == 200, answer.read()
                assert json.loads(answer.read())["health"]["severity"]
                client.close()
        finally:
            process.terminate()
        # The socket is all that it takes: no other is bound.
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
    assert f"healthctl: {path}\n" in (tmp_path / "log").read_text()


HAND_OVER = """
import os, socket, sys
made = {"file": lambda: open("/dev/null"), "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM),
        "connection": lambda: socket.socketpair()[0]}[sys.argv[1]]()
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "healthctl", "--bus", "unix:path=/nowhere", "web"])
"""


@pytest.mark.parametrize("kind", ["file", "datagram", "connection"])
def test_what_is_handed_over_and_does_not_listen_is_said(kind):
    ended = subprocess.run(
        [sys.executable, "-c", HAND_OVER, kind], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 64
    [line] = ended.stderr.splitlines()
    assert line.startswith("healthctl: what systemd hands over is no stream that listens")
