"""What goes through the door: calls and signals that come in, replies that go out, and the names of errors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from healthd import _dbus_library as library

Variant = library.Variant

ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
FAILED = "org.freedesktop.DBus.Error.Failed"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"


@dataclass(frozen=True, slots=True)
class Call:
    """A method call that came in. The bus daemon vouches for `sender`."""

    sender: str
    path: str
    interface: str
    """Empty where the caller named none."""
    member: str
    signature: str
    body: list[Any]
    interactive: bool
    """Whether polkit may ask the caller's user."""


class Reply:
    """What a call is answered with: marshalled when it is made, so that it can be sent to many."""

    __slots__ = ("encoded", "signature")

    def __init__(self, signature: str = "", body: Sequence[Any] = ()) -> None:
        self.signature = signature
        self.encoded = bytes(library.Marshaller(signature, list(body)).marshall())


class Patient(NamedTuple):
    """An answer that may have to wait for a person: it takes no place of those that wait for work alone."""

    answer: Awaitable[Reply]


Answer = Reply | Awaitable[Reply] | Patient
Handler = Callable[[Call], Answer]
"""Answers a call, at once or later. Raises CallError for what the caller shall see; so may what is awaited."""
