import copy
import os
import re

import pytest
from wcwidth import wcswidth

from healthctl.render.status import status
from healthctl.render.style import Style

MACHINES = ["desktop", "raspberry-pi", "container", "unavailable", "server-64", "troubled"]
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
PLAIN = Style()
ASCII = Style(unicode=False)
FAMILIES = ("host", "cpu", "load", "memory", "pressure", "filesystem", "disk", "network", "sensor")
HOSTILE = "\x1b[2J\n\t\x9b31m\u202e\udcff\x00漢字é́"


def nulled(value):
    """Return an object with the same keys in which nothing is known."""
    if isinstance(value, dict):
        return {name: nulled(content) for name, content in value.items()}
    return None


def renamed(value, text):
    """Return an object in which every text ends in another, and every instance of a family does."""
    if isinstance(value, dict):
        several = any(isinstance(content, dict) for content in value.values())
        known = ("health", "readings", "unavailable", *FAMILIES)
        return {
            name + text * (several and name not in known): renamed(content, text) for name, content in value.items()
        }
    if isinstance(value, list):
        return [renamed(part, text) for part in value]
    return value + text if isinstance(value, str) else value


@pytest.mark.parametrize("machine", MACHINES)
def test_a_recorded_machine_at_80_columns_looks_as_agreed(described, machine):
    drawn = "\n".join(status(described(machine), 80, PLAIN)) + "\n"
    path = os.path.join(GOLDEN, f"{machine}.txt")
    if "HEALTHCTL_WRITE_GOLDEN" in os.environ:
        with open(path, "w") as file:
            file.write(drawn)
    with open(path) as file:
        assert drawn == file.read()


@pytest.mark.parametrize("width", [60, 80, 120, 300])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("style", [PLAIN, ASCII], ids=["unicode", "ascii"])
def test_no_line_is_wider_than_the_screen(described, machine, width, style):
    lines = status(described(machine), width, style)
    assert max(map(wcswidth, lines)) <= width
    assert len(lines) > 10


@pytest.mark.parametrize("width", range(60))
def test_below_60_columns_lines_are_cut_and_nothing_fails(described, width):
    for machine in MACHINES:
        lines = status(described(machine), width, PLAIN)
        assert all(0 <= wcswidth(line) <= width for line in lines)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("machine", MACHINES)
def test_figures_are_whole_from_60_columns_on(described, machine, width):
    for line in status(described(machine), width, PLAIN):
        if re.match(r"(Memory|Swap|Load|Pressure +cpu|CPU) ", line) and "unavailable" not in line:
            assert "…" not in line, line


@pytest.mark.parametrize("machine", MACHINES)
def test_colour_changes_no_text(described, machine):
    plain, coloured = (status(described(machine), 80, style) for style in (PLAIN, Style(colour=True)))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in coloured] == plain
    assert coloured != plain
    assert not any("\x1b" in line for line in plain)


@pytest.mark.parametrize("machine", MACHINES)
def test_ascii_style_writes_ascii_alone(described, machine):
    assert all(line.isascii() and line.isprintable() for line in status(described(machine), 80, ASCII))


@pytest.mark.parametrize("machine", MACHINES)
def test_where_nothing_is_known_nothing_is_zero_or_ok(described, machine):
    nothing = described(machine)
    nothing["readings"], nothing["unavailable"], nothing["health"] = nulled(nothing["readings"]), {}, None
    nothing["since_boot"] = None
    drawn = status(nothing, 80, PLAIN)
    assert drawn[0].split()[1] == "unknown"
    assert not re.search(r"(?<![\d.])0(\.0+)? ?(%|B|°C|s)", "\n".join(drawn))
    assert not any(" ok" in line for line in drawn)


@pytest.mark.parametrize("content", [{}, {"readings": None}, {"readings": {"cpu": {}, "filesystem": {"/": None}}}])
def test_an_object_that_lacks_parts_is_drawn_without_them(content):
    assert status(content, 80, PLAIN)[0] == "● unknown"


