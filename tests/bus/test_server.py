"""What foreign clients see of healthd on a real bus: busctl, gdbus and jeepney; and of a server that is fed by hand."""

import asyncio
import contextlib
import getpass
import itertools
import json
import logging
import math
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection
from private_bus import eventually
from raw import LIMITS_EXCEEDED, SIGNAL, Client

from healthd import dbus, protocol
from healthd.clock import Instant
from healthd.errors import ConfigError, RecordingError
from healthd.events import encode
from healthd.health.judge import Judge
from healthd.health.rule import rules
from healthd.model import SINGLE, Account, Event, Observation, Point, Problem, Sample
from healthd.observe import collectors, families
from healthd.observe.load import Load
from healthd.observe.network import Network
from healthd.pipeline import Pipeline
from healthd.publish.bus.answers import MAX_LINES, MAX_NAMES, MAX_TEXT
from healthd.publish.bus.server import BusServer
from healthd.state.history import History
from healthd.state.store import Store

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
    assert set(shipped) == declared | {protocol.MANAGER, protocol.READING, protocol.CONDITION}
    for interface, path in paths.items():
        introspected = shape(client("org.freedesktop.DBus.Introspectable", "Introspect", path=path))
        assert introspected[interface] == shipped[interface]


def test_every_member_in_the_shipped_xml_is_documented():
    for name in os.listdir(INTERFACES):
        for interface in ET.parse(os.path.join(INTERFACES, name)).getroot():
            members = [interface.iter(kind) for kind in ("method", "signal", "property")]
            for member in itertools.chain([interface], *members):
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
        "version", "time", "boot_id", "since_boot", "interval", "seq", "configuration", "health",
        "readings", "unavailable",
    ]  # fmt: skip
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert described["boot_id"] == file.read().strip()
    assert described["interval"] == 1
    assert described["health"]["severity"] in ("ok", "warning", "critical")
    assert list(described["health"]) == ["severity", "since", "reasons", "conditions"]
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


def test_a_live_healthd_knows_what_was_and_how_it_gets_outside(client):
    (begin, low, mean, high), *_ = client(protocol.MANAGER, "GetHistory", "sttu", "memory.percent", 0, 0, 0)
    assert 0 < low <= mean <= high < 100
    assert begin > 1_700_000_000_000_000
    events = [json.loads(line) for line in client(protocol.MANAGER, "GetEvents", "ttasu", 0, 0, [], 0)]
    assert "instance.added" in {event["name"] for event in events}
    bus = variants(client(protocol.MANAGER, "ListPublishers")["bus"])
    assert bus == {"available": True, "problem": "", "reason": "", "remedy": "", "lost": 0}


# A server that is fed by hand.

BEGIN = 1767268800.0


class Past:
    """An archive of what a test says, that keeps what it was asked; it waits while it is not open."""

    def __init__(self, fault=None, points=(), lines=()):
        self.open = asyncio.Event()
        self.open.set()
        self.asked = []
        self._fault, self._points, self._lines = fault, points, lines

    async def _answer(self, asked, found):
        self.asked.append(asked)
        await self.open.wait()
        if self._fault:
            raise self._fault
        return found

    def movers(self, *_, **__):
        return None

    async def history(self, address, since, until, most):
        return await self._answer((address, since, until, most), self._points)

    async def events(self, since, until, names, most):
        return await self._answer((since, until, names, most), self._lines)


class Machine:
    """A source of what a test says."""

    def __init__(self):
        self._seq = 0
        self._samples = []

    def see(self, *, interval=5.0, events=(), **readings):
        self._seq += 1
        now = Instant(BEGIN + self._seq, float(self._seq), 0.0)
        kinds = {"load": Load, "network": Network}
        seen = tuple(Observation(kinds[name].family, now, found, {}, 0.0, 0) for name, found in readings.items())
        happened = tuple(Event(now, name, data, "boot", self._seq) for name, data in events)
        self._samples.append(Sample(now, "boot", self._seq, seen, interval, happened))

    async def sample(self):
        return self._samples.pop(0)


