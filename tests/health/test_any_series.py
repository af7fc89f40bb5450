"""Whatever is observed: no hold is skipped, nothing oscillates, and a run that is cut anywhere goes on as it was."""

from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import START, Machine, Pump, Tank, recorded

HOLD, CLEAR_AFTER = 20.0, 30.0
RULES: dict[str, Any] = {
    "full": {
        "metric": "tank.percent",
        "clear_after": "30s",
        "inhibits": ["fast"],
        "warning": {"enter": "> 80%", "clear": "< 70%", "hold": "20s"},
        "critical": {"enter": "> 95% or spare_bytes < 1GiB", "clear": "< 90% and spare_bytes > 2GiB", "hold": "10s"},
    },
    "mean": {
        "metric": "tank.percent",
        "operator": "mean",
        "window": "1min",
        "clear_after": "5s",
        "warning": {"enter": "> 80%", "clear": "< 70%"},
    },
    "spills": {
        "metric": "tank.spills",
        "operator": "increase",
        "window": "40s",
        "clear_after": "0s",
        "warning": {"enter": ">= 1"},
        "critical": {"enter": ">= 3"},
    },
    "soon": {
        "metric": "tank.spare_bytes",
        "operator": "seconds_to_limit",
        "window": "50s",
        "warning": {"enter": "< 5min and percent > 10%", "clear": "> 10min", "hold": "10s"},
    },
    "dry": {"metric": "tank.dry", "operator": "turned", "critical": {"enter": "== true"}},
    "moody": {
        "metric": "tank.mode",
        "operator": "changes",
        "window": "50s",
        "clear_after": "0s",
        "warning": {"enter": ">= 2"},
    },
    "fast": {
        "metric": "pump.speed",
        "where": {"kind": "!small"},
        "grace": "3min",
        "clear_after": "10s",
        "warning": {"enter": "> 5", "hold": "15s"},
    },
    "still": {"metric": "pump.running", "operator": "lost", "warning": {"enter": "== true", "hold": "5s"}},
    "gone": {"metric": "pump.problem", "inhibits": ["fast"], "warning": {"enter": "== failed", "hold": "5s"}},
    "worn": {
        "metric": "pump.faults",
        "per": "pump.strokes",
        "unless": "tank.mode",
        "warning": {"enter": "> 1%", "hold": "10s"},
    },
}


class Step(NamedTuple):
    """What a machine does, and for how many looks it stays so."""

    looks: int
    percent: float | None
    spare: int | None
    spills: int
    mode: str | None
    dry: bool | None
    speed: float | None
    kind: str
    running: bool | None
    pumps: int
    failing: str
    asleep: float


STEPS = st.lists(
    st.builds(
        Step,
        looks=st.integers(1, 8),
        percent=st.sampled_from([5.0, 69.0, 75.0, 85.0, 93.0, 96.0, None]),
        spare=st.sampled_from([2**29, 2**30, 2**31, 2**32, 2**40, None]),
        spills=st.sampled_from([0, 1, 2, 7]),
        mode=st.sampled_from(["on", "off", None]),
        dry=st.sampled_from([False, False, True, None]),
        speed=st.sampled_from([1.0, 6.0, None]),
        kind=st.sampled_from(["big", "small"]),
        running=st.sampled_from([True, True, False, None]),
        pumps=st.integers(0, 2),
        failing=st.sampled_from(["", "", "", "tank", "pump", "unsupported"]),
        asleep=st.sampled_from([0.0, 0.0, 0.0, 3.0, 12.0, 3600.0]),
    ),
    min_size=1,
    max_size=15,
)


def act(machine: Machine, step: Step) -> None:
    """Change a machine as a step says."""
    fields = {"percent": step.percent, "spare_bytes": step.spare, "mode": step.mode, "dry": step.dry}
    machine.set(Tank, **fields, spills=step.spills)
    for pump in ("x", "y")[: step.pumps]:
        machine.set(Pump, pump, speed=step.speed, kind=step.kind, running=step.running, faults=1.0, strokes=step.speed)
    for pump in ("x", "y")[step.pumps :]:
        if pump in machine.entries.get("pump", {}):
            machine.drop(Pump, pump)
    if step.failing in ("tank", "unsupported"):
        machine.fail(Tank, problem="failed" if step.failing == "tank" else step.failing)
    if step.failing == "pump" and step.pumps:
        machine.fail(Pump, "x")
    machine.sleep(step.asleep)


class Seen(NamedTuple):
    """One look at one tank."""

    clock: float
    percent: float | None
    on: tuple[bool, ...]