@pytest.mark.parametrize("style", [PLAIN, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("machine", MACHINES)
def test_names_from_outside_move_no_cursor_and_break_no_line(described, machine, style):
    hostile = renamed(described(machine), HOSTILE)
    for width in (60, 80, 300):
        for line in status(hostile, width, style):
            assert line.isprintable()
            assert wcswidth(line) <= width


def test_a_name_of_control_characters_is_shown_as_its_escapes(described):
    machine = described("raspberry-pi")
    machine["readings"]["filesystem"] = {"/m\x1b[2J": machine["readings"]["filesystem"]["/"]}
    assert any(line.endswith("/m\\x1b[2J") for line in status(machine, 80, PLAIN))


def test_drawing_leaves_the_object_as_it_was(described):
    machine = described("server-64")
    before = copy.deepcopy(machine)
    status(machine, 80, PLAIN)
    assert machine == before


def test_of_many_filesystems_the_fullest_are_shown_and_the_rest_is_counted(described):
    lines = status(described("server-64"), 120, PLAIN)
    start = next(number for number, line in enumerate(lines) if line.startswith("Filesystems"))
    shares = [float(re.search(r"([\d.]+) %", line)[1]) for line in lines[start : start + 8]]
    assert shares == sorted(shares, reverse=True)
    assert lines[start + 8].strip() == "+32 more"


def test_a_filesystem_says_that_it_is_read_only_or_stale(described):
    drawn = "\n".join(status(described("server-64"), 130, PLAIN))
    assert "  ro /srv/storage/volume-05" in drawn
    assert "  stale /srv/storage/volume-33  no answer for 5 s" in drawn
    assert "/mnt/nfs  unavailable: no answer for 5 s; see whether the server answers" in drawn


def test_idle_and_virtual_interfaces_are_counted_and_loopback_is_no_row(described):
    machine = described("server-64")
    lines = status(machine, 120, PLAIN)
    rows = [line[13:].split()[0] for line in lines if "↓" in line and "total" not in line]
    kinds = machine["readings"]["network"]
    assert rows
    assert not [name for name in rows if name == "lo" or name.startswith("veth")]
    assert {name for name in kinds if kinds[name]["kind"] == "physical"} <= set(rows)
    assert any(line.strip() == f"+{len(kinds) - len(rows)} idle/virtual" for line in lines)


def network_rows(machine):
    lines = status(machine, 120, PLAIN)
    start = next(number for number, line in enumerate(lines) if line.startswith("Network"))
    return [line[13:] for line in lines[start : lines.index("", start)]]


def test_what_passes_the_physical_interfaces_is_added_up_and_what_passes_others_is_not(described):
    machine = described("server-64")
    rows = machine["readings"]["network"]
    for row in rows.values():
        row.update(rx_bytes_per_second=5e6, tx_bytes_per_second=5e6)
    for name, rate in (("eno1np0", 1024.0), ("eno2np1", 2048.0), ("eno8303", 0.0)):
        rows[name].update(rx_bytes_per_second=rate, tx_bytes_per_second=None)
    (total,) = [row for row in network_rows(machine) if row.startswith("total")]
    assert total.split() == ["total", "↓", "3.00", "KiB/s", "↑", "?", "physical"]
    rows["eno1np0"]["tx_bytes_per_second"] = 10.0
    assert "↑     10 B/s" in next(row for row in network_rows(machine) if row.startswith("total"))


@pytest.mark.parametrize("missing", [{"carrier": False}, {"carrier": None}, {"kind": "virtual"}])
def test_where_one_physical_interface_has_a_link_it_is_the_total(described, missing):
    machine = described("server-64")
    machine["readings"]["network"]["eno1np0"].update(missing)
    assert not [row for row in network_rows(machine) if row.startswith("total")]


def test_a_wireless_interface_says_how_strong_its_signal_is(described):
    machine = described("desktop")
    row = machine["readings"]["network"]["wlp0s20f3"]
    assert next(line for line in network_rows(machine) if line.startswith("wlp0s20f3")).endswith("KiB/s  -52 dBm")
    row["speed_bytes_per_second"] = 6_750_000
    assert next(line for line in network_rows(machine) if line.startswith("wlp0s20f3")).endswith("54 Mbit/s  -52 dBm")
    row["carrier"] = False
    assert next(line for line in network_rows(machine) if line.startswith("wlp0s20f3")).endswith("no link")


def test_a_family_that_is_not_known_here_gets_one_line(described):
    machine = described("desktop")
    machine["readings"]["soil"] = {"bed": {"moisture_percent": 41.0, "dry": False}, "pot": {"moisture_percent": None}}
    machine["readings"]["tide"] = {"synchronised": True, "offset_seconds": 3.0}
    machine["unavailable"]["valve"] = {"problem": "failed", "reason": "no current", "remedy": "start it"}
    machine["unavailable"]["pump"] = {"problem": "unsupported", "reason": "no pump", "remedy": ""}
    lines = status(machine, 120, PLAIN)
    assert "Soil         bed: moisture_percent 41.0 %, dry no  pot:" in lines
    assert "Tide         synchronised yes, offset_seconds 3 s" in lines
    assert "Valve        unavailable: no current; start it" in lines
    assert not [line for line in lines if line.startswith("Pump")]


def test_the_bar_of_the_cpu_is_as_long_as_its_shares(described):
    machine = described("desktop")
    machine["readings"]["cpu"].update(
        user=50.0, nice=0.0, system=25.0, irq=0.0, softirq=0.0, iowait=12.5, steal=0.0, busy=75.0
    )
    row = next(line for line in status(machine, 80, PLAIN) if line.startswith("CPU"))
    assert row[13:29] == "█" * 8 + "▓" * 4 + "▒" * 2 + "░" * 2


def test_a_temperature_beyond_its_limit_is_coloured(described):
    machine = described("raspberry-pi")
    sensor = next(iter(machine["readings"]["sensor"].values()))
    sensor.update(celsius=111.0, critical_celsius=110.0)
    assert any("\x1b[1;31m   111.0 °C\x1b[0m" in line for line in status(machine, 80, Style(colour=True)))


def test_a_fan_that_turns_too_slowly_is_coloured(described):
    machine = described("desktop")
    machine["readings"]["sensor"]["dell_smm/dell_smm_hwmon/CPU Fan"] |= {"rpm": 400.0, "low_rpm": 600.0}
    assert any("\x1b[33m400 rpm\x1b[0m" in line for line in status(machine, 80, Style(colour=True)))


def test_a_battery_that_is_charged_says_from_where_and_until_when(described):
    machine = described("desktop")
    machine["readings"]["battery"]["AC"]["on_mains"] = True
    machine["readings"]["battery"]["BAT0"] |= {"status": "charging", "empty_seconds": None, "full_seconds": 1800.0}
    machine["unavailable"]["battery@BAT1"] = {"problem": "failed", "reason": "no answer", "remedy": ""}
    lines = status(machine, 100, PLAIN)
    start = next(number for number, line in enumerate(lines) if line.startswith("Battery"))
    assert lines[start].endswith("  76.0 %  BAT0  charging  full in 30 min 0 s  8.8 W")
    assert [line.strip() for line in lines[start + 1 : start + 3]] == ["on mains (AC)", "BAT1: no answer"]


def test_the_verdict_says_for_how_long_and_each_reason_has_a_line(described):
    lines = status(described("troubled"), 120, PLAIN)
    assert lines[0] == "● critical  for 12 min"
    reason = "  memory_pressure             41.3 % (30.0 %)     12 min  Programs stand still because memory is short."
    assert lines[1] == reason
    assert [line.split()[0] for line in lines[1:5]] == described("troubled")["health"]["reasons"]


def test_a_reason_that_is_not_what_the_host_is_says_how_bad_it_is(described):
    lines = status(described("troubled"), 120, PLAIN)
    assert lines[3].endswith("  92.4 % (90.0 %)     3 h     warning: A file system is nearly full.")
    assert lines[4].endswith("  1 min   unknown: A mounted file system does not answer.")


def test_what_is_unknown_says_so_also_where_the_host_is_unknown(described):
    machine = described("troubled")
    machine["health"] |= {"severity": "unknown", "reasons": ["mount_stale@/mnt/nfs"]}
    assert status(machine, 120, PLAIN)[1].endswith("1 min   unknown: A mounted file system does not answer.")


def test_what_does_not_count_is_faded_below_and_says_why(described):
    drawn = status(described("troubled"), 120, PLAIN)[5:8]
    assert "warning, acknowledged by ada: The Raspberry Pi is hot." in drawn[0]
    assert "warning, caused by memory_pressure: Swap is nearly full" in drawn[1]
    assert "notice: The supply voltage was too low since boot." in drawn[2]
    coloured = status(described("troubled"), 120, Style(colour=True))
    assert coloured[2].startswith("\x1b[33m  filesystem_filling@/")
    assert all(line.startswith("\x1b[2m  ") for line in coloured[5:8])


def test_of_many_conditions_eight_are_shown_and_the_rest_is_counted(described):
    machine = described("troubled")
    row = machine["health"]["conditions"]["filesystem_space@/"]
    more = {f"filesystem_space@/srv/{number:02}": row for number in range(5)}
    machine["health"]["conditions"] |= more
    lines = status(machine, 80, PLAIN)
    assert lines[9] == "  +4 more: healthctl conditions"
    assert lines[10] == ""


def test_of_an_instance_that_is_too_long_the_end_is_shown(described):
    machine = described("troubled")
    name = "filesystem_space@/srv/storage/volume-33"
    machine["health"]["conditions"][name] = machine["health"]["conditions"]["filesystem_space@/"]
    machine["health"]["reasons"].insert(0, name)
    assert status(machine, 80, PLAIN)[1].startswith("  filesystem_space@…olume-33  92.4 % (90.0 %)")


@pytest.mark.parametrize("since", [None, "", "yesterday", 7])
def test_without_a_time_that_can_be_read_the_verdict_has_none(described, since):
    machine = described("troubled")
    machine["health"]["since"] = since
    assert status(machine, 80, PLAIN)[0] == "● critical"


@pytest.mark.parametrize("row", [None, {}, [], {"severity": 7, "since_usec": "x", "value": True, "unit": None}])
def test_a_condition_of_another_form_is_its_name(described, row):
    machine = described("troubled")
    machine["health"] = {"severity": "warning", "reasons": ["odd"], "conditions": {"odd": row}}
    assert status(machine, 80, PLAIN)[:3] == ["● warning", "  odd", ""]
