"""How a condition comes, stays and goes: one property each, on a clock that the test winds."""

from math import inf

import pytest
from scripted import START, Machine, Pump, Slow, Tank

from healthd.health.evaluator import acknowledged

FULL = {"metric": "tank.percent", "warning": {"enter": "> 90%", "clear": "< 80%", "hold": "60s"}}
TWO = {
    "metric": "tank.percent",
    "warning": {"enter": "> 80%", "clear": "< 70%", "hold": "60s"},
    "critical": {"enter": "> 95%", "clear": "< 90%", "hold": "15s"},
}
FAST = {"metric": "tank.percent", "clear_after": "10s", "warning": {"enter": "> 90%", "clear": "< 80%"}}


def tank(rule, percent=50.0, **options) -> Machine:
    """Return a machine of one tank, judged by one rule, looked at once."""
    machine = Machine({"full": rule}, **options).set(Tank, percent=percent)
    machine.look()
    return machine


def come(machine: Machine, percent: float = 95.0) -> Machine:
    """Let the condition come."""
    machine.set(Tank, percent=percent).pass_(120)
    assert machine.severity("full") == "warning"
    machine.told.clear()
    return machine


# Hold


def test_it_comes_when_it_was_so_for_the_hold_and_is_told_once():
    machine = tank(FULL)
    machine.set(Tank, percent=95.0).pass_(600)
    assert machine.told == [(65.0, "full", "ok", "warning")]
    assert machine.health.severity == "warning"
    assert machine.health.reasons == ("full",)


def test_one_good_value_and_the_hold_begins_anew():
    machine = tank(FULL)
    machine.set(Tank, percent=95.0).pass_(60)
    machine.set(Tank, percent=90.0).pass_(5)
    assert machine.set(Tank, percent=95.0).pass_(60) == []
    assert machine.pass_(5) == [(130.0, "full", "ok", "warning")]


def test_without_a_hold_it_comes_at_once():
    machine = tank(FAST)
    assert machine.set(Tank, percent=95.0).pass_(5) == [(5.0, "full", "ok", "warning")]


def test_a_value_that_does_not_change_is_looked_at_when_its_time_has_come_and_not_before():
    machine = tank(FULL)
    machine.set(Tank, percent=95.0).pass_(5)
    pending = machine.state("full")
    machine.pass_(55)
    assert machine.state("full") is pending
    machine.pass_(5)
    assert machine.severity("full") == "warning"


@pytest.mark.parametrize("interval", [0.25, 0.3, 1.0, 5.0, 7.0, 30.0, 45.0, 90.0])
def test_whatever_the_interval_it_comes_after_its_hold_and_at_most_one_interval(interval):
    machine = tank(FULL, interval=interval)
    machine.set(Tank, percent=95.0).pass_(interval)
    begun = machine.now
    machine.pass_(300)
    (told,) = machine.told
    assert 60.0 <= round(told[0] - begun, 6) <= 60.0 + interval


def test_an_interval_that_changes_shortens_no_hold():
    machine = tank(FULL, percent=95.0)
    machine.pass_(30)
    machine.interval = 1.0
    machine.pass_(20)
    machine.interval = 10.0
    assert machine.told == []
    machine.pass_(10)
    assert machine.told == [(60.0, "full", "ok", "warning")]


