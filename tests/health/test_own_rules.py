"""Rules are read from tables: overridden by key, switched off, added; and every fault is said at once."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import FAMILIES, Machine, Pump, Tank, made
from shipped import FAMILIES as REAL
from shipped import RULES, TABLES

from healthd.health.rule import RuleError, rules
from healthd.model import Unit

WARNING = {"enter": "> 90%", "clear": "< 80%", "hold": "5min"}
FULL = {"metric": "tank.percent", "warning": WARNING}


def faults(*tables: dict[str, Any]) -> list[str]:
    """Return what is said of tables, each in a file of its own."""
    with pytest.raises(RuleError) as caught:
        rules(FAMILIES, [(f"{number}.toml", table) for number, table in enumerate(tables)])
    return list(caught.value.faults)


def real(**mine: Any):
    """Return healthd's rules as a configuration overrides them, by name."""
    return {rule.name: rule for rule in rules(REAL, [("rules.toml", TABLES), ("/etc/healthd.toml", mine)])}


# What people write


def test_a_rule_of_four_lines_is_enough():
    (rule,) = made({"too_full": FULL | {"warning": {"enter": "> 90%", "hold": "5min"}}})
    assert rule.summary == "tank.percent > 90%"
    assert rule.levels[0].clear.text == "<= 90%"
    assert (rule.clear_after, rule.grace, rule.who) == (300.0, 0.0, "")
    machine = Machine([rule]).set(Tank, percent=91.0)
    machine.look()
    machine.pass_(600)
    assert machine.told == [(300.0, "too_full", "ok", "warning")]


def test_a_rule_is_added_to_those_that_are_there():
    mine = {"metric": "load.load1", "warning": {"enter": "> 8", "hold": "5min"}}
    found = real(builds=mine)
    assert set(found) == {rule.name for rule in RULES} | {"builds"}


def test_a_key_is_overridden_and_the_rest_stays():
    before, after = (
        real()["filesystem_space"],
        real(filesystem_space={"warning": {"enter": ">= 95%"}})["filesystem_space"],
    )
    warning, critical = after.levels
    assert (warning.enter.text, warning.clear.text, warning.hold) == (">= 95%", "< 85%", 300.0)
    assert critical.enter.text == before.levels[1].enter.text
    assert after.summary == before.summary


def test_a_rule_is_switched_off_and_may_still_be_named_by_others():
    assert "io_pressure" in real()["memory_pressure"].inhibits
    assert "io_pressure" not in real(io_pressure={"enabled": False})


def test_the_later_of_two_files_wins_key_by_key():
    layers = [
        ("a", {"full": FULL}),
        ("b", {"full": {"summary": "b", "warning": {"hold": "1min"}}}),
        ("c", {"full": {"summary": "c"}}),
    ]
    (rule,) = rules(FAMILIES, layers)
    assert (rule.summary, rule.levels[0].hold) == ("c", 60.0)


def test_what_may_run_short_and_what_is_overridden_leave_the_shipped_tables_as_they_were():
    real(cpu_pressure={"warning": {"enter": "> 70%"}})
    assert TABLES["cpu_pressure"]["warning"]["enter"] == "> 60%"


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("percent", "> 90%", 90.0),
        ("percent", "> 90", 90.0),
        ("percent", "> 12.5 %", 12.5),
        ("spare_bytes", "< 20GiB", 20 * 2**30),
        ("spare_bytes", "< 500 MB", 5e8),
        ("spare_bytes", "< 1024", 1024.0),
        ("spills", ">= 3", 3.0),
        ("dry", "== true", True),
        ("dry", "!= false", False),
        ("mode", "== off", "off"),
        ("mode", "!= 'on hold'", "on hold"),
    ],
)
def test_a_threshold_has_the_unit_of_what_it_is_compared_with(metric, text, value):
    (rule,) = made({"it": {"metric": f"tank.{metric}", "warning": {"enter": text}}})
    assert rule.levels[0].enter.bounds[0].threshold == value


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("sensor.celsius", "> 75°C", 75.0),
        ("sensor.celsius", "> -5C", -5.0),
        ("sensor.rpm", "< 300rpm", 300.0),
        ("sensor.volts", "< 11.4V", 11.4),
        ("sensor.watts", "> 65W", 65.0),
        ("sensor.amperes", "> 3A", 3.0),
        ("sensor.pascals", "< 98000Pa", 98000.0),
        ("network.signal_dbm", "< -75dBm", -75.0),
        ("battery.energy_watt_hours", "< 5Wh", 5.0),
        ("disk.read_bytes_per_second", "> 100MB/s", 1e8),
        ("disk.read_bytes_per_second", "> 1MiB", 2.0**20),
        ("disk.reads_per_second", "> 50/s", 50.0),
        ("load.load1", "> 8", 8.0),
    ],
)
def test_units_of_real_metrics_are_understood(metric, text, value):
    assert real(it={"metric": metric, "warning": {"enter": text}})["it"].levels[0].enter.bounds[0].threshold == value


