import glob
import json
import os
import re

import pytest
from installed import Service
from machine import CHECKOUT, Machine
from private_bus import eventually
from test_service_package import files

SOCKET, SERVICE = "healthd-web.socket", "healthd-web.service"
pytestmark = pytest.mark.timeout(300)

DROP_IN = f"/etc/systemd/system/{SOCKET}.d/open.conf"
# Prints the status and the content; its arguments are a path and headers.
ASK = """
import sys, urllib.error, urllib.request
asked = urllib.request.Request("http://127.0.0.1:8086" + sys.argv[1])
for header in sys.argv[2:]:
    asked.add_header(*header.split(": "))
try:
    answer = urllib.request.urlopen(asked, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode())
"""


class Bridge(Service):
    """healthd as a service, and its web bridge."""

    def ask(self, path, *headers):
        """Return the status and the content that a request has."""
        told = self.machine.do("/usr/bin/python3", "-c", ASK, path, *headers)
        status, _, content = told.partition("\n")
        return int(status), content

    def of(self, unit, name):
        """Return what systemd knows of a unit of the bridge."""
        return self.machine.do("systemctl", "show", f"--property={name}", "--value", unit)

    def listening(self):
        """Return the addresses on which anybody could reach the machine."""
        return {line.split()[4] for line in self.machine.do("ss", "-Hltun").splitlines()}


@pytest.fixture(scope="module")
def packages():
    """Give the paths of both Debian packages inside a machine."""
    found = sorted(glob.glob(f"{CHECKOUT}/.build/deb/healthd*.deb"))
    if len(found) != 2:
        pytest.skip("the Debian packages are not built (make deb)")
    for name in ("aiohttp", "prometheus_client"):
        if not os.path.exists(f"/usr/lib/python3/dist-packages/{name}"):
            pytest.skip(f"not installed: python3-{name.replace('_', '-')}")
    return [path.replace(CHECKOUT, "/run/checkout") for path in found]


@pytest.fixture
def bridge():
    """A machine that has never seen healthd."""
    with Machine() as made:
        yield Bridge(made, "")


@pytest.fixture(scope="module")
def packaged(packages):
    """A machine with both packages, shared by the tests of this module."""
    with Machine() as made:
        made.do("dpkg", "--install", *packages, seconds=120)
        yield Bridge(made, "")


@pytest.fixture
def placed(packaged):
    """That machine, and the socket is started."""
    packaged.machine.do("systemctl", "start", SOCKET)
    yield packaged
    packaged.machine.do("systemctl", "stop", SOCKET, SERVICE)
    packaged.machine.remove(DROP_IN)
    packaged.machine.remove("/var/lib/healthd-web/token")
    packaged.machine.do("systemctl", "daemon-reload")
    packaged.machine.do("systemctl", "reset-failed")


def test_nothing_listens_until_somebody_starts_it(bridge, packages):
    bridge.machine.do("dpkg", "--install", *packages, seconds=120)
    assert bridge.running()
    assert bridge.listening() == set()
    assert bridge.machine.run("systemctl", "is-enabled", SOCKET).stdout.strip() == "disabled"
    assert {bridge.of(unit, "ActiveState") for unit in (SOCKET, SERVICE)} == {"inactive"}

    bridge.machine.do("systemctl", "enable", "--now", SOCKET)
    assert bridge.listening() == {"127.0.0.1:8086"}
    assert bridge.of(SERVICE, "ActiveState") == "inactive"


def test_the_first_request_starts_it_and_has_its_answer(placed):
    status, page = placed.ask("/")
    assert status == 200
    described = placed.described()
    assert re.search(rf"\b{described['health']['severity']}\b", page)
    assert json.loads(placed.ask("/api/v1/status")[1])["health"].keys() == described["health"].keys()
    status, metrics = placed.ask("/metrics")
    assert status == 200
    assert "\nhealthd_cpu_busy_ratio " in metrics
    assert placed.listening() == {"127.0.0.1:8086"}
    # Nobody asks for a token here, and none is made.
    assert placed.machine.do("ls", "-A", "/var/lib/healthd-web") == ""
    assert "Traceback" not in placed.machine.do("journalctl", "--no-pager", f"--unit={SERVICE}")