def load(one):
    return {SINGLE: Load(load1=one, load5=1.0, load15=1.0)}


def network(**rates):
    unknown = dict.fromkeys(metric.name for metric in Network.metrics)
    return {name: Network(**unknown | {"rx_bytes_per_second": rate}) for name, rate in rates.items()}


RULES = rules(
    families(collectors()),
    [
        (
            "rules.toml",
            {
                "loaded": {
                    "metric": "load.load1",
                    "summary": "Much to do.",
                    "remedy": "Do less.",
                    "clear_after": "60s",
                    "warning": {"enter": "> 5"},
                    "critical": {"enter": "> 50"},
                },
                "received": {"metric": "network.rx_bytes_per_second", "notice": {"enter": "> 1kB"}},
            },
        )
    ],
)


class Hand:
    """A server on a real bus, what feeds it, and a client that listens."""

    def __init__(self, bus, archive, accounts):
        self._address = bus.address
        self.enabled = {}
        self.faults = ()
        self.reloads = 0
        self.machine = Machine()
        self.judge = Judge(RULES)
        self.server = BusServer(families(collectors()), archive or Past(), lambda: accounts or {}, self.judge, self)
        self.pipeline = Pipeline(self.machine, Store(), self.judge, History(), [self.server])

    def acknowledge(self, *note):
        self.pipeline.acknowledge(Instant(BEGIN + 100.0, 100.0, 0.0), *note)

    async def set_collector_enabled(self, family, *, enabled):
        self.enabled[family] = enabled

    async def reload(self):
        if self.faults:
            raise ConfigError(*self.faults)
        self.reloads += 1

    async def cycle(self, **seen):
        self.machine.see(**seen)
        await self.pipeline.cycle()

    async def begin(self):
        await self.cycle(load=load(1.0), network=network(eth0=1.0))
        self.connection = await dbus.connect(self._address)
        self.server.attach(self.connection)
        await self.connection.own(NAME)
        self.client = await asyncio.to_thread(Client, self._address)
        await asyncio.to_thread(self.client.driver, "AddMatch", "s", f"type='signal',sender='{NAME}'")

    async def end(self):
        self.client.__exit__()
        self.connection.close()
        await self.connection.lost

    async def call(self, member, signature="", *body, interface=protocol.MANAGER, **more):
        """Return the first value of the answer, or the error's name and text."""
        answer = await asyncio.to_thread(self.client.call, member, signature, *body, interface=interface, **more)
        return (answer.error, *answer.body) if answer.error else next(iter(answer.body), None)

    async def get(self, name):
        """Return a property of the Manager."""
        return await self.call("Get", "ss", protocol.MANAGER, name, interface=PROPERTIES)

    async def heard(self):
        """Return the signals that came until now: path, member and body."""

        def listen():
            serial, call = self.client.prepare("Ping", interface="org.freedesktop.DBus.Peer")
            self.client.send(call)
            while (each := self.client.receive()).fields.get("reply_serial") != serial:
                if each.kind == SIGNAL and each.fields.get("path", "").startswith(ROOT):
                    yield each.fields["path"], each.fields["member"], each.body

        return await asyncio.to_thread(lambda: list(listen()))


@pytest.fixture
def by_hand(bus):
    """Return a function that tells a story of a server."""

    def run(story, archive=None, accounts=None):
        async def told():
            async with asyncio.timeout(60):
                hand = Hand(bus, archive() if archive else None, accounts)
                await hand.begin()
                try:
                    return await story(hand)
                finally:
                    await hand.end()

        return asyncio.run(told())

    return run


