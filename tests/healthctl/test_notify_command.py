"""`healthctl notify` with a real healthd, and with a notification server on a real session's bus."""

import email
import email.policy
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress

import pytest
from jeepney import DBusAddress, HeaderFields, message_bus, new_error, new_method_return, new_signal
from jeepney.io.blocking import open_dbus_connection
from plugins import install
from private_bus import Healthd, eventually, private_bus
from sshd import running
from stand_in import Answering, member

from healthctl.errors import Unavailable
from healthctl.notify.desktop import Desktop
from healthctl.notify.errands import Errands, Rate
from healthctl.notify.transitions import Transition, Transitions
from healthd import protocol

pytestmark = pytest.mark.timeout(60)

NAME = "org.freedesktop.Notifications"
SERVER = DBusAddress("/org/freedesktop/Notifications", bus_name=NAME, interface=NAME)
ALLOWED = f'<policy context="default"><allow own="{NAME}"/><allow send_destination="{NAME}"/></policy>'
RULE = """
[rules.full]
summary = "There is <much> & more."
remedy = "Do without."
metric = "tank.level"
clear_after = "0s"
notice = { enter = "> 1" }
warning = { enter = "> 2" }
critical = { enter = "> 3" }
"""
LEVELS = {"ok": "0.5", "notice": "1.5", "warning": "2.5", "critical": "3.5"}
# A family with as many instances as a test wants.
TANK = """
import os
from healthd.model import Band, Reading, Unit, family, gauge

_WHERE = os.environ["TANKS"]

@family("tank", instances="tank", source=_WHERE)
class Tank(Reading):
    "What is in a tank."
    level: float | None = gauge(Unit.NONE, "How much.", band=Band(absolute=0.01), digits=1, span=(0.0, 9.0))

class TankCollector:
    "Reads a file each."
    reading = Tank

    def __init__(self, roots): ...

    def collect(self, now):
        # A file whose name begins with a point is not there yet.
        names = [name for name in os.listdir(_WHERE) if name[0] != "."]
        return {name: Tank(level=float(open(f"{_WHERE}/{name}").read())) for name in names}
"""
LOW, NORMAL, CRITICAL = range(3)


class Server(Answering):
    """A notification server: `bubbles` is what is to be seen, by number, and `told` all that came."""

    def __init__(self, address: str, *capabilities: str, first: int = 1) -> None:
        self.capabilities = capabilities
        self.bubbles: dict[int, tuple] = {}
        self.told: list[tuple] = []
        self.refuses = self.is_stuck = self.leaves = False
        self._next = first
        super().__init__(address, NAME, self._reply)

    def _reply(self, call):
        if member(call) == "GetCapabilities":
            return new_method_return(call, "as", (list(self.capabilities),))
        assert member(call) == "Notify"
        if self.is_stuck:
            # That is no answer to anybody.
            return new_signal(SERVER, "ActionInvoked", "us", (0, ""))
        if self.refuses:
            return new_error(call, f"{NAME}.Error", "s", ("there are\ntoo many",))
        if self.leaves:
            # As the bus says it of one that ends while it is asked.
            return new_error(call, "org.freedesktop.DBus.Error.NoReply")
        _, number, *_ = call.body
        if number not in self.bubbles:
            number, self._next = self._next, self._next + 1
        self.bubbles[number] = call.body
        self.told.append((number, *call.body))
        return new_method_return(call, "u", (number,))

    def dismiss(self, number: int) -> None:
        """Close a bubble as if somebody had clicked at it."""
        del self.bubbles[number]
        self._connection.send(new_signal(SERVER, "NotificationClosed", "uu", (number, 2)))

    @property
    def titles(self) -> list[str]:
        return [title for _, _, _, _, title, *_ in self.told]


