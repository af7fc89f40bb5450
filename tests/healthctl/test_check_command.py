import json
import re
import subprocess
import sys

import pytest

from healthctl.commands.check import chosen, draw
from healthctl.errors import UnknownCondition
from healthctl.render.style import Style
from healthd import protocol

pytestmark = pytest.mark.timeout(60)

FULL = {
    "rule": "filesystem_space", "instance": "/", "severity": "warning", "since_usec": 1, "unit": "percent",
    "summary": "A file system is nearly full.", "metric": "filesystem.percent", "value": 92.4, "threshold": 90.0,
    "next": "warning", "pending": False, "inhibited_by": None, "acknowledged_by": None,
    "own_value": 92.4, "own_unit": "percent", "bounds": {"warning": [">=", 90.0], "critical": [">=", 97.0]},
}  # fmt: skip
FINE = FULL | {"severity": "ok", "value": 27.0, "own_value": 27.0}
LOST = FULL | {
    "summary": "A network interface has lost its link.", "unit": None, "value": None, "threshold": None,
    "own_value": None, "own_unit": None, "bounds": {},
}  # fmt: skip

# Monitoring Plugins Development Guidelines, "Performance data": 'label'=value[UOM];[warn];[crit].
VALUE = re.compile(r"'((?:[^'=|]|'')+)'=(-?\d+(?:\.\d+)?)(%|B|s|us|);((?:-?\d+(?:\.\d+)?:?)?);((?:-?\d+(?:\.\d+)?:?)?)")


def line(severity, counting, **conditions):
    return draw(severity, counting, conditions, Style())


def test_the_verdict_its_reasons_and_the_values_are_one_line():
    words = "filesystem_space@/ is warning: A file system is nearly full (92.4 %, threshold 90.0 %)"
    expected = f"HEALTH WARNING - {words} | 'filesystem_space@/'=92.4%;90;97 'home'=27%;90;97"
    assert draw("warning", ["filesystem_space@/"], {"filesystem_space@/": FULL, "home": FINE}, Style()) == expected


def test_several_reasons_are_told_in_their_order():
    both = {"a": FULL | {"severity": "critical"}, "b": LOST}
    text = draw("critical", ["a", "b"], both, Style())
    assert text.startswith(
        "HEALTH CRITICAL - a is critical: A file system is nearly full (92.4 %, threshold 90.0 %); b is"
    )
    assert "; b is warning: A network interface has lost its link | 'a'=" in text


def test_what_is_unknown_says_no_more_than_that():
    assert line("unknown", ["a"], a=LOST | {"severity": "unknown"}) == "HEALTH UNKNOWN - a is unknown"


def test_without_a_reason_it_says_how_much_was_judged_and_what_does_not_count():
    assert line("ok", [], a=FINE, b=LOST | {"severity": "ok"}) == "HEALTH OK - conditions judged: 2 | 'a'=27%;90;97"
    noted = line("ok", [], a=FINE, b=LOST | {"acknowledged_by": "ada"})
    assert noted.startswith("HEALTH OK - conditions judged: 2, of which do not count: b | ")
    assert line("unknown", []) == "HEALTH UNKNOWN - conditions judged: 0"


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"bounds": {"critical": [">", 97.0]}}, "=92.4%;;97"), ({"bounds": {"notice": [">", 9.0]}}, "=92.4%;;"),
     ({"bounds": {"warning": ["<", 86400.0], "critical": ["<=", 0.5]}}, "=92.4%;86400:;0.5:"),
     ({"own_unit": "bytes", "own_value": 2.0**40}, "=1099511627776B;90;97"),
     ({"own_unit": "celsius", "own_value": -3.25}, "=-3.25;90;97"),
     ({"own_unit": "seconds", "own_value": 0.0000001}, "=0s;90;97"),
     ({"own_unit": "per_second", "own_value": 1e21, "bounds": {}}, "=1000000000000000000000;;")],
)  # fmt: skip
def test_a_value_has_its_unit_and_the_ranges_that_are_no_problem(change, expected):
    text = line("ok", [], a=FULL | change)
    assert text.endswith(f"'a'{expected}")
    assert VALUE.fullmatch(text.partition(" | ")[2])


