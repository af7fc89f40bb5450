import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
from contextlib import closing
from time import monotonic

import pytest
from private_bus import eventually
from sshd import Sshd, running

from healthctl import place
from healthctl._client_answers import refusal
from healthctl.client import Client
from healthctl.errors import Unavailable, UsageError
from healthctl.live import Watch
from healthctl.place import Place
from healthctl.render.hosts import draw, worst_first
from healthctl.render.style import Style
from healthctl.tunnel import Tunnel
from healthctl.verdicts import Verdicts

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server():
    with running() as sshd:
        yield sshd


@pytest.fixture
def sshd(server: Sshd, monkeypatch) -> Sshd:
    """Give a server to which healthctl finds."""
    monkeypatch.setenv("HEALTHD_SSH", server.command)
    return server


@pytest.fixture
def fleet(sshd, bus, healthd, judged_bus, calm) -> Sshd:
    """Give hosts of which each has a bus of its own: `well` and `ill`."""
    healthd("--interval", "1", "--config", calm()).ready()
    for host, address in (("well", bus.address), ("ill", judged_bus.address)):
        sshd.host(host, command=f"systemd-stdio-bridge --bus-path={address}")
    return sshd


@pytest.fixture
def silent(sshd: Sshd):
    """Give the listener of three hosts, which has nothing to say."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for host in ("silent1", "silent2", "silent3"):
            sshd.host(host, port=listener.getsockname()[1])
        yield listener


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """Put a program in the place of ssh that keeps what it is called with, and fails."""
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/said.$$\nexit 255\n')
    program.chmod(0o755)
    monkeypatch.setenv("HEALTHD_SSH", f"{program} -i 'a key'")
    return lambda: [path.read_text().splitlines() for path in tmp_path.glob("said.*")]


def complains(done, code):
    """Check that a command failed with one line and nothing else, and return the line."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("healthctl: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def is_gone(pid: int) -> bool:
    try:
        return state(pid) == "Z"
    except FileNotFoundError:
        return True


def start(bus, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "healthctl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


# Where it is.


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("pi4", "pi4", ""), ("pi@pi4.local", "pi@pi4.local", ""), ("nas:2222", "nas", "2222"),
     ("root@[fe80::1%eth0]:22", "root@fe80::1%eth0", "22"), ("[::1]", "::1", ""), ("a@b@c", "a@b@c", ""),
     ("pi4:1", "pi4", "1"), ("pi4:65535", "pi4", "65535")],
)  # fmt: skip
def test_a_host_has_a_user_a_name_and_a_port(host, name, port):
    assert place.parts(host) == (name, port)
    assert place.hosts(host) == (host,)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "-oProxyCommand=x",
        "-x@pi4",
        "pi@-oX",
        "a@b@-x:22",
        "[-x]",
        "a b",
        "a;b",
        "a|b",
        "$(b)",
        "`b`",
        "%h",
        "a\nb",
        "::1",
        "pi4:",
        "pi4:ssh",
        "pi4:0",
        "pi4:65536",
        "pi4:99999",
        "pi4:\N{ARABIC-INDIC DIGIT TWO}\N{ARABIC-INDIC DIGIT TWO}",
        "pi4/x",
        "@pi4",
    ],
)
def test_what_is_no_host_is_refused(host):
    with pytest.raises(UsageError, match="is no "):
        place.hosts(f"pi4,{host},nas")


def test_what_would_be_an_option_of_ssh_is_refused(healthctl):
    line = complains(healthctl("system", "-H", "-oProxyCommand=x", "get", "load.load1"), 64)
    assert "'-oProxyCommand=x' is no [USER@]HOST[:PORT]" in line


def test_a_port_that_there_is_not_is_refused(healthctl):
    line = complains(healthctl("system", "-H", "pi4:99999", "status"), 64)
    assert "'pi4:99999' is no [USER@]HOST[:PORT]; a port is a number from 1 to 65535" in line


