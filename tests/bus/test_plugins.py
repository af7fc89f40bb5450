"""A collector of another package is like one of healthd's own once it is enabled, and its faults stay with it."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from plugins import EXAMPLE, install, install_example
from private_bus import Bus, Healthd, eventually

from healthd import protocol

CALL = ("call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER)
RULE = """
[rules.laden]
summary = "There is much on the load cell."
metric = "loadcell.kilograms"
warning = { enter = "> 50" }
clear_after = "0s"
"""


class Rig:
    """A machine with a load cell, and healthd on it."""

    def __init__(self, bus: Bus, directory) -> None:
        self.bus = bus
        self.site = directory / "site"
        self.site.mkdir()
        self.cell = directory / "grams"
        self.cell.write_text("12345.6\n")
        self.config = directory / "healthd.toml"
        self.record = str(directory / "record")
        self.environment = {"PYTHONPATH": os.pathsep.join([str(self.site), *sys.path]), "LOADCELL": str(self.cell)}
        self.daemons: list[Healthd] = []

    def configure(self, plugins: list[str], more: str = "") -> None:
        self.config.write_text(f"interval = 0.25\n[collectors]\nplugins = {json.dumps(plugins)}\n{more}")

    def start(self, *options: str) -> Healthd:
        arguments = (*options, "--config", str(self.config))
        self.daemons.append(Healthd(self.bus.address, *arguments, environment=self.environment))
        return self.daemons[-1].ready()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **self.environment, "HEALTHD_BUS": self.bus.address, "PYTHONWARNINGS": "error"},
        )  # fmt: skip

    def healthctl(self, *arguments: str) -> str:
        done = self.run("healthctl", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def collector(self, family: str) -> dict:
        return json.loads(self.healthctl("collectors", "--json")).get(family)

    def condition(self, name: str) -> dict:
        return json.loads(self.healthctl("conditions", "--all", "--json"))[name]


@pytest.fixture
def rig(bus, tmp_path):
    made = Rig(bus, tmp_path)
    yield made
    for daemon in made.daemons:
        if not daemon.errors.closed:
            log = daemon.log
            assert daemon.stop() == 0, log
            assert "Traceback" not in log


def test_a_plugin_is_on_the_bus_in_healthctl_in_rules_and_in_the_past(rig):
    install_example(str(rig.site))
    rig.configure(["loadcell"], RULE)
    rig.start("--record", rig.record)

    shown = rig.bus.busctl("introspect", protocol.BUS_NAME, f"{protocol.ROOT}/loadcell").stdout
    assert "org.healthd.Health1.Loadcell" in shown
    assert ".Kilograms" in shown
    told = rig.bus.busctl("get-property", protocol.BUS_NAME, f"{protocol.ROOT}/loadcell",
                          "org.healthd.Health1.Loadcell", "Kilograms")  # fmt: skip
    assert told.stdout == "d 12.35\n"
    described = rig.bus.busctl("--json=short", *CALL, "Describe")
    loadcell = json.loads(json.loads(described.stdout)["data"][0])["readings"]["loadcell"]
    assert (loadcell["kilograms"], loadcell["overloaded"]) == (12.35, False)

    assert rig.healthctl("get", "loadcell.kilograms") == "12.35\n"
    metric = json.loads(rig.healthctl("metrics", "loadcell", "--json"))["loadcell.kilograms"]
    assert (metric["summary"], metric["kind"]) == ("Weight on the cell, kg.", "gauge")
    listed = rig.collector("loadcell")
    assert (listed["available"], listed["source"]) == (True, str(rig.cell))
    assert rig.condition("laden")["severity"] == "ok"

    rig.cell.write_text("60000\n")
    eventually(lambda: rig.condition("laden")["severity"] == "warning")
    past = rig.healthctl("history", "loadcell.kilograms", "--csv")
    assert "12.35" in past
    assert ",60" in past

    # What hinders it is told like that of any other family.
    rig.cell.write_text("much\n")
    eventually(lambda: not rig.collector("loadcell")["available"])
    assert rig.collector("loadcell")["problem"] == protocol.MALFORMED


def test_a_plugin_is_in_the_recording_and_in_its_replay(rig):
    install_example(str(rig.site))
    rig.configure(["loadcell"], RULE)
    daemon = rig.start("--record", rig.record)
    rig.cell.write_text("60000\n")
    eventually(lambda: rig.condition("laden")["severity"] == "warning")
    assert daemon.stop() == 0

    report = rig.run("healthd", "--replay", rig.record, "--config", str(rig.config), "--report")
    assert report.returncode == 0, report.stderr
    assert "laden" in report.stdout
    replay = rig.start("--replay", rig.record, "--speed", "max", "--console")
    eventually(lambda: '"name":"health.transition"' in replay.printed)
    names = {json.loads(line)["name"] for line in replay.printed.splitlines()}
    assert "system.loadcell.updated" in names
    eventually(lambda: rig.healthctl("get", "loadcell.kilograms") == "60.0\n")


def test_a_plugin_is_off_until_it_is_enabled_and_nothing_looks_for_it(rig):
    install_example(str(rig.site))
    rig.configure([])
    rig.start()
    assert rig.collector("loadcell") is None
    program = (
        "import sys; from healthd.settings import load; load(sys.argv[1]); print('importlib.metadata' in sys.modules)"
    )
    for plugins, expected in (([], "False"), (["loadcell"], "True")):
        rig.configure(plugins)
        done = subprocess.run(
            [sys.executable, "-c", program, str(rig.config)], capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, **rig.environment},
        )  # fmt: skip
        assert done.stdout.strip() == expected


def test_a_plugin_can_be_disabled_like_any_family_and_unsupported_says_what_to_do(rig):
    install_example(str(rig.site))
    rig.configure(["loadcell"], 'disabled = ["loadcell"]')
    daemon = rig.start()
    assert rig.collector("loadcell")["problem"] == protocol.DISABLED
    assert daemon.stop() == 0
    rig.cell.unlink()
    rig.configure(["loadcell"])
    rig.start()
    listed = rig.collector("loadcell")
    assert (listed["problem"], listed["remedy"]) == (
        protocol.UNSUPPORTED, "connect it and start its driver: systemctl start loadcell",
    )  # fmt: skip


FAMILY = """
from healthd.model import SINGLE, Reading, Unit, family, gauge

