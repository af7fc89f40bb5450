#!/usr/bin/env python3
"""Print how the machine is and how much memory is in use, then whatever changes of that, until Ctrl-C.

    sudo apt install python3-dbus-next      # or: pip install dbus-next
    python3 follow_health.py

HEALTHD_BUS chooses the bus: system (which is the default), session, or an address like unix:path=/run/bus.
"""

import asyncio
import contextlib
import math
import os
from typing import Any

from dbus_next import BusType, Variant
from dbus_next.aio import MessageBus

NAME = "org.healthd.Health1"
ROOT = "/org/healthd/Health1"
PROPERTIES = "org.freedesktop.DBus.Properties"


async def connect() -> MessageBus:
    """Return a connection to the bus that is wanted."""
    chosen = os.environ.get("HEALTHD_BUS", "system")
    if chosen in ("system", "session"):
        return await MessageBus(bus_type=BusType[chosen.upper()]).connect()
    return await MessageBus(bus_address=chosen).connect()


async def proxy(bus: MessageBus, path: str, interface: str, name: str = NAME) -> Any:
    """Return what stands for one interface of an object."""
    introspection = await bus.introspect(name, path)
    return bus.get_proxy_object(name, path, introspection).get_interface(interface)


def show_health(severity: str, reasons: list[str]) -> None:
    """Print the verdict."""
    print(f"health {severity}", *reasons, flush=True)


def show_memory(percent: float) -> None:
    """Print the share of memory that is in use; unknown is NaN on the bus, never 0."""
    print("memory.percent", "unknown" if math.isnan(percent) else f"{percent:.1f}", flush=True)


def show_transition(condition: str, before: str, now: str, details: dict[str, Variant]) -> None:
    """Print that a condition came, changed or is over."""
    print(f"transition {condition}: {before} -> {now}: {details['summary'].value}", flush=True)


async def main() -> None:
    """Subscribe, ask once, and let the signals tell the rest."""
    bus = await connect()
    driver = await proxy(bus, "/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
    manager = await proxy(bus, ROOT, "org.healthd.Health1.Manager")
    of_manager = await proxy(bus, ROOT, PROPERTIES)
    of_memory = await proxy(bus, f"{ROOT}/memory", PROPERTIES)
    health: dict[str, Any] = {}
    asking: set[asyncio.Task[None]] = set()

    async def ask() -> None:
        health.update({"Health": await manager.get_health(), "Reasons": await manager.get_reasons()})
        show_health(health["Health"], health["Reasons"])
        # Read takes any of the names that `healthctl metrics` shows, many at once.
        values = await manager.call_read(["memory.percent"])
        show_memory(values["memory.percent"].value)

    def manager_changed(_interface: str, changed: dict[str, Variant], _invalidated: list[str]) -> None:
        # Only what changed is told: what is not among it is as it was.
        found = {name: changed[name].value for name in ("Health", "Reasons") if name in changed}
        if found:
            health.update(found)
            show_health(health["Health"], health["Reasons"])

    def memory_changed(_interface: str, changed: dict[str, Variant], _invalidated: list[str]) -> None:
        if "Percent" in changed:
            show_memory(changed["Percent"].value)

    def owner_changed(name: str, _before: str, now: str) -> None:
        if name == NAME and now:
            # It was started again, and signals only what changes from now on.
            task = asyncio.create_task(ask())
            asking.add(task)
            task.add_done_callback(asking.discard)
        elif name == NAME:
            show_health("unknown", ["healthd is not there"])

    # First subscribe, then ask: nothing that happens between the two is missed.
    driver.on_name_owner_changed(owner_changed)
    of_manager.on_properties_changed(manager_changed)
    of_memory.on_properties_changed(memory_changed)
    manager.on_transition(show_transition)
    await ask()
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