def test_the_hold_is_over_at_the_same_sample_however_late_each_one_is():
    late, punctual = (tank(FULL).set(Tank, percent=95.0) for _ in "ab")
    for number in range(20):
        late.since_boot = 10000.0 + 5 * number + (0.011 * number) % 0.05
        late.look()
        punctual.since_boot = 10000.0 + 5 * number
        punctual.look()
    assert [told[0] // 5 for told in late.told] == [told[0] // 5 for told in punctual.told] == [12]


# Hysteresis


def test_between_the_thresholds_it_stays_what_it_is():
    machine = tank(FULL)
    assert machine.set(Tank, percent=85.0).pass_(600) == []
    come(machine)
    assert machine.set(Tank, percent=85.0).pass_(6000) == []
    assert machine.severity("full") == "warning"


def test_it_is_over_after_five_minutes_below():
    machine = come(tank(FULL))
    assert machine.set(Tank, percent=79.0).pass_(300) == []
    assert machine.pass_(5) == [(425.0, "full", "warning", "ok")]
    assert machine.health.severity == "ok"
    assert machine.health.reasons == ()


def test_a_moment_above_and_the_time_to_be_clear_begins_anew():
    machine = come(tank(FULL))
    machine.set(Tank, percent=79.0).pass_(300)
    machine.set(Tank, percent=80.0).pass_(5)
    assert machine.set(Tank, percent=79.0).pass_(300) == []
    assert len(machine.pass_(5)) == 1


def test_the_time_to_be_clear_is_the_rules_own_where_it_says_one():
    machine = tank(FAST)
    machine.set(Tank, percent=95.0).pass_(5)
    machine.set(Tank, percent=10.0).pass_(10)
    assert machine.severity("full") == "warning"
    assert machine.pass_(5) == [(20.0, "full", "warning", "ok")]


def test_without_a_threshold_to_clear_it_is_the_opposite():
    machine = tank({"metric": "tank.percent", "clear_after": "0s", "warning": {"enter": "> 90%"}})
    machine.set(Tank, percent=90.1).pass_(5)
    machine.set(Tank, percent=90.0).pass_(5)
    assert [told[2:] for told in machine.told] == [("ok", "warning"), ("warning", "ok")]


# Levels


def test_the_worst_level_that_holds_is_the_severity():
    machine = tank(TWO)
    machine.set(Tank, percent=99.0).pass_(20)
    assert machine.told == [(20.0, "full", "ok", "critical")]
    machine.pass_(100)
    machine.set(Tank, percent=85.0).pass_(305)
    assert machine.told[1:] == [(425.0, "full", "critical", "warning")]
    machine.set(Tank, percent=10.0).pass_(305)
    assert machine.told[2:] == [(730.0, "full", "warning", "ok")]


def test_a_notice_is_told_and_does_not_make_the_host_anything():
    machine = tank({"metric": "tank.percent", "notice": {"enter": "> 90%"}})
    assert machine.set(Tank, percent=95.0).pass_(5) == [(5.0, "full", "ok", "notice")]
    assert machine.health.severity == "ok"
    assert machine.health.reasons == ()


def test_the_host_is_as_bad_as_the_worst_and_says_all_reasons_the_worst_first():
    rules = {
        "a": {"metric": "pump.speed", "warning": {"enter": "> 5"}},
        "b": {"metric": "pump.speed", "critical": {"enter": "> 8"}},
    }
    machine = Machine(rules).set(Pump, "x", speed=6.0).set(Pump, "y", speed=9.0)
    machine.look()
    assert machine.health.severity == "critical"
    assert machine.health.reasons == ("b@y", "a@x", "a@y")


# Since, only transitions


def test_since_is_when_the_severity_came_and_stays_while_values_move():
    machine = tank(FULL)
    for step in range(40):
        machine.set(Tank, percent=91.0 + step % 5).pass_(5)
    assert machine.state("full").time == START + 10000.0 + 65.0
    assert machine.health.since == START + 10000.0 + 65.0
    assert machine.state("full").value == 95.0
    assert len(machine.told) == 1


def test_the_host_is_what_it_is_since_it_became_so_whatever_reasons_are_added():
    rules = {name: {"metric": "pump.speed", "warning": {"enter": f"> {least}"}} for name, least in (("a", 1), ("b", 5))}
    machine = Machine(rules).set(Pump, "x", speed=3.0)
    machine.look()
    since = machine.health.since
    machine.set(Pump, "x", speed=6.0).pass_(5)
    assert machine.health.reasons == ("a@x", "b@x")
    assert machine.health.since == since


def test_the_samples_that_decided_are_kept_the_first_and_the_last_among_them():
    machine = tank(FULL)
    for step in range(200):
        machine.set(Tank, percent=91.0 + step / 64).pass_(5)
    samples = machine.state("full").samples
    assert len(samples) <= 16
    assert samples[0] == (START + 10005.0, 91.0)
    assert samples[-1] == (START + 11000.0, 91.0 + 199 / 64)
    assert list(samples) == sorted(samples)


# The cause silences the symptom

INHIBITING = {
    "cause": {"metric": "tank.percent", "inhibits": ["symptom"], "warning": {"enter": "> 90%"}},
    "symptom": {"metric": "pump.speed", "warning": {"enter": "> 5", "hold": "10s"}},
}


def test_a_symptom_of_what_is_known_does_not_come():
    machine = Machine(INHIBITING).set(Tank, percent=95.0).set(Pump, "x", speed=9.0)
    machine.look()
    machine.pass_(600)
    assert [told[1] for told in machine.told] == ["cause"]
    assert machine.health.reasons == ("cause",)


def test_a_symptom_that_was_there_first_stays_and_no_longer_counts():
    machine = Machine(INHIBITING).set(Tank, percent=5.0).set(Pump, "x", speed=9.0)
    machine.look()
    machine.pass_(60)
    assert machine.health.reasons == ("symptom@x",)
    machine.set(Tank, percent=95.0).pass_(5)
    assert machine.health.reasons == ("cause",)
    assert machine.state("symptom", "x").inhibited_by == "cause"
    machine.set(Tank, percent=5.0).pass_(305)
    assert machine.health.reasons == ("symptom@x",)
    assert machine.state("symptom", "x").inhibited_by == ""


def test_when_the_cause_is_over_the_symptom_comes_in_the_same_moment():
    machine = Machine(INHIBITING).set(Tank, percent=95.0).set(Pump, "x", speed=9.0)
    machine.look()
    machine.pass_(60)
    machine.told.clear()
    machine.set(Tank, percent=5.0).pass_(305)
    assert machine.told == [(365.0, "cause", "warning", "ok"), (365.0, "symptom@x", "ok", "warning")]


def test_a_cause_of_the_same_family_silences_its_own_instance_alone():
    machine = Machine(
        {
            "symptom": {"metric": "pump.speed", "warning": {"enter": "> 5"}},
            "cause": {"metric": "pump.running", "inhibits": ["symptom"], "warning": {"enter": "== false"}},
        }
    )
    machine.set(Pump, "x", speed=9.0, running=False).set(Pump, "y", speed=9.0, running=True)
    machine.look()
    assert machine.health.reasons == ("cause@x", "symptom@y")


def test_what_only_notices_silences_nothing():
    machine = Machine({**INHIBITING, "cause": {**INHIBITING["cause"], "enabled": False}, "hint": {
        "metric": "tank.percent", "inhibits": ["symptom"], "notice": {"enter": "> 90%"},
    }})  # fmt: skip
    machine.set(Tank, percent=95.0).set(Pump, "x", speed=9.0)
    machine.look()
    machine.pass_(60)
    assert machine.health.reasons == ("symptom@x",)


# Grace after boot


def test_in_the_grace_after_boot_nothing_is_judged_and_then_the_hold_begins():
    machine = tank({**FULL, "grace": "3min"}, percent=95.0, since_boot=20.0)
    assert machine.severity("full") is None
    machine.pass_(600)
    assert machine.told == [(160.0 + 60.0, "full", "ok", "warning")]


def test_another_boot_ends_what_needs_a_grace_and_leaves_the_rest_to_be_clear_first():
    machine = Machine({"graced": {**FULL, "grace": "3min"}, "plain": FULL}).set(Tank, percent=95.0)
    machine.look()
    machine.pass_(120)
    assert machine.health.reasons == ("graced", "plain")
    machine.restart()
    machine.reboot()
    machine.set(Tank, percent=5.0).look()
    assert machine.told[2:] == [(120.0, "graced", "warning", "ok")]
    machine.pass_(300)
    assert machine.told[3:] == [(420.0, "plain", "warning", "ok")]


def test_the_time_of_one_boot_says_nothing_about_the_next():
    machine = tank(FULL, percent=95.0)
    machine.pass_(55)
    machine.restart()
    machine.reboot()
    machine.sleep(10010.0)
    machine.look()
    assert machine.severity("full") == "ok"
    assert machine.pass_(5)[0][1:] == ("full", "ok", "warning")


# Unknown


def test_what_gives_no_value_for_two_cadences_is_unknown_until_it_does():
    machine = tank(FULL)
    machine.fail(Tank).pass_(5)
    assert machine.pass_(5) == []
    assert machine.pass_(5) == [(15.0, "full", "ok", "unknown")]
    assert machine.health.severity == "unknown"
    assert machine.pass_(600) == []
    assert machine.set(Tank, percent=5.0).pass_(5) == [(620.0, "full", "unknown", "ok")]


def test_the_cadence_is_that_of_the_family():
    machine = Machine({"full": {"metric": "slow.level", "warning": {"enter": "> 5"}}}).set(Slow, "x", level=1.0)
    machine.look()
    machine.fail(Slow, "x").pass_(60)
    assert machine.told == []
    machine.pass_(5)
    assert machine.told == [(65.0, "full@x", "ok", "unknown")]


def test_a_value_that_is_stale_is_none():
    machine = come(tank(FULL))
    machine.fail(Tank, problem="timeout").pass_(15)
    assert machine.told == [(135.0, "full", "warning", "unknown")]


def test_a_value_that_is_unknown_though_the_rest_is_there_is_unknown():
    machine = tank(FULL)
    machine.set(Tank, percent=None).pass_(15)
    assert machine.told == [(15.0, "full", "ok", "unknown")]


def test_what_never_had_a_value_has_no_condition():
    machine = Machine({"full": FULL}).set(Tank, percent=None)
    machine.look()
    machine.pass_(600)
    assert machine.severity("full") is None
    assert machine.health.severity == "ok"


def test_a_family_of_one_that_fails_from_the_start_is_unknown():
    machine = Machine({"full": FULL}).fail(Tank)
    machine.look()
    machine.pass_(600)
    assert machine.told == [(10.0, "full", "ok", "unknown")]


def test_what_this_machine_does_not_have_has_no_condition():
    machine = Machine({"full": FULL}).fail(Tank, problem="unsupported")
    machine.look()
    machine.pass_(600)
    assert machine.severity("full") is None
    machine = come(tank(FULL))
    assert machine.fail(Tank, problem="unsupported").pass_(5) == [(125.0, "full", "warning", "ok")]
    assert machine.severity("full") is None


def test_what_counts_beside_the_value_and_is_unknown_leaves_it_unknown():
    machine = tank({"metric": "tank.percent", "warning": {"enter": "> 90% and spare_bytes < 1GiB", "hold": "60s"}})
    machine.set(Tank, percent=95.0).pass_(15)
    assert machine.told == [(15.0, "full", "ok", "unknown")]
    machine.set(Tank, percent=89.0).pass_(5)
    assert machine.told[1:] == [(20.0, "full", "unknown", "ok")]


def test_while_it_builds_up_most_of_the_time_must_be_seen():
    machine = tank(FULL)
    machine.set(Tank, percent=95.0).pass_(5)
    # Ten of the first twenty seconds are not seen: of 50 s, a fifth.
    for _ in range(2):
        machine.fail(Tank).pass_(5)
        machine.set(Tank, percent=95.0).pass_(5)
    machine.pass_(100)
    assert machine.told == [(65.0, "full", "ok", "warning")]


def test_it_is_unknown_while_too_little_of_what_builds_up_was_seen():
    machine = tank(FULL)
    machine.set(Tank, percent=95.0).pass_(5)
    for _ in range(4):
        machine.fail(Tank).pass_(5)
        machine.set(Tank, percent=95.0).pass_(5)
    machine.pass_(200)
    assert machine.told == [(65.0, "full", "ok", "unknown"), (105.0, "full", "unknown", "warning")]


def test_what_was_not_seen_before_it_began_is_not_missed():
    machine = tank(FULL)
    machine.fail(Tank).pass_(600)
    machine.set(Tank, percent=95.0).pass_(65)
    assert machine.told[-1] == (665.0, "full", "ok", "warning")


def test_time_without_a_value_is_no_time_of_being_clear():
    machine = come(tank(FULL))
    machine.set(Tank, percent=5.0).pass_(100)
    machine.fail(Tank).pass_(100)
    machine.set(Tank, percent=5.0).pass_(5)
    assert machine.severity("full") == "warning"
    machine.pass_(195)
    assert machine.severity("full") == "warning"
    machine.pass_(5)
    assert machine.severity("full") == "ok"


def test_what_is_unavailable_by_a_known_cause_is_not_unknown_besides():
    machine = Machine(
        {
            "full": {"metric": "slow.level", "warning": {"enter": "> 5"}},
            "gone": {"metric": "slow.problem", "inhibits": ["full"], "warning": {"enter": "== timeout", "hold": "30s"}},
        }
    )
    machine.set(Slow, "x", level=1.0).set(Slow, "y", level=1.0)
    machine.look()
    machine.fail(Slow, "x", problem="timeout").fail(Slow, "y").pass_(600)
    assert machine.told == [(35.0, "gone@x", "ok", "warning"), (65.0, "full@y", "ok", "unknown")]
    assert machine.health.reasons == ("gone@x", "full@y")


# Instances


def test_an_instance_that_goes_takes_its_condition_along():
    machine = Machine({"fast": {"metric": "pump.speed", "warning": {"enter": "> 5"}}})
    machine.set(Pump, "x", speed=9.0).set(Pump, "y", speed=9.0)
    machine.look()
    machine.told.clear()
    assert machine.drop(Pump, "x").pass_(5) == [(5.0, "fast@x", "warning", "ok")]
    assert machine.health.reasons == ("fast@y",)
    assert machine.severity("fast", "x") is None
    machine.entries.pop("pump")
    assert machine.pass_(5) == [(10.0, "fast@y", "warning", "ok")]


def test_a_rule_that_is_not_meant_for_an_instance_any_longer_has_no_condition_of_it():
    machine = Machine({"fast": {"metric": "pump.speed", "where": {"kind": "big*"}, "warning": {"enter": "> 5"}}})
    machine.set(Pump, "x", speed=9.0, kind="bigger").set(Pump, "y", speed=9.0, kind="small")
    assert machine.look() == [(0.0, "fast@x", "ok", "warning")]
    assert machine.set(Pump, "x", kind="small").pass_(5) == [(5.0, "fast@x", "warning", "ok")]
    assert machine.states.states["fast"] == {}


def test_a_fact_of_another_family_says_where_a_rule_holds():
    machine = Machine(
        {
            "dry": {"metric": "pump.speed", "where": {"tank.mode": ["!off", "!idle"]}, "warning": {"enter": "> 5"}},
            "needs": {"metric": "pump.speed", "requires": "tank.percent", "warning": {"enter": "> 5"}},
            "instead": {"metric": "pump.speed", "unless": "tank.percent", "warning": {"enter": "> 5"}},
        }
    )
    machine.set(Tank, mode="idle").set(Pump, "x", speed=9.0)
    machine.look()
    assert machine.health.reasons == ("instead@x",)
    machine.set(Tank, mode="on", percent=1.0).pass_(5)
    assert machine.health.reasons == ("dry@x", "needs@x")
    machine.fail(Tank).pass_(5)
    assert "instead@x" in machine.health.reasons
    assert "needs@x" not in machine.health.reasons


# Flapping


def flap(machine: Machine, quiet: float = 0.0) -> float:
    """Let it come, and be clear; return how long it took to be over, and be quiet for a while."""
    machine.set(Tank, percent=95.0).pass_(5)
    assert machine.severity("full") == "warning"
    machine.set(Tank, percent=5.0)
    begun = machine.now
    while machine.severity("full") != "ok":
        machine.pass_(5)
    took = machine.now - begun - 5.0
    machine.pass_(quiet)
    return took


def test_what_is_back_within_half_an_hour_clears_half_as_fast_again_each_time_up_to_an_hour():
    machine = tank({**FAST, "clear_after": "10min"})
    took = [flap(machine, 60.0) for _ in range(7)]
    assert took == [600.0, 900.0, 1350.0, 2025.0, 3040.0, 3600.0, 3600.0]


def test_what_is_back_later_clears_as_at_first():
    machine = tank({**FAST, "clear_after": "10min"})
    assert flap(machine) == 600.0
    assert flap(machine, 1790.0) == 900.0
    assert flap(machine, 1800.0) == 1350.0
    assert flap(machine) == 600.0


def test_a_time_to_be_clear_that_is_longer_than_an_hour_stays_what_it_is():
    machine = tank({**FAST, "clear_after": "2h"})
    assert [flap(machine) for _ in range(2)] == [7200.0, 7200.0]


def test_not_to_be_known_for_a_while_is_no_return():
    machine = tank({**FAST, "clear_after": "10min"})
    machine.fail(Tank).pass_(60)
    machine.set(Tank, percent=5.0).pass_(60)
    assert [told[2:] for told in machine.told] == [("ok", "unknown"), ("unknown", "ok")]
    assert flap(machine) == 600.0


def test_flapping_for_years_is_no_overflow():
    machine = tank(FAST)
    machine.states = machine.states._replace(
        states={"full": {"": machine.state("full")._replace(returns=10**6, over=machine.states.clock)}}
    )
    assert flap(machine) == 3600.0


# Gaps


def test_time_in_which_the_machine_slept_counts_neither_for_the_hold_nor_for_being_clear():
    machine = tank(FULL, percent=95.0)
    machine.pass_(30)
    machine.sleep(8 * 3600)
    assert machine.pass_(25) == []
    assert machine.pass_(5)[0][1:] == ("full", "ok", "warning")
    machine.set(Tank, percent=5.0).pass_(100)
    machine.sleep(8 * 3600)
    assert machine.pass_(200) == []
    assert len(machine.pass_(5)) == 1


def test_the_clock_of_one_boot_that_goes_backwards_counts_as_nothing():
    machine = tank(FULL, percent=95.0)
    machine.pass_(30)
    machine.sleep(-20)
    machine.pass_(30)
    assert machine.severity("full") == "ok"
    machine.pass_(5)
    assert machine.severity("full") == "warning"


def test_time_in_which_healthd_did_not_run_does_not_count():
    machine = tank(FULL, percent=95.0)
    machine.pass_(30)
    machine.restart()
    machine.sleep(3600)
    assert machine.pass_(25) == []
    assert len(machine.pass_(5)) == 1


# Acknowledged


def acknowledge(machine: Machine, until: float = inf) -> Machine:
    machine.states = acknowledged(machine.states, ("full", ""), "anna", START + machine.since_boot, until)
    return machine


def test_what_somebody_has_taken_note_of_does_not_count_for_the_host():
    machine = acknowledge(come(tank(FULL)))
    assert machine.health.severity == "ok"
    assert machine.health.reasons == ()
    assert machine.severity("full") == "warning"
    machine.set(Tank, percent=99.0).pass_(600)
    assert machine.health.severity == "ok"
    assert machine.told == []


def test_it_ends_when_the_condition_is_over():
    machine = acknowledge(come(tank(FULL)))
    machine.set(Tank, percent=5.0).pass_(305)
    assert machine.state("full").acknowledged is None
    machine.set(Tank, percent=95.0).pass_(65)
    assert machine.health.severity == "warning"


def test_it_ends_when_the_condition_becomes_worse_and_not_when_it_becomes_better():
    machine = tank(TWO, percent=85.0)
    machine.pass_(65)
    acknowledge(machine).set(Tank, percent=99.0).pass_(20)
    assert machine.health.severity == "critical"
    acknowledge(machine).set(Tank, percent=85.0).pass_(305)
    assert machine.severity("full") == "warning"
    assert machine.health.severity == "ok"
    machine.set(Tank, percent=99.0).pass_(20)
    assert machine.severity("full") == "critical"
    assert machine.health.severity == "ok", "it is no worse than what was taken note of"


def test_it_ends_when_its_time_has_come_though_nothing_changes():
    machine = come(tank(FULL))
    acknowledge(machine, START + machine.since_boot + 60)
    machine.pass_(55)
    assert machine.health.severity == "ok"
    machine.pass_(5)
    assert machine.health.severity == "warning"
    assert machine.told == []


@pytest.mark.parametrize("key", [("full", ""), ("full", "x"), ("none", "")])
def test_what_is_not_there_or_ok_can_not_be_taken_note_of(key):
    with pytest.raises(KeyError):
        acknowledged(tank(FULL).states, key, "anna", START, inf)


# Work


def test_nothing_is_looked_at_that_did_not_change_where_no_time_can_have_run_out():
    rules = {
        "full": FULL,
        "mean": {"metric": "pump.speed", "operator": "mean", "window": "10min", "warning": {"enter": "> 5"}},
    }
    machine = Machine(rules).set(Tank, percent=50.0).set(Pump, "x", speed=1.0)
    machine.look()
    full, mean = machine.state("full"), machine.state("mean", "x")
    machine.pass_(25)
    assert machine.state("full") is full
    assert machine.state("mean", "x") is mean
    machine.pass_(5)
    assert machine.state("mean", "x") is not mean, "the window goes on"
    assert machine.state("full") is full


def test_a_metric_that_did_not_change_is_not_looked_at_for_another_of_the_same_reading():
    rules = {
        "full": FULL,
        "fast": {
            "metric": "pump.speed",
            "where": {"kind": "!small"},
            "limit": {"metric": "pump.strokes", "from": 1, "to": 9, "else": 5},
            "warning": {"enter": "> limit and faults > 1", "hold": "1h"},
        },
    }
    machine = Machine(rules).set(Tank, percent=95.0).set(Pump, "x", speed=6.0, faults=2.0, running=True)
    machine.pass_(100)
    full, fast = machine.state("full"), machine.state("fast", "x")
    assert (full.severity, fast.is_pending) == ("warning", True)
    machine.set(Tank, spills=7).set(Pump, "x", running=False).pass_(5)
    assert machine.state("full") is full
    assert machine.state("fast", "x") is fast
    for beside in ({"kind": "big"}, {"strokes": 3.0}, {"faults": 3.0}):
        machine.set(Pump, "x", **beside).pass_(5)
        assert machine.state("fast", "x") is not fast
        fast = machine.state("fast", "x")
    machine.set(Pump, "x", kind="small").pass_(5)
    assert machine.severity("fast", "x") is None
    machine.fail(Tank).pass_(5)
    assert machine.state("full") is not full


def test_what_an_operator_says_changes_by_time_alone():
    rule = {
        "metric": "tank.spills",
        "operator": "increase",
        "window": "10min",
        "clear_after": "0s",
        "warning": {"enter": ">= 1"},
    }
    machine = Machine({"full": rule}).set(Tank, spills=3)
    machine.look()
    machine.set(Tank, spills=4).pass_(1200)
    assert machine.told == [(5.0, "full", "ok", "warning"), (605.0, "full", "warning", "ok")]


def test_a_mean_comes_by_time_alone():
    rule = {
        "metric": "tank.percent",
        "operator": "mean",
        "window": "10min",
        "warning": {"enter": "> 90%", "clear": "< 75%"},
    }
    machine = Machine({"full": rule}).set(Tank, percent=95.0)
    machine.look()
    machine.pass_(1200)
    assert [told[1:] for told in machine.told] == [("full", "ok", "warning")]
    assert 480.0 <= machine.told[0][0] <= 510.0


def test_a_mean_of_which_too_little_was_seen_makes_what_holds_unknown():
    rule = {
        "metric": "tank.percent",
        "operator": "mean",
        "window": "10min",
        "warning": {"enter": "> 90%", "clear": "< 75%"},
    }
    machine = Machine({"full": rule}).set(Tank, percent=95.0)
    machine.look()
    machine.pass_(1200)
    machine.fail(Tank).pass_(300)
    machine.set(Tank, percent=95.0).pass_(30)
    assert machine.severity("full") == "unknown"
    machine.pass_(600)
    assert machine.severity("full") == "warning"


# Values that can't be


@pytest.mark.parametrize(
    "value", ["much", b"", (), (1.0,), {}, [], True, float("nan"), float("inf"), 10**400, -1e308, object()]
)
@pytest.mark.parametrize("operator", [None, "mean", "increase", "changes", "seconds_to_limit"])
def test_a_value_that_no_metric_can_have_is_unknown_and_never_an_error(value, operator):
    looked_at = {"operator": operator, "window": "10min"} if operator else {}
    rules = {
        "full": {
            "metric": "tank.percent",
            **looked_at,
            "warning": {"enter": "> 5" if operator != "seconds_to_limit" else "< 5h"},
        },
        "beside": {"metric": "tank.spills", "warning": {"enter": "> 5 or spare_bytes < 1GiB"}},
        "ratio": {"metric": ["tank.percent", "tank.spills"], "per": "tank.spare_bytes", "warning": {"enter": "> 1%"}},
        "word": {"metric": "tank.mode", "where": {"mode": "a*"}, "warning": {"enter": "== bad"}},
        "flag": {"metric": "tank.dry", "operator": "turned", "critical": {"enter": "== true"}},
    }
    wrong = {
        "percent": value,
        "spills": value,
        "spare_bytes": value,
        "mode": 5.0,
        "dry": value if value is not True else 1,
    }
    machine = Machine(rules).set(Tank, percent=4.0, spills=3, spare_bytes=2**40, mode="a", dry=False)
    machine.look()
    machine.set(Tank, **wrong).pass_(15)
    assert {machine.severity(name) for name in ("full", "beside", "ratio", "flag")} == {"unknown"}
    assert machine.severity("word") is None, "what is no word does not match"
    machine.restart()
    machine.set(Tank, percent=4.0, spills=3, spare_bytes=2**40, mode="a", dry=False).pass_(5)
    assert machine.health.severity == "ok"
