"""Namespaces of the kernel: for root, a machine of another shape that leaves no trace on this one."""

import os
import shutil
import socket
from collections.abc import Callable, Sequence

SYS_CPU = "/sys/devices/system/cpu"


def within(script: str, command: Sequence[str]) -> list[str] | None:
    """Return what runs a command in namespaces of its own for mounts and network, prepared by a shell script.

    `None` without root or unshare(1). The script can still fail, where the kernel lacks what it wants.
    """
    if os.geteuid() or not shutil.which("unshare"):
        return None
    return ["unshare", "--mount", "--net", "sh", "-ec", f'{script}\nexec "$0" "$@"', *command]


def cpus(root: str) -> str:
    """Return the script that shows the CPUs of a tree in `/sys`."""
    return f"mount --bind {root}{SYS_CPU} {SYS_CPU}"


def veths(count: int) -> str:
    """Return the script that makes so many virtual interfaces, in pairs, and shows them in `/sys`."""
    links = "".join(
        f"link add veth{index} up type veth peer name veth{index + 1}\nlink set veth{index + 1} up\n"
        for index in range(0, count, 2)
    )
    return f"mount -t sysfs sysfs /sys\nip -batch - <<END\n{links}END"


def traffic(count: int) -> Callable[[], None]:
    """Return what sends a packet through each pair, so that counters of every interface change."""
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    frame = bytes(12) + b"\x88\xb5" + bytes(1000)  # an EtherType for local experiments

    def send() -> None:
        for index in range(0, count, 2):
            sender.sendto(frame, (f"veth{index}", 0))

    return send