def test_durations_and_ratios_are_understood_where_an_operator_or_a_quotient_makes_them():
    found = {
        rule.name: rule.levels[0].enter.bounds[0].threshold
        for rule in made(
            {
                "soon": {
                    "metric": "tank.spare_bytes",
                    "operator": "seconds_to_limit",
                    "window": "6h",
                    "warning": {"enter": "< 1d12h"},
                },
                "worn": {"metric": "pump.faults", "per": "pump.strokes", "warning": {"enter": "> 1%"}},
                "often": {"metric": "tank.mode", "operator": "changes", "window": 600, "warning": {"enter": "> 3"}},
            }
        )
    }
    assert found == {"soon": 36 * 3600.0, "worn": 0.01, "often": 3.0}


def test_the_unit_that_is_told_is_that_of_what_was_compared():
    (rule,) = made({"it": {"metric": "tank.percent", "warning": {"enter": "> 90% or spare_bytes < 1GiB"}}})
    assert rule.unit("") is Unit.PERCENT
    assert rule.unit("spare_bytes") is Unit.BYTES


def test_causes_come_before_what_they_silence_whatever_the_order_of_the_files():
    names = [rule.name for rule in RULES]
    for rule in RULES:
        for other in rule.inhibits:
            assert names.index(rule.name) < names.index(other)


# Faults

