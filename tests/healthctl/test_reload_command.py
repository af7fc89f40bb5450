import json

import pytest
from jeepney import MessageFlag, new_error, new_method_return
from stand_in import Answering, member

from healthd import protocol

pytestmark = pytest.mark.timeout(60)

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
CHALLENGE = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


@pytest.fixture
def configured(bus, healthd, tmp_path):
    """Give a healthd, and the file of its configuration."""
    path = tmp_path / "healthd.toml"
    path.write_text("")
    healthd("--interval", "1", "--config", str(path)).ready()
    return bus.address, path


@pytest.fixture
def answering(bus):
    """Own healthd's name, and answer the calls of some methods by what is given; gives the calls that came."""
    answers = {}
    with Answering(bus.address, protocol.BUS_NAME, lambda call: answers.get(member(call), silent)(call)) as made:
        yield bus.address, answers, made.calls


def silent(_):
    """Leave a call without an answer."""


def refusing(name, text=""):
    return lambda call: new_error(call, name, "s", (text,))


def listing(*families):
    rows = {family: {"summary": ("s", "One.")} for family in families}
    return lambda call: new_method_return(call, "a{sa{sv}}", (rows,))


def done(call):
    return new_method_return(call)


def test_what_is_written_is_in_force_after_it(configured, healthctl):
    bus, path = configured
    path.write_text('[collectors]\ndisabled = ["load"]\n')
    reloaded = healthctl(bus, "reload")
    assert (reloaded.returncode, reloaded.stdout, reloaded.stderr) == (0, "healthd has read its configuration.\n", "")
    assert json.loads(healthctl(bus, "collectors", "--json").stdout)["load"]["problem"] == protocol.DISABLED
    assert json.loads(healthctl(bus, "reload", "--json").stdout) == {"reloaded": True}


def test_faults_are_said_by_line_and_in_status_until_they_are_gone(configured, healthctl):
    bus, path = configured
    assert "configuration:" not in healthctl(bus, "status").stdout
    path.write_text('interval = "5x"\nfrob = 1\n')
    reloaded = healthctl(bus, "reload")
    assert (reloaded.returncode, reloaded.stdout) == (protocol.EXIT_CONFIG, "")
    first, second, last = reloaded.stderr.splitlines()
    assert ": interval: expected" in first
    assert ": frob: expected" in second
    assert last == "healthctl: healthd keeps the configuration that it has"
    (line,) = [line for line in healthctl(bus, "status").stdout.splitlines() if "configuration:" in line]
    assert line == "  configuration: 2 faults, the one before is in force: healthctl config check"
    path.write_text("frob = 1\n")
    assert healthctl(bus, "reload").returncode == protocol.EXIT_CONFIG
    assert "  configuration: a fault, the one before is in force" in healthctl(bus, "status").stdout
    path.write_text("")
    assert healthctl(bus, "reload").returncode == 0
    assert "configuration:" not in healthctl(bus, "status").stdout


def test_a_family_is_switched_off_and_on_until_the_next_reload(configured, healthctl):
    bus, _ = configured

    def problem():
        return json.loads(healthctl(bus, "collectors", "--json").stdout)["load"]["problem"]

    off = healthctl(bus, "collectors", "--disable", "load", "--disable", "disk")
    assert (off.returncode, off.stderr) == (0, "")
    assert off.stdout.splitlines() == [
        "load is not observed; the next reload or start goes by collectors.disabled of the configuration again",
        "disk is not observed; the next reload or start goes by collectors.disabled of the configuration again",
    ]
    assert problem() == protocol.DISABLED
    on = healthctl(bus, "collectors", "--enable", "load", "--json")
    assert json.loads(on.stdout) == {"load": {"enabled": True}}
    assert problem() != protocol.DISABLED
    assert json.loads(healthctl(bus, "collectors", "--json").stdout)["disk"]["problem"] == protocol.DISABLED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--disable", "disc"], "there is no collector 'disc'; those that are: battery, "),
     (["--disable", "disk", "--enable", "disk"], "can't be enabled and disabled at once"),
     (["--disable"], "requires an argument")],
)  # fmt: skip
def test_what_can_not_be_switched_is_64_and_nothing_is(configured, healthctl, arguments, words):
    bus, _ = configured
    refused = healthctl(bus, "collectors", "--disable", "load", *arguments)
    assert (refused.returncode, refused.stdout) == (protocol.EXIT_USAGE, "")
    (line,) = refused.stderr.splitlines()
    assert words in line
    assert json.loads(healthctl(bus, "collectors", "--json").stdout)["load"]["problem"] is None


