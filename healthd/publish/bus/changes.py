"""What may be changed over the bus: each change is checked, then allowed, then made."""

import asyncio
import logging
import math
import pwd
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from healthd import log, protocol
from healthd.dbus import INVALID_ARGS, Call, Connection, Patient, Reply, Variant
from healthd.errors import CallError, HealthdError
from healthd.model import Condition, Family
from healthd.publish.bus.access import Access
from healthd.publish.bus.behind import Control
from healthd.publish.bus.tree import Tree
from healthd.publish.bus.values import UNKNOWN
from healthd.worker import Worker

_log = logging.getLogger(__name__)

Change = Callable[[int], Awaitable[None]]
"""Makes a change that has been allowed to a user, given as uid."""

_NAMED_WITHIN = 2.0
"""How long users may take to be looked up, seconds: they can be kept on other machines."""


class Changes:
    """The methods that change something, for the callers on one connection."""

    def __init__(self, connection: Connection, families: Iterable[Family], control: Control | None) -> None:
        self._access = Access(connection)
        self._families = {family.name for family in families}
        self._control = control
        self._names = Worker("names")
        self._by_name: dict[str, Callable[[Tree, float, list[Any]], Change]] = {
            "Acknowledge": lambda tree, now, body: self._acknowledge(tree, now, *body),
            "SetCollectorEnabled": lambda _, __, body: self._enable(*body),
            "Reload": lambda *_: self._reload(),
        }

    def make(self, call: Call, tree: Tree, now: float) -> Patient:
        """Call a method of the Manager, given what is published and when that was.

        Raises CallError at once for what can't be done, whoever asks for it.
        """
        change = self._by_name[call.member](tree, now, call.body)
        return Patient(self._make(call, " ".join([call.member, *map(str, call.body[:1])]), change))

    def set_log(self, call: Call, name: str, value: Any) -> Patient:
        """Set the property LogLevel or LogTarget of the log, raising CallError as above."""
        known, change = (log.LEVELS, log.set_level) if name == "LogLevel" else (log.targets(), log.set_target)
        if value.signature != "s" or value.value not in known:
            raise CallError(INVALID_ARGS, f"{name} is one of {', '.join(known)}")

        async def make(_: int) -> None:
            change(value.value)

        return Patient(self._make(call, f"{name}={value.value}", make))

    async def _make(self, call: Call, what: str, change: Change) -> Reply:
        user = await self._access.require(call)
        _log.info("uid %d changes: %s", user, what)
        await change(user)
        return Reply()

    def _acknowledge(self, tree: Tree, now: float, path: str, options: dict[str, Any]) -> Change:
        tables = tree.get(path, ())
        condition = tables[0] if tables else None
        if not isinstance(condition, Condition):
            raise CallError(protocol.UNKNOWN_CONDITION, f"there is no condition {path}")
        end = _until(options, now)
        control = self._controlled("what is replayed was, and can't be acknowledged")

        async def make(user: int) -> None:
            who = await self._name(user)
            try:
                control.acknowledge(condition.rule, condition.instance, who, end)
            except KeyError:
                raise CallError(protocol.UNKNOWN_CONDITION, f"there is no condition {path} any more") from None

        return make

    def _enable(self, family: str, enabled: bool) -> Change:  # noqa: FBT001  # as on the wire
        if family not in self._families:
            raise CallError(protocol.UNKNOWN_COLLECTOR, f"there is no collector {family!r}")
        control = self._controlled("nothing is observed in a replay")

        async def make(_: int) -> None:
            try:
                await control.set_collector_enabled(family, enabled=enabled)
            except KeyError:
                raise CallError(protocol.UNKNOWN_COLLECTOR, f"there is no collector {family!r}") from None

        return make

    def _reload(self) -> Change:
        control = self._controlled("a replay has no configuration to reload")

        async def make(_: int) -> None:
            try:
                await control.reload()
            except HealthdError as error:
                raise CallError(protocol.RELOAD_FAILED, str(error)) from error

        return make

    def _controlled(self, otherwise: str) -> Control:
        if self._control is None:
            raise CallError(protocol.NOT_AVAILABLE, otherwise)
        return self._control

    async def _name(self, user: int) -> str:
        """Return a user's name, or the number where there is none to be had."""
        try:
            async with asyncio.timeout(_NAMED_WITHIN):
                return (await self._names.submit(partial(pwd.getpwuid, user))).pw_name
        except (KeyError, TimeoutError):
            return str(user)


def _until(options: dict[str, Any], now: float) -> float:
    """Return until when something is acknowledged, seconds since 1970 UTC."""
    unknown = ", ".join(sorted(set(options) - {"until_usec"}))
    if unknown:
        raise CallError(INVALID_ARGS, f"the options are until_usec (t), not {unknown}")
    until = options.get("until_usec", Variant("t", UNKNOWN["t"]))
    if until.signature != "t":
        raise CallError(INVALID_ARGS, f"the options are until_usec (t), not {until.signature}")
    end = math.inf if until.value == UNKNOWN["t"] else until.value / 1e6
    if end <= now:
        raise CallError(INVALID_ARGS, "until_usec is over")
    return end
