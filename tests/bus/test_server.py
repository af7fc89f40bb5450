"""What foreign clients see of healthd on a real bus: busctl, gdbus and jeepney."""

import json
import math
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection
from private_bus import eventually

from healthd import protocol
from healthd.observe import collectors, families

NAME, ROOT = protocol.BUS_NAME, protocol.ROOT
PROPERTIES = "org.freedesktop.DBus.Properties"
INTERFACES = os.path.join(os.path.dirname(__file__), "..", "..", "data", "dbus", "interfaces")
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None
ERROR = "org.freedesktop.DBus.Error."


@pytest.fixture
def client(healthd_bus):
    with open_dbus_connection(healthd_bus.address) as connection:
        yield lambda *call, **where: invoke(connection, *call, **where)


def invoke(connection, interface, member, signature="", *body, path=ROOT):
    """Call a method and return its answer's body, or the error's name."""
    address = DBusAddress(path, bus_name=NAME, interface=interface)
    message = new_method_call(address, member, signature or None, body)
    if interface is None:
        message.header.fields.pop(2, None)
    reply = connection.send_and_get_reply(message, timeout=10)
    if reply.header.message_type is MessageType.error:
        text = reply.body[0]
        assert "Traceback" not in text
        assert "\n" not in text
        assert ".py" not in text
        return reply.header.fields[4]
    return reply.body[0] if reply.body else None


def variants(found):
    return {name: value for name, (_, value) in found.items()}


def shape(document):
    """Return what an introspection document declares, without its order."""

    def members(element):
        if element.tag == "node":
            return None
        return (
            element.tag,
            tuple(sorted(element.attrib.items())),
            tuple(sorted(filter(None, map(members, element)), key=repr)),
        )

    return {child.get("name"): members(child) for child in ET.fromstring(document) if child.tag == "interface"}


def test_busctl_shows_the_tree_to_an_unprivileged_user(healthd_bus):
    shown = healthd_bus.busctl("tree", "--list", NAME, user=UNPRIVILEGED).stdout.split()
    for family in ("host", "cpu", "load", "memory", "pressure"):
        assert f"{ROOT}/{family}" in shown
    assert f"{ROOT}/filesystem/_2f" in shown
    assert f"{ROOT}/network/lo" in shown


def test_busctl_reads_a_property_and_sees_which_are_signalled(healthd_bus):
    total = healthd_bus.busctl("get-property", NAME, f"{ROOT}/memory", f"{NAME}.Memory", "TotalBytes").stdout
    with open("/proc/meminfo") as file:
        assert total == f"t {int(file.readline().split()[1]) * 1024}\n"
    shown = healthd_bus.busctl("introspect", NAME, f"{ROOT}/network/lo").stdout.splitlines()
    flags = {line.split()[0]: line.split()[-1] for line in shown}
    assert flags[".RxBytes"] == "-"
    assert flags[".RxBytesPerSecond"] == "emits-change"
    assert flags[".SampledAtUSec"] == "-"


