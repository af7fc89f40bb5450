import json
import time

import pytest
from installed import MANAGE, MANAGER, NAME, ROOT
from private_bus import eventually

RELOAD = (MANAGER, "Reload")
LOG_CONTROL = ("/org/freedesktop/LogControl1", "org.freedesktop.LogControl1")
INTERACTIVE = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
CONDITION = f"{ROOT}/condition/oven/oven_2foven_2fdoor"

GUARDED = {
    "acknowledging": (ROOT, MANAGER, "Acknowledge", "oa{sv}", [CONDITION, {}]),
    "switching a collector": (ROOT, MANAGER, "SetCollectorEnabled", "sb", ["load", False]),
    "reloading": (ROOT, MANAGER, "Reload", "", []),
    "the level of the log": (*LOG_CONTROL, "LogLevel", "s", "debug"),
}

# Prints the name of the error, or nothing.
ASK = """
import json, sys
from jeepney import DBusAddress, MessageFlag, MessageType, Properties, new_method_call
from jeepney.io.blocking import open_dbus_connection
path, interface, name, signature, value = json.loads(sys.argv[1])
place = DBusAddress(path, "org.healthd.Health1", interface)
if isinstance(value, list):
    call = new_method_call(place, name, signature, tuple(value))
else:
    call = Properties(place).set(name, signature, value)
if sys.argv[2:]:
    call.header.flags |= MessageFlag.allow_interactive_authorization
reply = open_dbus_connection("SYSTEM").send_and_get_reply(call, timeout=30)
print(reply.header.fields[4] if reply.header.message_type is MessageType.error else "")
"""

# Calls as fast as the bus takes them; the answers, where there are any, are left unread.
FLOOD = """
import sys, time
from jeepney import DBusAddress, MessageFlag, new_method_call
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection("SYSTEM")
root = DBusAddress("/org/healthd/Health1", "org.healthd.Health1", sys.argv[1])
call = new_method_call(root, sys.argv[2])
if sys.argv[3] == "unanswered":
    call.header.flags = MessageFlag.no_reply_expected
until, serial = time.monotonic() + 60, 10
while time.monotonic() < until:
    serial += 1
    bus.sock.sendall(call.serialise(serial=serial))
"""


@pytest.fixture
def rule(service):
    """Give a function that writes a rule of polkit about healthd's action, and a user."""

    def write(user: str, result: str) -> None:
        asked = f'action.id == "{MANAGE}" && subject.user == "{user}"'
        text = f'polkit.addRule(function (action, subject) {{ if ({asked}) return "{result}"; }});\n'
        service.machine.write("/etc/polkit-1/rules.d/10-test.rules", text)
        # polkit reads its rules by itself, some time; it is started by the next call.
        service.machine.do("systemctl", "stop", "polkit")

    yield write
    service.machine.remove("/etc/polkit-1/rules.d/10-test.rules")
    service.machine.do("systemctl", "stop", "polkit")


def ask(service, user, what, *interactive):
    """Do what is guarded as a user, and return the name of the error; "" where it succeeds."""
    command = ("/usr/bin/python3", "-c", ASK, json.dumps(GUARDED[what]), *interactive)
    return service.machine.run(*command, user=user).printed


def hot(service):
    service.heat(70)
    eventually(lambda: CONDITION in service.machine.do("busctl", "tree", "--list", NAME))


def done(service):
    """Return what was changed up to now."""
    told = [len(service.events(name)) for name in ("health.acknowledged", "config.loaded", "collector.disabled")]
    return *told, service.machine.do("systemctl", "service-log-level", "healthd")


def test_everyone_may_read(service):
    assert service.machine.run("healthctl", "status", user="bob").stdout
    assert service.machine.run("healthctl", "get", "memory.percent", user="bob").printed
    managed = ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    for call in ((ROOT, *managed), (f"{ROOT}/cpu", "org.freedesktop.DBus.Introspectable", "Introspect")):
        assert service.machine.run("busctl", "call", NAME, *call, user="bob").printed