@family({name!r}{more})
class Mine(Reading):
    "Nothing much."

    {field}

class MineCollector:
    reading = Mine

    def __init__(self, roots):
        {init}

    def {method}(self, now):
        {body}
"""


def source(name="broken", *, more="", field='share: float | None = gauge(Unit.PERCENT, "Some.")', init="pass",
           method="collect", body="return {SINGLE: Mine(share=1.0)}"):  # fmt: skip
    return FAMILY.format(name=name, more=more, field=field, init=init, method=method, body=body)


UNFIT = {
    "import": ("import nothing_of_that_name", "can't be imported: ModuleNotFoundError: No module named"),
    "syntax": ("def", "can't be imported: SyntaxError"),
    "exit": ("raise SystemExit(3)", "can't be imported: SystemExit: 3"),
    "attribute": ("x = 1", "can't be imported: AttributeError"),
    "no class": ("MineCollector = 3", "it is no class whose `reading` was declared by @family, but 3"),
    "no reading": ("class MineCollector:\n    reading = int", "it is no class whose `reading` was declared by @family"),
    "no method": (source(method="look"), "MineCollector has none of collect(), probes() and inquire()"),
    "other family": (source("memory"), "it observes the family memory: the entry point has to be named after that"),
    "no metrics": (source(field="pass", body="return {SINGLE: Mine()}"), "the family broken has no metrics"),
    "event": (source(more=', event="snapshot"'), "the event snapshot does not begin with system."),
    "event of another": (
        source(more=', event="system.load.updated"'), "the event system.load.updated is that of the family load",
    ),
    "type": (source(field='share: list | None = gauge(Unit.PERCENT, "Some.")'), "is no type of a metric"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_a_plugin_that_can_not_be_used_is_a_line_and_an_unavailable_family(rig, case):
    code, reason = UNFIT[case]
    install(str(rig.site), "broken", "mine:MineCollector", code)
    install_example(str(rig.site))
    # Rules about it wait until it is back.
    rig.configure(["broken", "loadcell"], '[rules.mine]\nmetric = "broken.share"\nwarning = { enter = "> 50" }\n')
    daemon = rig.start()
    said = [line for line in daemon.log.splitlines() if "the plug-in broken can't be used" in line]
    assert len(said) == 1
    assert reason in said[0]
    listed = rig.collector("broken")
    assert (listed["available"], listed["problem"]) == (False, protocol.FAILED)
    assert reason in listed["reason"]
    assert "take it out of collectors.plugins" in listed["remedy"]
    assert rig.collector("loadcell")["available"]
    assert rig.collector("memory")["available"]


FAILING = {
    "exit as made": (source(init="raise SystemExit(3)"), "SystemExit(3)"),
    "exit": (source(body="raise SystemExit(3)"), "SystemExit(3)"),
    "made": (source(init="raise ValueError('no chip')"), "no chip"),
    "run": (source(body="raise ValueError('no chip')"), "no chip"),
    "wrong value": (source(body="return {SINGLE: Mine(share='much')}"), "gave str 'much' for share"),
    "instance": (source(body="return {'left': Mine(share=1.0)}"), "gave instances ['left']"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_plugin_that_fails_is_isolated_like_any_collector(rig, case):
    code, reason = FAILING[case]
    install(str(rig.site), "broken", "mine:MineCollector", code)
    rig.configure(["broken"])
    rig.start()
    listed = rig.collector("broken")
    assert not listed["available"]
    assert reason in listed["reason"]
    assert rig.collector("memory")["available"]


def test_a_plugin_named_as_a_family_is_that_is_there_is_left_out(rig):
    install(str(rig.site), "memory", "mine:MineCollector", source("memory"))
    install(str(rig.site), "not-a-name", "mine:MineCollector")
    rig.configure(["memory", "not-a-name"])
    daemon = rig.start()
    assert "the plug-in memory can't be used: there is a family memory already" in daemon.log
    assert "the plug-in not-a-name can't be used: it observes the family memory" in daemon.log
    assert rig.healthctl("get", "memory.percent")


def test_names_of_plugins_that_are_not_installed_are_faults_among_all_others(rig):
    install_example(str(rig.site))
    rig.configure(["loadcel", "loadcell"], 'disabled = ["disc"]\n[record]\nbatch = 0\n')
    done = rig.run("healthd", "--check-config", "--config", str(rig.config))
    assert done.returncode == protocol.EXIT_CONFIG
    faults = done.stderr.splitlines()
    assert len(faults) == 3
    assert any("collectors.plugins: expected some of loadcell, found " in fault for fault in faults)
    assert any("collectors.disabled: expected some of" in fault and "loadcell" in fault for fault in faults)
    rig.configure(["loadcell"])
    assert rig.run("healthd", "--check-config", "--config", str(rig.config)).returncode == 0


def test_a_plugin_that_is_not_installed_any_more_is_an_unavailable_family_and_healthd_starts(rig):
    rig.configure(["loadcell"], RULE)
    daemon = rig.start()
    assert "the plug-in loadcell can't be used: no package that is installed brings it" in daemon.log
    listed = rig.collector("loadcell")
    assert (listed["available"], listed["problem"]) == (False, protocol.FAILED)
    assert "install" in listed["remedy"]
    assert rig.collector("memory")["available"]
    rig.healthctl("reload")


ASKS = """
import asyncio
from healthd.model import SINGLE, Reading, Unit, family, gauge

