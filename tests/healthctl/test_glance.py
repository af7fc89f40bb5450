"""The verdict in a line, and the prompts, panels and greetings that show it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from private_bus import private_bus

from healthctl.render.brief import brief, panel
from healthctl.render.style import Style

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "examples")
SWAP = {"summary": "Swap is nearly full."}
BAD = {"health": {"severity": "warning", "reasons": ["swap", "load"], "conditions": {"swap": SWAP, "load": {}}}}
WARNING = '[rules.used]\nsummary = "Memory <is> in use."\nmetric = "memory.percent"\nwarning = { enter = "> 0" }\n'


def example(*names):
    with open(os.path.join(EXAMPLES, *names), encoding="utf-8") as file:
        return file.read()


def polybar():
    """Return what polybar runs."""
    return re.search("^exec = (.*)$", example("panels", "polybar.ini"), re.MULTILINE)[1]


@pytest.fixture
def path(tmp_path):
    """Return a PATH on which healthctl is, as if it were installed."""
    script = tmp_path / "healthctl"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m healthctl "$@"\n')
    script.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.fixture
def shell(path):
    """Run a line as a panel does, and return how it ended."""

    def run(line, bus, shell="sh", **changes):
        environment = {**os.environ, "PATH": path, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", **changes}
        return subprocess.run(
            [shell, "-c", line], capture_output=True, text=True, timeout=30, check=False, env=environment,
        )  # fmt: skip

    return run


@pytest.fixture
def warned(bus, healthd, calm):
    healthd("--interval", "1", "--config", calm(WARNING)).ready()
    return bus.address


@pytest.fixture
def well(bus, healthd, calm):
    healthd("--interval", "1", "--config", calm()).ready()
    return bus.address


def test_the_line_has_the_verdict_its_worst_reason_and_how_many_others_there_are():
    assert brief(BAD, Style()) == "● warning swap +1"
    assert brief({"health": {"severity": "ok", "reasons": []}}, Style(unicode=False)) == "* ok"
    assert brief({}, Style()) == brief({"health": None}, Style()) == "● unknown"


def test_the_line_can_not_move_a_cursor_and_is_short():
    health = {"severity": "critical", "reasons": ["a@\x1b[2J" + "x" * 99]}
    line = brief({"health": health}, Style())
    assert line.startswith("● critical a@\\x1b[2Jxx")
    assert len(line) == 60
    assert "\n" not in panel({"health": {"severity": "ok", "reasons": ["a\nb"]}}, Style())["tooltip"]


def test_a_panel_is_told_every_reason():
    assert panel(BAD, Style()) == {
        "text": "warning swap +1", "class": "warning", "tooltip": "swap: Swap is nearly full.\nload",
    }  # fmt: skip
    assert panel({}, Style()) == {"text": "unknown", "class": "unknown", "tooltip": "health is unknown"}


def test_one_line_and_the_exit_code_of_status(warned, healthctl):
    done = healthctl(warned, "status", "--short")
    assert (done.returncode, done.stdout, done.stderr) == (1, "● warning used\n", "")
    assert healthctl(warned, "--color", "always", "status", "--short").stdout == "\x1b[33m● warning used\x1b[0m\n"
    told = json.loads(healthctl(warned, "status", "--short", "--json").stdout)
    assert told == {"text": "warning used", "class": "warning", "tooltip": "used: Memory <is> in use."}


def test_while_all_is_well_it_says_so(well, healthctl):
    done = healthctl(well, "status", "--short")
    assert (done.returncode, done.stdout) == (0, "● ok\n")


def test_several_hosts_have_no_single_line(healthctl):
    done = healthctl("session", "-H", "a,b", "status", "--short")
    assert (done.returncode, done.stderr) == (64, "healthctl: --short is for one host at a time\n")


def test_a_healthd_that_hangs_is_given_up_after_a_second(bus, healthd, healthctl):
    daemon = healthd("--interval", "1").ready()
    daemon.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    done = healthctl(bus.address, "status", "--short")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == "healthctl: healthd has not answered for 1 s; see: systemctl status healthd\n"
    assert time.monotonic() - began < 4
    daemon.process.send_signal(signal.SIGCONT)


def test_a_glance_starts_nothing(tmp_path, shell, healthctl):
    service = "[D-BUS Service]\nName=org.healthd.Health1\nExec=/bin/sh -c 'echo >>{0}/starts; exit 1'\nUser=root\n"
    (tmp_path / "org.healthd.Health1.service").write_text(service.format(tmp_path))
    # A session's bus, for which no helper is set up.
    with private_bus(f"<type>session</type><servicedir>{tmp_path}</servicedir>") as bus:
        done = healthctl(bus.address, "status", "--short")
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr.startswith("healthctl: healthd is not running; start it with: ")
        assert shell(example("motd", "50-healthd"), bus.address).stdout == ""
        assert not (tmp_path / "starts").exists()
        # As the whole screen does.
        assert healthctl(bus.address, "status").returncode == 69
        assert (tmp_path / "starts").exists()


def test_a_greeting_tells_what_is_wrong_and_how_to_learn_more(warned, shell):
    done = shell(example("motd", "50-healthd"), warned)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Health: ● warning used\n        see: healthctl why\n"


def test_a_greeting_is_a_line_while_all_is_well(well, shell):
    assert shell(example("motd", "50-healthd"), well).stdout == "Health: ● ok\n"


def test_a_greeting_is_silent_where_healthd_does_not_run_or_is_not_installed(bus, shell):
    for changes in ({}, {"PATH": "/usr/bin:/bin"}, {"HEALTHD_BUS": "unix:path=/nowhere"}):
        done = shell(example("motd", "50-healthd"), bus.address, **changes)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_greeting_can_be_found_by_run_parts():
    script = os.path.join(EXAMPLES, "motd", "50-healthd")
    assert os.access(script, os.X_OK)
    if not shutil.which("run-parts"):
        pytest.skip("run-parts is not installed (apt install debianutils)")
    command = ["run-parts", "--lsbsysinit", "--list", os.path.dirname(script)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("/50-healthd\n")


def test_a_prompt_shows_what_is_wrong_and_else_nothing(warned, shell):
    line = f"PS1='$ '; {example('panels', 'prompt.bash')}\necho \"${{PS1@P}}\""
    assert shell(line, warned, "bash").stdout == "[● warning used] $ \n"
    assert shell(line, "unix:path=/nowhere", "bash").stdout == "$ \n"


def test_a_prompt_leaves_the_code_of_the_last_command(warned, shell):
    line = f"PS1='$? $ '; {example('panels', 'prompt.bash')}\n(exit 7)\necho \"${{PS1@P}}\""
    assert shell(line, warned, "bash").stdout == "[● warning used] 7 $ \n"
    assert shell(line, "unix:path=/nowhere", "bash").stdout == "7 $ \n"


def test_a_prompt_is_as_it_was_while_all_is_well(well, shell):
    line = f"PS1='$ '; {example('panels', 'prompt.bash')}\necho \"${{PS1@P}}\""
    assert shell(line, well, "bash").stdout == "$ \n"


def test_waybar_gets_an_object_and_success_for_every_verdict(warned, shell):
    module = json.loads(re.sub(r"^//.*", "", example("panels", "waybar.jsonc"), flags=re.MULTILINE))["custom/health"]
    done = shell(module["exec"], warned)
    assert done.returncode == 0
    assert json.loads(done.stdout)["class"] == "warning"
    # What looks like markup is text: so it has to escape it.
    assert "<is>" in json.loads(done.stdout)["tooltip"]
    assert (module["return-type"], module["escape"]) == ("json", True)
    gone = shell(module["exec"], "unix:path=/nowhere")
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "", "")


def test_polybar_gets_a_line_and_success_whatever_there_is(warned, shell):
    done = shell(polybar(), warned)
    assert (done.returncode, done.stdout) == (0, "● warning used\n")
    gone = shell(polybar(), "unix:path=/nowhere")
    assert (gone.returncode, gone.stdout, gone.stderr) == (0, "health ?\n", "")


@pytest.fixture
def told(tmp_path, shell):
    """Run a line where healthctl tells of a mount whose name is made to be obeyed."""
    program = tmp_path / "told" / "healthctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '%s\\n' '* critical mount_stale@/a\\033[2J%{A1:reboot:}#(reboot)'\nexit 2\n")
    program.chmod(0o755)
    return lambda line: shell(line, "", PATH=f"{program.parent}:{os.environ['PATH']}").stdout


def test_the_name_of_a_mount_is_never_obeyed(told):
    name = r"* critical mount_stale@/a\033[2J%"
    assert told(example("motd", "50-healthd")).startswith(rf"Health: {name}{{A1:reboot:}}#(reboot)")
    assert told(polybar()) == f"{name} {{A1:reboot:}}#(reboot)\n"
    command = re.search(r"#\((.*)\)", example("panels", "tmux.conf"))[1]
    assert told(command) == f"{name}{{A1:reboot:}} (reboot)\n"


def test_tmux_shows_it_in_its_status_line(warned, path, terminal, tmp_path, monkeypatch):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed (apt install tmux)")
    monkeypatch.setenv("PATH", path)
    socket = str(tmp_path / "tmux")
    shown = terminal(warned, command=["tmux", "-S", socket, "-f", os.path.join(EXAMPLES, "panels", "tmux.conf"),
                                      "new-session", "cat"])  # fmt: skip
    try:
        shown.until(lambda: "● warning used  " in shown.text.splitlines()[-1])
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], check=True, timeout=20)
    shown.ended()
