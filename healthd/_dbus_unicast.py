"""Signals to one client each, of which many tell the same: what they tell is marshalled once (D-Bus specification)."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from healthd import _dbus_frames as frames
from healthd import _dbus_library as library

# Every entry of a dictionary begins at a multiple of eight bytes, so that it is the same wherever it stands.
_ALIGNED = 8
_PADDING = [bytes(-size % _ALIGNED) for size in range(_ALIGNED)]
_FIXED = {"d": struct.Struct("<d"), "t": struct.Struct("<Q"), "i": struct.Struct("<i")}
_LENGTHS = struct.Struct("<II")


def entry(key: str, signature: str, value: Any) -> bytes:
    """Marshal an entry of an `a{sv}`: a key, and a value as a variant of one complete type."""
    fixed = _FIXED.get(signature)
    if fixed is None:
        whole = library.Marshaller("a{sv}", [{key: library.Variant(signature, value)}]).marshall()
        return bytes(whole[_ALIGNED:])
    return _before(key, signature, fixed.size) + fixed.pack(value)


@lru_cache(maxsize=4096)
def _before(key: str, signature: str, alignment: int) -> bytes:
    """Return what stands before the value in an entry."""
    text = key.encode()
    before = len(text).to_bytes(4, "little") + text + b"\0" + bytes([len(signature)]) + signature.encode() + b"\0"
    return before + bytes(-len(before) % alignment)


def dictionary(entries: Sequence[bytes]) -> bytes:
    """Return an `a{sv}` of entries as it stands at a multiple of eight bytes."""
    inside = b"".join([each + _PADDING[len(each) % _ALIGNED] for each in entries[:-1]]) + b"".join(entries[-1:])
    return _LENGTHS.pack(len(inside), 0) + inside


class Unicast:
    """A signal to one client, of which only the body is new each time."""

    __slots__ = ("_begin", "_rest", "size")

    def __init__(self, destination: str, path: str, interface: str, member: str, signature: str) -> None:
        signal = library.Message(
            message_type=library.MessageType.SIGNAL,
            serial=1,
            destination=destination,
            path=path,
            interface=interface,
            member=member,
        )
        header = frames.with_body(signal._marshall(False), signature, b"")  # noqa: SLF001  # as the library's connection
        self._begin, self._rest = header[:4], header[12:]
        self.size = len(header)
        """Of its header, bytes."""

    def message(self, serial: int, body: bytes) -> bytes:
        """Return the signal with a body."""
        return b"".join((self._begin, _LENGTHS.pack(len(body), serial), self._rest, body))