@pytest.mark.parametrize(
    "arguments", [[], ["status", "--short"], ["get", "load.load1"], ["-H", "nas", "status"], ["collectors"], ["doctor"]]
)
def test_the_variable_of_the_bus_names_no_other_machine(recorder, healthctl, arguments):
    line = complains(healthctl("ssh://pi/system", *arguments), 64)
    assert line == (
        "healthctl: HEALTHD_BUS: 'ssh://pi/system' is none of system, session or a D-Bus address (unix:path=/…)\n"
    )
    assert not recorder()


def test_a_bus_that_is_named_wins_over_a_variable_that_names_none(healthd_bus, healthctl):
    done = healthctl("ssh://pi/system", "--bus", healthd_bus.address, "get", "-q", "host.hostname")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{os.uname().nodename}\n", "")


def test_several_hosts_are_named_once_each():
    assert place.hosts("b,a,b") == ("b", "a")


@pytest.mark.parametrize(
    "where", [Place("system"), Place("unix:path=/a/b"), Place("session", "pi@pi4:22"), Place("unix:path=/a/b", "[::1]")]
)
def test_a_place_is_one_text(where):
    assert place.place(place.address(where)) == where


# One host.


COMMANDS = (
    ["status", "--json"], ["status", "--short"], ["check"], ["conditions", "--all"], ["why"], ["metrics"],
    ["collectors"], ["publishers"], ["get", "-q", "host.hostname"], ["history", "load.load1"], ["log"],
    ["wait", "--until", "warning", "--json"],
    ["get", "--follow", "-n", "0.25", "--count", "2", "host.hostname", "memory.total_bytes"],
    ["watch", "-n", "0.25", "--count", "2", "memory.total_bytes"],
    ["watch", "--json", "--count", "1", "cpu.busy", "load.load1"],
)  # fmt: skip


@pytest.mark.usefixtures("sshd")
def test_every_command_works_over_ssh(judged_bus, healthctl):
    for arguments in COMMANDS:
        here = healthctl(judged_bus.address, *arguments)
        there = healthctl(judged_bus.address, "-H", "pi4", *arguments)
        assert (there.returncode, there.stderr) == (here.returncode, here.stderr), arguments
        assert len(there.stdout) > 0.5 * len(here.stdout), arguments
    named = healthctl(judged_bus.address, "get", "host.hostname", "--host", "pi4")
    assert (named.returncode, named.stdout, named.stderr) == (0, f"{os.uname().nodename}\n", "")


@pytest.mark.usefixtures("sshd")
def test_what_changes_healthd_changes_the_one_there(bus, healthd, healthctl, calm):
    healthd(
        "--interval", "0.25", "--config", calm('[rules.used]\nmetric = "memory.percent"\nwarning = { enter = "> 0" }\n')
    ).ready()
    steps = [
        (["acknowledge", "used"], ["conditions", "--json"], "acknowledged_by", True),
        (["collectors", "--disable", "load"], ["collectors"], "  disabled", True),
        (["reload"], ["collectors"], "  disabled", False),
    ]
    for change, look, words, seen in steps:
        done = healthctl(bus.address, "-H", "pi4", *change)
        assert (done.returncode, done.stderr) == (0, "")
        assert (words in healthctl(bus.address, *look).stdout) is seen


def test_who_may_not_change_it_there_is_told_to_log_in_as_root():
    bus = place.address(Place("system", "joe@pi4"))
    refused = refusal(bus, "Reload", "org.freedesktop.DBus.Error.AccessDenied", "")
    assert refused.exit_code == 77
    assert str(refused).endswith("try it as root: -H root@pi4")


@pytest.mark.parametrize(
    "arguments",
    [["wait", "--until", "uesd", "--timeout", "0s"], ["doctor"], ["get", "laod.load1"], ["why", "used"],
     ["acknowledge", "beyond"], ["history", "load.load1"], ["get", "-f", "--count", "1", "load.load1"]],
)  # fmt: skip
def test_a_command_is_one_login(judged_bus, sshd, healthctl, arguments):
    """Who types a password for it types it once."""
    before = sshd.logins()
    healthctl(judged_bus.address, "-H", "pi4", *arguments)
    assert sshd.logins() == before + 1


