"""What the parts of the page say of a machine, beside its figures."""

import json
import os
import re

from healthctl.render.described import Described
from healthctl.render.style import Style
from healthctl.web.sections import sections

HERE = os.path.dirname(os.path.abspath(__file__))


def parts(**readings):
    """Return the parts of a server of which some readings are other ones."""
    with open(os.path.join(os.path.dirname(HERE), "healthctl", "describe", "server-64.json")) as file:
        described = json.load(file)
    return sections(Described({**described, "readings": {**described["readings"], **readings}}, Style()))


def rows(part: str) -> list[str]:
    return [re.sub("<.*?>", "", row) for row in re.findall('<th scope="row">(.*?)</th>', part)]


def test_sensors_keep_their_places_while_their_heat_changes():
    def sensors(*celsius: float) -> list[str]:
        warm = {f"s{place}": {"label": f"s{place}", "celsius": value} for place, value in enumerate(celsius)}
        return rows(parts(sensor=warm)["sensors"])

    assert sensors(40.0, 50.0, 45.0) == sensors(50.0, 40.0, 45.0) == ["s0", "s1", "s2"]
    many = [*(60.0 + place for place in range(12)), 10.0]
    assert sensors(*many) == sensors(*reversed(many[:12]), 10.0) == [f"s{place}" for place in range(12)]


def test_of_throttling_what_is_unknown_is_not_said_not_to_be():
    unknown = dict.fromkeys(("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"))
    assert "none now" not in parts(throttling={**unknown, "under_voltage_since_boot": True})["upkeep"]
    partly = parts(throttling={**unknown, "under_voltage": False})["upkeep"]
    assert "none now" in partly
    assert "frequency capped, throttled, soft temperature limit" in partly


def test_the_breakdown_of_the_cpu_stays_where_figures_are_zero():
    fields = dict.fromkeys(("user", "system", "iowait", "nice", "irq", "softirq", "steal"), 0.0)
    drawn = parts(cpu={**fields, "busy": 0.0, "core_busy": [50.0, None]})["cpu"]
    assert all(f"cpu.{field}" in drawn for field in fields)
    # A CPU of which nothing is known has no column, and no zero.
    assert "0: 50.0 %, 1: ?" in drawn
    assert drawn.count("v-50") == 1
    assert drawn.count("100v") == 1