@pytest.mark.skipif(not shutil.which("gdbus"), reason="gdbus is not installed (apt install libglib2.0-bin)")
def test_gdbus_introspects_and_monitors(healthd_bus):
    command = ["gdbus", "introspect", "--address", healthd_bus.address, "--dest", NAME, "--recurse"]
    shown = subprocess.run(
        [*command, "--object-path", ROOT], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert "interface org.healthd.Health1.Manager" in shown
    assert "interface org.healthd.Health1.Cpu" in shown
    monitor = subprocess.Popen(
        ["gdbus", "monitor", "--address", healthd_bus.address, "--dest", NAME], stdout=subprocess.PIPE, text=True
    )
    try:
        assert monitor.stdout
        changed = next(line for line in monitor.stdout if "PropertiesChanged" in line)
        assert changed.startswith(ROOT)
    finally:
        monitor.kill()
        monitor.communicate()


def test_signals_carry_only_what_changed_and_agree_with_get(healthd_bus):
    monitor = subprocess.Popen(
        ["busctl", f"--address={healthd_bus.address}", "monitor", "--json=short", NAME],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert monitor.stdout
        messages = map(json.loads, monitor.stdout)
        signal = next(message for message in messages if message.get("member") == "PropertiesChanged")
    finally:
        monitor.kill()
        monitor.communicate()
    interface, changed, invalidated = signal["payload"]["data"]
    assert interface.startswith(f"{NAME}.")
    assert changed
    assert not invalidated


def test_shipped_xml_follows_from_the_declarations_and_equals_introspection(client):
    tree = client("org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    paths = {interface: path for path, interfaces in tree.items() for interface in interfaces}
    paths[protocol.MANAGER] = ROOT
    shipped = {}
    for name in os.listdir(INTERFACES):
        with open(os.path.join(INTERFACES, name), encoding="utf-8") as file:
            shipped |= shape(file.read())
    declared = {family.reading.interface for family in families(collectors())}
    assert set(shipped) == declared | {protocol.MANAGER, protocol.READING}
    for interface, path in paths.items():
        introspected = shape(client("org.freedesktop.DBus.Introspectable", "Introspect", path=path))
        assert introspected[interface] == shipped[interface]


def test_every_member_in_the_shipped_xml_is_documented():
    for name in os.listdir(INTERFACES):
        for interface in ET.parse(os.path.join(INTERFACES, name)).getroot():
            for member in [interface, *interface.iter("method"), *interface.iter("property")]:
                documents = {note.get("name"): note.get("value") for note in member.findall("annotation")}
                assert documents["org.gtk.GDBus.DocString"].endswith("."), (name, member.attrib)


def test_get_all_and_managed_objects_and_get_say_the_same(client):
    objects = client("org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    assert ROOT not in objects
    host = objects[f"{ROOT}/host"][f"{NAME}.Host"]
    assert host == client(PROPERTIES, "GetAll", "s", f"{NAME}.Host", path=f"{ROOT}/host")
    for name, value in host.items():
        assert client(PROPERTIES, "Get", "ss", f"{NAME}.Host", name, path=f"{ROOT}/host") == value
    everything = client(PROPERTIES, "GetAll", "s", "", path=f"{ROOT}/host")
    assert set(everything) == set(host) | {"Instance", "Available", "Problem", "SampledAtUSec"}


def test_an_interface_without_properties_has_none_to_tell(client):
    for interface in ("org.freedesktop.DBus.Peer", PROPERTIES, "org.freedesktop.DBus.ObjectManager"):
        assert client(PROPERTIES, "GetAll", "s", interface) == {}


def test_describe_is_the_whole_snapshot_with_this_machine_in_it(client):
    described = json.loads(client(protocol.MANAGER, "Describe"))
    assert list(described) == [
        "version", "time", "boot_id", "since_boot", "interval", "seq", "health", "readings", "unavailable",
    ]  # fmt: skip
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert described["boot_id"] == file.read().strip()
    assert described["interval"] == 1
    assert described["health"]["severity"] == "unknown"
    shares = described["readings"]["cpu"]
    parts = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    assert math.isclose(sum(shares[part] for part in parts), 100, abs_tol=0.5)
    assert (
        described["readings"]["filesystem"]["/"]["total_bytes"] == os.statvfs("/").f_blocks * os.statvfs("/").f_frsize
    )


def test_rates_are_there_for_the_first_client(bus, healthd):
    healthd("--interval", "5").ready()
    with open_dbus_connection(bus.address) as connection:
        described = json.loads(invoke(connection, protocol.MANAGER, "Describe"))
    assert described["seq"] == 2
    assert described["readings"]["cpu"]["idle"] is not None
    assert described["readings"]["network"]["lo"]["rx_bytes_per_second"] is not None


def test_read_answers_values_instances_and_unknown(client):
    found = client(protocol.MANAGER, "Read", "as", ["memory.total_bytes", "network.rx_bytes", "cpu.core_busy"])
    assert found["memory.total_bytes"][0] == "t"
    assert found["network.rx_bytes@lo"][0] == "t"
    assert found["cpu.core_busy"][0] == "ad"
    assert client(protocol.MANAGER, "Read", "as", ["network.rx_bytes@lo"]).keys() == {"network.rx_bytes@lo"}
    speed = client(protocol.MANAGER, "Read", "as", ["network.speed_bytes_per_second@lo"])
    assert speed["network.speed_bytes_per_second@lo"] == ("t", 2**64 - 1)


def test_a_name_that_is_asked_for_many_times_is_answered_once(client):
    assert len(client(protocol.MANAGER, "Read", "as", ["network.rx_bytes", "network.rx_bytes@lo"] * 500)) == len(
        client(protocol.MANAGER, "Read", "as", ["network.rx_bytes"])
    )


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["nosuch.field"], protocol.UNKNOWN_METRIC),
        (["memory.nosuch"], protocol.UNKNOWN_METRIC),
        (["memory"], protocol.UNKNOWN_METRIC),
        ([""], protocol.UNKNOWN_METRIC),
        (["network.rx_bytes@nosuch"], protocol.NOT_AVAILABLE),
        (["memory.percent@x"], protocol.NOT_AVAILABLE),
        (["memory.percent"] * 2000, ERROR + "InvalidArgs"),
    ],
)
def test_read_says_what_is_wrong_with_a_name(client, names, error):
    assert client(protocol.MANAGER, "Read", "as", names) == error


def test_list_metrics_describes_every_declared_field(client):
    listed = client(protocol.MANAGER, "ListMetrics")
    declared = {
        f"{family.name}.{metric.name}" for family in families(collectors()) for metric in family.reading.metrics
    }
    assert set(listed) == declared
    row = variants(listed["memory.available_bytes"])
    assert (row["unit"], row["kind"], row["signature"], row["property"]) == ("bytes", "gauge", "t", "AvailableBytes")
    assert row["signalled"]
    assert row["minimum"] == 0.0
    assert "maximum" not in row
    assert variants(listed["memory.percent"])["maximum"] == 100.0
    assert "minimum" not in variants(listed["host.hostname"])
    assert "lo" in variants(listed["network.rx_bytes"])["instances"]
    assert not variants(listed["network.rx_bytes"])["signalled"]


def test_list_collectors_tells_how_each_does(client):
    listed = client(protocol.MANAGER, "ListCollectors")
    assert set(listed) == {family.name for family in families(collectors())}
    memory = variants(listed["memory"])
    assert memory["available"]
    assert memory["failures"] == 0
    assert 0 < memory["duration_usec"] < 1_000_000
    assert variants(listed["filesystem"])["every_usec"] == 30_000_000


@pytest.mark.parametrize(
    ("call", "path", "error"),
    [
        (("org.no.Such", "Method"), ROOT, "UnknownInterface"),
        ((protocol.MANAGER, "NoSuch"), ROOT, "UnknownMethod"),
        ((protocol.MANAGER, "Describe"), f"{ROOT}/memory", "UnknownInterface"),
        ((protocol.MANAGER, "Describe", "s", "x"), ROOT, "InvalidArgs"),
        ((protocol.MANAGER, "Read", "s", "x"), ROOT, "InvalidArgs"),
        ((protocol.MANAGER, "Read"), ROOT, "InvalidArgs"),
        ((PROPERTIES, "Get", "s", "x"), ROOT, "InvalidArgs"),
        ((PROPERTIES, "Get", "ss", protocol.MANAGER, "NoSuch"), ROOT, "UnknownProperty"),
        ((PROPERTIES, "Get", "ss", "org.no.Such", "Version"), ROOT, "UnknownInterface"),
        ((PROPERTIES, "GetAll", "s", "org.no.Such"), f"{ROOT}/memory", "UnknownInterface"),
        ((PROPERTIES, "Get", "ss", f"{NAME}.Memory", "Percent"), f"{ROOT}/nosuch", "UnknownObject"),
        ((PROPERTIES, "GetAll", "s", ""), "/", "UnknownObject"),
        ((PROPERTIES, "Set", "ssv", f"{NAME}.Memory", "Percent", ("d", 1.0)), f"{ROOT}/memory", "PropertyReadOnly"),
        ((PROPERTIES, "Set", "ssv", f"{NAME}.Memory", "NoSuch", ("d", 1.0)), f"{ROOT}/memory", "UnknownProperty"),
        ((PROPERTIES, "Set", "ssv", protocol.MANAGER, "Version", ("s", "9")), ROOT, "PropertyReadOnly"),
        (("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"), f"{ROOT}/memory", "UnknownInterface"),
        (("org.freedesktop.DBus.Introspectable", "Introspect"), "/no/such", "UnknownObject"),
        (("org.freedesktop.DBus.Peer", "NoSuch"), ROOT, "UnknownMethod"),
        ((None, "NoSuch"), ROOT, "UnknownMethod"),
    ],
)
def test_a_wrong_call_gets_its_proper_error(client, call, path, error):
    assert client(*call, path=path) == ERROR + error


def test_a_call_may_leave_its_interface_out(client):
    assert json.loads(client(None, "Describe"))["version"] == protocol.VERSION
    assert client(None, "Ping") is None


def test_introspection_lists_true_children_only(client):
    def children(path):
        document = client("org.freedesktop.DBus.Introspectable", "Introspect", path=path)
        return {node.get("name") for node in ET.fromstring(document).findall("node")}

    assert children("/") == {"org"}
    assert children("/org/healthd") == {"Health1"}
    assert {"memory", "network", "host"} <= children(ROOT)
    assert "lo" in children(f"{ROOT}/network")
    assert children(f"{ROOT}/memory") == set()


def test_peer_answers_everywhere_and_the_machine_id_twice(client):
    for _ in range(2):
        assert len(client("org.freedesktop.DBus.Peer", "GetMachineId", path="/any/where")) == 32
    assert client("org.freedesktop.DBus.Peer", "Ping", path="/any/where") is None


def test_counters_are_answered_from_the_latest_sample(client):
    lo = f"{ROOT}/network/lo"
    before = client(PROPERTIES, "Get", "ss", protocol.READING, "SampledAtUSec", path=lo)[1]

    def later():
        now = client(PROPERTIES, "Get", "ss", protocol.READING, "SampledAtUSec", path=lo)[1]
        return now if now > before else None

    assert eventually(later)


def test_an_unprivileged_user_may_not_own_the_name(bus):
    if os.geteuid():
        pytest.skip("needs root: the policy of this test's bus lets its own user be healthd")
    # systemd's client requests no names: dbus-python's absence makes the raw call the shortest way.
    shown = bus.busctl(
        "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", NAME, "4",
        user="nobody",
    )  # fmt: skip
    assert shown.returncode
    assert "not allowed to own" in shown.stderr or "Access denied" in shown.stderr