def test_it_runs_as_its_own_user_and_reaches_nothing_but_the_bus(placed):
    placed.ask("/")
    pid = placed.of(SERVICE, "MainPID")
    status = placed.machine.do("cat", f"/proc/{pid}/status")
    uid = placed.machine.do("id", "--user", "healthd-web")
    assert re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE)[1].split() == [uid] * 4
    assert re.search(r"^Cap(?:Prm|Bnd):\s+0+$", status, re.MULTILINE)
    network = placed.machine.do("readlink", f"/proc/{pid}/ns/net")
    assert network != placed.machine.do("readlink", "/proc/1/ns/net")
    told = placed.machine.do("systemd-analyze", "security", "--no-pager", SERVICE)
    [level] = re.findall(rf"exposure level for {re.escape(SERVICE)}: ([0-9.]+)", told)
    assert float(level) <= 0.5
    verified = placed.machine.run("systemd-analyze", "verify", "--man=no", SERVICE, SOCKET)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_whoever_opens_the_socket_to_others_has_them_show_the_token(placed):
    placed.machine.write(DROP_IN, "[Socket]\nListenStream=\nListenStream=8086\n")
    placed.machine.do("systemctl", "daemon-reload")
    placed.machine.do("systemctl", "restart", SOCKET)
    assert placed.listening() == {"*:8086"}
    assert placed.ask("/metrics")[0] == 401
    told = placed.machine.do("stat", "--format=%a %U", "/var/lib/healthd-web", "/var/lib/healthd-web/token")
    assert told.splitlines() == ["700 healthd-web", "600 healthd-web"]
    token = placed.machine.do("cat", "/var/lib/healthd-web/token")
    assert placed.ask("/metrics", f"Authorization: Bearer {token}")[0] == 200
    assert "/var/lib/healthd-web/token" in placed.machine.do("journalctl", "--no-pager", f"--unit={SERVICE}")
    # It is kept.
    placed.machine.do("systemctl", "stop", SERVICE)
    assert placed.ask("/metrics", f"Authorization: Bearer {token}")[0] == 200


def test_a_bridge_that_was_killed_answers_the_next_request(placed):
    placed.ask("/")
    pid = placed.of(SERVICE, "MainPID")
    placed.machine.do("kill", "-KILL", pid)
    eventually(lambda: placed.of(SERVICE, "MainPID") != pid)
    assert placed.ask("/")[0] == 200


def test_an_upgrade_restarts_what_runs_and_starts_nothing_else(placed, packages):
    placed.machine.do("dpkg", "--install", *packages, seconds=120)
    assert placed.listening() == {"127.0.0.1:8086"}
    placed.ask("/")
    pid = placed.of(SERVICE, "MainPID")
    placed.machine.do("dpkg", "--install", *packages, seconds=120)
    assert placed.of(SERVICE, "MainPID") != pid
    assert placed.ask("/")[0] == 200

    placed.machine.do("systemctl", "stop", SOCKET, SERVICE)
    placed.machine.do("dpkg", "--install", *packages, seconds=120)
    assert placed.listening() == set()


def test_a_removal_closes_it_and_a_purge_leaves_nothing(bridge, packages):
    before = files(bridge)
    bridge.machine.do("dpkg", "--install", *packages, seconds=120)
    bridge.machine.do("systemctl", "enable", "--now", SOCKET)
    assert bridge.ask("/")[0] == 200

    bridge.machine.do("dpkg", "--remove", "healthd-web", seconds=60)
    assert bridge.listening() == set()
    assert bridge.of(SERVICE, "ActiveState") == "inactive"
    assert bridge.running()
    assert os.path.isdir(f"{bridge.machine.root}/var/lib/healthd-web")

    bridge.machine.do("dpkg", "--purge", "healthd-web", "healthd", seconds=60)
    assert files(bridge) == before


def test_make_install_brings_it_too(service):
    if not os.path.exists("/usr/lib/python3/dist-packages/aiohttp"):
        pytest.skip("not installed: python3-aiohttp")
    bridge = Bridge(service.machine, "")
    assert bridge.listening() == set()
    bridge.machine.do("systemctl", "enable", "--now", SOCKET)
    try:
        assert bridge.ask("/")[0] == 200
    finally:
        bridge.machine.do("/usr/bin/python3", "/run/checkout/.make/install", "uninstall", "/usr")
    assert bridge.listening() == set()
    assert {bridge.of(unit, "LoadState") for unit in (SOCKET, SERVICE)} == {"not-found"}