LIMIT = {"metric": "tank.percent", "from": 1, "to": 2, "else": 3}
BAD: list[tuple[str, Any, str]] = [
    ("warning", "> 90%", "warning: expected a table of enter, clear, hold, found > 90%"),
    ("warning", {}, 'warning.enter: expected a comparison like "> 90%", found nothing'),
    ("warning", {"enter": 90}, 'warning.enter: expected a comparison like "> 90%", found 90'),
    ("warning", {"enter": "90%"}, 'warning.enter: expected a comparison like "> 90%" or "'),
    ("warning", {"enter": "> much"}, "warning.enter: expected a number or, like 75%, with its unit, found much"),
    ("warning", {"enter": "> 20GiB"}, "warning.enter: expected a number or, like 75%, with its unit, found 20GiB"),
    ("warning", {"enter": "> nan"}, "warning.enter: expected a number or, like 75%, with its unit, found nan"),
    ("warning", {"enter": "> 1e999"}, "warning.enter: expected a number or, like 75%, with its unit, found 1e999"),
    ("warning", {"enter": "spare_bytes < 5min"}, 'warning.enter: expected a size like "20GiB", found 5min'),
    ("warning", {"enter": "none > 5"}, "warning.enter: expected a metric of one value that is no counter"),
    ("warning", {"enter": "pump.speed > 5"}, "warning.enter: expected a metric of tank or of a family"),
    ("warning", {"enter": "pump.problem == x"}, "warning.enter: expected a metric of tank or of a family"),
    ("warning", {"enter": "mode > on"}, "warning.enter: expected == or != before a word, found mode > on"),
    ("warning", {"enter": "dry < true"}, "warning.enter: expected == or != before a flag, found dry < true"),
    ("warning", {"enter": "dry == 1"}, "warning.enter: expected true or false, found 1"),
    ("warning", {"enter": "> 1 and > 2 or > 3"}, "warning.enter: expected bounds joined by `and` alone"),
    ("warning", {"enter": "> limit - 5"}, "warning.enter: expected a quantity, or the key `limit`"),
    ("warning", WARNING | {"clear": "< 95%"}, "warning.clear: expected what can't be so while it is > 90%"),
    ("warning", WARNING | {"clear": "> 80%"}, "warning.clear: expected what can't be so while it is > 90%"),
    ("warning", WARNING | {"hold": "soon"}, 'warning.hold: expected a duration like "5min", found soon'),
    ("warning", WARNING | {"hold": -1}, 'warning.hold: expected a duration like "5min", found -1'),
    ("warning", WARNING | {"hold": True}, 'warning.hold: expected a duration like "5min", found true'),
    ("warning", WARNING | {"hold": float("inf")}, 'warning.hold: expected a duration like "5min", found inf'),
    ("warning", WARNING | {"until": 5}, "warning.until: expected one of enter, clear, hold, found an unknown key"),
    ("clear_after", "5 minutes", 'clear_after: expected a duration like "5min", found 5 minutes'),
    ("grace", [], 'grace: expected a duration like "5min", found a list of 0'),
    ("enabled", "no", "enabled: expected true or false, found no"),
    ("summary", 5, "summary: expected a text, found 5"),
    ("metric", [], "metric: expected a metric, like memory.percent, found nothing"),
    ("metric", 5, "metric: expected a text or a list of texts, found 5"),
    ("metric", "percent", "metric: expected a metric of pump, slow, tank, found percent"),
    ("metric", "tank.none", "metric: expected a metric of one value that is no counter"),
    ("metric", ["tank.percent", "tank.mode"], "metric: expected numbers, where several are added or divided"),
    ("per", "tank.dry", "metric: expected numbers, where several are added or divided, found tank.percent"),
    ("operator", "median", "operator: expected one of mean, increase, changes, episodes, turned, lost,"),
    ("operator", "mean", 'window: expected a duration like "10min" for the operator mean, found nothing'),
    ("operator", "turned", "operator: expected a metric that is a flag for turned, found tank.percent"),
    ("where", "all", "where: expected a table of patterns by field, found all"),
    ("where", {"mode": 5}, "where.mode: expected a text or a list of texts, found 5"),
    ("where", {"pump.kind": "x"}, "where.pump.kind: expected a metric of tank or of a family"),
    ("requires", "tank.none", "requires: expected a metric of one value that is no counter"),
    ("inhibits", "none", "inhibits: expected one of full, found none"),
    ("inhibits", "full", "inhibits: expected rules that do not inhibit this one, found full"),
    ("who", "disk", "who: expected one of cpu, memory, io, found disk"),
    ("limit", {"metric": "tank.percent"}, "limit: expected a table of metric, from, to, else, found a table"),
    ("limit", {"metric": "tank.mode", "from": 1, "to": 2, "else": 3}, "limit: expected a metric and three numbers"),
    ("limit", LIMIT | {"else": 10**400}, "limit: expected a metric and three numbers"),
    ("limit", LIMIT | {"else": math.nan}, "limit: expected a metric and three numbers"),
    ("warning", {"enter": "> 1" + " " * 60_000 + "x"}, "warning.enter: expected at most 200 characters"),
    ("warning", {"enter": " or ".join(["> 1"] * 9000)}, "warning.enter: expected at most 200 characters"),
    ("colour", "red", "colour: expected one of enabled, summary, why, remedy, metric,"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "expected"), BAD, ids=[f"{key}-{str(value)[:30]}" for key, value, _ in BAD])
def test_a_fault_is_said_with_file_rule_key_and_what_was_expected(key, value, expected):
    found = faults({"full": FULL | {key: value}})
    assert len(found) == 1, found
    assert found[0].replace("'", "").startswith(f"0.toml: rules.full.{expected}".replace("'", ""))
    assert "\n" not in found[0]


def test_all_faults_of_all_rules_are_said_at_once():
    table = {
        "full": FULL | {"enabled": 1, "grace": "x", "warning": {"enter": "> x", "hold": "y"}},
        "Bad": FULL,
        "odd": 5,
        "none": {},
        "empty": {"metric": "tank.percent"},
    }
    found = faults(table)
    assert [fault.split(": ")[1] for fault in found] == [
        "rules.full.enabled",
        "rules.full.warning.enter",
        "rules.full.warning.hold",
        "rules.full.grace",
        "rules.Bad",
        "rules.odd",
        "rules.none.metric",
        "rules.empty",
    ]


