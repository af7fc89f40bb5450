import re
import signal
import socket
import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from healthctl.cli import main; sys.exit(main())"


@pytest.mark.parametrize("module", ["aiohttp", "prometheus_client"])
def test_what_the_bridge_needs_and_is_not_installed_is_said_in_a_line(module):
    if module == "prometheus_client":
        pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    command = [sys.executable, "-c", WITHOUT, module, "web"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 69
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"healthctl: {module} is not installed; apt install python3-aiohttp")
    assert line.endswith("or pip install aiohttp prometheus-client")


@pytest.mark.parametrize(("command", "instead"), [("web", "/api/v1"), ("notify", "--exec")])
def test_json_is_refused_where_there_is_none(command, instead):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    arguments = [sys.executable, "-m", "healthctl", "--bus", "unix:path=/nowhere", command, "--json"]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 64
    [line] = ended.stderr.splitlines()
    assert instead in line


def test_a_way_that_leads_nowhere_keeps_it_from_no_end(terminal, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    asked = tmp_path / "asked"
    # At a terminal ssh may ask somebody, for five minutes.
    monkeypatch.setenv("HEALTHD_SSH", f"sh -c 'touch {asked}; exec sleep 600'")
    bridge = terminal("system", "-H", "nowhere", "web", "--listen", "127.0.0.1:0")
    bridge.until(lambda: re.search(r"http://\S+:\d+/\r\n", bridge.raw.decode()))
    port = int(re.findall(r":(\d+)/\r\n", bridge.raw.decode())[0])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        bridge.until(asked.exists)
        bridge.process.send_signal(signal.SIGTERM)
        assert bridge.ended() == 0
