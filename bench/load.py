"""A scripted load: every half minute other amounts of CPU time, memory, disk writes and loopback traffic.

    python -m bench.load [--seed 1] [--directory /var/tmp]

The same seed gives the same script. It ends when it is told to.
"""

import argparse
import os
import random
import socket
import tempfile
import time

PHASE = 30.0
"""How long one mixture lasts, seconds."""
_TURN = 0.05
_SECOND = 20
"""Turns of a second."""
_PAGE = 4096


def work(directory: str, seed: int) -> None:
    """Go from mixture to mixture."""
    script, pair = random.Random(seed), _loopback()
    with tempfile.TemporaryFile(dir=directory) as file:
        while True:
            spin, held = script.uniform(0.05, 0.35), bytearray(script.randrange(16, 128) << 20)
            held[::_PAGE] = b"x" * len(held[::_PAGE])
            written, sent = script.randrange(4 << 10, 128 << 10), script.randrange(1 << 10, 32 << 10)
            end, turn = time.monotonic() + PHASE, 0
            while (now := time.monotonic()) < end:
                while time.monotonic() < now + spin * _TURN:
                    pass
                _send(pair, sent // _SECOND)
                turn += 1
                if turn % _SECOND == 0:
                    file.seek(0)
                    file.write(bytes(written))
                    os.fsync(file.fileno())
                time.sleep(max(now + _TURN - time.monotonic(), 0.0))


def _loopback() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    other.connect(one.getsockname())
    one.setblocking(False)
    return one, other


def _send(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    receiver, sender = pair
    for start in range(0, size, 1024):
        sender.send(bytes(min(1024, size - start)))
        try:
            receiver.recv(2048)
        except BlockingIOError:
            continue


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--directory", default="/var/tmp", help="where to write (default: /var/tmp)")
    chosen = arguments.parse_args()
    work(chosen.directory, chosen.seed)


if __name__ == "__main__":
    main()