@pytest.mark.usefixtures("sshd")
def test_who_is_another_user_here_is_who_logs_in_there(judged_bus, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with Client(place.address(Place(judged_bus.address, "pi4"))) as client:
        assert client.read(["host.hostname"]) == {"host.hostname": os.uname().nodename}


@pytest.mark.usefixtures("sshd")
def test_an_answer_from_afar_may_take_longer(judged_bus):
    with Client(judged_bus.address) as near, Client(place.address(Place(judged_bus.address, "pi4"))) as far:
        assert (near.line._connection.patience, far.line._connection.patience) == (5, 15)
        # But who looks on is to see soon that nothing comes any more.
        far.ask()
        assert far.patience <= 5


@pytest.mark.usefixtures("sshd")
def test_doctor_examines_what_the_bus_there_tells_and_no_file_of_here(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "doctor", "-H", "pi4", "--json")
    checks = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert checks["bus"]["text"].endswith(" answers on pi4")
    assert "family memory" in checks
    assert not checks.keys() & {"program", "library", "configuration", "policy"}
    gone = healthctl(judged_bus.address, "doctor", "-H", "gone", "--json")
    (row,) = json.loads(gone.stdout)["checks"]
    assert (row["state"], row["text"][:6]) == ("fail", "gone: ")
    assert row["remedy"].endswith("ssh gone systemd-stdio-bridge --version")


@pytest.mark.usefixtures("fleet")
def test_a_key_for_nothing_else_is_enough(healthctl):
    # Whatever bus is meant: the key alone decides.
    done = healthctl("system", "-H", "ill", "get", "host.hostname")
    assert (done.returncode, done.stdout) == (0, f"{os.uname().nodename}\n")


@pytest.mark.usefixtures("sshd")
def test_what_healthd_there_refuses_is_said_as_here(judged_bus, healthctl):
    line = complains(healthctl(judged_bus.address, "-H", "pi4", "get", "load.laod1"), 64)
    assert "did you mean load.load1" in line


@pytest.mark.usefixtures("sshd")
def test_a_healthd_that_does_not_run_is_to_be_started_there(bus, healthctl):
    line = complains(healthctl(bus.address, "-H", "pi4", "status"), 69)
    assert f"not running on pi4; start it with: healthd --bus '{bus.address}'" in line


@pytest.mark.parametrize(
    ("host", "words"),
    [("gone", "port 1: Connection refused"), ("stranger", "Host key verification failed; see: ssh stranger"),
     ("closed", "Permission denied (publickey); see: ssh closed")],
)  # fmt: skip
@pytest.mark.usefixtures("sshd")
def test_ssh_says_why_a_host_can_not_be_reached(healthctl, host, words):
    line = complains(healthctl("system", "-H", host, "get", "load.load1"), 69)
    assert line.startswith(f"healthctl: {host}: ")
    assert words in line
    done = healthctl("system", "-H", host, "check")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(f"HEALTH UNKNOWN - {host}: ")


@pytest.mark.parametrize(
    ("host", "command", "words"),
    [("bare", "no-such-program", "it has no systemd-stdio-bridge, which comes with systemd"),
     ("busless", "systemd-stdio-bridge --bus-path=unix:path=/nowhere", "no bus can be reached there (system)"),
     ("brief", "printf 'OK 0000\\r\\n'", "the bus there has ended the connection"),
     ("chatty", "echo; echo Welcome to a shell; echo it is late; cat", "no bus but 'Welcome to a shell' answers")],
)  # fmt: skip
def test_a_host_without_a_bus_says_so(sshd, healthctl, host, command, words):
    sshd.host(host, command=command)
    line = complains(healthctl("system", "-H", host, "status"), 69)
    assert line.startswith(f"healthctl: {host}: ")
    assert words in line


@pytest.mark.parametrize(
    ("command", "code", "words"), [("/nowhere/ssh", 69, "/nowhere/ssh can't be run"), ("'", 64, "")]
)
def test_an_ssh_that_can_not_be_called_is_named(healthctl, command, code, words):
    line = complains(healthctl("system", "-H", "pi4", "status", HEALTHD_SSH=command), code)
    assert words in line
    assert "HEALTHD_SSH" in line


@pytest.mark.usefixtures("sshd")
@pytest.mark.parametrize("lacking", ["socketpair", "memfd_create", "Popen"])
def test_where_no_more_can_be_opened_a_host_is_unreachable_and_nothing_stays_open(monkeypatch, lacking):
    def fail(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    of = {"socketpair": socket, "memfd_create": os, "Popen": subprocess}[lacking]
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(of, lacking, fail)
    with pytest.raises(Unavailable, match=r"ssh can't be run: Too many open files$"):
        Tunnel(Place("system", "pi4"), 1.0, asks=False)
    assert os.listdir("/proc/self/fd") == before


def test_a_host_that_does_not_answer_is_not_waited_for_without_end(sshd):
    sshd.host("asleep", command="sleep 30")
    tunnel = Tunnel(Place("system", "asleep"), 1.0, asks=False)
    try:
        assert tunnel.patience > 0
        with pytest.raises(Unavailable, match="asleep: it has not answered for 1 s"):
            tunnel.authenticate()
        assert tunnel.patience == 0
    finally:
        tunnel.close()
    assert is_gone(tunnel._process.pid)


def test_what_a_host_says_beside_its_answers_is_kept_to_a_limit(sshd):
    sshd.host("loud", command="yes a lot >&2")
    tunnel = Tunnel(Place("system", "loud"), 2.0, asks=False)
    try:
        with pytest.raises(Unavailable, match="it has not answered for 2 s"):
            tunnel.authenticate()
        kept = os.fstat(tunnel._said)
        assert kept.st_size == 512 * kept.st_blocks == 1 << 16
    finally:
        tunnel.close()
    assert is_gone(tunnel._process.pid)


def test_of_more_than_the_limit_a_reason_is_told_all_the_same(tmp_path, monkeypatch):
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\nyes It is late | head -c 1000000 >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("HEALTHD_SSH", str(program))
    tunnel = Tunnel(Place("system", "pi4"), 20.0, asks=False)
    with closing(tunnel), pytest.raises(Unavailable, match=r"^pi4: It i"):
        tunnel.authenticate()


# How ssh is called.


def test_options_of_the_user_come_first_and_the_host_last(recorder, healthctl):
    complains(healthctl("unix:path=/it's;here", "-H", "pi@pi4:2222", "status"), 69)
    (said,) = recorder()
    assert said[:3] == ["-i", "a key", "-xaT"]
    assert said[-5:-2] == ["-p", "2222", "--"]
    assert said[-2:] == ["pi@pi4", "systemd-stdio-bridge --bus-path='unix:path=/it'\"'\"'s;here'"]


def test_without_a_word_in_its_variable_ssh_is_called(tmp_path, healthctl, monkeypatch):
    (tmp_path / "ssh").write_text("#!/bin/sh\necho this is it >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for blank in ("", " "):
        assert "pi4: this is it" in complains(
            healthctl("system", "-H", "pi4", "get", "load.load1", HEALTHD_SSH=blank), 69
        )


@pytest.mark.usefixtures("healthd_bus")
def test_a_connection_that_is_shared_is_used_and_none_is_shared(healthd_bus, sshd, healthctl, tmp_path):
    """With the one that it has offered, healthctl would end what others do on it."""
    path = tmp_path / "shared"
    sshd.host("shared", options=f"ControlMaster auto\nControlPath {path}\n")
    process = start(healthd_bus.address, "-H", "shared", "watch", "--json", "load.load1")
    assert follows(process)
    assert not path.exists()
    process.kill()
    process.communicate()
    master = subprocess.Popen([*sshd.command.split(), "-MN", "shared"], stdin=subprocess.DEVNULL)
    try:
        eventually(path.exists)
        before = sshd.logins()
        assert healthctl(healthd_bus.address, "-H", "shared", "get", "load.load1").returncode == 0
        assert sshd.logins() == before
        assert master.poll() is None
    finally:
        master.kill()
        master.wait()


@pytest.mark.parametrize(("bus", "bridge"), [("system", ""), ("session", " --user")])
def test_a_bus_there_has_the_name_that_it_has_here(recorder, healthctl, bus, bridge):
    complains(healthctl(bus, "-H", "pi4", "status"), 69)
    assert recorder()[0][-1] == f"systemd-stdio-bridge{bridge}"


def test_ssh_asks_where_there_is_somebody_and_one_host(recorder, healthctl, terminal):
    batch = "-oBatchMode=yes"
    complains(healthctl("system", "-H", "pi4", "status"), 69)
    assert batch in recorder()[0]
    asked = terminal("system", "-H", "pi5", "status")
    assert asked.ended() == 69
    (said,) = (each for each in recorder() if "pi5" in each)
    assert batch not in said
    several = terminal("system", "-H", "nas,box", "status")
    assert several.ended() == 3
    assert all(batch in each for each in recorder() if "nas" in each or "box" in each)
    assert len(recorder()) == 4


def test_ssh_asks_a_person_for_what_it_needs(judged_bus, sshd, terminal):
    options = f"StrictHostKeyChecking ask\nUserKnownHostsFile {sshd.directory}/new"
    sshd.host("sealed", passphrase="open sesame", options=options)
    asked = terminal(judged_bus.address, "-H", "sealed", "get", "host.hostname")
    asked.shows("Are you sure you want to continue connecting")
    asked.type(b"yes\n")
    asked.shows("Enter passphrase for key")
    asked.type(b"open sesame\n")
    assert asked.ended() == 0
    assert os.uname().nodename in asked.text
    assert "sesame" not in asked.text


@pytest.mark.parametrize(("command", "code"), [("status", 130), ("watch", 0)])
def test_whoever_does_not_answer_ssh_has_the_terminal_as_it_was(sshd, terminal, command, code):
    sshd.host("locked", passphrase="open sesame")
    asked = terminal("system", "-H", "locked", command)
    asked.shows("Enter passphrase for key")
    every = children(asked.process.pid)
    # Between its question and its read, ssh takes note of a signal and goes on to read.
    eventually(lambda: all(state(each) == "S" for each in every))
    assert termios.tcgetattr(asked.slave) != asked.modes
    asked.type(b"\x03")
    assert asked.ended() == code
    assert "healthctl" not in asked.text
    eventually(lambda: all(map(is_gone, every)))
    assert termios.tcgetattr(asked.slave) == asked.modes


@pytest.mark.usefixtures("sshd")
def test_no_shell_there_sees_more_than_one_word_in_an_address(healthctl, tmp_path):
    mark = tmp_path / "mark"
    complains(healthctl(f"unix:path=/nowhere;touch {mark}", "-H", "pi4", "status"), 69)
    assert not mark.exists()


# Several hosts.


@pytest.mark.usefixtures("fleet")
def test_status_of_several_hosts_has_the_worst_first(healthctl):
    done = healthctl("system", "-H", "well,gone,ill", "status")
    head, *rows = (line.split() for line in done.stdout.splitlines())
    assert head == ["HOST", "HEALTH", "FOR", "REASONS"]
    assert [row[:2] for row in rows] == [["ill", "warning"], ["gone", "unreachable"], ["well", "ok"]]
    assert "Connection refused" in done.stdout
    assert "used, " in done.stdout or " used" in done.stdout
    assert (done.returncode, done.stderr) == (1, "")
    assert healthctl("system", "-H", "well,gone").returncode == 3
    assert healthctl("system", "-H", "well,well").stdout.startswith("● ok")


@pytest.mark.usefixtures("fleet")
def test_status_of_several_hosts_as_json_is_one_object(healthctl):
    done = healthctl("system", "--json", "-H", "well,gone,ill")
    told = json.loads(done.stdout)
    assert list(told) == ["ill", "gone", "well"]
    assert list(told["gone"]) == ["unreachable"]
    assert told["well"]["health"]["severity"] == "ok"
    assert done.returncode == 1


@pytest.mark.usefixtures("fleet")
def test_check_of_several_hosts_has_the_worst_code(healthctl):
    done = healthctl("system", "check", "-H", "well,gone,ill", "--only", "used", "--only", "never")
    assert done.returncode == 3
    done = healthctl("system", "check", "-H", "well,gone,ill")
    first, *lines = done.stdout.splitlines()
    assert first == "HEALTH WARNING - warning: ill; unknown: gone; ok: well"
    assert [line.partition(" - ")[0] for line in lines] == ["ill: WARNING", "gone: UNKNOWN", "well: OK"]
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(healthctl("system", "check", "--json", "-H", "well,gone,ill").stdout)
    assert told["severity"] == "warning"
    assert list(told["hosts"]) == ["ill", "gone", "well"]
    assert "Connection refused" in told["hosts"]["gone"]["unreachable"]


@pytest.mark.usefixtures("fleet")
def test_a_host_that_has_no_such_rule_is_unknown_and_not_unreachable(healthctl):
    done = healthctl("system", "check", "-H", "ill,well", "--only", "never")
    assert done.stdout.splitlines() == [
        "HEALTH UNKNOWN - unknown: ill; ok: well",
        "ill: UNKNOWN - there is no condition 'never'; see: healthctl conditions --all",
        "well: OK - conditions judged: 1",
    ]
    assert (done.returncode, done.stderr) == (3, "")
    told = json.loads(healthctl("system", "check", "-H", "ill,well", "--only", "never", "--json").stdout)["hosts"][
        "ill"
    ]
    assert told.keys() == {"severity", "problem"}


def test_a_host_that_does_not_speak_d_bus_costs_the_others_nothing(fleet, healthctl):
    """It agrees to speak it, and then says something else."""
    fleet.host("odd", command=r"read auth; printf 'OK 0000\r\n'; read begin; echo xyzzy and so on; cat >/dev/null")
    done = healthctl("system", "-H", "well,odd")
    rows = done.stdout.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["odd", "unreachable"], ["well", "ok"]]
    assert "what came is no D-Bus message" in rows[0]
    assert (done.returncode, done.stderr) == (3, "")
    done = healthctl("system", "-H", "well,odd", "check")
    assert done.stdout.startswith("HEALTH UNKNOWN - unknown: odd; ok: well\n")
    assert (done.returncode, done.stderr) == (3, "")
    done = healthctl("system", "-H", "odd", "check")
    assert done.stdout == "HEALTH UNKNOWN - odd: what came is no D-Bus message\n"
    assert (done.returncode, done.stderr) == (3, "")
    assert complains(healthctl("system", "-H", "odd", "get", "load.load1"), 69) == (
        "healthctl: odd: what came is no D-Bus message\n"
    )


@pytest.mark.usefixtures("sshd")
def test_all_hosts_are_asked_at_once(silent):
    """The first is not let go before the last has come."""
    process = start("system", "-H", "silent1,pi4,silent2,silent3", "--json")
    calls = [silent.accept()[0] for _ in range(3)]
    assert process.poll() is None
    for call in calls:
        call.close()
    told = json.loads(process.communicate(timeout=60)[0])
    reasons = [told[name]["unreachable"] for name in ("silent1", "silent2", "silent3")]
    assert all("Connection " in reason and "timed out" not in reason for reason in reasons)


@pytest.mark.usefixtures("silent")
def test_a_silent_host_does_not_hold_the_others_up(fleet, healthctl, monkeypatch):
    monkeypatch.setenv("HEALTHD_SSH", f"{fleet.command} -oConnectTimeout=1")
    done = healthctl("system", "-H", "silent1,well")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["silent1", "unreachable"], ["well", "ok"]]
    assert "timed out" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["get", "load.load1"], ["watch"], ["log", "-f"], ["doctor"], ["why"], ["reload"]]
)
def test_what_is_for_one_host_refuses_several(healthctl, arguments):
    line = complains(healthctl("system", "-H", "a,b", *arguments), 64)
    assert "one host at a time" in line


