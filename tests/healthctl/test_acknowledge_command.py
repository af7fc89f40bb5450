import json
import re
import threading
import time

import pytest
from jeepney import DBusAddress, HeaderFields, new_error, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection

from healthctl.when import iso
from healthd import protocol

pytestmark = pytest.mark.timeout(60)

ALWAYS = """
[rules.used]
summary = "There is memory in use."
metric = "memory.percent"
warning = { enter = "> 0" }

[rules.looped]
summary = "An interface leads back."
metric = "network.kind"
warning = { enter = "== loopback" }
"""


@pytest.fixture
def judging(bus, healthd, calm):
    healthd("--interval", "0.5", "--config", calm(ALWAYS)).ready()
    return bus.address


def severity(healthctl, bus):
    health = json.loads(healthctl(bus, "--json").stdout)["health"]
    return health["severity"], health["reasons"]


def test_what_is_acknowledged_does_not_count(judging, healthctl):
    assert severity(healthctl, judging) == ("warning", ["looped@lo", "used"])
    done = healthctl(judging, "acknowledge", "looped@lo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "looped@lo is acknowledged until it is over or becomes worse\n"
    assert severity(healthctl, judging) == ("warning", ["used"])
    assert healthctl(judging, "acknowledge", "used").returncode == 0
    assert severity(healthctl, judging) == ("ok", [])
    status = healthctl(judging, "status", COLUMNS="120")
    assert status.returncode == 0
    assert re.search(r"^  used .* warning, acknowledged by \S+: There is memory in use\.$", status.stdout, re.MULTILINE)
    assert "which do not count: looped@lo, used |" in healthctl(judging, "check").stdout
    assert (
        healthctl(judging, "why").stdout == "Nothing is wrong; 2 conditions do not count, see: healthctl conditions\n"
    )
    assert "acknowledged by" in healthctl(judging, "conditions").stdout
    assert re.search(
        r"health\.acknowledged  \S+ has acknowledged looped@lo$", healthctl(judging, "log").stdout, re.MULTILINE
    )


def test_for_a_while_and_as_json(judging, healthctl):
    done = healthctl(judging, "acknowledge", "looped", "--for", "1d")
    assert re.fullmatch(r"looped@lo is acknowledged until 20.. at most\n", re.sub(r"20\d\d-.{14}", "20..", done.stdout))
    before = iso(time.time() + 3600)
    answer = json.loads(healthctl(judging, "acknowledge", "used", "--for", "1h", "--json").stdout)
    assert list(answer) == ["used"]
    assert before <= answer["used"]["until"] <= iso(time.time() + 3600)
    until = json.loads(healthctl(judging, "--json").stdout)["health"]["conditions"]["used"]["acknowledged_until_usec"]
    assert iso(until / 1e6) == answer["used"]["until"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["never"], "never is ok: there is nothing to acknowledge"), (["lost"], "there is no condition 'lost'"),
     (["used", "--for", "long"], "'long' is no duration; write 90s, 5min, 1h30min or 1d"), ([], "missing argument")],
)  # fmt: skip
def test_what_can_not_be_acknowledged_is_64_and_one_line(judging, healthctl, arguments, words):
    done = healthctl(judging, "acknowledge", *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = done.stderr.splitlines()
    assert words in line


def test_who_may_not_is_told_to_be_root(bus, healthctl):
    # As a healthd to which someone else talks.
    driver = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    row = {"rule": ("s", "used"), "instance": ("s", ""), "severity": ("s", "warning")}
    taken = []

    def serve(connection):
        while not taken:
            call = connection.receive(timeout=20)
            if call.header.fields.get(HeaderFields.member) == "ListConditions":
                connection.send(new_method_return(call, "a{sa{sv}}", ({"used": row},)))
            elif call.header.fields.get(HeaderFields.member) == "Acknowledge":
                taken.append(call.body)
                connection.send(new_error(call, "org.freedesktop.DBus.Error.AccessDenied", "s", ("only root may",)))

    with open_dbus_connection(bus.address) as connection:
        connection.send_and_get_reply(new_method_call(driver, "RequestName", "su", (protocol.BUS_NAME, 4)))
        thread = threading.Thread(target=serve, args=(connection,))
        thread.start()
        done = healthctl(bus.address, "acknowledge", "used")
        thread.join()
    assert taken == [("/org/healthd/Health1/condition/used", {})]
    assert (done.returncode, done.stdout) == (protocol.EXIT_NOT_ALLOWED, "")
    assert done.stderr.startswith("healthctl: only root may acknowledge a condition, and whom polkit allows ")
