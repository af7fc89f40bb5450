"""Instances that come and go are objects that come and go, and events: a real interface in a namespace of its own."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from private_bus import Healthd, eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip is not installed (apt install iproute2)"),
]


def ip(daemon, *arguments):
    command = ["nsenter", f"--net=/proc/{daemon.process.pid}/ns/net", "ip", "link", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def events(daemon, name):
    lines = [json.loads(line) for line in daemon.printed.splitlines(keepends=True) if line.endswith("\n")]
    return [line["data"] for line in lines if line["name"] == name]


def test_an_interface_that_comes_and_goes_is_an_object_that_does(bus):
    daemon = Healthd.__new__(Healthd)
    command = [sys.executable, "-m", "healthd", "--bus", bus.address, "--interval", "0.25", "--console"]
    # Its own /sys as well: the kernel shows the interfaces of the namespace that mounted it.
    mounted = f"mount -t sysfs sysfs /sys && exec {' '.join(command)}"
    daemon.start(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", mounted])
    monitor = subprocess.Popen(
        ["busctl", f"--address={bus.address}", "monitor", "--json=short", "org.healthd.Health1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        daemon.ready()
        assert monitor.stdout
        signals = (message for message in map(json.loads, monitor.stdout) if message["type"] == "signal")
        made = ip(daemon, "add", "hp0", "type", "veth", "peer", "name", "hp1")
        if made.returncode:
            pytest.skip(f"this kernel makes no interfaces: {made.stderr.strip()}")
        path = "/org/healthd/Health1/network/hp0"

        added = next(signal for signal in signals if signal["payload"]["data"][0] == path)
        assert (added["member"], added["path"]) == ("InterfacesAdded", "/org/healthd/Health1")
        values = added["payload"]["data"][1]["org.healthd.Health1.Network"]
        assert values["Kind"]["data"] == "virtual"
        eventually(lambda: {"family": "network", "instance": "hp0"} in events(daemon, "instance.added"))
        shown = bus.busctl("get-property", "org.healthd.Health1", path, "org.healthd.Health1.Reading", "Available")
        assert shown.stdout == "b true\n"

        assert ip(daemon, "delete", "hp0").returncode == 0
        removed = next(
            signal
            for signal in signals
            if signal["member"] == "InterfacesRemoved" and signal["payload"]["data"][0] == path
        )
        assert removed["path"] == "/org/healthd/Health1"
        assert set(removed["payload"]["data"][1]) == {"org.healthd.Health1.Network", "org.healthd.Health1.Reading"}
        eventually(lambda: {"family": "network", "instance": "hp0"} in events(daemon, "instance.removed"))
        assert path not in bus.busctl("tree", "--list", "org.healthd.Health1").stdout.split()
    finally:
        monitor.kill()
        monitor.communicate()
        assert daemon.stop() == 0
