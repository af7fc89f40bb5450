"""The README is true: its commands are run, its example works, its tables name what there is."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest

from healthctl.group import COMMANDS
from healthd import protocol
from healthd.clock import SystemClock
from healthd.model import SINGLE
from healthd.observe import collectors, families, roots

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    README = file.read()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS_SHOWN = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("command", COMMANDS_SHOWN)
def test_a_command_shown_works(healthd_bus, command):
    if not shutil.which(command.split()[0], path=os.environ["PATH"] + ":" + os.path.dirname(sys.executable)):
        pytest.skip(f"{command.split()[0]} is not installed")
    environment = {
        **os.environ,
        "HEALTHD_BUS": healthd_bus.address,
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    ended = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    # `status` and `check` exit by the verdict on this machine.
    verdicts = (0, 1, 2, 3) if re.fullmatch(r"healthctl( (status|check).*)?", command) else (0,)
    assert ended.returncode in verdicts, ended.stderr
    assert ended.stdout
    assert not ended.stderr


def test_commands_are_shown():
    assert len(COMMANDS_SHOWN) > 8


def test_the_example_is_a_collector(tmp_path):
    (example,) = blocks("python")
    namespace = {}
    exec(compile(example, "README.md", "exec"), namespace)
    (tmp_path / "class" / "tide").mkdir(parents=True)
    (tmp_path / "class" / "tide" / "temp").write_text("12340\n")
    collector = namespace["COLLECTOR"](roots(sys=str(tmp_path)))
    assert collector.collect(SystemClock().now())[SINGLE].celsius == 12.3


def test_the_event_shown_has_the_keys_that_events_have():
    (shown,) = blocks("json")
    event = json.loads(shown)
    assert list(event) == ["time", "name", "data", "boot_id", "since_boot", "seq"]
    by_event = {family.event: family for family in families(collectors())}
    assert set(event["data"]) == set(by_event[event["name"]].by_name)


def test_every_family_is_in_the_table_of_what_is_observed():
    section = README.split("## What is observed")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == {f.name for f in families(collectors())}


def test_every_command_of_healthctl_and_every_exit_code_is_in_a_table():
    section = README.split("## Use it\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)", section, re.MULTILINE)) == set(COMMANDS)
    for name, code in vars(protocol).items():
        if name.startswith("EXIT_"):
            assert re.search(rf"\b{code}\b", section), name


def test_every_file_and_section_that_is_linked_is_there():
    linked = [target for target in re.findall(r"\]\(([^)\s]+)\)", README) if "://" not in target]
    anchors = {
        "#" + re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    assert len(linked) > 2
    absent = {each for each in linked if each not in anchors and not os.path.exists(os.path.join(ROOT, each))}
    assert not absent


def test_make_knows_every_target_shown():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
        targets = set(" ".join(re.findall(r"^([a-z -]+):", file.read(), re.MULTILINE)).split())
    assert set(re.findall(r"make ([a-z-]+)", "\n".join(blocks("sh")))) <= targets


def test_tables_that_follow_from_declarations_are_up_to_date():
    renewed = runpy.run_path(os.path.join(ROOT, ".make", "tables"))["renewed"]
    assert renewed(README) == README, "run: make generated"
