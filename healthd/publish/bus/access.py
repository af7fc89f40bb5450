"""Who may change something: root, the user that healthd runs as, and whom polkit lets do it.

Who calls is what the bus daemon says of the caller's connection, never what a message says. polkit is asked while
other calls are answered, and only until it answers, the time is over, or the caller leaves the bus.
"""

import asyncio
import itertools
import logging
import os
from collections import Counter

from healthd import protocol
from healthd.dbus import ACCESS_DENIED, FAILED, LIMITS_EXCEEDED, Call, Connection, Variant
from healthd.errors import BusLost, CallError

"""What polkit knows it as."""
INTERACTION_REQUIRED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

WAIT = 25.0
"""How long polkit may take to answer, seconds."""
WAIT_FOR_PERSON = 180.0
"""How long it may take where it asks a person, seconds."""
MOST = 16
"""How many callers polkit may be asked about at once."""
MOST_OF_ONE = 4
"""How many of them one user may be."""

_POLKIT = "org.freedesktop.PolicyKit1"
_AUTHORITY = "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"
_ASK_A_PERSON = 1

_log = logging.getLogger(__name__)


class Access:
    """Decides who may change something, for the callers on one connection."""

    def __init__(self, connection: Connection, wait: float = WAIT, wait_for_person: float = WAIT_FOR_PERSON) -> None:
        self._connection = connection
        self._waits = {False: wait, True: wait_for_person}
        """By whether a person may be asked."""
        self._asking: Counter[int] = Counter()
        """How many callers polkit is asked about, by user."""
        self._numbers = itertools.count(1)

    async def require(self, call: Call) -> int:
        """Return the uid of a caller who may change something.

        Raises CallError for all others: AccessDenied, InteractiveAuthorizationRequired or LimitsExceeded.
        """
        try:
            (user,) = await self._connection.call_driver("GetConnectionUnixUser", "s", call.sender)
            if user not in (0, os.geteuid()):
                await self._require_polkit(user, call)
        except BusLost as error:
            raise CallError(FAILED, str(error)) from error
        except CallError as error:
            _log.debug("%s may not call %s: %s", call.sender, call.member, error)
            raise
        return int(user)

    async def _require_polkit(self, user: int, call: Call) -> None:
        if self._asking[user] >= MOST_OF_ONE or self._asking.total() >= MOST:
            raise CallError(LIMITS_EXCEEDED, "too many callers wait for polkit; try again")
        self._asking[user] += 1
        try:
            authorized, challenge = await self._ask(call)
        finally:
            self._asking -= Counter([user])
        if challenge and not call.interactive:
            raise CallError(INTERACTION_REQUIRED, "polkit has to ask first, which the call does not allow")
        if not authorized:
            raise CallError(ACCESS_DENIED, "polkit has to ask first, and can't" if challenge else "polkit refuses")

    async def _ask(self, call: Call) -> tuple[bool, bool]:
        """Return whether polkit lets the caller, and whether it would if a person agreed."""
        wait = self._waits[call.interactive]
        try:
            async with asyncio.timeout(wait) as limit:

                def over() -> None:
                    if not limit.expired():
                        limit.reschedule(0)

                async with self._connection.departure(call.sender, over):
                    return await self._check(await self._polkit(), call)
        except TimeoutError:
            raise CallError(ACCESS_DENIED, f"polkit gave no answer within {wait:g} s") from None

    async def _polkit(self) -> str:
        """Return the unique name of polkit, which is started where it does not run yet."""
        try:
            return await self._connection.owner(_POLKIT)
        except CallError as error:
            raise CallError(ACCESS_DENIED, f"only root may: there is no polkit here to allow it ({error})") from error

    async def _check(self, polkit: str, call: Call) -> tuple[bool, bool]:
        cancellation = f"healthd-{next(self._numbers)}"
        subject = ["system-bus-name", {"name": Variant("s", call.sender)}]
        flags = _ASK_A_PERSON if call.interactive else 0
        asked = [subject, protocol.MANAGE, {}, flags, cancellation]
        try:
            ((authorized, challenge, _),) = await self._connection.call(
                polkit, *_AUTHORITY, "CheckAuthorization", "(sa{sv})sa{ss}us", *asked, wait=None
            )
        except asyncio.CancelledError:
            self._connection.tell(polkit, *_AUTHORITY, "CancelCheckAuthorization", "s", cancellation)
            raise
        except CallError as error:
            raise CallError(ACCESS_DENIED, f"polkit fails: {error}") from error
        return authorized, challenge
