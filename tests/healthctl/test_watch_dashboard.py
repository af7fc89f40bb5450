import copy
import os
import re
import time
from itertools import takewhile
from math import sin

import pytest
from test_status_screen import ASCII, HOSTILE, MACHINES, PLAIN, nulled, renamed
from wcwidth import wcswidth

from healthctl.recent import Recent
from healthctl.render.dashboard import dashboard
from healthctl.render.dashboard_plain import plain
from healthctl.render.dashboard_rows import Picture
from healthctl.render.dashboard_series import FAST, is_kept, strip_values
from healthctl.render.dashboard_state import COLLAPSED, EXPANDED, Ui, press
from healthctl.render.described import Described
from healthctl.render.style import Style
from healthctl.strips import Strips

COLOUR = Style(colour=True)


def picture(described, style=PLAIN, samples=60):
    known = Described(described, style)
    strips = Strips(1.0, 1.0)
    for second in range(samples):
        strips.put(100 + second, {key: value * (0.7 + 0.3 * sin(second)) for key, value in strip_values(known).items()})
    return Picture(known, strips)


def drawn(described, columns=80, lines=24, style=PLAIN, ui=Ui()):  # noqa: B008  # it never changes
    return dashboard(picture(described, style), (columns, lines), style, ui, 1.0)


def lines_of(*arguments, **options):
    return drawn(*arguments, **options).lines


def bare(line):
    return re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()


