"""The firmware of a Raspberry Pi, asked through the kernel's vcio driver (`/dev/vcio_gencmd`, `/dev/vcio`).

A message is little-endian words: its size in bytes, 0 for a request, then a tag (its number, the size of its value, 0
for a request, the value), then 0. The answer comes in its place. Firmware: wiki, Mailbox property interface.
"""

import fcntl
import os
import re
import struct
from collections.abc import Callable

from healthd import protocol
from healthd.errors import Unobserved

Ioctl = Callable[[int, int, bytearray], int]
"""Takes descriptor, request and message, and puts the answer into the message; raises OSError."""

_GENCMD, _THROTTLED = 0x00030080, 0x00030046
_ANSWERED, _REFUSED = 0x80000000, 0x80000001
# As much as vcgencmd leaves for a command and its answer.
_TEXT = 4096
_TOLD = re.compile(rb"throttled=0x([0-9a-fA-F]{1,8})\s*")


def request(pointer: int = struct.calcsize("P")) -> int:
    """Return the number of the ioctl, `_IOWR(100, 0, char *)`: the size of a pointer of this process is part of it."""
    return 3 << 30 | pointer << 16 | 100 << 8


# Without an argument: one would reset what the firmware remembers since boot.
COMMAND = struct.pack(f"<6I{_TEXT}sI", 28 + _TEXT, 0, _GENCMD, _TEXT, 0, 0, b"get_throttled", 0)
"""Asks as `vcgencmd get_throttled` does."""
PROPERTY = struct.pack("<7I", 28, 0, _THROTTLED, 4, 0, 0, 0)
"""Asks in the older way; the mask of what to reset is 0."""


def told(answer: bytes) -> int:
    """Return the flags that an answer to `COMMAND` holds; Unobserved is raised where there are none."""
    tag, value = _answered(answer)
    if tag != _GENCMD or len(value) < 8:
        raise _malformed(answer)
    [error] = struct.unpack_from("<I", value)
    if error:
        raise Unobserved(protocol.FAILED, f"the firmware does not know get_throttled (error {error})")
    match = _TOLD.fullmatch(value[4:].partition(b"\0")[0])
    if match is None:
        raise _malformed(answer)
    return int(match[1], 16)


def held(answer: bytes) -> int:
    """Return the flags that an answer to `PROPERTY` holds; Unobserved is raised where there are none."""
    tag, value = _answered(answer)
    if tag != _THROTTLED or len(value) < 8:
        raise _malformed(answer)
    # A tag that the firmware does not know stays as it was, which would read as if all were well.
    size, flags = struct.unpack_from("<I", answer, 16)[0], struct.unpack_from("<I", value)[0]
    if size & ~_ANSWERED != 4 or not size & _ANSWERED:
        raise Unobserved(protocol.FAILED, "the firmware does not know the property get_throttled")
    return int(flags)


def _answered(answer: bytes) -> tuple[int, bytes]:
    """Return the tag of an answer, and what follows its three words of head."""
    if len(answer) < 20:
        raise _malformed(answer)
    _, status, tag = struct.unpack_from("<3I", answer)
    if status == _REFUSED:
        raise Unobserved(protocol.FAILED, "the firmware refuses to answer (0x80000001)")
    if status != _ANSWERED:
        raise _malformed(answer)
    return tag, answer[20:]


def _malformed(answer: bytes) -> Unobserved:
    return Unobserved(protocol.MALFORMED, f"the firmware's answer can't be read: {answer[:32].hex()}")


class Mailbox:
    """One of the devices, opened at the first question and kept open."""

    def __init__(self, path: str, ioctl: Ioctl = fcntl.ioctl) -> None:
        self.path = path
        self._ioctl = ioctl
        self._fd = -1

    def ask(self, message: bytes) -> bytes:
        """Return the answer to a message; it takes up to a second where the firmware hangs.

        Raises OSError; the next question opens the device anew.
        """
        answer = bytearray(message)
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            self._ioctl(self._fd, request(), answer)
        except OSError as error:
            self.close()
            error.filename = error.filename or self.path
            raise
        return bytes(answer)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()
