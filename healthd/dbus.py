"""The only door to D-Bus: connect, messages in and out.

The library is the codec: messages, variants, marshalling. The connection is ours (`_dbus_connection.py`), because the
libraries' own one dies of a full socket, leaks it, hangs in authentication and decodes whatever a peer sends.
"""

import asyncio
import os

from healthd import _dbus_library as library
from healthd._dbus_address import sockets
from healthd._dbus_connection import BACKLOG, Connection
from healthd._dbus_messages import (
    ACCESS_DENIED,
    FAILED,
    INVALID_ARGS,
    LIMITS_EXCEEDED,
    Answer,
    Call,
    Handler,
    Patient,
    Reply,
    Variant,
)
from healthd._dbus_signals import Signal
from healthd._dbus_unicast import Unicast, dictionary, entry
from healthd.errors import BusUnreachable

__all__ = [
    "ACCESS_DENIED",
    "BACKLOG",
    "FAILED",
    "INVALID_ARGS",
    "LIBRARY",
    "LIMITS_EXCEEDED",
    "Answer",
    "Call",
    "Connection",
    "Handler",
    "Patient",
    "Reply",
    "Signal",
    "Unicast",
    "Variant",
    "connect",
    "dictionary",
    "entry",
]

LIBRARY = f"{library.NAME} {library.VERSION}"


async def connect(bus: str, wait: float = 10.0) -> Connection:
    """Connect to `system`, `session` or an address, within `wait` seconds for each of its sockets.

    Raises UsageError, BusUnreachable, NotAllowed or BusLost.
    """
    fault: Exception | None = None
    for name in sockets(bus):
        try:
            async with asyncio.timeout(wait):
                return await _connect(name)
        except TimeoutError:
            fault = BusUnreachable(f"the bus at {_shown(name)} does not answer")
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            fault = BusUnreachable(
                f"there is no bus at {_shown(name)} ({reason}): start it (apt install dbus), or name another with --bus"
            )
    assert fault
    raise fault


async def _connect(name: str) -> Connection:
    _, connection = await asyncio.get_running_loop().create_unix_connection(Connection, name)
    try:
        await connection.begin()
    except BaseException:  # whoever gives up waiting cancels this, and the socket must not stay
        connection.close()
        raise
    return connection


def _shown(name: str) -> str:
    return name.replace("\0", "@")