@pytest.mark.parametrize(
    "arguments",
    [["-H", "pi4", "config"], ["config", "show", "-H", "pi4"], ["config", "-H", "pi4", "set", "interval", "5"]],
)
def test_files_of_another_machine_are_left_to_it(healthctl, arguments):
    line = complains(healthctl("system", *arguments), 64)
    assert "try: ssh pi4 healthctl config" in line


def test_doctor_examines_no_configuration_of_another_machine(healthctl):
    assert "try: ssh pi4 healthctl doctor" in complains(
        healthctl("system", "-H", "pi4", "doctor", "--config", "/x"), 64
    )


def test_hosts_that_are_not_known_to_be_well_come_before_those_that_are():
    unsaid = {"health": {"severity": "dire"}}
    hosts = {
        "a": {"health": {"severity": "ok"}}, "b": {"unreachable": "it\x1b[2J burns"}, "c": {},
        "d": {"health": {"severity": "critical", "since": "2026-01-01T00:00:00.000Z", "reasons": ["cpu_busy", "swap"]},
              "time": "2026-01-01T03:00:00.000Z"},
        "e": unsaid,
    }  # fmt: skip
    found = worst_first(hosts)
    assert list(found) == ["d", "e", "b", "c", "a"]
    assert draw(found, 60, Style()) == [
        "HOST  HEALTH       FOR  REASONS",
        "d     critical     3 h  cpu_busy, swap",
        "e     dire",
        r"b     unreachable       it\x1b[2J burns",
        "c     unknown",
        "a     ok",
    ]


