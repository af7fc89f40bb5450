"""What the web bridge costs: idle, with one and with many browsers on the stream, and for one request.

    python -m bench.web [--browsers 100] [--seconds 20] [--peer 'glances -w --disable-webui -B 127.0.0.1 -p 61208']

CPU time of the bridge's process by `/proc/PID/stat`, in steps of 10 ms; the peer answers `/api/4/mem`.
"""

import argparse
import asyncio
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress

from bench.bus import Bus, end
from bench.figures import machine, number, table

_REQUESTS = 3000
# Less than the bridge allows one address in a second.
_BURST = 150
_PATIENCE = 60.0


def spent(pid: int) -> float:
    """Return the CPU time of a process, seconds."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return the memory of a process, MiB."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


async def listen(port: int) -> None:
    """Read the stream as a browser does, until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /live?range=1h HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        while await reader.read(1 << 16):
            pass
    finally:
        writer.close()


async def ask(port: int, path: str, pid: int) -> float:
    """Return the CPU time of a request, µs; they come one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = 0.0
    for count in range(-_BURST, _REQUESTS):
        if count == 0:
            began = spent(pid)
        if count % _BURST == 0:
            await asyncio.sleep(1.0)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path}: {head.decode()}")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length
        await reader.readexactly(int(length[1]))
    writer.close()
    return (spent(pid) - began) / _REQUESTS * 1e6


async def share(port: int, pid: int, browsers: int, seconds: float) -> float:
    """Return which share of a CPU the bridge takes with so many browsers, percent."""
    streams = [asyncio.create_task(listen(port)) for _ in range(browsers)]
    await asyncio.sleep(5.0)
    began, at = spent(pid), time.monotonic()
    await asyncio.sleep(seconds)
    taken = 100 * (spent(pid) - began) / (time.monotonic() - at)
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return taken


def reachable(port: int) -> None:
    """Wait for a server. Raises SystemExit where there is none after a minute."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.web", description="What the web bridge costs.")
    parser.add_argument("--browsers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peer", default="", metavar="COMMAND", help="a glances that serves on port 61208")
    chosen = parser.parse_args()
    with Bus() as bus:
        healthd, port = bus.healthd(5.0), free_port()
        command = [sys.executable, "-m", "healthctl", "--bus", bus.address, "web", "--listen", f"127.0.0.1:{port}"]
        bridge = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = [healthd, bridge]
        try:
            reachable(port)
            rows = [["idle, % of a CPU", number(asyncio.run(share(port, bridge.pid, 0, chosen.seconds)), 2)]]
            for count in (1, chosen.browsers):
                taken = asyncio.run(share(port, bridge.pid, count, chosen.seconds))
                rows.append([f"{count} on the stream, % of a CPU", number(taken, 2)])
            rows.append(
                ["a cached snapshot, µs of CPU", number(asyncio.run(ask(port, "/api/v1/snapshot", bridge.pid)))]
            )
            rows.append(["the page, µs of CPU", number(asyncio.run(ask(port, "/", bridge.pid)))])
            rows.append(["metrics for Prometheus, µs of CPU", number(asyncio.run(ask(port, "/metrics", bridge.pid)))])
            rows.append(["memory after all that, MiB", number(resident(bridge.pid), 1)])
            if chosen.peer:
                peer = subprocess.Popen(shlex.split(chosen.peer), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                started.append(peer)
                reachable(61208)
                rows.append(
                    ["the peer's /api/4/mem, µs of CPU", number(asyncio.run(ask(61208, "/api/4/mem", peer.pid)))]
                )
        finally:
            for process in started:
                end(process)
    print(table(["the bridge", "figure"], rows))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
