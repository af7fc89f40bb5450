"""Bytes from a bus become frames: messages that are delimited, and limited, but not decoded (D-Bus specification)."""

import struct
from typing import NamedTuple

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1
INTERACTIVE = 4

MAX_BODY = 64 * 1024
"""Largest body that is delivered, bytes."""

_FIXED = 16
_MAX_FIELDS = 64 * 1024
_MAX_MESSAGE = 1 << 27
_LARGEST = _FIXED + _MAX_FIELDS + 8 + MAX_BODY
# Fields of the header: their number, and a variant of type `s` or `g`.
_SENDER_FIELD = b"\x07\x01s\0"
_SIGNATURE_FIELD = b"\x08\x01g\0"
_LITTLE = ord("l")
_ORDERS = {_LITTLE: struct.Struct("<III"), ord("B"): struct.Struct(">III")}


class Violation(Exception):
    """What came is not D-Bus."""


class Frame(NamedTuple):
    """One message, not decoded."""

    kind: int
    flags: int
    serial: int
    data: bytearray
    """The message; its flags are cleared, and where it is oversized its body is left out."""
    oversized: int
    """Length of a body that was too large to be delivered, bytes; else 0."""


class Framer:
    """A buffer that the socket writes into and frames come out of. It never grows."""

    def __init__(self) -> None:
        self._buffer = bytearray(2 * _LARGEST)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._skip = 0

    def room(self) -> memoryview:
        """Return where the next bytes go: always room for the rest of a frame."""
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._buffer) - self._start < _LARGEST:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """Note that `count` bytes came."""
        self._end += count

    def line(self) -> bytes | None:
        """Take a line that ends in CR LF, for authentication; `None` while there is none."""
        found = self._buffer.find(b"\r\n", self._start, self._end)
        if found < 0:
            if self._end - self._start > _MAX_FIELDS:
                raise Violation("a line without an end")
            return None
        line = bytes(self._view[self._start : found])
        self._start = found + 2
        return line

    def next(self) -> Frame | None:
        """Take the next frame; `None` while there is no whole one.

        Raises Violation where what came is no message; nothing can follow it.
        """
        while True:
            skipped = min(self._skip, self._end - self._start)
            self._skip -= skipped
            self._start += skipped
            start = self._start
            available = self._end - start
            if self._skip or available < _FIXED:
                return None
            order, kind, flags, version = self._view[start : start + 4]
            if order not in _ORDERS or version != 1:
                raise Violation("no D-Bus message")
            body, serial, fields = _ORDERS[order].unpack_from(self._buffer, start + 4)
            header = _FIXED + fields + -fields % 8
            if not serial:
                raise Violation("a message without a serial number")
            if header + body > _MAX_MESSAGE:
                raise Violation("a message longer than the specification allows")
            if fields > _MAX_FIELDS:
                # Whoever sent it can't be told, since that stands in the fields.
                self._skip = header + body
                continue
            oversized = body if body > MAX_BODY else 0
            length = header if oversized else header + body
            if available < length:
                return None
            self._start += length
            self._skip = oversized
            data = bytearray(self._view[start : start + length])
            # Read here, so cleared there: older libraries stumble over combinations that they do not know.
            data[2] = 0
            if oversized:
                data[4:8] = bytes(4)
            return Frame(kind, flags, serial, data, oversized)


def is_from(data: bytearray, sender: str) -> bool:
    """Tell by the header alone whether a message is from this sender: the bus daemon writes who it is."""
    order = "<" if data[0] == _LITTLE else ">"
    (fields,) = struct.unpack_from(f"{order}I", data, _FIXED - 4)
    field = _SENDER_FIELD + struct.pack(f"{order}I", len(sender)) + sender.encode() + b"\0"
    return field in data[_FIXED : _FIXED + fields]


def with_body(header: bytearray, signature: str, body: bytes) -> bytes:
    """Return a little-endian message without a body, as it is with one that is marshalled already."""
    fields = int.from_bytes(header[12:16], "little")
    message = header[: _FIXED + fields]
    message += bytes(-len(message) % 8) + _SIGNATURE_FIELD + bytes([len(signature)]) + signature.encode() + b"\0"
    message[4:8] = len(body).to_bytes(4, "little")
    message[12:16] = (len(message) - _FIXED).to_bytes(4, "little")
    return bytes(message) + bytes(-len(message) % 8) + body