# As long as it lasts.


def follows(process):
    """Return the one line of standard output that is awaited."""
    return process.stdout.readline()


@pytest.mark.usefixtures("sshd")
def test_log_goes_on_when_ssh_has_ended(bus, healthd, calm):
    daemon = healthd("--interval", "1", "--config", calm()).ready()
    process = start(bus.address, "log", "-f", "-n", "1", "--name", "config.loaded", "-H", "pi4")
    try:
        assert "onfig" in follows(process)
        (ssh,) = children(process.pid)
        os.kill(ssh, signal.SIGKILL)
        assert process.stderr.readline().startswith("healthctl: pi4: ")
        eventually(lambda: [each for each in children(process.pid) if each != ssh])
        daemon.process.send_signal(signal.SIGHUP)
        assert "onfig" in follows(process)
        assert process.poll() is None
    finally:
        process.terminate()
        rest = process.communicate(timeout=20)[1]
    assert rest == ""


@pytest.mark.parametrize(
    "arguments", [["get", "-f"], ["watch"], ["watch", "--json"]], ids=["get", "watch", "watch_json"]
)  # fmt: skip
@pytest.mark.usefixtures("sshd")
def test_what_is_watched_goes_on_when_ssh_has_ended(healthd_bus, arguments):
    process = start(healthd_bus.address, *arguments, "-H", "pi4", "-n", "0.25", "load.load1")
    try:
        assert follows(process)
        begun = monotonic()
        (ssh,) = children(process.pid)
        os.kill(ssh, signal.SIGKILL)
        assert process.stderr.readline() == "healthctl: pi4: the connection is lost\n"
        before = (monotonic() - begun) / 0.25
        # More than can have been on their way.
        for _ in range(int(before) + 3):
            assert follows(process)
        assert children(process.pid) != [ssh]
    finally:
        process.terminate()
        rest = process.communicate(timeout=20)[1]
    assert rest == ""