class Patient:
    """A real healthd that observes as many tanks as a test wants, by the conditions that it wants of them."""

    def __init__(self, address: str, directory, config: str) -> None:
        self._address, self._config = address, config
        self._site, self._tanks = directory / "site", directory / "tanks"
        for path in (self._site, self._tanks):
            path.mkdir()
        install(str(self._site), "tank", "healthd_tank:TankCollector", TANK)
        self.start()

    def start(self) -> None:
        path = f"{self._site}:{os.environ.get('PYTHONPATH', '')}"
        options = ("--interval", "0.25", "--config", self._config)
        environment = {"PYTHONPATH": path, "TANKS": str(self._tanks), "PYTHONWARNINGS": "default"}
        self.daemon = Healthd(self._address, *options, environment=environment).ready()

    def becomes(self, **severities: str) -> None:
        """Have tanks of these severities, and none but these; what is to change does so at once."""
        for name, severity in severities.items():
            (self._tanks / ".new").write_text(LEVELS[severity])
            (self._tanks / ".new").rename(self._tanks / name)
        for name in set(os.listdir(self._tanks)) - severities.keys():
            (self._tanks / name).unlink()


@pytest.fixture
def patient(bus, tmp_path, calm):
    config = calm(RULE)
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.write(f'collectors.plugins = ["tank"]\n{text}')
    made = Patient(bus.address, tmp_path, config)
    yield made
    if not made.daemon.errors.closed:
        made.daemon.stop(signal.SIGKILL)


@pytest.fixture
def session():
    with private_bus(ALLOWED) as made:
        yield made


@pytest.fixture
def server(session):
    made = Server(session.address, "body", "body-markup")
    yield made
    made.close()


