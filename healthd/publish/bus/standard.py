"""The interfaces of the D-Bus specification ("Standard Interfaces") that every object here has, or the root alone."""

from healthd.dbus import FAILED
from healthd.errors import CallError
from healthd.publish.bus.interface import Argument, Interface, Method, Signal

_MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")

PEER = Interface(
    "org.freedesktop.DBus.Peer",
    "",
    methods=(Method("Ping", ""), Method("GetMachineId", "", gives=(Argument("machine_uuid", "s"),))),
)
INTROSPECTABLE = Interface(
    "org.freedesktop.DBus.Introspectable",
    "",
    methods=(Method("Introspect", "", gives=(Argument("xml_data", "s"),)),),
)
PROPERTIES = Interface(
    "org.freedesktop.DBus.Properties",
    "",
    methods=(
        Method(
            "Get",
            "",
            (Argument("interface_name", "s"), Argument("property_name", "s")),
            (Argument("value", "v"),),
        ),
        Method("GetAll", "", (Argument("interface_name", "s"),), (Argument("properties", "a{sv}"),)),
        Method("Set", "", (Argument("interface_name", "s"), Argument("property_name", "s"), Argument("value", "v"))),
    ),
    signals=(
        Signal(
            "PropertiesChanged",
            "",
            (
                Argument("interface_name", "s"),
                Argument("changed_properties", "a{sv}"),
                Argument("invalidated_properties", "as"),
            ),
        ),
    ),
)
OBJECT_MANAGER = Interface(
    "org.freedesktop.DBus.ObjectManager",
    "",
    methods=(
        Method("GetManagedObjects", "", gives=(Argument("object_paths_interfaces_and_properties", "a{oa{sa{sv}}}"),)),
    ),
    signals=(
        Signal(
            "InterfacesAdded",
            "",
            (Argument("object_path", "o"), Argument("interfaces_and_properties", "a{sa{sv}}")),
        ),
        Signal("InterfacesRemoved", "", (Argument("object_path", "o"), Argument("interfaces", "as"))),
    ),
)


def machine_id() -> str:
    """Return what GetMachineId answers; raises CallError where the machine has none."""
    for path in _MACHINE_ID:
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            continue
    raise CallError(FAILED, "this machine has no machine id")