@pytest.mark.parametrize("command", [["get", "-f"], ["watch"]], ids=["get", "watch"])
def test_a_line_that_falls_silent_is_noticed(healthd_bus, sshd, monkeypatch, command):
    monkeypatch.setenv("HEALTHD_SSH", f"{sshd.command} -oServerAliveInterval=1 -oServerAliveCountMax=1")
    process = start(healthd_bus.address, *command, "-H", "pi4", "load.load1")
    try:
        assert follows(process)
        with sshd.frozen():
            assert process.stderr.readline() == "healthctl: pi4: the connection is lost\n"
        assert follows(process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.usefixtures("sshd")
def test_a_healthd_there_that_says_nothing_any_more_is_to_be_looked_at_there(bus, healthd, monkeypatch):
    monkeypatch.setattr("healthctl.live._LATE", 0.5)
    daemon = healthd("--interval", "60").ready()
    with closing(Watch(place.address(Place(bus.address, "pi4")), ["load.load1"], 0.25)) as watch:
        eventually(lambda: list(watch.advance()))
        daemon.process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="told nothing for 1 s; see: systemctl -H pi4 status healthd"):
            eventually(lambda: watch.wait == 0 and list(watch.advance()))


@pytest.mark.usefixtures("sshd")
def test_no_ssh_stays_behind_when_nobody_reads(healthd_bus):
    process = start(healthd_bus.address, "get", "-f", "-H", "pi4", "load.load1")
    assert follows(process)
    (ssh,) = children(process.pid)
    process.stdout.close()
    assert process.wait(20) == 141
    eventually(lambda: is_gone(ssh))
    process.stdout = None
    assert process.communicate()[1] == ""


