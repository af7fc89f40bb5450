"""What a shell completes, in real shells on a real terminal."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import time

import pytest
from jeepney import MessageFlag, new_method_return
from stand_in import Answering, member

from healthctl.completion import SCRIPTS
from healthctl.group import COMMANDS
from healthd import protocol

pytestmark = pytest.mark.timeout(120)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATA = os.path.join(ROOT, "data", "completions")
FILES = {"bash": "bash/healthctl", "zsh": "zsh/_healthctl", "fish": "fish/healthctl.fish"}
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "--no-config"]}
BEFORE = {
    "bash": "PS1=:",
    "zsh": "PS1=:; autoload -U compinit; compinit -u -D",
    "fish": "function fish_prompt; echo :; end",
}
PACKAGES = {"bash": "bash", "zsh": "zsh", "fish": "fish"}
BREAKS = " \t\n\"'@><=;|&(:"

METRICS = {
    "memory.percent": ("gauge", "Used.", []),
    "memory.oom_kills": ("counter", "Killed.", []),
    "filesystem.percent": ("gauge", "Used, as df has it.", ["/", "/mnt/my photos", "/mnt/a:b", "/mnt/it's"]),
}
CONDITIONS = {
    "swap": ("swap", "ok"), "filesystem_space@/": ("filesystem_space", "ok"),
    "filesystem_space@/mnt/my photos": ("filesystem_space", "critical"),
}  # fmt: skip


@pytest.fixture
def serving(bus):
    """Have something on the bus that tells of metrics, conditions and collectors; gives the calls too."""
    metrics = {
        name: {"kind": ("s", kind), "summary": ("s", text), **({"instances": ("as", there)} if there else {})}
        for name, (kind, text, there) in METRICS.items()
    }
    conditions = {
        name: {"rule": ("s", rule), "severity": ("s", severity), "summary": ("s", "So.")}
        for name, (rule, severity) in CONDITIONS.items()
    }
    collectors = {"disk": {"problem": ("s", protocol.DISABLED)}, "load": {"problem": ("s", "")}}
    answers = {"ListMetrics": metrics, "ListConditions": conditions, "ListCollectors": collectors}

    def tell(call):
        return new_method_return(call, "a{sa{sv}}", (answers[member(call)],)) if member(call) in answers else None

    with Answering(bus.address, protocol.BUS_NAME, tell) as made:
        yield bus.address, made.calls


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Have `healthctl` on PATH."""
    script = tmp_path / "healthctl"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={os.path.abspath(ROOT)} exec {sys.executable} -m healthctl "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return script


@pytest.fixture(params=list(SHELLS))
def typed(request, serving, terminal):
    """Type a line into a shell, a tab after it, and wait until it has become what is expected."""
    request.getfixturevalue("on_path")
    shell, (bus, _) = request.param, serving
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed (apt install {PACKAGES[shell]})")
    opened = terminal(bus, command=SHELLS[shell], columns=120)

    def type_(line, expected):
        opened.type(b"\x15" + line.encode() + b"\t")
        opened.until(lambda: any(row.lstrip(":> ").startswith(expected) for row in opened.text.splitlines()))
        return shell

    opened.type(f"{BEFORE[shell]}; source {DATA}/{FILES[shell]}; echo re''ady\n".encode())
    # What is typed before the prompt is there is echoed, and then taken for the shell's own.
    opened.until(lambda: re.search(r"\nready\n[:>]", opened.text))
    return type_