def test_nobody_else_may_own_the_name(service):
    request = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", NAME, "0")
    service.systemctl("stop")
    refused = service.machine.run("busctl", "call", *request, user="bob")
    assert refused.returncode != 0
    assert "Access denied" in refused.stderr


@pytest.mark.parametrize("user", ["", "bob"])
def test_nobody_may_set_what_is_observed(service, user):
    for path, interface, name, value in (
        (ROOT, MANAGER, "Health", ("s", "fine")),
        (f"{ROOT}/memory", f"{NAME}.Memory", "AvailableBytes", ("t", "1")),
    ):
        refused = service.machine.run("busctl", "set-property", NAME, path, interface, name, *value, user=user)
        assert refused.returncode != 0
    assert service.manager("Health") != "fine"


@pytest.mark.parametrize("what", GUARDED)
def test_who_is_not_authorised_is_refused(service, what):
    hot(service)
    before = done(service)
    assert ask(service, "bob", what) == INTERACTIVE
    service.goes_on()
    assert done(service) == before


@pytest.mark.parametrize("what", GUARDED)
def test_whom_a_rule_of_polkit_allows_it_may(service, rule, what):
    hot(service)
    rule("ana", "yes")
    assert ask(service, "ana", what) == ""
    assert ask(service, "bob", what) == INTERACTIVE


@pytest.mark.parametrize("what", GUARDED)
def test_root_may(service, what):
    hot(service)
    service.restart()
    before = done(service)
    assert ask(service, "", what) == ""
    service.goes_on()
    assert done(service) != before


def test_what_is_switched_off_is_unavailable_until_a_reload(service):
    assert ask(service, "", "switching a collector") == ""
    eventually(lambda: service.described()["unavailable"].get("load", {}).get("problem") == "disabled")
    assert ask(service, "", "reloading") == ""
    eventually(lambda: "load" not in service.described()["unavailable"])


def test_whom_a_rule_of_polkit_forbids_it_is_denied(service, rule):
    rule("bob", "no")
    assert ask(service, "bob", "reloading") == DENIED


def test_who_can_be_asked_for_a_password_and_has_no_agent_is_denied(service):
    assert ask(service, "bob", "reloading", "interactive") == DENIED


def test_without_polkit_root_alone_may(service, rule):
    rule("ana", "yes")
    service.machine.do("systemctl", "mask", "--runtime", "--now", "polkit")
    try:
        assert ask(service, "ana", "reloading") == DENIED
        assert ask(service, "", "reloading") == ""
    finally:
        service.machine.do("systemctl", "unmask", "--runtime", "polkit")
    assert ask(service, "ana", "reloading") == ""


def test_who_acknowledged_is_told_by_the_bus_and_not_by_the_caller(service, rule):
    hot(service)
    rule("ana", "yes")
    assert ask(service, "ana", "acknowledging") == ""
    [told] = service.events("health.acknowledged")[-1:]
    assert "ana" in told["who"] or service.machine.do("id", "-u", "ana") in told["who"]


@pytest.mark.parametrize("answers", ["unanswered", "unread"])
@pytest.mark.parametrize(("interface", "method"), [("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"), RELOAD])
def test_a_flood_delays_nobody_else(service, interface, method, answers):
    service.machine.write("/run/flood.py", FLOOD)
    pid, before = service.pid, service.described()["seq"]
    flood = ("/usr/bin/python3", "/run/flood.py", interface, method, answers)
    service.machine.do("systemd-run", "--quiet", "--collect", "--unit=flood", "--property=User=bob", *flood)
    try:
        waits, until = [], time.monotonic() + 3
        while time.monotonic() < until:
            began = time.monotonic()
            assert json.loads(service.machine.run("healthctl", "--json", "status", user="ana").stdout)["readings"]
            waits.append(time.monotonic() - began)
    finally:
        service.machine.run("systemctl", "stop", "flood")
    assert max(waits) < 3
    assert service.described()["seq"] >= before + 4
    assert service.pid == pid
    assert service.resident() < 96 * 1024
    assert not service.events("runtime.gap")