def test_what_follows_tries_again_ever_later_and_goes_on(bus, healthd, sshd, calm):
    healthd("--interval", "1", "--config", calm()).ready()
    with closing(Verdicts(place.address(Place(bus.address, "pi4")))) as verdicts:

        def health():
            select.select([verdicts] if verdicts.fileno() >= 0 else [], [], [], verdicts.wait)
            return verdicts.advance()

        assert verdicts.advance()["severity"] == "ok"
        sshd.host("pi4", port=1)
        try:
            (ssh,) = children(os.getpid())[-1:]
            os.kill(ssh, signal.SIGKILL)
            pauses = []
            for _ in range(2):
                with pytest.raises(Unavailable, match="pi4: "):
                    eventually(health)
                assert verdicts.wait <= verdicts._pause / 2
                pauses.append(verdicts._pause)
        finally:
            sshd.host("pi4")
        assert pauses[1] == 2 * pauses[0]
        assert eventually(health)["severity"] == "ok"
        assert verdicts._pause < pauses[0]


@pytest.mark.usefixtures("sshd")
def test_watch_shows_that_ssh_has_ended_and_goes_on(healthd_bus, terminal):
    screen = terminal(healthd_bus.address, "watch", "-H", "pi4")
    screen.shows("Memory")
    (ssh,) = children(screen.process.pid)
    os.kill(ssh, signal.SIGKILL)
    screen.shows("trying again: pi4: ")
    screen.until(lambda: "trying again" not in screen.text and "Memory" in screen.text)
    assert children(screen.process.pid) != [ssh]
    screen.type(b"q")
    assert screen.ended() == 0
    assert screen.given_back()


