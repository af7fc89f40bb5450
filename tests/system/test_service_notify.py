"""`healthctl notify` as a unit of a user's own manager, with a session's bus: as after a login."""

import json
import os

import pytest
from private_bus import eventually

UNIT = "healthd-notify.service"
DROP_IN = f"/etc/systemd/user/{UNIT}.d/test.conf"
# As every desktop has one of its own, which the target of all sessions comes and goes with.
DESKTOP = "/etc/systemd/user/desktop.target"
EXAMPLE = "health-notify.service"
COMMAND = "/usr/local/bin/ntfy_health.sh"
# A notification server that prints the title of each bubble.
SERVER = """
from jeepney import HeaderFields, MessageType, message_bus, new_method_return
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection("SESSION")
bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.Notifications"))
while True:
    call = bus.receive()
    if call.header.message_type is not MessageType.method_call:
        continue
    if call.header.fields[HeaderFields.member] == "GetCapabilities":
        bus.send(new_method_return(call, "as", (["body"],)))
    else:
        print(call.body[3], flush=True)
        bus.send(new_method_return(call, "u", (1,)))
"""
HOT, WELL = "oven@oven/oven/door is warning", "oven@oven/oven/door is ok again"


class User:
    """Somebody whose manager runs, and a notification server in it."""

    def __init__(self, machine, name: str) -> None:
        self.machine, self._name = machine, name
        uid = machine.do("id", "--user", name)
        self.manager, self._directory = f"user@{uid}.service", f"/run/user/{uid}"
        machine.do("systemctl", "start", self.manager)
        machine.write("/run/server.py", SERVER)
        properties = (f"StandardOutput=append:{self._directory}/told", "StandardError=journal", "Restart=always")
        given = (f"--property={each}" for each in properties)
        self.do("systemd-run", "--quiet", "--user", *given, "/usr/bin/python3", "/run/server.py")
        eventually(lambda: "org.freedesktop.Notifications" in self.do("busctl", "--user", "list", "--acquired"))

    def do(self, *command: str) -> str:
        """Run a command in the session, and return what it printed."""
        return self.machine.run(*command, user=self._name, environment={"XDG_RUNTIME_DIR": self._directory}).printed

    def systemctl(self, verb: str, *arguments: str) -> str:
        """Have the user's manager do something."""
        return self.do("systemctl", "--user", "--no-pager", verb, *arguments)

    def shown(self, name: str) -> str:
        """Return what the user's manager knows of the unit."""
        return self.systemctl("show", f"--property={name}", "--value", UNIT)

    def state(self) -> tuple[str, str]:
        """Return whether the unit is active, and how it has ended."""
        return self.shown("ActiveState"), self.shown("Result")

    def told(self) -> list[str]:
        """Return the titles of the bubbles."""
        return self.do("cat", f"{self._directory}/told").splitlines()

    def change(self, text: str) -> None:
        """Lay a drop-in over the unit, and start it."""
        self.machine.write(DROP_IN, f"[Service]\nRestartSec=0\n{text}")
        self.systemctl("daemon-reload")
        self.systemctl("start", UNIT)

    def said(self, *matches: str) -> list[dict[str, str]]:
        """Return entries of the journal."""
        told = self.machine.do("journalctl", "--output=json", *matches)
        return [json.loads(line) for line in told.splitlines()]


@pytest.fixture
def user(service):
    if not os.path.exists("/usr/lib/systemd/user/dbus.socket"):
        pytest.skip("not installed: dbus-user-session")
    service.machine.do("useradd", "--create-home", "eve")
    made = User(service.machine, "eve")
    yield made
    service.machine.do("systemctl", "stop", made.manager)
    service.machine.remove(os.path.dirname(DROP_IN))
    service.machine.remove(DESKTOP)
    service.machine.do("userdel", "--remove", "eve")


def test_it_comes_and_goes_with_the_desktop_and_shows_what_becomes_of_the_machine(service, user):
    service.configure("cools", 'rules.oven.clear_after = "0s"\n')
    service.restart()
    service.machine.write(DESKTOP, "[Unit]\nBindsTo=graphical-session.target\n")
    user.systemctl("enable", UNIT)
    assert user.state() == ("inactive", "success")
    user.systemctl("start", "desktop.target")
    service.heat(70)
    eventually(lambda: user.told() == [HOT])
    service.heat(21)
    eventually(lambda: user.told() == [HOT, WELL])
    pid = user.shown("MainPID")
    status = service.machine.do("cat", f"/proc/{pid}/status")
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in status
    user.systemctl("stop", "desktop.target")
    eventually(lambda: user.state() == ("inactive", "success"))
    assert user.shown("NRestarts") == "0"
    assert user.said(f"_PID={pid}") == []


def test_it_has_ended_before_the_bus_of_the_session_does(service, user):
    user.systemctl("start", UNIT)
    service.heat(70)
    eventually(lambda: user.told() == [HOT])
    manager = service.machine.do("systemctl", "show", "--property=MainPID", "--value", user.manager)
    service.machine.do("systemctl", "stop", user.manager)
    ended = [entry["USER_UNIT"] for entry in user.said(f"_PID={manager}", "JOB_TYPE=stop", "JOB_RESULT=done")]
    assert ended.index(UNIT) < ended.index("dbus.service")


@pytest.mark.parametrize("failure", [("kill", "--signal=KILL", UNIT), ("restart", "dbus.service")], ids=" ".join)
def test_it_is_restarted_when_it_fails_and_tells_what_is_wrong_then(service, user, failure):
    user.change("")
    service.heat(70)
    eventually(lambda: user.told() == [HOT])
    pid = user.shown("MainPID")
    user.systemctl(*failure)
    eventually(lambda: user.told() == [HOT, HOT])
    assert user.shown("MainPID") != pid
    assert user.state() == ("active", "success")


def test_a_fault_in_an_option_is_not_tried_again(user):
    user.change("ExecStart=\nExecStart=/usr/bin/healthctl notify --min-severity none\n")
    eventually(lambda: user.state() == ("failed", "exit-code"))
    assert (user.shown("ExecMainStatus"), user.shown("NRestarts")) == ("64", "0")


def test_a_command_of_the_user_runs_in_it(service, user):
    told = 'echo "$$HEALTHD_CONDITION is $$HEALTHD_TO" >> %t/told'
    user.change(f"ExecStart=\nExecStart=/usr/bin/healthctl notify --exec '{told}'\n")
    service.heat(70)
    eventually(lambda: user.told() == [HOT])


def test_the_example_runs_a_command_without_anybody_logged_in(service):
    machine = service.machine
    machine.do("useradd", "--system", "health-notify")
    machine.do("install", "-m644", f"/usr/share/doc/healthd/examples/notify/{EXAMPLE}", "/etc/systemd/system")
    machine.write(COMMAND, '#!/bin/sh\necho "$HEALTHD_CONDITION is $HEALTHD_TO for $(id --user --name)"\n', 0o755)
    machine.do("systemctl", "start", EXAMPLE)
    service.heat(70)
    eventually(lambda: f"{HOT} for health-notify" in machine.do("journalctl", "--no-pager", f"--unit={EXAMPLE}"))
    machine.do("systemctl", "stop", EXAMPLE)
    assert machine.do("systemctl", "show", "--property=Result", "--value", EXAMPLE) == "success"
