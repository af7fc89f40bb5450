"""The man pages are up to date, without a fault of form, and true."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib

import click
import pytest

from healthctl.group import COMMANDS, group
from healthd import cli, observe, protocol
from healthd.config import parse, read, reference
from healthd.health import rule
from healthd.health.operand import OPERATORS
from healthd.publish.bus import interface
from healthd.publish.bus.manager import INTERFACE as MANAGER

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MAN = os.path.join(ROOT, "data", "man")
PAGES = ("healthctl.1", "healthd-rules.7", "healthd.8", "healthd.toml.5", "org.healthd.Health1.5")
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"]
SHIPPED = read(os.path.join(os.path.dirname(rule.__file__), "rules.toml"))
FAMILIES = observe.families(observe.collectors())
TEXT = {}
for _page in PAGES:
    with open(os.path.join(MAN, _page), encoding="utf-8") as _file:
        TEXT[_page] = _file.read()


def plain(text):
    """Return the text of a page without fonts and escapes."""
    text = re.sub(r"\\f[BIR]|\\&|\\%", "", text)
    text = re.sub(r"\\\[u([0-9A-F]{4})\]", lambda found: chr(int(found[1], 16)), text)
    for escape, char in ((r"\-", "-"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\(ti", "~"), (r"\(ha", "^"), (r"\(ga", "`")):
        text = text.replace(escape, char)
    return text.replace(r"\e", "\\")


def section(page, name):
    return plain(TEXT[page]).split(f".SH {name}\n")[1].split("\n.SH ")[0]


def examples(page, name="EXAMPLES"):
    """Return the examples of a section; a line that goes on in the next one is one."""
    found = re.findall(r"^\.EX\n(.*?)^\.EE", section(page, name), re.MULTILINE | re.DOTALL)
    return [re.sub(r"\\\n *", "", block) for block in found]


def lines(page, name="EXAMPLES"):
    return [line for block in examples(page, name) for line in block.splitlines()]


def test_the_pages_are_up_to_date():
    made = runpy.run_path(os.path.join(ROOT, ".make", "man"))["pages"](MAN)
    assert sorted(made) == sorted(PAGES)
    for page, text in made.items():
        assert TEXT[page] == text, f"{page}; run: make generated"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_usual_sections(page):
    found = re.findall(r"^\.SH (.*)$", TEXT[page], re.MULTILINE)
    assert [name for name in found if name in SECTIONS] == [name for name in SECTIONS if name in found]
    assert set(SECTIONS) <= set(found)
    assert re.match(r"\.TH \S+ \d 20\d\d-\d\d-\d\d \"healthd [\d.]+\" ", TEXT[page].splitlines()[1])
    assert f"healthd {protocol.VERSION}" in TEXT[page].splitlines()[1]


@pytest.mark.parametrize("page", PAGES)
def test_man_finds_no_fault(page):
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("man or groff is not installed (apt install man-db groff)")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", os.path.join(MAN, page)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFOPT": "", "PAGER": "cat", "MANPAGER": "cat"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "SEE ALSO" in done.stdout
    wide = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert not wide
    assert not re.findall(r"\\[(\[e&f]|@\w+@|`", done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_no_fault(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed (apt install mandoc)")
    path = os.path.join(MAN, page)
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES)
def test_pages_that_are_named_are_there_or_of_others(page):
    named = set(re.findall(r"([A-Za-z][\w.-]*)\((\d)\)", plain(TEXT[page])))
    own = {tuple(name.rsplit(".", 1)) for name in PAGES}
    assert {each for each in named if "healthd" in each[0].lower() or each[0] == "healthctl"} <= own
    assert len(own & set(re.findall(r"([A-Za-z][\w.-]*)\((\d)\)", section(page, "SEE ALSO")))) >= 2


def test_every_option_key_command_member_and_rule_is_there():
    for action in cli._parser()._actions:
        assert f"\n{', '.join(action.option_strings)}" in section("healthd.8", "OPTIONS")
    keys = section("healthd.toml.5", "OPTIONS")
    assert all(f".TP\n{entry.key}\n" in keys for entry in reference() if entry.type != "table")
    commands = section("healthctl.1", "COMMANDS")
    assert all(re.search(rf"^\.SS {name}( |$)", commands, re.MULTILINE) for name in COMMANDS)
    members = section("org.healthd.Health1.5", "METHODS, SIGNALS AND PROPERTIES")
    for each in (*MANAGER.methods, *MANAGER.signals):
        assert f"{each.name}(" in members
    for family in FAMILIES:
        assert f".SS {interface.of_table(family.reading).name}\n" in members
    rules = section("healthd-rules.7", "RULES OF HEALTHD")
    assert re.findall(r"^\.SS (.*)$", rules, re.MULTILINE) == list(SHIPPED)
    for known in SHIPPED.values():
        assert known["summary"].split(".")[0] in rules.replace("\n", " ")


def test_every_key_of_a_rule_and_every_operator_is_described():
    described = section("healthd-rules.7", "OPTIONS")
    tags = ", ".join(re.findall(r"^\.TP\n(.*)$", described, re.MULTILINE)).split(", ")
    assert sorted(tags) == sorted(rule._KEYS)
    assert all(name in described for name in OPERATORS)


@pytest.mark.parametrize(
    ("page", "program"),
    [("healthd.8", r"EXIT_(?!WARNING|CRITICAL|UNKNOWN|IO)"), ("healthctl.1", r"EXIT_(?!DATA|NO_I)")],
)
def test_every_exit_code_is_told(page, program):
    codes = {str(value) for name, value in vars(protocol).items() if re.match(program, name)}
    told = ", ".join(re.findall(r"^\.TP\n(.*)$", section(page, "EXIT STATUS"), re.MULTILINE)).split(", ")
    assert codes <= set(told)


def those(*texts):
    layers = [("rules.toml", SHIPPED), *(("page", parse(tomllib.loads(text), "").rules) for text in texts)]
    return rule.rules(FAMILIES, layers)


@pytest.mark.parametrize(
    "example", [*examples("healthd.toml.5"), *(block for block in examples("healthd-rules.7") if block[0] == "[")]
)
def test_an_example_is_a_configuration_without_faults(example):
    assert parse(tomllib.loads(example), "")
    assert those(example)


def test_the_synopsis_of_a_rule_is_one():
    (synopsis,) = examples("healthd-rules.7", "SYNOPSIS")
    assert len(those(synopsis.replace("NAME", "name").replace("FAMILY.FIELD", "memory.percent"))) == len(those()) + 1


@pytest.mark.parametrize(
    "line", [line for page in ("healthd.8", "healthd-rules.7") for line in lines(page) if line.startswith("healthd ")]
)
def test_a_command_line_of_healthd_is_taken(line):
    cli._check(cli._parser().parse_args(shlex.split(line)[1:]))


HEALTHCTL = [
    found[1]
    for name in ("EXAMPLES", "COMMANDS")
    for line in lines("healthctl.1", name)
    if (found := re.search(r"(healthctl\b.*?)(?=$|  | && | > | \| |\)\"$)", line))
]


@pytest.mark.parametrize("line", HEALTHCTL)
def test_a_command_line_of_healthctl_is_taken(line):
    _, *arguments = shlex.split(line)
    command, context = group, click.Context(group)
    if arguments[:1] == ["-H"]:
        del arguments[:2]
    while isinstance(command, click.Group) and arguments:
        command = command.get_command(context, arguments.pop(0))
    assert not command.make_context(command.name, arguments).args


def test_commands_are_shown():
    assert len(HEALTHCTL) > 25
    assert {name for name in COMMANDS if any(f" {name}" in line for line in HEALTHCTL)} >= {"why", "check", "config"}


@pytest.mark.parametrize(
    "line", [line for line in lines("healthctl.1") if re.match("healthctl(?! -H)", line) and "reboot" not in line]
)
def test_an_example_with_healthctl_does_what_is_said(line, healthd_bus):
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HEALTHD_BUS": healthd_bus.address, "LC_ALL": "C.UTF-8"}, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode in ((0, 1, 2, 3) if "status" in line else (0,))
    assert done.stdout
    assert not done.stderr


@pytest.mark.parametrize(
    "line",
    [
        line
        for name in ("SYNOPSIS", "EXAMPLES")
        for line in lines("org.healthd.Health1.5", name)
        if "monitor" not in line
    ],
)
def test_a_command_line_for_the_bus_works(line, healthd_bus):
    program, *words = shlex.split(line)
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    place = f"--address={healthd_bus.address}"
    words = [place if word == "--system" else word for word in words] if program == "gdbus" else [place, *words]
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
