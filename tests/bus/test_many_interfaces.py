"""Two hundred interfaces come and go while healthd runs: real ones, in a namespace of their own."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from private_bus import Bus, Healthd, eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip is not installed (apt install iproute2)"),
    pytest.mark.timeout(300),
]

COUNT = 200
ROUNDS = 3
INTERVAL = 0.5
PATH = "/org/healthd/Health1/network/"


class Namespace:
    """A network that only one healthd sees."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.daemon = Healthd.__new__(Healthd)
        command = f"{sys.executable} -m healthd --bus {bus.address} --interval {INTERVAL} --console"
        # Its own /sys as well: the kernel shows the interfaces of the namespace that mounted it.
        script = f"mount -t sysfs sysfs /sys && exec {command}"
        self.daemon.start(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script])
        self.daemon.ready()

    @property
    def proc(self) -> str:
        return f"/proc/{self.daemon.process.pid}"

    def ip(self, *lines: str) -> "subprocess.CompletedProcess[str]":
        command = ["nsenter", f"--net={self.proc}/ns/net", "ip", "-batch", "-"]
        return subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=60, check=False)

    def described(self) -> set[str]:
        arguments = ("org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager", "Describe")
        answer = json.loads(self.bus.busctl("--json=short", "call", *arguments).stdout)
        return set(json.loads(answer["data"][0])["readings"]["network"])

    def exported(self) -> set[str]:
        listed = self.bus.busctl("tree", "--list", "org.healthd.Health1").stdout.split()
        return {path.removeprefix(PATH) for path in listed if path.startswith(PATH)}

    def descriptors(self) -> dict[str, str]:
        """What it has open."""
        found = {}
        for name in os.listdir(f"{self.proc}/fd"):
            try:
                found[name] = os.readlink(f"{self.proc}/fd/{name}")
            except FileNotFoundError:  # it was closed in between
                continue
        return found

    def resident(self) -> int:
        """How much memory it uses, bytes."""
        with open(f"{self.proc}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def events(self) -> list[dict[str, object]]:
        lines = self.daemon.printed.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.fixture
def namespace(bus: Bus) -> Iterator[Namespace]:
    made = Namespace(bus)
    yield made
    log = made.daemon.log
    assert made.daemon.stop() == 0, log
    assert "Traceback" not in log


@pytest.fixture
def signals(namespace: Namespace) -> Iterator[Callable[[str, set[str]], set[str]]]:
    """Give a function that reads signals of some name until they told of all interfaces, and returns of which."""
    command = ["busctl", f"--address={namespace.bus.address}", "monitor", "--json=short", "org.healthd.Health1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as monitor:
        assert monitor.stdout
        told = map(json.loads, monitor.stdout)

        def until(member: str, last: set[str]) -> set[str]:
            found: set[str] = set()
            for message in told:
                if message.get("member") == member and str(message["payload"]["data"][0]).startswith(PATH):
                    found.add(message["payload"]["data"][0].removeprefix(PATH))
                    if found >= last:
                        break
            return found

        yield until
        monitor.kill()


def test_two_hundred_interfaces_come_and_go_while_healthd_runs(
    namespace: Namespace, signals: Callable[[str, set[str]], set[str]]
) -> None:
    # In a network of its own: what is printed of it might come later than what the bus says.
    probe = ["unshare", "--net", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]
    if (made := subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False)).returncode:
        pytest.skip(f"this kernel makes no interfaces: {made.stderr.strip()}")
    eventually(lambda: namespace.described() == {"lo"})
    before, said = namespace.descriptors(), len(namespace.events())
    used = []
    for turn in range(ROUNDS):
        # As those of containers, they have other names each time.
        pairs = [(f"a{turn}x{number}", f"b{turn}x{number}") for number in range(COUNT // 2)]
        names = {name for pair in pairs for name in pair}
        assert not namespace.ip(*(f"link add {one} up type veth peer name {other}" for one, other in pairs)).returncode
        assert signals("InterfacesAdded", names) == names
        assert namespace.described() == namespace.exported() == {"lo", *names}

        assert not namespace.ip(*(f"link delete {one}" for one, _ in pairs)).returncode
        assert signals("InterfacesRemoved", names) == names
        assert namespace.described() == namespace.exported() == {"lo"}
        eventually(lambda: namespace.descriptors() == before)
        used.append(namespace.resident())
    # The first time it learns how much room it needs.
    assert max(used[1:]) - used[0] < 2 * 2**20, used

    events = namespace.events()[said:]
    told = Counter(event["name"] for event in events)
    assert (told["instance.added"], told["instance.removed"]) == (ROUNDS * COUNT, ROUNDS * COUNT)
    assert not told["collector.failed"]
    # A tick more than a second late is a gap.
    assert [event["data"] for event in events if event["name"] == "runtime.gap"] == []
