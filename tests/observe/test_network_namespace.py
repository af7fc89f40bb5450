"""Real interfaces in a namespace of their own: what the kernel does when they are made anew and renamed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip is not installed (apt install iproute2)"),
]

SCRIPT = """
import contextlib, json, socket, subprocess
from healthd.clock import Instant
from healthd.observe import roots
from healthd.observe.network import COLLECTOR

collector = COLLECTOR(roots())
found = []
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines), text=True, check=True)

def make():
    ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
    # The kernel drops what is sent until it has made up its mind, in its own time, that the line is there.
    while " state UP " not in subprocess.run(["ip", "link", "show", "v0"], capture_output=True, text=True).stdout:
        pass

def send(packets):
    for _ in range(packets):
        sender.sendto(bytes(12) + b"\\x88\\xb5" + bytes(986), ("v0", 0))  # an EtherType for local experiments

def look():
    since_boot = 1000.0 + 5 * len(found)
    readings = collector.collect(Instant(1767254400.0 + since_boot, since_boot, 0.0))
    found.append({name: [one.tx_bytes, one.tx_bytes_per_second] for name, one in readings.items() if name != "lo"})

# Nothing but what is sent here passes: the kernel itself has nothing to say.
with contextlib.suppress(FileNotFoundError), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
    file.write("1")
make()
look()
send(5)
look()
ip("link delete v0")
make()
send(20)
look()
send(10)
look()
ip("link set v0 down", "link set v0 name w0", "link set w0 up")
look()
print(json.dumps(found))
"""


def test_an_interface_made_anew_or_renamed_begins_anew() -> None:
    script = f'mount -t sysfs sysfs /sys && exec "{sys.executable}" -c "$0"'
    command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and "Unknown device type" in done.stderr:
        pytest.skip(f"this kernel makes no interfaces: {done.stderr.strip()}")
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == [
        {"v0": [0, None], "v1": [0, None]},
        # 5 packets of 1000 bytes in 5 s.
        {"v0": [5000, 1000.0], "v1": [0, 0.0]},
        # More than the one before had; when this one sent it is not known.
        {"v0": [20000, None], "v1": [0, None]},
        {"v0": [30000, 2000.0], "v1": [0, 0.0]},
        {"w0": [30000, None], "v1": [0, 0.0]},
    ]
