"""The log of a running healthd, in the hands of systemd's tools."""

import os
import xml.etree.ElementTree as ET

import pytest
from private_bus import eventually
from raw import ROOT, Client

from healthd import log

NAME = "org.healthd.Health1"
PATH = "/org/freedesktop/LogControl1"
INTERFACE = "org.freedesktop.LogControl1"
WHERE = (NAME, PATH, INTERFACE)


@pytest.fixture
def daemon(healthd):
    return healthd("--interval", "0.25").ready()


def get(bus, name):
    shown = bus.busctl("get-property", *WHERE, name)
    assert not shown.returncode, shown.stderr
    return shown.stdout


def put(bus, name, value, **more):
    return bus.busctl("set-property", *WHERE, name, "s", value, **more)


def test_the_level_is_read_and_set_and_debug_tells_of_each_cycle(bus, daemon):
    assert get(bus, "LogLevel") == 's "info"\n'
    assert get(bus, "SyslogIdentifier") == 's "healthd"\n'
    assert "signals in" not in daemon.log
    assert put(bus, "LogLevel", "debug").returncode == 0
    assert get(bus, "LogLevel") == 's "debug"\n'
    eventually(lambda: daemon.log.count("signals in") > 2)
    assert f"uid {os.geteuid()} changes: LogLevel=debug" in daemon.log
    assert put(bus, "LogLevel", "err").returncode == 0
    told = daemon.log
    with Client(bus.address) as client:
        client.driver("AddMatch", "s", f"type='signal',sender='{NAME}'")
        for _ in range(3):
            client.receive()
    assert daemon.log == told


@pytest.mark.usefixtures("daemon")
def test_every_level_that_is_set_is_the_one_that_is_read(bus):
    for level in [*log.LEVELS, "info"]:
        assert put(bus, "LogLevel", level).returncode == 0
        assert get(bus, "LogLevel") == f's "{level}"\n'
    for wrong in ("", "loud", "INFO", "7"):
        assert "LogLevel is one of emerg, alert, crit, err" in put(bus, "LogLevel", wrong).stderr
    assert get(bus, "LogLevel") == 's "info"\n'


def test_the_log_goes_nowhere_and_comes_back(bus, daemon):
    assert get(bus, "LogTarget") == 's "console"\n'
    assert put(bus, "LogTarget", "null").returncode == 0
    assert get(bus, "LogTarget") == 's "null"\n'
    told = daemon.log
    assert put(bus, "LogLevel", "notice").returncode == 0
    assert put(bus, "LogLevel", "info").returncode == 0
    assert daemon.log == told
    assert put(bus, "LogTarget", "auto").returncode == 0
    assert get(bus, "LogTarget") == 's "console"\n'
    assert put(bus, "LogLevel", "info").returncode == 0
    assert daemon.log != told
    for wrong in ("journal", "kmsg", "syslog", "journal-or-kmsg", "file"):
        assert "LogTarget is one of auto, console, null" in put(bus, "LogTarget", wrong).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests do not run as root: there is no other user")
def test_a_user_reads_it_and_may_not_set_it(bus, daemon):
    assert bus.busctl("get-property", *WHERE, "LogLevel", user="nobody").stdout == 's "info"\n'
    for name, value in (("LogLevel", "debug"), ("LogTarget", "null")):
        refused = put(bus, name, value, user="nobody")
        assert "Access denied" in refused.stderr
    assert get(bus, "LogLevel") == 's "info"\n'
    assert get(bus, "LogTarget") == 's "console"\n'
    assert "changes:" not in daemon.log


def test_it_is_introspectable_and_no_part_of_what_is_observed(healthd_bus):
    shown = healthd_bus.busctl("introspect", NAME, PATH, INTERFACE).stdout.splitlines()
    flags = {line.split()[0]: line.split()[1:] for line in shown}
    assert flags[".LogLevel"][-1] == flags[".LogTarget"][-1] == "writable"
    assert flags[".SyslogIdentifier"][-1] == "-"
    with Client(healthd_bus.address) as client:
        document = client.call("Introspect", interface="org.freedesktop.DBus.Introspectable", path=PATH).body[0]
        (interface,) = (each for each in ET.fromstring(document) if each.get("name") == INTERFACE)
        properties = {each.get("name"): (each.get("type"), each.get("access")) for each in interface.iter("property")}
        assert properties == {
            "LogLevel": ("s", "readwrite"),
            "LogTarget": ("s", "readwrite"),
            "SyslogIdentifier": ("s", "read"),
        }
        emits = "org.freedesktop.DBus.Property.EmitsChangedSignal"
        assert [each.get("value") for each in interface.iter("annotation") if each.get("name") == emits] == [
            "false"
        ] * 3
        everything = client.call("GetAll", "s", "", interface="org.freedesktop.DBus.Properties", path=PATH).body[0]
        assert everything.keys() == properties.keys()
        objects = client.call("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager").body[0]
        assert all(path.startswith(ROOT) for path in objects)
        refused = client.call("Describe", interface=f"{NAME}.Manager", path=PATH)
        assert refused.error == "org.freedesktop.DBus.Error.UnknownInterface"
    assert PATH in healthd_bus.busctl("tree", "--list", NAME).stdout.split()
