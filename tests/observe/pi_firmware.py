"""A Raspberry Pi's firmware and kernel as they answer on `/dev/vcio*`: what a message holds, and what comes back."""

import errno
import os
import struct
from dataclasses import dataclass, field

SUCCESS, REFUSED = 0x80000000, 0x80000001
GENCMD, PROPERTY = 0x00030080, 0x00030046
NUMBERS = {4: 0xC0046400, 8: 0xC0086400}
"""Of the ioctl, by the size of a pointer."""


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


@dataclass
class Firmware:
    """What answers; `kernel` is `old` (3.18), `plain` (4.4 to 6.12) or `grouped` (with `/dev/vcio_gencmd`)."""

    flags: int = 0
    kernel: str = "grouped"
    knows: tuple[int, ...] = (GENCMD, PROPERTY)
    fails: int = 0
    """The error that each call gives."""
    pointer: int = struct.calcsize("P")
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Device and tag of each message."""

    def __call__(self, fd: int, request: int, message: bytearray) -> int:
        device = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        size, status, tag, room, of = struct.unpack_from("<5I", message)
        self.asked.append((device, tag))
        self.check(device, request, message)
        assert (size, status, of) == (len(message), 0, 0)
        assert message[-4:] == words(0)
        assert 20 + room <= size - 4
        answered = self.answered(message, tag)
        if not answered and self.kernel != "old":
            # The firmware leaves a tag as it was that it does not know, and the whole is a success.
            answered = True
        message[4:8] = words(SUCCESS if answered else REFUSED)
        return 0

    def check(self, device: str, request: int, message: bytearray) -> None:
        """Fail as the kernel does before it asks."""
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        tag = struct.unpack_from("<I", message, 8)[0]
        if request != NUMBERS[self.pointer] or len(message) % 4 or len(message) < 12:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self.kernel == "grouped" and device == "vcio_gencmd" and tag != GENCMD:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def answered(self, message: bytearray, tag: int) -> bool:
        if tag not in self.knows:
            return False
        if tag == GENCMD:
            assert message[24:].rstrip(b"\0") == b"get_throttled", "an argument would reset what it remembers"
            text = f"throttled=0x{self.flags:x}\0".encode()
            message[16:24] = words(SUCCESS | len(text), 0)
            message[24 : 24 + len(text)] = text
        else:
            assert message[20:24] == words(0), "a mask would reset what it remembers"
            message[16:24] = words(SUCCESS | 4, self.flags)
        return True
