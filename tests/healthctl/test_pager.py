"""Long text goes through a pager on a terminal, and nothing is lost with it."""

import os
import shutil
import signal
import sys
import termios

import pytest

from healthd import protocol

BASE = [sys.executable, "-m", "healthctl"]
LAST = "throttling.under_voltage_since_boot"


def through(pager, *arguments, name="PAGER", **changes):
    """Return a command line under a pager, of which the exit code is written last."""
    settings = [f"{key}={value}" for key, value in {name: pager, **changes}.items() if value is not None]
    script = '"$@"; echo "code $?"'
    return ["env", "-u", "PAGER", "-u", "LESS", *settings, "sh", "-c", script, "sh", *BASE, *arguments]


@pytest.fixture
def pager(tmp_path):
    """Make a pager of a few lines of shell."""

    def make(script):
        path = tmp_path / "pager"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize("name", ["HEALTHD_PAGER", "PAGER"])
def test_what_is_longer_than_the_screen_goes_through_the_pager(healthd_bus, terminal, pager, name):
    shown = terminal(healthd_bus.address, command=through(pager('echo "paged $(wc -l) $LESS"'), "metrics", name=name))
    shown.shows("code 0")
    count = int(shown.text.split("paged ")[1].split()[0])
    assert count > 100
    assert " FRX\n" in shown.text


def test_the_own_variable_wins(healthd_bus, terminal, pager):
    command = through(pager("echo wrong"), "metrics", HEALTHD_PAGER="head -1")
    shown = terminal(healthd_bus.address, command=command)
    shown.shows("code 0")
    assert shown.text.split() == ["METRIC", "KIND", "UNIT", "code", "0"]


@pytest.mark.parametrize("arguments", [["metrics", "load"], ["metrics", "--json"], ["status"], ["get", "cpu.busy"]])
def test_what_fits_and_what_programs_read_does_not(healthd_bus, terminal, pager, arguments):
    shown = terminal(healthd_bus.address, command=through(pager("echo paged"), *arguments))
    shown.shows("code ")
    assert "paged" not in shown.text


@pytest.mark.parametrize("changes", [{"PAGER": "cat"}, {"PAGER": ""}, {"PAGER": "echo paged", "TERM": "dumb"}])
def test_there_may_be_no_pager(healthd_bus, terminal, changes):
    shown = terminal(healthd_bus.address, command=through(None, "metrics", **changes))
    shown.shows("code 0")
    assert LAST in shown.text
    assert "paged" not in shown.text


@pytest.mark.parametrize("arguments", [["--no-pager", "metrics"], ["metrics", "--no-pager"]])
def test_no_pager_is_asked_for_before_or_after_the_command(healthd_bus, terminal, pager, arguments):
    shown = terminal(healthd_bus.address, command=through(pager("echo paged"), *arguments))
    shown.shows("code 0")
    assert LAST in shown.text
    assert "paged" not in shown.text


@pytest.mark.parametrize(
    "pager", ["no-such-pager", "'", "false", "sh -c 'kill -9 $$'", "sh -c 'stty -echo; kill -9 $$'"],
    ids=["missing", "no command line", "failing", "killed", "killed with the terminal in its hands"],
)  # fmt: skip
def test_a_pager_that_is_missing_or_dies_costs_nothing(healthd_bus, terminal, pager):
    shown = terminal(healthd_bus.address, command=through(pager, "metrics"))
    shown.shows("code 0")
    assert LAST in shown.text
    assert "Traceback" not in shown.text
    assert "healthctl:" not in shown.text
    shown.ended()
    assert termios.tcgetattr(shown.slave) == shown.modes


def test_a_pager_that_is_left_early_is_no_fault(healthd_bus, terminal, pager):
    shown = terminal(healthd_bus.address, command=through(pager("head -1; exec <&-; exit 0"), "metrics"))
    shown.shows("code 0")
    assert shown.text.startswith("METRIC")
    assert LAST not in shown.text


needs_less = pytest.mark.skipif(not shutil.which("less"), reason="less is not installed (apt install less)")


@needs_less
def test_less_is_the_default_and_q_leaves_it(healthd_bus, terminal):
    shown = terminal(healthd_bus.address, command=through(None, "metrics"), lines=20)
    shown.until(lambda: shown.text.splitlines()[-1].startswith(":") or shown.text.rstrip().endswith(":"))
    assert shown.text.startswith("METRIC")
    assert "code" not in shown.text
    shown.type(b"q")
    shown.shows("code 0")
    # It leaves on the screen what it has shown, as git does.
    assert "battery." in shown.text


def test_colour_goes_through_the_pager(healthd_bus, terminal):
    shown = terminal(healthd_bus.address, command=through("head -1", "metrics"))
    shown.shows("code 0")
    assert b"\x1b[1mMETRIC" in shown.raw


@needs_less
def test_rights_that_were_lent_are_not_lent_to_the_pager(healthd_bus, terminal, pager):
    command = through(pager("echo wrong"), "metrics", SUDO_UID="1000")
    shown = terminal(healthd_bus.address, command=command, lines=20)
    shown.until(lambda: shown.text.rstrip().endswith(":"))
    shown.type(b"!")
    shown.shows("Command not available")
    shown.type(b"qq")
    shown.shows("code 0")


def test_ctrl_c_in_the_pager_leaves_it_alone(healthd_bus, terminal, pager):
    """less stops a search by it: whoever waits for it must not end before."""
    # It says that it is ready once it sleeps in read: a signal that comes before waits for what is read.
    sleeps = "(until grep -q '^State:.S' /proc/$$/status; do :; done; echo ready) &"
    script = pager(f"trap 'echo heard' INT; {sleeps} read line < /dev/tty; echo left")
    shown = terminal(healthd_bus.address, command=through(script, "metrics"))
    shown.shows("ready")
    shown.type(b"\x03")
    shown.shows("heard")
    shown.type(b"\n")
    shown.shows("left")


def test_ctrl_c_that_ends_the_pager_ends_all(healthd_bus, terminal, pager):
    command = [*BASE, "metrics"]
    script = pager("echo ready; exec sleep 60")
    shown = terminal(healthd_bus.address, command=["env", f"PAGER={script}", *command])
    shown.shows("ready")
    shown.type(b"\x03")
    assert shown.ended() == 128 + signal.SIGINT


@pytest.mark.parametrize(
    "arguments",
    [["collectors"], ["conditions", "--all"], ["why", "used"], ["history", "cpu.busy"], ["log"], ["config"],
     ["doctor", "--metrics"]],
)  # fmt: skip
def test_all_that_can_be_long_is_paged(judged_bus, terminal, pager, arguments):
    shown = terminal(judged_bus.address, command=through(pager("echo paged; cat >/dev/null"), *arguments), lines=3)
    shown.shows("code ")
    assert "paged" in shown.text


def test_following_is_never_paged(healthd_bus, terminal, pager):
    shown = terminal(healthd_bus.address, command=["env", f"PAGER={pager('echo paged')}", *BASE, "log", "-f"], lines=3)
    shown.until(lambda: b"\n" in shown.raw)
    shown.type(b"\x03")
    assert shown.ended() == 130
    assert b"paged" not in shown.raw


def test_a_pipe_gets_the_text_itself(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "metrics", PAGER="echo paged")
    assert done.returncode == protocol.EXIT_OK
    assert LAST in done.stdout
    assert os.linesep + "paged" not in done.stdout
