"""What the README says of rules is true: its table, its examples and what its backtest prints."""

import asyncio
import json
import math
import os
import re
import runpy
import tomllib

import pytest
from time_zone import zone

from healthd import backtest, observe
from healthd.clock import iso
from healthd.config import parse, read
from healthd.health import rule
from healthd.health.operand import OPERATORS
from healthd.replay import Replay

ROOT = os.path.join(os.path.dirname(__file__), "..")
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    SECTION = file.read().split("### Rules\n")[1].split("\n## ")[0]
PROSE, TABLE = SECTION.split("<!-- rules -->\n")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PROSE, re.MULTILINE | re.DOTALL)
SHIPPED = read(os.path.join(os.path.dirname(rule.__file__), "rules.toml"))
FAMILIES = observe.families(observe.collectors())
NOON = 1767268800.0


def those(*texts: str):
    """Return the rules of healthd, as configurations override them; raises where one has a fault."""
    files = [(f"{number}.toml", parse(tomllib.loads(text), "").rules) for number, text in enumerate(texts)]
    return rule.rules(FAMILIES, [("rules.toml", SHIPPED), *files])


def test_the_table_of_rules_is_up_to_date():
    tables = runpy.run_path(os.path.join(ROOT, ".make", "tables"))["tables"]()
    assert TABLE.split("\n<!-- end -->")[0] == tables["rules"], "run: make generated"


def test_each_rule_of_healthd_has_a_row_with_all_that_it_says():
    rows = {row[2:].split("`")[1]: re.split(r" (?<!\\)\| ", row.strip("| ")) for row in TABLE.splitlines()[2:-1]}
    assert list(rows) == list(SHIPPED)
    for made in those():
        _, meaning, thresholds, why, remedy = (cell.replace("\\|", "|") for cell in rows[made.name])
        assert (meaning, why, remedy) == (made.summary, made.why, made.remedy)
        for level in made.levels:
            assert f"{level.severity} `{level.enter.text}`" in thresholds
        assert all(field.name.rpartition(".")[2] in thresholds for field in (*made.fields, *made.per))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_configuration_without_faults(example):
    assert those(example) != those()


def test_a_rule_of_ones_own_is_four_lines():
    assert len(EXAMPLES[0].splitlines()) == 4
    (name,) = tomllib.loads(EXAMPLES[0])["rules"]
    (made,) = (made for made in those(EXAMPLES[0]) if made.name == name)
    assert [level.hold for level in made.levels] == [120.0]


def test_an_override_leaves_what_it_does_not_say_and_a_disabled_rule_is_gone():
    before, after = ({made.name: made for made in those(*texts)} for texts in ((), (EXAMPLES[1],)))
    assert before.keys() - after.keys() == {"cpu_busy"}
    old, new = (made["filesystem_space"].levels[0] for made in (before, after))
    assert new.enter.text == ">= 95%"
    assert (new.clear.text, new.hold) == (old.clear.text, old.hold)


def test_every_key_of_a_rule_and_every_operator_is_explained():
    known = set(re.findall(r"`([a-z_]+)(?: = [^`]*)?`", PROSE)) | set(re.findall(r"^(\w+) =", PROSE, re.MULTILINE))
    assert set(rule._KEYS) | set(OPERATORS) <= known


def reading(number: int, **shares: float) -> str:
    event = {
        "time": iso(NOON + 5 * number),
        "name": "system.cpu.usage.updated" if shares else "snapshot",
        "data": shares or {"schema": 1, "interval": 5.0, "readings": {}, "unavailable": {}},
        "boot_id": "b",
        "since_boot": 1000.0 + 5 * number,
        "seq": number,
    }
    return json.dumps(event, separators=(",", ":")) + "\n"


def test_the_difference_shown_is_what_the_examples_make_of_such_a_recording(tmp_path):
    """A disk is slow for a quarter of an hour, the CPU busy for an hour, and then the host of this machine is."""
    calm = {"user": 5.0, "system": 1.0, "irq": 0.0, "softirq": 0.0, "iowait": 0.3, "steal": 0.0}
    marks = {1: {}, 120: {"iowait": 48.2}, 300: {}, 700: {"user": 96.1}, 1420: {}, 1500: {"steal": 20.0}, 2000: {}}
    lines = [reading(0), *(reading(number, **calm | shares) for number, shares in marks.items())]
    path = tmp_path / "2026-01-01" / "12-00-00.jsonl"
    path.parent.mkdir()
    path.write_text("".join(lines))
    said: list[str] = []
    replay = Replay(str(tmp_path), FAMILIES, speed=math.inf)
    with zone("UTC"):
        asyncio.run(backtest.difference(replay, those(*EXAMPLES), those(), said.append))
    (shown,) = re.findall(r"^```text\n(.*?)^```", PROSE, re.MULTILINE | re.DOTALL)
    assert [line.rstrip() for line in said] == shown.splitlines()