USEC = int(BEGIN) * 1_000_000


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (("load.load1", 0, 0, 0), ("load.load1", 0.0, BEGIN + 1, 1000)),
        (("load.load1", USEC + 250_000, 2**64 - 1, 1), ("load.load1", BEGIN + 0.25, BEGIN + 1, 1)),
        (("load.load1", USEC, USEC, 10_000), ("load.load1", BEGIN, BEGIN, 10_000)),
        # Whoever asks is ahead of the last sample, or of everything.
        (("load.load1", USEC + 9_000_000, 0, 5), ("load.load1", BEGIN + 9, BEGIN + 9, 5)),
        (("load.load1", 2**64 - 2, 2**64 - 2, 5), ("load.load1", 253402300799.0, 253402300799.0, 5)),
        # It need not be there now.
        (("network.rx_bytes_per_second@gone", 1, 2, 3), ("network.rx_bytes_per_second@gone", 1e-6, 2e-6, 3)),
    ],
)
def test_history_is_asked_of_the_archive_in_seconds(by_hand, call, asked):
    async def story(hand):
        points = await hand.call("GetHistory", "sttu", *call)
        assert points == [(USEC + 1_000, 1.0, 2.0, 3.0), (USEC + 5_000_000, -1.5, 0.0, 1e300)]
        assert hand.server._answers._archive.asked == [asked]

    by_hand(story, lambda: Past(points=[Point(BEGIN + 0.001, 1.0, 2.0, 3.0), Point(BEGIN + 5, -1.5, 0.0, 1e300)]))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("nosuch.field", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("load.nosuch", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("load", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("", 0, 0, 0), protocol.UNKNOWN_METRIC),
        # A counter, a text, and values per core.
        (("network.rx_bytes@eth0", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("host.hostname", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("cpu.core_busy", 0, 0, 0), protocol.UNKNOWN_METRIC),
        (("load.load1@x", 0, 0, 0), protocol.NOT_AVAILABLE),
        (("load.load1@", 0, 0, 0), protocol.NOT_AVAILABLE),
        (("network.rx_bytes_per_second", 0, 0, 0), dbus.INVALID_ARGS),
        (("network.rx_bytes_per_second@", 0, 0, 0), dbus.INVALID_ARGS),
        (("load.load1", 2, 1, 0), dbus.INVALID_ARGS),
        (("load.load1", 0, 0, MAX_LINES + 1), dbus.INVALID_ARGS),
    ],
)
def test_history_that_can_not_be_asked_for_is_refused_before_it_is(by_hand, call, error):
    async def story(hand):
        name, text = await hand.call("GetHistory", "sttu", *call)
        assert name == error
        assert text
        assert not hand.server._answers._archive.asked

    by_hand(story)


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        ((0, 0, [], 0), (0.0, BEGIN + 1, [], 1000)),
        ((USEC, USEC + 1, ["instance.*", "runtime.gap"], 7), (BEGIN, BEGIN + 1e-6, ["instance.*", "runtime.gap"], 7)),
        ((0, 0, ["a.*"] * MAX_NAMES, MAX_LINES), (0.0, BEGIN + 1, ["a.*"] * MAX_NAMES, MAX_LINES)),
        ((2, 1, [], 0), None),
        ((0, 0, [], MAX_LINES + 1), None),
        ((0, 0, ["a.*"] * (MAX_NAMES + 1), 0), None),
    ],
)
def test_events_are_asked_of_the_archive_or_refused(by_hand, call, asked):
    async def story(hand):
        found = await hand.call("GetEvents", "ttasu", *call)
        assert hand.server._answers._archive.asked == ([asked] if asked else [])
        assert found == ["{}", '{"a":"µ"}'] if asked else found[0] == dbus.INVALID_ARGS

    by_hand(story, lambda: Past(lines=["{}", '{"a":"µ"}']))


def test_what_happened_since_the_last_sample_is_before_now(by_hand):
    async def story(hand):
        later = Instant(BEGIN + 3.5, 3.5, 0.0)
        hand.pipeline.tell(later, "runtime.stopped")
        ((_, _, (_, time, _)),) = await hand.heard()
        await hand.call("GetEvents", "ttasu", time, 0, [], 0)
        await hand.call("GetEvents", "ttasu", 0, 0, [], 0)
        assert hand.server._answers._archive.asked == [(since, later.time, [], 1000) for since in (later.time, 0.0)]

    by_hand(story)