@pytest.mark.parametrize("error", [DENIED, CHALLENGE])
@pytest.mark.parametrize(
    ("command", "method"), [(["reload"], "Reload"), (["collectors", "--disable", "disk"], "SetCollectorEnabled")]
)
def test_who_may_not_is_told_of_sudo_and_polkit(answering, healthctl, command, method, error):
    bus, answers, _ = answering
    answers |= {method: refusing(error), "ListCollectors": listing("disk")}
    refused = healthctl(bus, *command)
    assert (refused.returncode, refused.stdout) == (protocol.EXIT_NOT_ALLOWED, "")
    (line,) = refused.stderr.splitlines()
    assert "sudo" in line
    assert "org.healthd.health1.manage" in line


@pytest.mark.parametrize("command", [["reload"], ["collectors", "--disable", "disk"]])
def test_a_healthd_of_before_says_what_it_lacks(answering, healthctl, command):
    bus, answers, _ = answering
    unknown = refusing("org.freedesktop.DBus.Error.UnknownMethod")
    answers |= {"Reload": unknown, "SetCollectorEnabled": unknown, "ListCollectors": listing("disk")}
    refused = healthctl(bus, *command)
    assert refused.returncode == protocol.EXIT_UNAVAILABLE
    assert "update it" in refused.stderr


def test_status_is_shown_of_a_healthd_that_knows_no_problem_of_its_configuration(answering, healthctl, described):
    bus, answers, _ = answering
    answers["Describe"] = lambda call: new_method_return(call, "s", (json.dumps(described("desktop")),))
    answers["Get"] = refusing("org.freedesktop.DBus.Error.UnknownProperty")
    shown = healthctl(bus, "status")
    assert shown.stderr == ""
    assert "Memory" in shown.stdout
    assert "configuration" not in shown.stdout


def test_polkit_may_ask_the_person_at_a_terminal_and_nobody_else(answering, healthctl, terminal):
    bus, answers, calls = answering
    conditions = {"used": {"rule": ("s", "used"), "instance": ("s", ""), "severity": ("s", "warning")}}
    answers |= {
        "Reload": done, "Acknowledge": done, "SetCollectorEnabled": done, "ListCollectors": listing("disk"),
        "ListConditions": lambda call: new_method_return(call, "a{sa{sv}}", (conditions,)),
    }  # fmt: skip
    commands = (["reload"], ["collectors", "--disable", "disk"], ["acknowledge", "used"])
    for command in commands:
        assert healthctl(bus, *command).returncode == 0
        assert terminal(bus, *command).ended() == 0
    asks = [
        bool(flags & MessageFlag.allow_interactive_authorization)
        for name, _, flags in calls
        if not name.startswith("List")
    ]
    assert asks == [False, True] * 3
    assert ("SetCollectorEnabled", ("disk", False)) in [(name, body) for name, body, _ in calls]


def test_a_change_does_not_start_a_healthd_that_has_answered(answering, healthctl):
    bus, answers, calls = answering
    answers |= {"Reload": done, "SetCollectorEnabled": done, "ListCollectors": listing("disk")}
    for command in (["reload"], ["collectors", "--disable", "disk"]):
        assert healthctl(bus, *command).returncode == 0
    found = {name: bool(flags & MessageFlag.no_auto_start) for name, _, flags in calls}
    assert found == {"Reload": False, "ListCollectors": False, "SetCollectorEnabled": True}
