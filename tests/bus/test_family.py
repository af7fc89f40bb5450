"""Adding a family is one file: it is then on the bus, in the XML, in Describe, in the events and in healthctl."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from private_bus import Healthd, eventually

import healthctl
import healthd

TIDE = '''
"""The `tide` family."""

from healthd.model import SINGLE, Reading, Unit, family, gauge, state


@family("tide")
class Tide(Reading):
    """How high the water stands."""

    level_celsius: float | None = gauge(Unit.CELSIUS, "Warmth of the water.")
    rising: bool | None = state("Whether it rises.")


class TideCollector:
    """Asks nobody."""

    reading = Tide

    def __init__(self, roots):
        self._level = 0.0

    def collect(self, now):
        """Return a level that always moves."""
        self._level += 1.5
        return {SINGLE: Tide(level_celsius=self._level, rising=True)}


COLLECTOR = TideCollector
'''


@pytest.fixture
def tidal(tmp_path):
    """Return a copy of the two packages in which one file was added."""
    for package in (healthd, healthctl):
        source = os.path.dirname(package.__file__)
        shutil.copytree(source, tmp_path / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "healthd" / "observe" / "tide.py").write_text(TIDE)
    return tmp_path


def test_a_new_family_is_everywhere(bus, tidal):
    environment = {"PYTHONPATH": str(tidal), "PYTHONSAFEPATH": "1"}
    daemon = Healthd(bus.address, "--console", "--interval", "0.25", environment=environment)
    try:
        daemon.ready()
        shown = bus.busctl("introspect", "org.healthd.Health1", "/org/healthd/Health1/tide").stdout
        assert "org.healthd.Health1.Tide" in shown
        assert ".LevelCelsius" in shown
        described = bus.busctl(
            "--json=short", "call", "org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager",
            "Describe",
        )  # fmt: skip
        tide = json.loads(json.loads(described.stdout)["data"][0])["readings"]["tide"]
        assert tide["rising"] is True
        assert tide["level_celsius"] >= 1.5
        eventually(lambda: daemon.printed.count('"name":"system.tide.updated"') > 2)

        xml = "from healthd.observe import *; from healthd.publish.bus.interface import documents; "
        xml += "from healthd.publish.bus.manager import INTERFACE; "
        xml += (
            "print(documents([f.reading for f in families(collectors())], INTERFACE)['org.healthd.Health1.Tide.xml'])"
        )
        document = python(environment, "-c", xml)
        assert 'property name="Rising" type="i"' in document
        assert "How high the water stands." in document

        metrics = python(environment, "-m", "healthctl", "--bus", bus.address, "metrics", "--json")
        assert json.loads(metrics)["tide.level_celsius"]["unit"] == "celsius"
        assert "tide" in python(environment, "-m", "healthctl", "--bus", bus.address, "collectors")
        assert "tide" in python(environment, "-m", "healthctl", "--bus", bus.address, "status").lower()
    finally:
        daemon.stop()


def python(environment, *arguments):
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert ended.returncode in (0, 3), ended.stderr
    return ended.stdout