def answer(bus, shell, line, breaks=BREAKS, **changes):
    """Return what healthctl answers to a shell."""
    words = line.split(" ")
    asking = {
        "bash": {"HEALTHCTL_LINE": line, "HEALTHCTL_BREAKS": breaks},
        "zsh": {"HEALTHCTL_WORDS": "\n".join(words[1:-1]), "HEALTHCTL_WORD": words[-1]},
    }
    asking["fish"] = asking["zsh"]
    done = subprocess.run(
        [sys.executable, "-m", "healthctl"], capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error",
             "_HEALTHCTL_COMPLETE": f"{shell}_complete", **asking[shell], **changes},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [row.split("\t")[1] for row in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_files_are_up_to_date(shell, healthctl, tmp_path):
    with open(os.path.join(DATA, FILES[shell]), encoding="utf-8") as file:
        assert file.read() == SCRIPTS[shell] == healthctl("session", "completions", shell).stdout, "run: make generated"
    runpy.run_path(os.path.join(ROOT, ".make", "completions"))["main"](str(tmp_path))
    assert (tmp_path / FILES[shell]).read_text() == SCRIPTS[shell]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_no_fault_of_syntax(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed (apt install {PACKAGES[shell]})")
    path = os.path.join(DATA, FILES[shell])
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_option_with_its_command_is_completed(typed):
    typed("healthctl publ", "healthctl publishers")
    typed("healthctl wait --unt", "healthctl wait --until")


def test_a_metric_and_its_instance_are_completed(typed):
    typed("healthctl get memory.per", "healthctl get memory.percent")
    typed("healthctl get filesystem.per", "healthctl get filesystem.percent")
    typed(
        "true; healthctl get memory.percent filesystem.percent@/mnt/i",
        "true; healthctl get memory.percent filesystem.percent@/mnt/it",
    )


def test_an_instance_after_the_sign_alone_keeps_the_sign(typed):
    typed("healthctl why filesystem_space@", "healthctl why filesystem_space@/")
    typed("healthctl wait --until=filesystem_space@", "healthctl wait --until=filesystem_space@/")


def test_a_name_with_blanks_is_one_word(typed):
    shell = typed("healthctl why filesystem_space@/mnt/my", "healthctl why filesystem_space@/mnt/my\\ photos")
    if shell == "bash":
        typed("healthctl why 'filesystem_space@/mnt/my", "healthctl why 'filesystem_space@/mnt/my photos'")
        typed("healthctl why filesystem_space@/mnt/my\\ ph", "healthctl why filesystem_space@/mnt/my\\ photos")


def test_names_with_colons_and_quotes_come_through(typed):
    shell = typed("healthctl get filesystem.percent@/mnt/a", "healthctl get filesystem.percent@/mnt/a:b")
    typed("healthctl get filesystem.percent@/mnt/i", r"healthctl get filesystem.percent@/mnt/it\'s")
    if shell == "bash":
        typed("healthctl get filesystem.percent@/mnt/a:", "healthctl get filesystem.percent@/mnt/a:b")


def test_a_directory_is_completed_where_one_is_meant(typed, tmp_path):
    (tmp_path / "a-place").mkdir()
    typed(f"healthctl config check --config {tmp_path}/a-pl", f"healthctl config check --config {tmp_path}/a-place/")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("healthctl ", list(COMMANDS)),
        ("healthctl --json co", ["conditions", "collectors", "config", "completions"]),
        ("healthctl get ", list(METRICS)),
        ("healthctl get memory.percent mem", ["memory.percent", "memory.oom_kills"]),
        ("healthctl history memory.", ["memory.percent"]),
        ("healthctl why ", ["filesystem_space", *sorted(CONDITIONS)]),
        ("healthctl acknowledge ", ["filesystem_space", "filesystem_space@/mnt/my photos"]),
        ("healthctl check --only s", ["swap"]),
        ("healthctl wait --until ", ["ok", "warning", "critical", "filesystem_space", *sorted(CONDITIONS)]),
        ("healthctl wait --until=s", ["--until=swap"]),
        ("healthctl collectors --enable ", ["disk"]),
        ("healthctl collectors --disable ", ["load"]),
        ("healthctl config s", ["set", "show"]),
        ("healthctl config set record.max", ["record.max_age", "record.max_size"]),
        ("healthctl config set rules.sw", ["rules.swap"]),
        ("healthctl config set rules.swap.en", ["rules.swap.enabled"]),
        (
            "healthctl config set rules.swap.warning.",
            [f"rules.swap.warning.{key}" for key in ("clear", "enter", "hold")],
        ),
        ("healthctl config set rules.swap.enabled ", ["true", "false"]),
        ("healthctl config set record.max_age ", ["30d"]),
        ("healthctl completions ", list(SCRIPTS)),
        ("healthctl --color a", ["auto", "always"]),
    ],
)
def test_what_may_stand_somewhere(serving, line, expected):
    assert sorted(answer(serving[0], "fish", line)) == sorted(expected)


def test_what_was_set_may_be_unset(serving, tmp_path, healthctl):
    assert healthctl("session", "config", "set", "interval", "2s", "--config", str(tmp_path)).returncode == 0
    assert answer(serving[0], "zsh", f"healthctl config unset --config {tmp_path} ") == ["interval"]


def test_a_bus_that_was_named_before_is_asked(serving):
    assert answer("unix:path=/nowhere", "zsh", f"healthctl --bus {serving[0]} why sw") == ["swap"]


def test_healthd_is_not_started_for_that(serving):
    bus, calls = serving
    assert answer(bus, "fish", "healthctl why sw") == ["swap"]
    assert [flags for _, _, flags in calls] == [MessageFlag.no_auto_start]


def test_without_healthd_there_is_nothing_to_say_and_it_is_said_at_once(bus):
    for place in (bus.address, "unix:path=/nowhere", "nonsense"):
        for line in ("healthctl get ", "healthctl why ", "healthctl collectors --enable "):
            assert answer(place, "bash", line) == []
        assert answer(place, "bash", "healthctl wait --until ") == ["ok", "warning", "critical"]


def test_a_healthd_that_hangs_is_not_waited_for(bus):
    with Answering(bus.address, protocol.BUS_NAME, lambda _: None):
        before = time.monotonic()
        assert answer(bus.address, "bash", "healthctl why ") == []
        assert time.monotonic() - before < 4


@pytest.mark.parametrize(
    ("line", "breaks", "expected"),
    [
        ("healthctl get filesystem.percent@/mnt/a", BREAKS, "@/mnt/a:b"),
        ("healthctl get filesystem.percent@/mnt/a:", BREAKS, "b"),
        ("healthctl get filesystem.percent@/mnt/a", " \t\n", "filesystem.percent@/mnt/a:b"),
        ('healthctl get "filesystem.percent@/mnt/a', BREAKS, "filesystem.percent@/mnt/a:b"),
        ("healthctl wait --until=sw", BREAKS, "swap"),
        ("healthctl wait --until=sw", " ", "--until=swap"),
        ("healthctl get 'never closed' filesystem.percent@/mnt/a:", BREAKS, "b"),
    ],
)
def test_bash_is_given_what_it_replaces(serving, line, breaks, expected):
    assert answer(serving[0], "bash", line, breaks) == [expected]


@pytest.mark.parametrize("asked", ["tcsh_complete", "nonsense", "_"])
def test_another_shell_is_told_nothing(healthctl, asked):
    done = healthctl("session", "status", _HEALTHCTL_COMPLETE=asked)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_the_script_is_given_as_other_programs_give_it(healthctl):
    assert healthctl("session", _HEALTHCTL_COMPLETE="bash_source").stdout == SCRIPTS["bash"]