def test_the_file_that_is_named_is_the_one_with_the_fault():
    found = faults({"full": FULL}, {"full": {"warning": {"hold": "x"}}}, {"full": {"grace": "y", "summary": "z"}})
    assert [fault.split(": rules")[0] for fault in found] == ["1.toml", "2.toml"]


SHARE = {"operator": "share", "window": "10min", "per": "tank.spare_bytes"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"operator": "share", "window": "10min"}, "per: expected what share is of, found nothing"),
        (SHARE | {"window": 0}, 'window: expected a duration like "10min" for the operator share, found nothing'),
        (SHARE | {"least": -1}, "least: expected a number that is not below zero, found -1"),
        (SHARE | {"least": "many"}, "least: expected a number that is not below zero, found 'many'"),
        (SHARE | {"least": True}, "least: expected a number that is not below zero, found true"),
        ({"least": 5}, "least: expected the operator share with it, found none"),
        ({"least": 5, "operator": "mean", "window": 5}, "least: expected the operator share with it, found mean"),
    ],
)
def test_a_share_has_a_whole_and_a_window_and_it_alone_can_be_of_too_little(table, expected):
    (fault,) = faults({"full": FULL | table})
    assert fault.replace("'", "") == f"0.toml: rules.full.{expected}".replace("'", "")


def test_a_share_of_too_little_has_no_condition():
    """One in ten of the strokes fails, of which there are 100 within some 11 minutes."""
    share = {"metric": "pump.faults", "per": "pump.strokes", "operator": "share", "window": "10min", "clear_after": 0}
    share["warning"] = {"enter": "> 5%"}
    machine = Machine({"all": share, "enough": share | {"least": 90}, "few": share | {"least": 110}})
    machine.set(Pump, "p", faults=0.016, strokes=0.16).look()
    machine.pass_(1800)
    assert [told[1:] for told in machine.told] == [("all@p", "ok", "warning"), ("enough@p", "ok", "warning")]
    machine.restart()
    machine.set(Pump, "p", faults=0.0)
    assert [told[1] for told in machine.pass_(900)] == ["all@p", "enough@p"]


def test_a_circle_of_causes_is_a_fault_of_each():
    tables = {name: FULL | {"inhibits": other} for name, other in (("a", "b"), ("b", "c"), ("c", "a"))}
    assert len(faults(tables)) == 3


def test_a_counter_is_no_metric_to_judge():
    # A recording has it in snapshots alone: a replay would judge otherwise.
    with pytest.raises(RuleError, match=r"rules\.it\.metric: expected a metric of one value that is no counter"):
        real(it={"metric": "network.rx_bytes", "warning": {"enter": "> 5GiB"}})


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["> 5", "tank.percent"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["enter", "clear", "hold", "x"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["full", "b", "C"]),
        JUNK
        | st.dictionaries(st.sampled_from(sorted(FULL)), JUNK)
        | st.fixed_dictionaries(
            {"metric": JUNK, "warning": JUNK, "where": JUNK, "limit": JUNK, "inhibits": JUNK, "operator": JUNK}
        ),
    )
)
def test_whatever_is_written_is_read_or_said_to_be_at_fault(table):
    try:
        found = rules(FAMILIES, [("it", table)])
    except RuleError as error:
        found = ()
        said = error.faults
    else:
        said = ()
    assert found or said or not any(each.get("enabled", True) for each in table.values())
    machine = Machine(found).set(Tank, percent=5.0).set(Pump, "x", speed=1.0)
    machine.look()


def test_a_limit_is_for_numbers_alone():
    table = {"metric": "tank.mode", "limit": LIMIT, "warning": {"enter": "== limit - abc"}}
    (fault,) = faults({"word": table})
    assert fault.startswith("0.toml: rules.word.warning.enter: expected a word or a flag: a limit is a number, found ")


def test_names_that_would_begin_a_line_or_move_a_cursor_are_shown_escaped():
    for table in ({"a\nb": FULL}, {"full": FULL | {"k\x1b[2J": 1}}, {"full": FULL | {"where": {"a\nb": "x"}}}):
        assert all(fault.isprintable() for fault in faults(table))


def test_tables_however_deep_are_faults():
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert faults({"full": FULL | {"where": deep}})
    assert faults({"full": deep})