def test_of_too_much_text_the_oldest_is_left_out(by_hand):
    lines = [f"{number:05} " + "é" * 512 for number in range(9000)]
    fit = MAX_TEXT // len(lines[0].encode())

    async def story(hand):
        assert await hand.call("GetEvents", "ttasu", 0, 0, [], 9000) == lines[-fit:]

    by_hand(story, lambda: Past(lines=lines))


def test_while_the_archive_takes_its_time_others_are_answered_and_it_is_asked_no_more_than_it_can(by_hand):
    async def story(hand):
        past = hand.server._answers._archive
        past.open.clear()
        calls = [hand.client.prepare("GetHistory", "sttu", "load.load1", 0, 0, 0) for _ in range(5)]
        hand.client.send(b"".join(call for _, call in calls))
        refused = await asyncio.to_thread(hand.client.answer, calls[-1][0])
        assert refused.error == LIMITS_EXCEEDED
        assert json.loads(await hand.call("Describe"))["seq"] == 1
        assert (await hand.call("Read", "as", ["load.load1"]))["load.load1"] == 1.0
        assert len(past.asked) == 4
        past.open.set()
        answers = await asyncio.to_thread(hand.client.answers, 4)
        assert [answer.body for answer in answers] == [[[(USEC, 1.0, 1.0, 1.0)]]] * 4

    by_hand(story, lambda: Past(points=[Point(BEGIN, 1.0, 1.0, 1.0)]))


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (KeyError("load.load1"), protocol.NOT_AVAILABLE, "nothing is known of load.load1"),
        (RecordingError("the recording can't be read"), dbus.FAILED, "the recording can't be read"),
        (RuntimeError("/secret/place"), dbus.FAILED, "internal error, see the log"),
    ],
)
def test_what_the_archive_fails_by_is_told_as_it_should_be(by_hand, caplog, fault, error, said):
    async def story(hand):
        assert await hand.call("GetHistory", "sttu", "load.load1", 0, 0, 0) == (error, said)

    by_hand(story, lambda: Past(fault))
    assert [record.getMessage() for record in caplog.records] == (
        ["answering org.healthd.Health1.Manager.GetHistory failed"] if isinstance(fault, RuntimeError) else []
    )


def test_publishers_tell_how_they_do(by_hand):
    async def story(hand):
        assert await hand.call("ListPublishers") == {
            "console": {"available": True, "problem": "", "reason": "", "remedy": "", "lost": 0},
            "recording": {
                "available": False, "problem": "permission", "reason": "caf? is full", "remedy": "empty it", "lost": 7,
            },
        }  # fmt: skip

    full = Problem(protocol.PERMISSION, "caf\udce9 is full", "empty it")
    by_hand(story, accounts={"console": Account(), "recording": Account(full, 7)})


def test_a_change_of_the_interval_is_signalled_at_the_root_like_any_other(by_hand):
    async def story(hand):
        await hand.cycle(interval=2.5)
        changed = [protocol.MANAGER, {"SampleIntervalUSec": 2_500_000}, []]
        assert await hand.heard() == [(ROOT, "PropertiesChanged", changed)]
        assert await hand.call("Get", "ss", protocol.MANAGER, "SampleIntervalUSec", interface=PROPERTIES) == 2_500_000
        assert json.loads(await hand.call("Describe"))["interval"] == 2.5
        assert (await hand.call("ListCollectors"))["load"]["every_usec"] == 2_500_000
        assert ROOT not in await hand.call("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")

    by_hand(story)