def row(lines, name):
    return next(line for line in lines if re.match(rf"[ ▸>]+{re.escape(name)}( |$)", line))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("style", [PLAIN, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("columns", [1, 5, 20, 40, 55, 56, 72, 80, 99, 100, 159, 160, 300])
def test_a_screen_has_its_lines_and_none_is_wider(described, machine, columns, style):
    for lines in (0, 1, 2, 3, 12, 24, 80):
        shown = lines_of(described(machine), columns, lines, style)
        assert len(shown) == lines
        assert all(0 <= wcswidth(line) <= columns for line in shown)
        assert style.unicode or all(line.isascii() for line in shown)


@pytest.mark.parametrize("machine", MACHINES)
def test_colours_change_no_text(described, machine):
    without = lines_of(described(machine), 100, 30)
    for colours in (16, 256, 1 << 24):
        coloured = lines_of(described(machine), 100, 30, COLOUR._replace(colours=colours))
        assert list(map(bare, coloured)) == without
        assert coloured != without


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("style", [PLAIN, ASCII], ids=["unicode", "ascii"])
def test_names_from_outside_move_no_cursor_on_the_dashboard(described, machine, style):
    hostile = renamed(described(machine), HOSTILE)
    for columns in (40, 80, 300):
        for line in lines_of(hostile, columns, 60, style, Ui(folds=(("Disks", EXPANDED),))):
            assert line.isprintable()
            assert wcswidth(line) <= columns
    assert plain(Described(hostile, style), style).isprintable()


@pytest.mark.parametrize("machine", MACHINES)
def test_where_nothing_is_known_the_dashboard_says_nothing(described, machine):
    nothing = described(machine)
    nothing["readings"], nothing["unavailable"], nothing["health"] = nulled(nothing["readings"]), {}, None
    nothing["since_boot"] = None
    text = "\n".join(lines_of(nothing, 100, 40)[:-1])
    assert text.startswith("● unknown")
    assert not re.search(r"(?<![\d.])0(\.0+)? ?(%|B|°C)", text)
    assert " ok" not in text


@pytest.mark.parametrize("content", [{}, {"readings": None}, {"readings": {"cpu": {}, "filesystem": {"/": None}}}])
def test_an_object_that_lacks_parts_is_drawn_as_far_as_it_goes(content):
    assert lines_of(content)[0].startswith("● unknown")
    assert plain(Described(content, PLAIN), PLAIN) == "unknown"


def test_what_is_drawn_is_left_as_it_was(described):
    seen = picture(described("desktop"))
    before = copy.deepcopy(strip_values(seen.described))
    first = dashboard(seen, (80, 24), PLAIN, Ui(), 1.0)
    assert dashboard(seen, (80, 24), PLAIN, Ui(), 1.0) == first
    assert strip_values(seen.described) == before


@pytest.mark.parametrize("columns", [40, 80, 100, 160, 300])
def test_all_strips_tell_of_the_same_time(described, columns):
    steps = re.compile("[▁▂▃▄▅▆▇█]{8,}$")
    rows = [line for line in lines_of(described("desktop"), columns, 40)[1:-1] if "cores" not in line]
    places = [(found.start(), found.end()) for line in rows if (found := steps.search(line))]
    assert len(places) > 10
    assert len(set(places)) == 1


def test_figures_stand_in_columns(described):
    lines = lines_of(described("desktop"), 80, 24)
    meters = [line for line in lines if re.match(r" (CPU|Memory| swap|Pressure|Filesystems|Battery)", line)]
    shares = [line.index(" %") for line in meters]
    assert len(shares) == 6
    assert len(set(shares)) == 1


def test_the_head_says_how_it_is_and_when(described, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    head = lines_of(described("troubled"), 80, 24)[0]
    assert re.match(r"● critical for 12 min  greenhouse  up .* -25 s +12:00:00$", head)


def test_what_is_wrong_comes_first_and_goes(described):
    machine = described("troubled")
    assert lines_of(machine, 120, 24)[1].startswith("  memory_pressure ")
    machine["health"] = {"severity": "ok", "reasons": [], "conditions": {}}
    assert lines_of(machine, 120, 24)[1].startswith(" CPU")


def test_a_configuration_that_is_refused_is_told(described):
    machine = described("desktop") | {"configuration": "a fault\nanother"}
    assert "configuration: 2 faults" in lines_of(machine)[1]


def test_of_what_is_unavailable_the_reason_is_told_and_of_what_is_not_there_nothing(described):
    machine = described("desktop")
    machine["readings"]["disk"], machine["readings"]["battery"] = {}, {}
    machine["unavailable"] = {
        "disk": {"problem": "permission", "reason": "it may not be read", "remedy": "ask"},
        "battery": {"problem": "unsupported", "reason": "no battery", "remedy": ""},
    }
    lines = lines_of(machine)
    assert row(lines, "Disks").split(maxsplit=1)[1] == "unavailable: it may not be read; ask"
    assert not [line for line in lines if "Battery" in line]


def test_a_low_screen_shows_the_heads_and_counts_the_rest(described):
    lines = lines_of(described("desktop"), 80, 12)
    heads = [line.split()[0] for line in lines[1:-1] if re.match(r" \w", line)]
    assert heads == list(drawn(described("desktop"), 80, 24).ui.sections)
    assert re.match(r" Temperature \+\d+ ", row(lines, "Temperature"))
    assert drawn(described("desktop"), 80, 12).ui.overflow == 0


def test_a_very_low_screen_scrolls(described):
    first = drawn(described("desktop"), 80, 6)
    assert first.ui.overflow == len(first.ui.sections) - 4
    assert first.lines[-1].endswith(f"{first.ui.overflow} below  every 1 s")
    last = drawn(described("desktop"), 80, 6, ui=press(first.ui, "end"))
    assert last.lines[-2].lstrip().startswith("Battery")
    assert last.lines[-1].endswith(f"{first.ui.overflow} above  every 1 s")


def test_the_selected_section_is_on_the_screen(described):
    ui = drawn(described("desktop"), 80, 6).ui
    for _ in ui.sections:
        ui = press(ui, "down")
        shown = drawn(described("desktop"), 80, 6, ui=ui)
        ui = shown.ui
        assert [line for line in shown.lines if line.startswith(f"▸{ui.selected}")]


def test_sections_stand_apart_where_there_is_room(described):
    lines = lines_of(described("desktop"), 80, 80)
    assert lines[lines.index(row(lines, "Memory")) - 1] == ""
    assert "" not in lines_of(described("desktop"), 80, 24)[:-1]


def below(lines, head):
    """Return the rows of a section."""
    start = lines.index(row(lines, head)) + 1
    return list(takewhile(lambda line: line.startswith("  "), lines[start:]))


def test_an_expanded_section_shows_everything_and_a_collapsed_one_its_head(described):
    machine = described("server-64")
    whole = lines_of(machine, 100, 200, ui=Ui(folds=(("Filesystems", EXPANDED),)))
    mounts = machine["readings"]["filesystem"]
    known = [name for name, values in mounts.items() if values.get("percent") is not None]
    assert not re.search(r"\+\d", row(whole, "Filesystems")[:20])
    assert len(below(whole, "Filesystems")) == len(known)
    without = lines_of(machine, 100, 200, ui=Ui(folds=(("Filesystems", COLLAPSED),)))
    assert f"+{len(known)} " in row(without, "Filesystems")
    assert below(without, "Filesystems") == []


def test_many_cores_are_one_line_and_one_by_one_where_all_is_shown(described):
    machine = described("server-64")
    online = sum(share is not None for share in machine["readings"]["cpu"]["core_busy"])
    line = row(lines_of(machine, 100, 40), "cores")
    assert len(line[22:].replace(" ", "")) == online
    whole = lines_of(machine, 100, 200, ui=Ui(folds=(("CPU", EXPANDED),)))
    assert len([line for line in whole if line.startswith("  core ")]) == online


def test_few_cores_are_one_line_where_rows_do_not_fit(described):
    machine = described("desktop")
    assert len([line for line in lines_of(machine, 80, 60) if line.startswith("  core ")]) == 8
    lines = lines_of(machine, 80, 24)
    assert row(lines, "cores")
    assert not [line for line in lines if line.startswith("  core ")]


def test_of_many_the_fullest_are_shown_in_their_order_or_the_fullest_first(described):
    machine = described("server-64")

    def shares(ui):
        lines = lines_of(machine, 120, 60, ui=ui)
        return [float(re.search(r"([\d.]+) %", line)[1]) for line in below(lines, "Filesystems")]

    usual, busiest = shares(Ui()), shares(Ui(busiest=True))
    assert sorted(usual, reverse=True) == busiest
    assert usual != busiest


def test_the_busiest_stay_the_busiest_for_a_moment_of_another(described):
    machine = described("server-64")
    seen = picture(machine)
    names = [line for line in dashboard(seen, (100, 30), PLAIN, Ui(), 1.0).lines if re.match(r"  sd|  nvme", line)]
    quiet = next(name for name in machine["readings"]["disk"] if not any(name in line for line in names))
    seen.strips.put(160, strip_values(seen.described) | {f"disk.read_bytes_per_second@{quiet}": 2e7})
    after = [line for line in dashboard(seen, (100, 30), PLAIN, Ui(), 1.0).lines if re.match(r"  sd|  nvme", line)]
    assert [line.split()[0] for line in after] == [line.split()[0] for line in names]


def test_unknown_is_a_blank_in_a_strip_and_zero_is_none(described):
    known = Described(described("desktop"), PLAIN)
    strips = Strips(1.0, 1.0)
    strips.put(10, {"memory.percent": 0.0})
    strips.put(20, {"memory.percent": 100.0})
    lines = dashboard(Picture(known, strips), (80, 24), PLAIN, Ui(), 1.0).lines
    assert row(lines, "Memory").endswith("▁" + " " * 9 + "█")


def test_help_is_the_whole_screen(described):
    shown = drawn(described("desktop"), ui=Ui(help=True))
    assert shown.lines[0] == "Keys"
    assert any("pause" in line for line in shown.lines)
    assert shown.addresses == []


def test_only_what_is_on_the_screen_needs_its_history(described):
    low = drawn(described("server-64"), 80, 14).addresses
    high = drawn(described("server-64"), 80, 80).addresses
    assert "cpu.busy" in low
    assert set(low) < set(high)
    assert len(low) < 40
    assert not [address for address in high if is_kept(address) and "#" in address]


def test_what_is_watched_is_described_too(described):
    machine = described("desktop")["readings"]
    for address in FAST:
        family, _, field = address.partition(".")
        values = machine[family]
        assert field in (values if field in values else next(iter(values.values()))), address


def test_a_watched_value_is_newer_than_what_is_described(described):
    known = Described(described("desktop"), PLAIN)
    watched = {"memory.percent": 77.7, "disk.busy@dm-0": 99.0, "disk.busy@new": 5.0, "cpu.core_busy": [50.0] * 8}
    known.take(known.time + 1, known.since_boot + 1, watched)
    lines = dashboard(Picture(known, Strips(1.0, 1.0)), (80, 60), PLAIN, Ui(), 1.0).lines
    assert " 77.7 % " in row(lines, "Memory")
    assert " 99.0 %" in row(lines, "dm-0")
    assert " 50.0 %" in row(lines, "core 7")
    assert not [line for line in lines if line.startswith("  new")]


def test_another_boot_has_other_strips(described):
    recent = Recent(PLAIN)
    machine = described("desktop")
    recent.take(machine, 1.0)
    strips = recent.picture.strips
    recent.take(machine, 1.0)
    assert recent.picture.strips is strips
    recent.take(machine | {"boot_id": "another"}, 1.0)
    assert recent.picture.strips is not strips


def test_the_plain_line_has_names_and_figures_in_words(described):
    line = plain(Described(described("desktop") | {"time": None}, PLAIN), PLAIN)
    assert line == (
        "ok, cpu 30.8 %, memory 55.0 %, swap 12.5 %, io pressure 0.3 %, load 0.81, "
        "wlp0s20f3 3.30 MiB/s received 104 KiB/s sent, nvme0n1 8.76 MiB/s read 14.5 KiB/s written, "
        "dm-0 4.49 MiB/s read 1.07 MiB/s written, dm-1 11.2 MiB/s read 297 KiB/s written, "
        "warmest 52.0 °C, battery BAT0 76.0 % discharging, /home 94.7 % full"
    )


def test_the_plain_line_says_what_is_wrong(described):
    line = plain(Described(described("troubled"), PLAIN), PLAIN)
    assert re.match(r"\d\d:\d\d:\d\d critical: memory_pressure, filesystem_filling@/, ", line)


@pytest.mark.parametrize(
    ("celsius", "told"),
    [([0.0], "0.0"), ([-5.0, None], "-5.0"), ([None, -7.0, -5.0], "-5.0"), ([None], None), ([], None)],
)
def test_the_plain_line_tells_of_frost_and_of_no_sensor_that_is_unknown(described, celsius, told):
    sensors = {"fan": {"rpm": 900.0}} | {f"s{number}": {"celsius": value} for number, value in enumerate(celsius)}
    line = plain(Described(described("desktop") | {"readings": {"sensor": sensors}}, PLAIN), PLAIN)
    assert line.partition("warmest ")[2] == ("" if told is None else f"{told} °C")


@pytest.mark.parametrize(
    ("shares", "told"), [([None], ""), ([], ""), ([None, 0.0], "/m1 0.0 % full"), ([7.0, None, 9.0], "/m2 9.0 % full")]
)
def test_the_plain_line_takes_no_unknown_file_system_for_an_empty_one(described, shares, told):
    mounts = {f"/m{number}": {"percent": share} for number, share in enumerate(shares)}
    line = plain(Described(described("desktop") | {"time": None, "readings": {"filesystem": mounts}}, PLAIN), PLAIN)
    assert line.removeprefix("ok").removeprefix(", ") == told


def test_no_module_of_the_dashboard_reads_a_clock_or_a_terminal():
    here = os.path.dirname(os.path.abspath(dashboard.__code__.co_filename))
    for name in os.listdir(here):
        if name.startswith("dashboard"):
            with open(os.path.join(here, name)) as file:
                assert not re.search(r"monotonic|time\(\)|import (os|sys)\b", file.read()), name


def test_what_is_held_back_and_what_failed_is_said_in_the_words_of_the_status_screen(described):
    machine = described("raspberry-pi")
    machine["readings"]["throttling"] |= {"under_voltage": True, "throttled": None}
    machine["readings"]["services"] = {"failed_units": 2, "failed": "a.service b.service", "system_state": "degraded"}
    machine["readings"]["clock"] = {"synchronised": False, "offset_seconds": None, "source": None, "rtc": False}
    machine["unavailable"] = {}
    lines = lines_of(machine, 100, 40)
    assert row(lines, "Throttling").split()[1] == "under-voltage"
    assert row(lines, "Services").endswith("2 failed  a.service b.service")
    assert row(lines, "Clock").endswith("not synchronised  no RTC")
    # What holds it back stands below what makes it hot.
    assert lines.index(row(lines, "Temperature")) < lines.index(row(lines, "Throttling"))
    assert lines.index(row(lines, "Throttling")) < lines.index(row(lines, "Filesystems"))


def test_a_clock_that_is_kept_and_services_that_run_take_no_room(described):
    machine = described("raspberry-pi")
    machine["readings"]["services"] = {"failed_units": 0, "failed": "", "system_state": "running"}
    machine["readings"]["clock"] = {"synchronised": True, "offset_seconds": 0.0, "source": "chrony", "rtc": True}
    text = "\n".join(lines_of(machine, 100, 40))
    assert "Clock" not in text
    assert "Services" not in text


def test_the_battery_of_the_machine_comes_before_that_of_a_mouse(described):
    machine = described("desktop")
    mouse = {"kind": "device", "model": "Mouse M1", "status": "discharging", "percent": 15.0}
    own = {"kind": "battery", "status": "discharging", "percent": 76.0, "empty_seconds": 14248.0}
    machine["readings"]["battery"] = {"0001-aa": mouse, "BAT0": own}
    lines = lines_of(machine, 100, 60)
    assert row(lines, "Battery").split("%")[1].startswith(" 3 h 57 min left ")
    assert " 15.0 % discharging" in row(lines, "Mouse M1")
    machine["readings"]["battery"] = {"0001-aa": mouse}
    assert " 15.0 % Mouse M1" in row(lines_of(machine, 100, 60), "Battery")


def test_the_clock_is_told_on_the_narrowest_screen(described):
    for columns in (20, 26, 40):
        head = lines_of(described("troubled"), columns, 12)[0]
        assert re.search(r" \d\d:\d\d:\d\d$", head), head


def test_sensors_are_told_apart_however_narrow_the_column(described):
    machine = described("raspberry-pi")
    zones = ["soc-thermal", "bigcore0-thermal", "bigcore1-thermal", "gpu-thermal"]
    machine["readings"]["sensor"] = {
        f"{zone}/thermal/temp": {"driver": zone, "label": "temp", "celsius": 34.0, "role": None} for zone in zones
    }
    lines = lines_of(machine, 80, 40)
    names = [line.split()[0] for line in lines if " 34.0 " in line]
    assert names == ["Temperature", "soc-thermal", "…core0-thermal", "…core1-thermal", "gpu-thermal"]
    machine["readings"]["sensor"] |= {"gpu-thermal/2": {"driver": "gpu-thermal", "label": "edge", "celsius": 35.0}}
    text = "\n".join(lines_of(machine, 100, 40))
    assert "gpu-thermal temp" in text
    assert "gpu-thermal edge" in text


@pytest.mark.parametrize("columns", [56, 71, 72, 80, 99, 100, 160])
def test_figures_stand_whole_where_there_is_room_for_more_than_one(described, columns):
    machine = described("desktop")
    lines = lines_of(machine, columns, 60)
    assert "8.43 GiB / 15.3 GiB" in row(lines, "Memory")
    assert "1.00 GiB / 8.00 GiB" in row(lines, "swap")
    assert re.search(r"KiB/s  ( |\w|…)", row(lines, "Network"))