@family("broken")
class Mine(Reading):
    "Nothing much."

    share: float | None = gauge(Unit.PERCENT, "Some.")

class MineCollector:
    reading = Mine

    def __init__(self, roots):
        pass

    async def inquire(self, now, ask):
        answer = asyncio.get_running_loop().create_future()
        answer.cancel()
        return await answer
"""


def test_a_plugin_whose_question_is_cancelled_does_not_end_healthd(rig):
    install(str(rig.site), "broken", "mine:MineCollector", ASKS)
    rig.configure(["broken"])
    daemon = rig.start()
    eventually(lambda: "CancelledError" in rig.collector("broken")["reason"])
    eventually(lambda: rig.collector("broken")["failures"] > 2)
    assert rig.collector("memory")["available"]
    assert daemon.stop() == 0


def test_a_plugin_that_is_enabled_later_waits_for_the_next_start(rig):
    install_example(str(rig.site))
    rig.configure([])
    daemon = rig.start()
    rig.configure(["loadcell"], RULE)
    rig.healthctl("reload")
    assert "collectors.plugins: another value is taken up with the next start" in daemon.log
    assert rig.collector("loadcell") is None


def test_the_example_is_a_package_that_pip_installs(tmp_path):
    for needed in ("pip", "hatchling"):
        if not importlib.util.find_spec(needed):
            pytest.skip(f"{needed} is not installed for this Python")
    by_hand, by_pip = tmp_path / "hand", tmp_path / "pip"
    by_hand.mkdir()
    install_example(str(by_hand))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--no-cache-dir", "--target", str(by_pip), EXAMPLE],
        check=True, timeout=100,
    )  # fmt: skip

    def found(site) -> list[str]:
        (entries,) = site.glob("*.dist-info/entry_points.txt")
        return entries.read_text().split()

    assert found(by_pip) == found(by_hand)
    assert (by_pip / "healthd_loadcell.py").read_bytes() == (by_hand / "healthd_loadcell.py").read_bytes()