def test_a_cycle_is_signalled_in_its_order_and_samples_are_no_events(by_hand):
    async def story(hand):
        happened = [("runtime.gap", {"reason": "suspend", "seconds": 9.5})]
        await hand.cycle(load=load(2.0), network=network(wlan0=1.0), events=happened)
        added, changed, removed, *events = await hand.heard()
        assert added[:2] == (ROOT, "InterfacesAdded")
        assert added[2][0] == f"{ROOT}/network/wlan0"
        assert changed == (f"{ROOT}/load", "PropertiesChanged", [f"{NAME}.Load", {"Load1": 2.0}, []])
        interfaces = [f"{NAME}.Network", protocol.READING]
        assert removed == (ROOT, "InterfacesRemoved", [f"{ROOT}/network/eth0", interfaces])
        now = Instant(BEGIN + 2, 2.0, 0.0)
        expected = [
            ("runtime.gap", happened[0][1]),
            ("instance.added", {"family": "network", "instance": "wlan0"}),
            ("instance.removed", {"family": "network", "instance": "eth0"}),
        ]
        assert events == [
            (ROOT, "Event", [name, USEC + 2_000_000, encode(Event(now, name, data, "boot", 2))])
            for name, data in expected
        ]

    by_hand(story)


def test_what_happens_between_cycles_is_signalled_and_nothing_else(by_hand):
    async def story(hand):
        described = await hand.call("Describe")
        hand.pipeline.tell(Instant(BEGIN + 1.5, 1.5, 0.0), "config.loaded")
        ((_, member, body),) = await hand.heard()
        assert (member, *body[:2]) == ("Event", "config.loaded", USEC + 1_500_000)
        # Nor is anything made anew.
        assert ("Describe",) in hand.server._replies
        assert await hand.call("Describe") == described
        hand.pipeline.tell()
        assert await hand.heard() == []

    by_hand(story)


def test_a_signal_that_can_not_be_made_costs_no_other_and_is_logged_once(by_hand, caplog):
    async def heard(hand):
        return [(path.removeprefix(ROOT), member) for path, member, _ in await hand.heard()]

    async def story(hand):
        # A collector that breaks its word.
        broken = {"eth0": replace(network(eth0=1.0)["eth0"], operstate=5), **network(eth1=0.0)}
        happened = [("a.b", {"not": object()}), ("a.c", {})]
        await hand.cycle(load=load(2.0), network=broken, events=happened)
        added, load1, *told = await heard(hand)
        assert (added, load1) == (("", "InterfacesAdded"), ("/load", "PropertiesChanged"))
        assert told == [("", "Event")] * 2
        await hand.cycle(load=load(3.0), network=broken)
        assert await heard(hand) == [("/load", "PropertiesChanged")]

    by_hand(story)
    (record,) = caplog.records
    assert record.getMessage() == "publishing by bus failed"
    assert record.exc_info


def test_without_a_bus_a_server_says_so_and_takes_what_comes(bus, caplog):
    caplog.set_level(logging.WARNING, "healthd")

    async def story():
        hand = Hand(bus, None, None)
        assert hand.server.account().problem.code == protocol.VANISHED
        await hand.begin()
        assert hand.server.account() == Account()
        bus.stop()
        with contextlib.suppress(ConnectionError):
            await hand.connection.lost
        await hand.cycle(load=load(2.0), events=[("runtime.gap", {})])
        assert hand.server.account().problem.code == protocol.VANISHED
        assert hand.server.account().lost == 0
        bus.start()
        hand.client.__exit__()
        # Whoever comes then finds everything, and is not told of what was before.
        connection = hand.connection
        hand.connection = await dbus.connect(bus.address)
        assert connection is not hand.connection
        hand.server.attach(hand.connection)
        await hand.connection.own(NAME)
        hand.client = await asyncio.to_thread(Client, bus.address)
        await asyncio.to_thread(hand.client.driver, "AddMatch", "s", f"type='signal',sender='{NAME}'")
        assert (await hand.call("Read", "as", ["load.load1"]))["load.load1"] == 2.0
        await hand.cycle()
        assert await hand.heard() == []
        await hand.end()

    asyncio.run(story())
    assert not caplog.records