@pytest.mark.usefixtures("sshd")
def test_watch_says_soon_that_nothing_comes_from_afar(bus, healthd, terminal):
    daemon = healthd("--interval", "0.25").ready()
    screen = terminal(bus.address, "watch", "-H", "pi4")
    screen.shows("Memory")
    daemon.process.send_signal(signal.SIGSTOP)
    screen.shows("trying again: healthd has not answered for 5 s; see: systemctl -H pi4 status")
    daemon.process.send_signal(signal.SIGCONT)
    screen.until(lambda: "trying again" not in screen.text)
    screen.type(b"q")
    assert screen.ended() == 0


def test_watch_obeys_while_a_host_does_not_answer(healthd_bus, sshd, silent, terminal):
    screen = terminal(healthd_bus.address, "watch", "-H", "pi4")
    screen.shows("Memory")
    sshd.host("pi4", port=silent.getsockname()[1])
    try:
        (ssh,) = children(screen.process.pid)
        os.kill(ssh, signal.SIGKILL)
        screen.shows("trying again: pi4: ")
        call = silent.accept()[0]
        screen.type(b"q")
        assert screen.ended() == 0
        assert screen.given_back()
        call.close()
    finally:
        sshd.host("pi4")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("sshd")
def test_no_ssh_stays_behind(silent, number):
    process = start("system", "status", "-H", "silent1")
    call = silent.accept()[0]
    (ssh,) = children(process.pid)
    process.send_signal(number)
    process.communicate(timeout=20)
    eventually(lambda: is_gone(ssh))
    call.close()


@pytest.mark.usefixtures("sshd")
def test_ctrl_c_ends_healthctl_and_ssh(silent, terminal):
    screen = terminal("system", "-H", "silent1,gone", "status")
    call = silent.accept()[0]
    every = children(screen.process.pid)
    screen.type(b"\x03")
    assert screen.ended() == 130
    eventually(lambda: all(map(is_gone, every)))
    call.close()