def watched(steps: list[Step]) -> list[list[Seen]]:
    """Return what was seen of the tank, one list for each time that there was a condition of it."""
    machine, found = Machine(RULES, since_boot=100.0), [[]]
    for step in steps:
        act(machine, step)
        for _ in range(step.looks):
            machine.pass_(5)
            entry = machine.entries["tank"][""]
            state = machine.states.states["full"].get("")
            if state is None:
                found.append([])
            else:
                # What is known of it may not be enough to tell.
                percent = entry.reading.percent if state.blind_since is None else None
                found[-1].append(Seen(machine.states.clock, percent, state.on))
    return found


@settings(max_examples=80)
@given(STEPS)
def test_no_level_comes_before_its_hold_nor_goes_before_it_was_clear_for_long_enough(steps):
    for seen in watched(steps):
        for index, now in enumerate(seen):
            was_on = seen[index - 1].on[0] if index else False
            if was_on == now.on[0]:
                continue
            run = unbroken(seen[: index + 1], full=now.on[0])
            known = [look for look in run if look.percent is not None]
            watched_for, unseen = now.clock - known[0].clock, 5.0 * (len(run) - len(known))
            if now.on[0]:
                assert watched_for >= HOLD
                assert unseen <= 0.2 * watched_for
            else:
                assert watched_for - unseen >= CLEAR_AFTER


def unbroken(seen: list[Seen], *, full: bool) -> list[Seen]:
    """Return the last looks that all saw the tank full, or clear, or nothing; the first one saw something."""
    run: list[Seen] = []
    for look in reversed(seen):
        if look.percent is not None and not (look.percent > 80.0 if full else look.percent < 70.0):
            break
        run.insert(0, look)
    while run[0].percent is None:
        run.pop(0)
    return run


@settings(max_examples=80)
@given(STEPS)
def test_nothing_comes_and_goes_within_one_hold(steps):
    for seen in watched(steps):
        turns = [now for before, now in pairwise(seen) if before.on[0] != now.on[0]]
        for early, late in pairwise(turns):
            assert late.clock - early.clock >= (CLEAR_AFTER if early.on[0] else HOLD)


@settings(max_examples=80)
@given(STEPS, st.data())
def test_a_run_that_is_cut_anywhere_goes_on_as_it_was(steps, data):
    whole, cut = Machine(RULES, since_boot=100.0), Machine(RULES, since_boot=100.0)
    cuts = data.draw(st.sets(st.integers(0, sum(step.looks for step in steps)), max_size=4))
    looks = 0
    for step in steps:
        act(whole, step)
        act(cut, step)
        for _ in range(step.looks):
            if looks in cuts:
                cut.restart()
            looks += 1
            assert cut.pass_(5) == whole.pass_(5)
            assert cut.states.report == whole.states.report
    assert recorded(cut.states) == recorded(whole.states)


@settings(max_examples=40)
@given(STEPS, st.lists(st.floats(0.0, 0.1), min_size=130, max_size=130))
def test_what_each_sample_is_late_by_decides_nothing(steps, late):
    punctual, tardy = Machine(RULES, since_boot=100.0), Machine(RULES, since_boot=100.0)
    for step in steps:
        act(punctual, step)
        act(tardy, step)
        for _ in range(step.looks):
            told = punctual.pass_(5)
            tardy.since_boot = punctual.since_boot + late[0]
            late = [*late[1:], late[0]]
            assert [each[1:] for each in tardy.look()] == [each[1:] for each in told]


@settings(max_examples=80)
@given(STEPS)
def test_what_is_left_alone_as_it_did_not_change_is_as_if_it_were_looked_at(steps):
    spared, eager = Machine(RULES, since_boot=100.0), Machine(RULES, since_boot=100.0)
    eager.rules = tuple([rule._replace(looks_at=lambda _: object()) for rule in eager.rules])
    for step in steps:
        act(spared, step)
        act(eager, step)
        for _ in range(step.looks):
            assert spared.pass_(5) == eager.pass_(5)
            assert spared.states.report == eager.states.report
    assert recorded(spared.states) == recorded(eager.states)


@settings(max_examples=80)
@given(STEPS)
def test_each_transition_goes_on_from_the_one_before_and_says_something_new(steps):
    machine = Machine(RULES, since_boot=100.0)
    severities: dict[str, str] = {}
    for step in steps:
        act(machine, step)
        for _ in range(step.looks):
            for _, name, before, after in machine.pass_(5):
                assert severities.get(name, "ok") == before != after
                severities[name] = after
            assert {name for name, severity in severities.items() if severity != "ok"} == {
                f"{rule}@{instance}" if instance else rule for rule, instance in machine.states.present
            }
            assert machine.states.report.since <= START + machine.since_boot