def test_a_condition_comes_as_an_object_with_a_transition_and_goes_again(by_hand):
    path = f"{ROOT}/condition/loaded"
    with open(os.path.join(INTERFACES, f"{protocol.CONDITION}.xml"), encoding="utf-8") as file:
        shipped = file.read()

    async def story(hand):
        assert await hand.get("Health") == "ok"
        assert await hand.call("ListConditions") != {}
        await hand.heard()
        await hand.cycle(load=load(6.0))
        members = [(where, member) for where, member, _ in await hand.heard()]
        assert members == [
            (ROOT, "InterfacesAdded"),
            (ROOT, "PropertiesChanged"),
            (f"{ROOT}/load", "PropertiesChanged"),
            (ROOT, "Transition"),
            (ROOT, "Event"),
        ]
        assert await hand.get("Health") == "warning"
        assert await hand.get("Reasons") == ["loaded"]
        assert await hand.get("HealthSinceUSec") == USEC + 2_000_000
        values = await hand.call("GetAll", "s", protocol.CONDITION, interface=PROPERTIES, path=path)
        assert (values["Severity"], values["Value"], values["Threshold"]) == ("warning", 6.0, 5.0)
        assert (values["Summary"], values["Remedy"], values["Metric"]) == ("Much to do.", "Do less.", "load.load1")
        document = await hand.call("Introspect", interface="org.freedesktop.DBus.Introspectable", path=path)
        assert shape(document)[protocol.CONDITION] == shape(shipped)[protocol.CONDITION]
        for _ in range(61):
            await hand.cycle(load=load(1.0))
        heard = await hand.heard()
        (transition,) = [body for _, member, body in heard if member == "Transition"]
        assert transition[:3] == ["loaded", "warning", "ok"]
        assert [path, [protocol.CONDITION]] in [body for _, member, body in heard if member == "InterfacesRemoved"]
        assert (await hand.get("Health"), await hand.get("Reasons")) == ("ok", [])

    by_hand(story)


def test_conditions_are_listed_and_explained_those_that_are_ok_too(by_hand):
    async def story(hand):
        await hand.cycle(load=load(2.0))
        listed = await hand.call("ListConditions")
        assert listed.keys() == {"loaded", "received@eth0"}
        assert listed["loaded"]["severity"] == "ok"
        keys = ("value", "threshold", "headroom", "next")
        assert [listed["loaded"][key] for key in keys] == [2.0, 5.0, 3.0, "warning"]
        explained = json.loads(await hand.call("Explain", "s", "loaded"))
        last = {"severity": "critical", "enter": "> 50", "clear": "<= 50", "hold": 0.0}
        assert explained["rule"]["levels"][1] == last
        assert await hand.call("Explain", "s", "nothing") == (
            protocol.UNKNOWN_CONDITION,
            "there is no condition 'nothing'",
        )

    by_hand(story)


def test_an_acknowledged_condition_counts_no_more_until_it_is_worse(by_hand):
    path = f"{ROOT}/condition/loaded"

    async def story(hand):
        await hand.cycle(load=load(6.0))
        assert await hand.call("Acknowledge", "oa{sv}", path, {"until_usec": ("t", USEC + 10**9)}) is None
        assert (await hand.get("Health"), await hand.get("Reasons")) == ("ok", [])
        values = await hand.call("GetAll", "s", protocol.CONDITION, interface=PROPERTIES, path=path)
        assert (values["AcknowledgedBy"], values["AcknowledgedUntilUSec"]) == (getpass.getuser(), USEC + 10**9)
        assert values["AcknowledgedUSec"] == USEC + 10**8
        await hand.cycle(load=load(60.0))
        assert (await hand.get("Health"), await hand.get("Reasons")) == ("critical", ["loaded"])
        for wrong, options, error in (
            (f"{ROOT}/load", {}, protocol.UNKNOWN_CONDITION),
            (f"{ROOT}/condition/none", {}, protocol.UNKNOWN_CONDITION),
            (path, {"until_usec": ("s", "tomorrow")}, "org.freedesktop.DBus.Error.InvalidArgs"),
            (path, {"forever": ("b", True)}, "org.freedesktop.DBus.Error.InvalidArgs"),
            (path, {"until_usec": ("t", 1)}, "org.freedesktop.DBus.Error.InvalidArgs"),
        ):
            assert (await hand.call("Acknowledge", "oa{sv}", wrong, options))[0] == error

    by_hand(story)