def test_what_is_drawn_of_a_condition_is_the_same_whatever_decided():
    other = {"metric": "filesystem.available_bytes", "unit": "bytes", "value": 5e9, "threshold": 2e10}
    text = line("ok", [], a=FULL | other | {"severity": "ok"})
    assert text.endswith("| 'a'=92.4%;90;97")


def test_names_and_texts_can_not_be_taken_for_what_they_are_not():
    odd = FULL | {"summary": "A | B\n'c'=7\x1b[2J"}
    text = draw("warning", ["it's a=b|c\n"], {"it's a=b|c\n": odd}, Style())
    assert text.isprintable()
    words, _, values = text.partition(" | ")
    assert "|" not in words + values
    assert VALUE.fullmatch(values)[1] == "it''s a_b/c\\n"


def test_only_some_rules_may_be_meant():
    known = {"filesystem_space@/": FULL, "filesystem_space@/srv": FINE, "swap": FINE}
    assert list(chosen(known, [])) == list(known)
    assert list(chosen(known, ["filesystem_space"])) == ["filesystem_space@/", "filesystem_space@/srv"]
    assert list(chosen(known, ["swap", "filesystem_space@/"])) == ["filesystem_space@/", "swap"]
    with pytest.raises(UnknownCondition, match="'filesystem'"):
        chosen(known, ["swap", "filesystem"])


@pytest.mark.parametrize(
    ("only", "severity", "code"),
    [(["used"], "WARNING", 1), (["looped"], "WARNING", 1), (["noted"], "OK", 0), (["beyond", "coming"], "OK", 0),
     (["beyond", "used"], "WARNING", 1)],
)  # fmt: skip
def test_the_exit_code_is_that_of_what_is_asked_for(judged_bus, healthctl, only, severity, code):
    done = healthctl(judged_bus.address, "check", *(f"--only={rule}" for rule in only))
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(f"HEALTH {severity} - ")
    assert done.stdout.count("\n") == 1


def test_check_agrees_with_status(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "check")
    assert done.returncode == healthctl(judged_bus.address, "status").returncode
    words, _, values = done.stdout.rstrip("\n").partition(" | ")
    assert "used is warning: There is memory in use (" in words
    found = VALUE.findall(values)
    assert " ".join(f"'{label}'={value}{unit};{warn};{crit}" for label, value, unit, warn, crit in found) == values
    assert {"used", "coming", "beyond", "noted"} <= {label for label, *_ in found}
    assert "looped@lo" not in {label for label, *_ in found}


def test_as_json_it_is_one_object(judged_bus, healthctl):
    done = healthctl(judged_bus.address, "check", "--only", "used", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["severity"], answer["reasons"], list(answer["conditions"])) == ("warning", ["used"], ["used"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--only", "x"], "there is no condition 'x'"), (["--frob"], "No such option"), (["more"], "unexpected extra"),
     (["--bus", "somewhere"], "none of system, session")],
)  # fmt: skip
def test_what_can_not_be_asked_for_is_unknown(judged_bus, healthctl, arguments, words):
    done = healthctl(judged_bus.address, "check", *arguments)
    assert (done.returncode, done.stderr) == (protocol.EXIT_UNKNOWN, "")
    assert done.stdout.startswith("HEALTH UNKNOWN - ")
    assert words in done.stdout
    assert done.stdout.count("\n") == 1


def test_without_healthd_it_is_unknown_and_says_so_on_standard_output(bus, healthctl, tmp_path):
    done = healthctl(bus.address, "check")
    assert (done.returncode, done.stderr) == (protocol.EXIT_UNKNOWN, "")
    assert done.stdout.startswith("HEALTH UNKNOWN - healthd is not running; start it with: ")
    done = healthctl(f"unix:path={tmp_path}/bus", "check", "--only", "swap", "--json")
    assert (done.returncode, done.stderr) == (protocol.EXIT_UNKNOWN, "")
    assert done.stdout.startswith("HEALTH UNKNOWN - there is no bus at ")


def test_it_runs_without_an_environment_as_under_a_monitoring_system(judged_bus):
    command = [sys.executable, "-m", "healthctl", "check", "--only", "used", "--bus", judged_bus.address]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30, env={}, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.isascii()
    assert done.stdout.startswith(b"HEALTH WARNING - used is warning: ")