class Running:
    """`healthctl notify` while it runs."""

    def __init__(self, directory, bus: str, session: str, *arguments: str, **changes: str) -> None:
        self._errors = directory / "errors"
        with open(self._errors, "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "healthctl", "notify", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env={**os.environ, "HEALTHD_BUS": bus, "DBUS_SESSION_BUS_ADDRESS": session, "PYTHONWARNINGS": "error",
                     "LC_ALL": "C.UTF-8", **changes},
            )  # fmt: skip

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def says(self, words: str, times: int = 1) -> None:
        eventually(lambda: self.errors.count(words) >= times)

    def stop(self) -> int:
        """End it by Ctrl-C, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def notify(bus, session, tmp_path):
    """Start `healthctl notify`, and end it after the test."""
    started = []

    def begin(*arguments, **changes):
        started.append(Running(tmp_path, bus.address, session.address, *arguments, **changes))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()


def told(path):
    """Return what a command has written by now, of each time it ran."""
    with suppress(FileNotFoundError):
        return [json.loads(line) for line in path.read_text().splitlines()]
    return []


# The desktop.


def test_a_condition_is_one_bubble_that_changes_and_is_replaced_when_it_is_over(patient, server, notify):
    process = notify()
    patient.becomes(a="warning")
    eventually(lambda: len(server.told) == 1)
    patient.becomes(a="critical")
    eventually(lambda: len(server.told) == 2)
    patient.becomes(a="warning", b="warning")
    eventually(lambda: len(server.told) == 4)
    patient.becomes(a="ok", b="warning")
    eventually(lambda: len(server.told) == 5)
    patient.becomes(a="warning")
    eventually(lambda: len(server.told) == 7)
    assert server.titles[:2] == ["full@a is warning", "full@a is critical"]
    assert sorted(server.titles[2:4]) == ["full@a is warning", "full@b is warning"]
    assert server.titles[4] == "full@a is ok again"
    assert sorted(server.titles[5:]) == ["full@a is warning", "full@b is not judged any more"]
    assert {(number, title[:6]) for number, *_, title, _, _, _, _ in server.told} == {(1, "full@a"), (2, "full@b")}
    _, name, replaces, icon, title, body, actions, hints, lasts = server.told[1]
    assert (name, replaces, icon, title) == ("healthd", 1, "dialog-error", "full@a is critical")
    assert body == "There is &lt;much&gt; &amp; more.\nDo without."
    assert (actions, hints, lasts) == ([], {"urgency": ("y", CRITICAL), "transient": ("b", False)}, 0)
    warned, over = server.told[0], server.told[4]
    assert (warned[3], warned[7]["urgency"], warned[8]) == ("dialog-warning", ("y", NORMAL), -1)
    assert (over[3], over[5]) == ("dialog-information", "")
    assert over[7] == {"urgency": ("y", LOW), "transient": ("b", True)}
    assert (process.stop(), process.errors) == (130, "")


def test_what_is_wrong_already_is_told_at_the_beginning_unless_it_is_acknowledged(
    patient, server, notify, healthctl, bus
):
    patient.becomes(known="warning", open="warning", small="notice")
    eventually(lambda: len(json.loads(healthctl(bus.address, "conditions", "--json").stdout)) == 3)
    assert healthctl(bus.address, "acknowledge", "full@known").returncode == 0
    notify()
    eventually(lambda: server.told)
    patient.becomes(known="critical", open="warning", small="notice")
    eventually(lambda: len(server.told) == 2)
    assert server.titles == ["full@open is warning", "full@known is critical"]


def test_a_server_without_markup_gets_none(patient, session, notify):
    server = Server(session.address, "body")
    notify("--min-severity", "notice")
    patient.becomes(a="notice")
    eventually(lambda: server.told)
    assert server.told[0][5] == "There is <much> & more.\nDo without."
    assert server.told[0][7]["urgency"] == ("y", LOW)
    server.close()


def test_what_was_dismissed_comes_anew_when_it_changes(patient, server, notify):
    notify()
    patient.becomes(a="warning")
    eventually(lambda: server.told)
    server.dismiss(1)
    patient.becomes(a="critical")
    eventually(lambda: len(server.told) == 2)
    assert [number for number, *_ in server.told] == [1, 2]
    assert server.told[1][2] == 0


def test_another_server_is_shown_what_is_still_to_be_seen_and_none_of_its_bubbles_is_replaced(patient, session, notify):
    server = Server(session.address)
    process = notify()
    patient.becomes(a="warning", b="warning", c="warning")
    eventually(lambda: len(server.told) == 3)
    patient.becomes(a="warning", b="warning", c="ok")
    eventually(lambda: len(server.told) == 4)
    server.dismiss(server.titles.index("full@a is warning") + 1)
    server.close()
    other = Server(session.address, first=7)
    other.bubbles = dict.fromkeys((1, 2, 3), ("of", "somebody", "else"))
    eventually(lambda: other.told)
    patient.becomes(a="warning", b="critical", c="ok")
    eventually(lambda: len(other.told) == 2)
    assert other.titles == ["full@b is warning", "full@b is critical"]
    assert [row[2] for row in other.told] == [0, 7]
    assert process.errors == ""
    other.close()


def test_without_a_server_it_says_what_to_do_and_waits(patient, session, notify):
    process = notify()
    process.says("\n")
    assert process.errors == (
        f"healthctl: no notification server ({NAME}): there is none on the session bus; "
        "start a desktop or one like dunst, or use --exec CMD; waiting for it\n"
    )
    patient.becomes(a="warning")
    patient.becomes(a="critical", b="warning")
    server = Server(session.address)
    eventually(lambda: {"full@a is critical", "full@b is warning"} <= set(server.titles))
    assert process.errors.count("\n") == 1
    server.close()


def test_a_server_that_the_bus_can_start_is_started(healthd, tmp_path, notify):
    healthd().ready()
    marker = tmp_path / "started"
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / f"{NAME}.service").write_text(
        f"[D-BUS Service]\nName={NAME}\nExec=/bin/sh -c 'echo > {marker}; exit 1'\n"
    )
    with private_bus(f"{ALLOWED}<servicedir>{tmp_path}/services</servicedir>") as session:
        process = notify(DBUS_SESSION_BUS_ADDRESS=session.address)
        process.says("waiting for it\n")
        assert marker.exists()


def test_a_server_that_refuses_is_told_in_a_line(patient, server, notify):
    server.refuses = True
    process = notify()
    patient.becomes(a="warning")
    process.says("\n")
    assert process.errors == "healthctl: full@a is warning, but no bubble shows it: there are too many\n"
    server.refuses = False
    patient.becomes(a="critical")
    eventually(lambda: server.titles == ["full@a is critical"])


def test_a_server_that_does_not_answer_is_told_in_a_line(session, server, monkeypatch, capsys):
    monkeypatch.setattr("healthctl.notify.desktop.TIMEOUT", 0.2)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session.address)
    with closing(Desktop(names_host=False)) as desktop:
        server.is_stuck = True
        desktop.tell(transition(0))
        line = "healthctl: c0 is warning, but no bubble shows it: it has not answered for 0.2 s\n"
        assert capsys.readouterr().err == line
        server.is_stuck = False
        desktop.tell(transition(1))
        assert server.titles == ["c1 is warning"]


def test_what_is_over_when_the_server_goes_is_shown_by_no_other(session, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session.address)
    first = Server(session.address)
    with closing(Desktop(names_host=False)) as desktop:
        desktop.tell(transition(0))
        desktop.tell(transition(1))
        first.leaves = True
        desktop.tell(transition(0)._replace(severity="ok", data={"judged": True}))
        first.close()
        with Server(session.address) as second:
            eventually(lambda: desktop.advance() or second.told)
            assert second.titles == ["c1 is warning"]


def test_a_stranger_closes_no_bubble(patient, server, notify, session):
    notify()
    patient.becomes(a="warning")
    eventually(lambda: server.told)
    closed = new_signal(SERVER, "NotificationClosed", "uu", (1, 2))
    with open_dbus_connection(session.address) as stranger:
        for name in stranger.send_and_get_reply(message_bus.ListNames()).body[0]:
            if name.startswith(":") and name != stranger.unique_name:
                closed.header.fields[HeaderFields.destination] = name
                stranger.send(closed)
        stranger.send_and_get_reply(message_bus.ListNames())
    patient.becomes(a="critical")
    eventually(lambda: len(server.told) == 2)
    assert server.told[1][2] == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [("unix:path=/nowhere", "there is no bus at unix:path=/nowhere"), ("", "there is no session bus here")],
)
def test_without_a_session_it_is_69_and_one_line(healthd_bus, healthctl, address, reason):
    done = healthctl(healthd_bus.address, "notify", DBUS_SESSION_BUS_ADDRESS=address, XDG_RUNTIME_DIR="")
    assert (done.returncode, done.stdout) == (protocol.EXIT_UNAVAILABLE, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"healthctl: {reason}")
    assert line.endswith("; without a desktop: healthctl notify --exec CMD")


def test_the_end_of_the_session_is_its_end_and_one_line(patient, session, server, notify):
    process = notify()
    patient.becomes(a="warning")
    eventually(lambda: server.told)
    session.stop()
    assert process.process.wait(20) == protocol.EXIT_UNAVAILABLE
    (line,) = process.errors.splitlines()
    assert line.startswith("healthctl: the session's bus is gone, and the desktop with it: ")


# healthd.


def test_an_end_and_a_beginning_of_healthd_tell_what_is_different(patient, server, notify):
    process = notify()
    patient.becomes(a="warning", b="warning")
    eventually(lambda: len(server.told) == 2)
    assert patient.daemon.stop() == 0
    process.says("healthd is not running")
    patient.becomes(a="ok", b="warning", c="critical")
    patient.start()
    eventually(lambda: len(server.told) == 4)
    assert sorted(server.titles[2:]) == ["full@a is ok again", "full@c is critical"]
    patient.becomes(a="ok", b="critical", c="critical")
    eventually(lambda: len(server.told) == 5)
    assert server.titles[4] == "full@b is critical"
    assert process.errors.count("\n") == 1


def test_without_healthd_it_is_69_and_one_line(bus, session, server, healthctl):
    done = healthctl(bus.address, "notify", DBUS_SESSION_BUS_ADDRESS=session.address)
    assert (done.returncode, done.stdout) == (protocol.EXIT_UNAVAILABLE, "")
    assert server.told == []
    (line,) = done.stderr.splitlines()
    assert "healthd is not running" in line


@pytest.mark.parametrize("odd", ["{}", "[" * 100_000], ids=["empty", "deep"])
def test_what_happens_while_it_asks_is_told_once(bus, odd):
    # As healthd, told by hand: transitions before the answer that holds them, and behind it.
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    facts = {"rule": "a", "instance": "", "summary": "", "remedy": "", "metric": "m", "value": 1.0, "threshold": None}

    def changed(seq, before, after):
        data = {**facts, "condition": "a", "from": before, "to": after, "judged": True}
        line = {"time": f"{seq}", "name": protocol.HEALTH_TRANSITION, "data": data, "seq": seq}
        return new_signal(manager, "Event", "sts", (protocol.HEALTH_TRANSITION, 0, json.dumps(line)))

    def serve(connection):
        while (call := connection.receive(timeout=20)).header.fields.get(HeaderFields.member) != "Describe":
            """The bus has something to say."""
        connection.send(changed(7, "ok", "warning"))
        connection.send(changed(8, "warning", "critical"))
        row = {**facts, "severity": "critical", "since_usec": 0, "acknowledged_by": ""}
        described = {"time": "8", "seq": 8, "health": {"conditions": {"a": row}}}
        connection.send(new_method_return(call, "s", (json.dumps(described),)))
        connection.send(changed(9, "critical", "ok"))

    with closing(Transitions(bus.address, "notice", ())) as transitions:
        with open_dbus_connection(bus.address) as connection:
            connection.send_and_get_reply(message_bus.RequestName(protocol.BUS_NAME))
            thread = threading.Thread(target=serve, args=(connection,))
            thread.start()
            news = list(transitions.advance())
            thread.join()
            eventually(lambda: news.extend(transitions.advance()) or len(news) == 2)
            assert [(each.words, each.data["from"]) for each in news] == [
                ("a is critical", None),
                ("a is ok again", "critical"),
            ]
            # What no healthd says is not believed, and the next attempt is a second later.
            connection.send(new_signal(manager, "Event", "sts", (protocol.HEALTH_TRANSITION, 0, odd)))
            with pytest.raises(Unavailable, match="can't be read; update it"):
                eventually(lambda: list(transitions.advance()))
        assert 0 < transitions.wait <= 1


def test_another_machines_conditions_are_told_with_its_name(patient, server, notify):
    with running() as sshd:
        process = notify("-H", "pi4", HEALTHD_SSH=sshd.command)
        patient.becomes(a="warning")
        eventually(lambda: server.told)
        assert server.titles == ["pi4: full@a is warning"]
        assert process.stop() == 130


def test_a_rule_and_a_least_severity_choose(patient, server, notify):
    notify("--rule", "full@a", "--rule", "full@b", "--min-severity", "critical")
    patient.becomes(a="warning", b="critical", c="critical")
    eventually(lambda: server.told)
    patient.becomes(a="warning", b="notice", c="warning")
    eventually(lambda: len(server.told) == 2)
    patient.becomes(a="critical", b="ok", c="ok")
    eventually(lambda: len(server.told) == 4)
    assert server.titles[:2] == ["full@b is critical", "full@b is notice"]
    assert sorted(server.titles[2:]) == ["full@a is critical", "full@b is ok again"]


# A command.

OFTEN = Rate(1000, 60.0)
SAVES = "cat >> {path}"


def test_a_command_gets_the_transition_as_json_and_in_its_environment(patient, notify, tmp_path, healthctl, bus):
    path, variables = tmp_path / "told", tmp_path / "variables"
    patient.becomes(old="warning")
    eventually(lambda: "full@old" in healthctl(bus.address, "conditions").stdout)
    process = notify("--exec", f"env -0 >> {variables}; {SAVES.format(path=path)}")
    eventually(lambda: told(path))
    patient.becomes(old="warning", new="critical")
    eventually(lambda: len(told(path)) == 2)
    patient.becomes(old="warning")
    eventually(lambda: len(told(path)) == 3)
    first, second, third = told(path)
    assert (first["condition"], first["from"], first["to"], first["worst"]) == ("full@old", None, "warning", "warning")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert list(first) == list(second) == [*FACTS, "left_out"]
    assert {**second, "time": ""} == {
        "time": "", "host": os.uname().nodename, "condition": "full@new", "from": "ok", "to": "critical",
        "judged": True, "rule": "full", "instance": "new", "summary": "There is <much> & more.",
        "remedy": "Do without.", "metric": "tank.level", "value": 3.5, "threshold": 3.0, "worst": "critical",
        "left_out": [],
    }  # fmt: skip
    assert (third["to"], third["judged"], third["worst"]) == ("ok", False, "warning")
    lines = variables.read_text().split("\0")
    for key, value in {**second, "judged": 1, "left_out": 0}.items():
        assert f"HEALTHD_{key.upper()}={value}" in lines
    assert "HEALTHD_JUDGED=0" in lines
    assert "HEALTHD_FROM=" in lines
    assert (process.stop(), process.errors) == (130, "")


def test_every_variable_is_in_the_help_and_in_the_man_page(healthctl):
    done = healthctl("session", "notify", "--help")
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "data", "man", "healthctl.1")) as file:
        page = file.read()
    for key in (*FACTS, "left_out"):
        assert re.search(rf"^ +HEALTHD_{key.upper()} +{key} +\S", done.stdout, re.MULTILINE)
        assert f"HEALTHD_{key.upper()}" in page


def test_a_command_that_fails_or_lasts_is_a_line_and_the_next_one_runs(patient, notify, tmp_path):
    path = tmp_path / "told"
    script = "case $HEALTHD_CONDITION in *a) exit 3;; *b) kill -9 $$;; *c) sleep 600 & sleep 600;; esac; cat >> told"
    process = notify("--exec", script.replace("told", str(path)), "--timeout", "500ms")
    patient.becomes(a="warning", b="warning", c="warning", d="warning")
    eventually(lambda: told(path))
    assert [each["condition"] for each in told(path)] == ["full@d"]
    assert process.errors.splitlines() == [
        "healthctl: the command for 'full@a is warning' failed with exit code 3",
        "healthctl: the command for 'full@b is warning' failed with signal 9",
        "healthctl: the command for 'full@c is warning' was ended: it took longer than 0.5 s",
    ]


def test_a_command_that_is_none_is_a_line(patient, notify):
    process = notify("--exec", "/nowhere/siren")
    patient.becomes(a="warning")
    process.says("the command for 'full@a is warning' failed with exit code 127")
    assert process.process.poll() is None


def transition(number: int) -> Transition:
    return Transition(f"c{number}", "warning", {"condition": f"c{number}", "summary": "", "remedy": ""})


@pytest.fixture
def errands():
    """Give commands that append to a file, and what they have told by now."""
    made = []

    def begin(command, timeout=20.0, at_most=OFTEN):
        made.append(Errands(command, timeout, at_most))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_commands_run_one_at_a_time_in_order(errands, tmp_path):
    path = tmp_path / "told"
    running = errands(f"echo begin >> {path}; cat >> {path}; echo end >> {path}")
    for number in range(5):
        running.tell(transition(number))
    eventually(lambda: running.advance() or running.wait is None)
    lines = path.read_text().splitlines()
    assert lines[::3] == ["begin"] * 5
    assert lines[2::3] == ["end"] * 5
    assert [json.loads(line)["condition"] for line in lines[1::3]] == [f"c{number}" for number in range(5)]
    assert running.fileno() == -1


def test_what_is_too_often_is_left_out_and_told_in_the_next_one(errands, tmp_path):
    path = tmp_path / "told"
    running = errands(SAVES.format(path=path), at_most=Rate(2, 1.0))
    for number in range(6):
        running.tell(transition(number))
    eventually(lambda: running.advance() or len(told(path)) == 2)
    eventually(lambda: running.advance() or running.fileno() == -1)
    assert 0 < running.wait <= 1.0
    eventually(lambda: running.advance() or len(told(path)) == 3)
    assert [each["condition"] for each in told(path)] == ["c0", "c1", "c5"]
    assert [[left["condition"] for left in each["left_out"]] for each in told(path)] == [[], [], ["c2", "c3", "c4"]]
    eventually(lambda: running.advance() or running.wait is None)


def test_a_command_that_does_not_heed_being_ended_is_killed(errands, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("healthctl.notify.errands._GRACE", 0.1)
    running = errands(f"trap '' TERM; echo > {tmp_path}/began; while :; do sleep 1; done", timeout=0.2)
    running.tell(transition(0))
    eventually(lambda: running.advance() or running.wait is None)
    assert (
        capsys.readouterr().err == "healthctl: the command for 'c0 is warning' was ended: it took longer than 0.2 s\n"
    )


def test_where_an_end_can_not_be_waited_for_the_command_is_a_line(errands, monkeypatch, capsys):
    def absent(_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    # As before Linux 5.3.
    monkeypatch.setattr("os.pidfd_open", absent)
    errands("true").tell(transition(0))
    line = "healthctl: the command for 'c0 is warning' can't be waited for: Function not implemented\n"
    assert capsys.readouterr().err == line


def test_what_is_told_is_no_part_of_the_line_that_the_shell_reads(errands, tmp_path):
    path = tmp_path / "told"
    hostile = Transition("c", "warning", {"summary": "$(touch pwned); `id`\n'\"\0", "value": None, "judged": False})
    running = errands(f'printf \'%s|%s|%s\' "$HEALTHD_SUMMARY" "$HEALTHD_VALUE" "$HEALTHD_JUDGED" > {path}')
    running.tell(hostile)
    eventually(lambda: running.advance() or running.wait is None)
    assert path.read_text() == "$(touch pwned); `id` '\" ||0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--exec", " "], "--exec names no command"), (["--timeout", "5s"], "go with --exec"),
     (["--at-most", "5/min"], "go with --exec"),
     (["--exec", "true", "--at-most", "5"], "'5' is no rate; write 10/min"),
     (["--exec", "true", "--at-most", "0/min"], "is no rate"), (["--exec", "true", "--at-most", "1/soon"], "'1soon'"),
     (["--min-severity", "ok"], "'ok' is not one of"), (["more"], "unexpected extra argument"),
     (["-H", "a,b"], "one host at a time")],
)  # fmt: skip
def test_a_wrong_command_line_is_64_and_one_line(healthctl, arguments, words):
    done = healthctl("unix:path=/nowhere", "notify", *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = done.stderr.splitlines()
    assert words in line


# What is shipped.

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
EXAMPLES = os.path.join(ROOT, "data", "examples", "notify")
FACTS = {
    "time": "2026-11-23T05:00:00.000Z", "host": "pi4", "condition": "filesystem_space@/hömé", "from": "ok",
    "to": "critical", "judged": True, "rule": "filesystem_space", "instance": "/hömé", "summary": "It is nearly full.",
    "remedy": "Make room.", "metric": "filesystem.percent", "value": 98.0, "threshold": 97.0, "worst": "critical",
}  # fmt: skip


@pytest.fixture
def example(errands, tmp_path, monkeypatch, capfd):
    """Run an example for a transition, with a stand-in for the program that it calls; return what it is called with."""

    def run(name, program, **changes):
        (tmp_path / program).write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {tmp_path}/words\ncat > {tmp_path}/input\n')
        (tmp_path / program).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        running = errands(shlex.quote(os.path.join(EXAMPLES, name)))
        left_out = changes.pop("left_out", 0)
        data = {**FACTS, **changes}
        if left_out:
            running._is_held = True
            running._queue.extend([Transition("swap", "ok", {**FACTS, "condition": "swap", "to": "ok"})] * left_out)
        running.tell(Transition(data["condition"], data["to"], data))
        eventually(lambda: running.advance() or running.wait is None)
        assert capfd.readouterr().err == ""
        return (tmp_path / "words").read_text().split("\0")[:-1]

    return run


def test_the_mail_example_sends_one_with_what_was_left_out(example, tmp_path, monkeypatch):
    monkeypatch.setenv("SENDMAIL", str(tmp_path / "sendmail"))
    monkeypatch.setenv("MAILTO", "me@example.org")
    assert example("mail_health.py", "sendmail", left_out=1) == ["-t", "-i"]
    sent = email.message_from_bytes((tmp_path / "input").read_bytes(), policy=email.policy.default)
    assert sent["To"] == "me@example.org"
    assert sent["Subject"] == "pi4: filesystem_space@/hömé is critical and 1 more"
    assert sent.get_content() == (
        "2026-11-23T05:00:00.000Z  swap is ok\n2026-11-23T05:00:00.000Z  filesystem_space@/hömé is critical\n"
        "    It is nearly full.\n    Make room.\n\nThe worst now: critical\n"
    )


def test_the_mail_example_takes_any_name(example, tmp_path, monkeypatch):
    monkeypatch.setenv("SENDMAIL", str(tmp_path / "sendmail"))
    example("mail_health.py", "sendmail", condition="filesystem_space@/a\nBcc: me@example.org")
    sent = email.message_from_bytes((tmp_path / "input").read_bytes(), policy=email.policy.default)
    assert sent["Subject"] == "pi4: filesystem_space@/a Bcc: me@example.org is critical"
    assert sent["Bcc"] is None


def test_the_ntfy_example_pushes_title_priority_and_text(example, monkeypatch):
    monkeypatch.setenv("NTFY_URL", "http://127.0.0.1:1/topic")
    words = example("ntfy_health.sh", "curl", left_out=2)
    assert "Title: pi4: filesystem_space@/hömé is critical" in words
    assert "Priority: urgent" in words
    assert words[-3:] == [
        "--data-raw",
        "It is nearly full. Make room. (2 more: healthctl log)",
        "http://127.0.0.1:1/topic",
    ]
    assert "Priority: low" in example("ntfy_health.sh", "curl", to="ok")


def test_the_siren_example_goes_by_the_worst(example):
    assert example("siren_health.sh", "pinctrl", to="ok") == ["set", "17", "op", "dh"]
    assert example("siren_health.sh", "pinctrl", worst="warning") == ["set", "17", "op", "dl"]


@pytest.mark.parametrize("name", ["mail_health.py", "ntfy_health.sh", "siren_health.sh"])
def test_an_example_says_how_it_is_run_and_its_syntax_is_right(name):
    path = os.path.join(EXAMPLES, name)
    with open(path) as file:
        first = file.read(700)
    assert f"--exec ./{name}" in first
    check = (
        ["sh", "-n", path]
        if name.endswith(".sh")
        else [sys.executable, "-c", f"compile(open({path!r}).read(), '', 'exec')"]
    )
    assert subprocess.run(check, capture_output=True, check=False).stderr == b""
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize(
    ("unit", "scope"),
    [("data/systemd/healthd-notify.service", "--user"), ("data/examples/notify/health-notify.service", "--system")],
)
def test_a_unit_is_one(unit, scope, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    with open(os.path.join(ROOT, unit)) as file:
        text = file.read()
    (started,) = re.findall(r"^ExecStart=(\S+) notify", text, re.MULTILINE)
    assert started == "/usr/bin/healthctl"
    name = os.path.basename(unit)
    (tmp_path / name).write_text(text.replace(started, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", scope, "verify", "--man=no", str(tmp_path / name)],
        capture_output=True, text=True, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
