#!/usr/bin/python3
"""Print the conditions of this machine as they come, change and go, until Ctrl-C. For PyGObject, so for GTK, too.

    sudo apt install python3-gi
    /usr/bin/python3 conditions.py

HEALTHD_BUS chooses the bus: system (which is the default), session, or an address like unix:path=/run/bus.

A condition is an object while it is not ok. Gio's object manager asks once for all objects, and is told from then on
which come and go. It follows healthd through a restart, too.
"""

import os
import signal

from gi.repository import Gio, GLib

NAME = "org.healthd.Health1"
ROOT = "/org/healthd/Health1"
CONDITION = "org.healthd.Health1.Condition"


def connect() -> Gio.DBusConnection:
    """Return a connection to the bus that is wanted."""
    chosen = os.environ.get("HEALTHD_BUS", "system")
    if chosen in ("system", "session"):
        return Gio.bus_get_sync(Gio.BusType.SYSTEM if chosen == "system" else Gio.BusType.SESSION)
    client = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    return Gio.DBusConnection.new_for_address_sync(chosen, client)


def text(condition: Gio.DBusProxy, name: str) -> str:
    """Return a property of a condition."""
    return condition.get_cached_property(name).get_string()


def named(condition: Gio.DBusProxy) -> str:
    """Return how healthctl calls a condition: rule, or rule@instance."""
    instance = text(condition, "Instance")
    return f"{text(condition, 'Rule')}@{instance}" if instance else text(condition, "Rule")


def show(condition: Gio.DBusProxy) -> None:
    """Print what is the matter."""
    print(f"{text(condition, 'Severity')}: {named(condition)}: {text(condition, 'Summary')}", flush=True)


def show_presence(objects: Gio.DBusObjectManagerClient) -> None:
    """Print whether healthd is there; where it is not, no condition says nothing."""
    print("healthd is there" if objects.get_name_owner() else "healthd is not there: unknown", flush=True)


def came(_objects: Gio.DBusObjectManagerClient, added: Gio.DBusObject) -> None:
    """Show a new object, if it is a condition."""
    if condition := added.get_interface(CONDITION):
        show(condition)


def went(objects: Gio.DBusObjectManagerClient, removed: Gio.DBusObject) -> None:
    """Tell that a condition is over; when healthd itself goes, all objects go."""
    if (condition := removed.get_interface(CONDITION)) and objects.get_name_owner():
        print(f"over: {named(condition)}", flush=True)


def changed(
    _objects: Gio.DBusObjectManagerClient,
    _of: Gio.DBusObject,
    interface: Gio.DBusProxy,
    properties: GLib.Variant,
    _invalidated: list[str],
) -> None:
    """Show a condition that became better or worse."""
    if interface.get_interface_name() == CONDITION and "Severity" in properties.unpack():
        show(interface)


def main() -> None:
    """Show what there is, then what changes."""
    objects = Gio.DBusObjectManagerClient.new_sync(
        connect(), Gio.DBusObjectManagerClientFlags.DO_NOT_AUTO_START, NAME, ROOT, None, None, None
    )
    objects.connect("object-added", came)
    objects.connect("object-removed", went)
    objects.connect("interface-proxy-properties-changed", changed)
    objects.connect("notify::name-owner", lambda *_: show_presence(objects))
    show_presence(objects)
    for each in objects.get_objects():
        came(objects, each)
    loop = GLib.MainLoop()
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    loop.run()


if __name__ == "__main__":
    main()
