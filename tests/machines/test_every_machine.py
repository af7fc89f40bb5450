"""Whole machines: what healthd and the doctor say of each is what was worked out by hand, and stays so.

A machine's EXPECTED holds figures that were worked out from its files before healthd saw them; `golden` holds all that
healthd describes of it (`.describe`), and the doctor's verdict on its families (`.doctor`). A description has a value a
line, its address and its JSON; what is unknown is left out, and so is the version. To write the golden files anew:

    HEALTHD_WRITE_GOLDEN=1 python3 -m pytest tests/machines
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from replica import FAMILIES, FIXTURES, HERE, MACHINES, answered

from healthctl.diagnosis import FAIL, WARN
from healthctl.observed import Told, findings
from healthctl.render.doctor import draw
from healthctl.render.style import Style
from healthd import protocol


class Seen(NamedTuple):
    """What is said of one machine."""

    described: dict[str, Any]
    lines: dict[str, str]
    """What is known, as JSON, by its address."""
    degraded: str
    """What the doctor says is not well, as JSON."""
    doctor: str


@pytest.fixture(scope="module", params=MACHINES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def seen(name, tmp_path_factory) -> Seen:
    answers = answered(name, str(tmp_path_factory.mktemp(name)))
    told = Told(json.loads(answers.described), answers.collectors, answers.metrics)
    found = [*findings(told)]
    degraded = json.dumps([finding.check for finding in found if finding.state in (WARN, FAIL)])
    return Seen(told.described, dict(flat(told.described)), degraded, "\n".join(draw(found, Style())) + "\n")


def flat(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is known by its address: that of a metric, or the way to it through the object."""
    for family, found in described["readings"].items():
        several = {"": found} if FAMILIES[family].single else found
        for instance, reading in several.items():
            for field, value in reading.items():
                if value is not None:
                    yield f"{family}.{field}{'@' * bool(instance)}{instance}", json.dumps(value, ensure_ascii=False)
    rest = {key: value for key, value in described.items() if key not in ("readings", "version")}
    yield from _below("", rest)


def _below(way: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _below(f"{way}.{key}" if way else key, part)
    elif value is not None:
        yield way, json.dumps(value, ensure_ascii=False)


def expected(name: str) -> dict[str, str]:
    """Return values by their addresses; what stands behind two blanks and a # is how one was worked out."""
    with open(os.path.join(FIXTURES, name, "EXPECTED"), encoding="utf-8") as file:
        lines = [line.split("  # ")[0].rstrip() for line in file if not line.startswith("#")]
    return dict(line.split(" = ") for line in lines)


def golden(name: str, said: str) -> str:
    path = os.path.join(HERE, "golden", name)
    if "HEALTHD_WRITE_GOLDEN" in os.environ:
        with open(path, "w", encoding="utf-8") as file:
            file.write(said)
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_what_was_worked_out_by_hand_is_what_is_described(name, seen):
    by_hand, known = expected(name), {**seen.lines, "doctor.degraded": seen.degraded}
    assert {address: known.get(address, "null") for address in by_hand} == by_hand


def test_something_of_every_family_was_worked_out_by_hand(name):
    parts = [address.split(".") for address in expected(name)]
    # What healthd itself costs is of no machine.
    worked_out = {first if first != "unavailable" else second for first, second, *_ in parts}
    assert worked_out >= {"doctor", "health", *FAMILIES} - {"self"}


def test_only_metrics_that_there_are_were_worked_out_by_hand(name):
    metrics = {f"{family.name}.{metric}" for family in FAMILIES.values() for metric in family.by_name}
    assert {address.partition("@")[0] for address in expected(name) if address.split(".")[0] in FAMILIES} <= metrics


def test_a_source_is_named_for_every_machine(name):
    with open(os.path.join(FIXTURES, name, "SOURCES"), encoding="utf-8") as file:
        assert len(file.read().split()) > 10


def test_the_whole_description_is_as_it_was(name, seen):
    said = "".join(f"{address} = {value}\n" for address, value in sorted(seen.lines.items()))
    assert seen.described["version"] == protocol.VERSION
    assert said == golden(f"{name}.describe", said)


def test_the_doctors_verdict_is_as_it_was(name, seen):
    lines = [line for line in seen.doctor.splitlines() if " family " in line]
    assert {line.split()[2].partition("@")[0] for line in lines} == set(FAMILIES), "each family has a line"
    assert seen.doctor == golden(f"{name}.doctor", seen.doctor)


def test_no_file_is_left_of_a_machine_that_is_gone():
    assert {entry.rpartition(".")[0] for entry in os.listdir(os.path.join(HERE, "golden"))} == set(MACHINES)
