"""What scripts and prompts repeat goes past click, and nobody can tell but by the time."""

import contextlib
import gc
import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthctl import cli, shortcut
from healthctl.settings import ASKED

PROGRAM = """
import sys
from healthctl.cli import run
code = run(sys.argv[1:])
sys.stderr.write("|".join(sys.modules))
sys.exit(code)
"""
SHORT = [[], ["status"], ["status", "--json"], ["status", "--short"], ["status", "--json", "--short"],
         ["get", "cpu.busy"], ["get", "--json", "cpu.busy"], ["get", "-q", "cpu.busy", "load.load1"],
         ["get", "cpu.busy", "--quiet"]]  # fmt: skip
# With an option that says what is so in any case, it is the long way.
NEVER = ["--color", "never"]


@pytest.fixture
def modules(healthd_bus, monkeypatch):
    """Return the modules that a command line imports."""

    def imported(*arguments):
        monkeypatch.setenv("HEALTHD_BUS", healthd_bus.address)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.stdout
        return set(done.stderr.splitlines()[-1].split("|"))

    return imported


@pytest.mark.parametrize("arguments", SHORT)
def test_the_short_way_is_without_click_and_what_comes_with_it(modules, arguments):
    found = modules(*arguments)
    assert "healthctl.client" in found
    assert not found & {"click", "inspect", "gettext", "uuid", "humanize", "subprocess", "difflib", "healthctl.tunnel"}
    assert ("healthctl.render.status" in found) == (not {"--json", "--short", "get"} & set(arguments))


@pytest.mark.parametrize("arguments", SHORT)
def test_the_long_way_is_with_it(modules, arguments):
    assert "click" in modules(*NEVER, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [["watch"], ["get"], ["status", "more"], ["status", ""], ["status", "-q"], ["--json"], ["--help"], ["frob"],
     ["get", "--help"], ["get", "-f", "cpu.busy"], ["get", "--", "cpu.busy"], ["get", "-q", "--json", "cpu.busy"],
     ["get", "-"], ["status", "--js"], ["-H", "there", "status"], ["status", "--bus", "session"]],
)  # fmt: skip
def test_whatever_is_not_exactly_so_goes_the_long_way(arguments):
    assert shortcut.run(arguments) is None


def test_a_shell_that_asks_goes_the_long_way(monkeypatch):
    monkeypatch.setenv(ASKED, "bash_complete")
    assert shortcut.run(["status"]) is None


@pytest.mark.parametrize(
    "arguments",
    [["get", "host.hostname"], ["get", "--json", "memory.total_bytes"], ["get", "memory.total_bytes", "cpu.online"],
     ["get", "-q", "memory.total_bytes", "host.kernel"], ["get", "network.kind"], ["get", "memory.totl_bytes"],
     ["get", "battery.percent"], ["get", "-q", "host.hostname", "nothing.at_all"]],
)  # fmt: skip
def test_both_ways_lead_to_the_same(healthd_bus, healthctl, arguments):
    ways = [healthctl(healthd_bus.address, *arguments), healthctl(healthd_bus.address, *arguments, *NEVER)]
    short, long = [(done.returncode, done.stdout, done.stderr) for done in ways]
    assert short == long
    assert short[1] or short[2]


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["status", "--short"], ["get", "cpu.busy"]])
def test_both_ways_fail_alike(bus, healthctl, arguments):
    for address, code in ((bus.address, 69), ("unix:path=/nowhere", 69), ("nonsense", 64)):
        ways = [healthctl(address, *arguments), healthctl(address, *arguments, *NEVER)]
        short, long = [(done.returncode, done.stdout, done.stderr) for done in ways]
        assert short == long
        assert (short[0], short[1]) == (code, "")


# Values that stay as they are, and all that is wrong with words.
TYPED = ["host.os", "memory.total_bytes", "network.kind@lo", "network.kind", "memory.totl_bytes", "network.kind@zz",
         "battery.percent", "", "-", "--", "a b", "\u00fc", "\udcff", "--json", "-q", "--quiet", "--short", "-x",
         "--jso", "-qq", "--json=1", "-h"]  # fmt: skip


def answered(arguments):
    """Return the exit code of a command line, what it writes, and what it complains of."""
    written, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(complaints):
        code = cli.run(arguments)
    gc.enable()
    # What a machine does changes from one question to the next.
    return code, written.getvalue() if arguments[:1] == ["get"] else bool(written.getvalue()), complaints.getvalue()


@given(st.sampled_from([[], ["status"], ["get"]]), st.lists(st.sampled_from(TYPED), max_size=4))
def test_whatever_is_typed_both_ways_answer_alike(healthd_bus, command, typed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEALTHD_BUS", healthd_bus.address)
        short = answered([*command, *typed])
        patch.setattr(shortcut, "run", lambda _: None)
        assert short == answered([*command, *typed])
    assert "bug" not in short[2]


def test_both_ways_draw_the_same_screen(healthd_bus, healthctl):
    ways = [healthctl(healthd_bus.address), healthctl(healthd_bus.address, *NEVER)]
    short, long = [[line[:13].strip() for line in done.stdout.splitlines() if line[:1].isalpha()] for done in ways]
    assert short == long
    assert "Memory" in short


def test_bare_values_are_a_line_each_and_nothing_else(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "get", "-q", "memory.total_bytes", "cpu.online")
    assert done.returncode == 0
    assert [int(line) > 0 for line in done.stdout.splitlines()] == [True, True]
    assert healthctl(healthd_bus.address, "get", "-q", "memory.percent").stdout.strip().replace(".", "").isdigit()
    kinds = healthctl(healthd_bus.address, "get", "-q", "network.kind").stdout.splitlines()
    assert "loopback" in kinds


def test_a_bare_value_that_is_unknown_is_an_empty_line_and_69(healthd_bus, healthctl):
    every = healthctl(healthd_bus.address, "metrics", "--columns", "metric,value")
    unknown = next(line.split()[0] for line in every.stdout.splitlines() if line.split()[1:] == ["?"] and "." in line
                   and healthctl(healthd_bus.address, "get", line.split()[0]).stdout == "unknown\n")  # fmt: skip
    done = healthctl(healthd_bus.address, "get", "-q", unknown, "cpu.online")
    assert (done.returncode, done.stderr) == (69, f"healthctl: unknown now: {unknown}\n")
    first, second = done.stdout.split("\n")[:2]
    assert (first, second.isdigit()) == ("", True)


def test_bare_values_follow_too(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "get", "-q", "-f", "-n", "0.25", "--count", "3", "cpu.busy")
    assert done.returncode == 0
    assert len([float(line) for line in done.stdout.splitlines()]) == 3


def test_json_has_nothing_that_is_bare(healthctl):
    done = healthctl("session", "get", "-q", "--json", "cpu.busy")
    assert (done.returncode, done.stderr) == (64, "healthctl: --quiet and --json exclude each other\n")
