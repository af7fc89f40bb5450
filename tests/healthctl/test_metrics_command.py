"""`healthctl metrics`: which, in what order, with what beside them."""

import json

import pytest

from healthctl.commands.metrics import _order
from healthctl.render import person


def rows(done):
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_those_of_a_unit(healthd_bus, healthctl):
    found = rows(healthctl(healthd_bus.address, "metrics", "--unit", "bytes"))
    assert {row[2] for row in found[1:]} == {"bytes"}
    assert "memory.total_bytes" in [row[0] for row in found]
    every = json.loads(healthctl(healthd_bus.address, "metrics", "--json").stdout)
    assert len(found) - 1 == sum(row["unit"] == "bytes" for row in every.values())
    none = json.loads(healthctl(healthd_bus.address, "metrics", "--unit", "none", "--json").stdout)
    assert set(none) == {name for name, row in every.items() if not row["unit"]}


def test_a_unit_that_nothing_has_is_64(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "metrics", "--unit", "parsec")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("healthctl: there is no unit 'parsec'; those that are: ")


def test_in_the_order_of_columns(healthd_bus, healthctl):
    found = rows(healthctl(healthd_bus.address, "metrics", "memory", "--sort", "unit", "--columns", "unit,metric"))
    assert found[0] == ["UNIT", "METRIC"]
    assert found[1:] == sorted(found[1:])
    assert len({row[0] for row in found[1:]}) > 1


def test_columns_are_those_that_are_wanted(healthd_bus, healthctl):
    found = rows(healthctl(healthd_bus.address, "metrics", "network.kind", "--columns", "property,metric,instances"))
    assert found[0] == ["PROPERTY", "METRIC", "INSTANCES"]
    assert found[1][:2] == ["Kind", "network.kind"]
    assert "lo" in found[1][2:]


def test_values_are_asked_for_and_written_for_a_person(healthd_bus, healthctl):
    wanted = "memory.total_bytes"
    done = healthctl(healthd_bus.address, "metrics", wanted, "--columns", "metric,value", LC_ALL="de_DE.UTF-8")
    assert rows(done)[1][2].endswith("iB")
    number = rows(healthctl(healthd_bus.address, "metrics", "load.load15", "--columns", "value", LC_ALL="de_DE.UTF-8"))
    assert "." not in number[1][0]


def test_json_has_the_columns_and_the_order_and_plain_numbers(healthd_bus, healthctl):
    done = healthctl(
        healthd_bus.address, "metrics", "load.load", "--json", "--columns", "metric,value,unit", "--sort", "value",
        LC_ALL="de_DE.UTF-8",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert {tuple(row) for row in found.values()} == {("value", "unit")}
    values = [row["value"] for row in found.values()]
    assert values == sorted(values)
    assert all(isinstance(value, float) for value in values)
    several = json.loads(
        healthctl(healthd_bus.address, "metrics", "network.kind", "--json", "--columns", "value").stdout
    )
    assert several["network.kind"]["value"]["lo"] == "loopback"


def test_numbers_come_before_text_and_what_is_unknown_last():
    metrics = {"a": {"value": None}, "b": {"value": "x"}, "c": {"value": 10}, "d": {"value": {"lo": 9, "eth0": 30}}}
    assert [name for name, _ in sorted(metrics.items(), key=_order(["value"]))] == ["d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("locale", "field", "value", "written"),
    [("de_DE.UTF-8", "used_bytes", 1610612736, "1,50 GiB"), ("C", "used_bytes", 1610612736, "1.50 GiB"),
     ("de_DE@euro", "switches", 1234567, "1.234.567"), ("en_GB.UTF-8", "switches", 1234567, "1,234,567"),
     ("xx_YY", "percent", 12.34, "12.3 %"), ("de_DE", "kernel", "6.18.44", "6.18.44"),
     ("de_DE", "switches", 2026, "2026"), ("de_DE", "core_busy", [1.5, 2.0], "1,5, 2"),
     ("de_DE", "up", True, "yes"), ("de_DE", "percent", None, "?"),
     ("de_DE", "percent", {"/": 1.0, "/v1.2": 99.95}, "/ 1,0 %, /v1.2 100,0 %")],
)  # fmt: skip
def test_numbers_are_written_as_the_locale_does(monkeypatch, locale, field, value, written):
    monkeypatch.setenv("LC_ALL", locale)
    assert person.value(field, value) == written
    monkeypatch.delenv("LC_ALL")
    monkeypatch.setenv("LC_NUMERIC", locale)
    assert person.value(field, value) == written


def test_another_language_is_no_other_words(monkeypatch):
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    assert person.value("up_seconds", 90061) == "1 day 1 h"


@pytest.mark.parametrize(
    ("line", "expected"),
    [("metrics --sort u", ["unit"]), ("metrics --columns metric,va", ["metric,value"]),
     ("metrics --sort metric,m", ["metric,metric", "metric,minimum", "metric,maximum"]),
     ("metrics --unit byt", ["bytes", "bytes_per_second"]), ("metrics --unit no", ["none"])],
)  # fmt: skip
def test_units_and_columns_are_completed(healthd_bus, healthctl, line, expected):
    asking = {"_HEALTHCTL_COMPLETE": "bash_complete", "HEALTHCTL_LINE": f"healthctl {line}", "HEALTHCTL_BREAKS": " "}
    done = healthctl(healthd_bus.address, **asking)
    assert [row.split("\t")[1] for row in done.stdout.splitlines()] == expected
