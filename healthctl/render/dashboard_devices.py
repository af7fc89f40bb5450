"""The sections of the dashboard about what the machine has: network, disks, sensors, file systems, power."""

from collections import Counter
from collections.abc import Mapping

from healthctl.render import units
from healthctl.render.dashboard_rows import SHARE, Grid, Range, Row, Section, heat, total
from healthctl.render.dashboard_series import TRAFFIC, TRANSFER, addresses
from healthctl.render.described import Values, number, text
from healthctl.render.line import Line, cut_start

_COOL, _HOT = 20.0, 100.0
"""Degrees that a strip of temperatures spans, where no sensor tells what is critical."""
_LONGEST_DETAIL = 18


def network(grid: Grid) -> list[Section]:
    """Draw the physical interfaces and what goes through them together; the others where everything is shown."""
    readings = grid.described.instances("network")
    kinds = {name: text(values, "kind") for name, values in readings.items()}
    # A machine in a container has none but virtual ones.
    usual = [name for name in readings if kinds[name] == "physical"]
    usual = usual or [name for name in readings if kinds[name] != "loopback"]
    if not readings:
        return []
    signs = (grid.style.glyphs.down, grid.style.glyphs.up)
    totals = [total(number(readings[name], field) for name in usual) for field in TRAFFIC]
    alone: Line = [(grid.beside_rates(usual[0]), "dim")] if len(usual) == 1 else []
    series = [address for name in usual for address in addresses("network", name, *TRAFFIC)]
    head = grid.row("Network", grid.rates(signs, totals, alone), series, is_head=True)
    rows = {name: _interface(grid, name, values, signs) for name, values in readings.items()}
    others = [row for name, row in rows.items() if name not in usual]
    shown = [rows[name] for name in usual]
    # One alone is its own sum.
    return [Section("Network", head, (), [*shown, *others]) if alone else Section("Network", head, shown, others)]


def _interface(grid: Grid, name: str, values: Values, signs: tuple[str, str]) -> Row:
    speed, signal = number(values, "speed_bytes_per_second"), number(values, "signal_dbm")
    is_down = values.get("carrier") is False or text(values, "operstate") == "down"
    # "1 Gbit": there is no room for more, and what it is a second goes without saying.
    told = units.bits(speed).removesuffix("/s") if speed else "" if signal is None else f"{signal:.0f} dBm"
    words = "no link" if is_down else told
    figures = grid.rates(signs, [number(values, field) for field in TRAFFIC], [(words, "dim")])
    return grid.row(name, figures, addresses("network", name, *TRAFFIC))


def disks(grid: Grid) -> list[Section]:
    """Draw what is read and written; the head is the busiest."""
    readings = _known(grid, "disk", "busy")
    if not readings:
        return []
    series = {name: addresses("disk", name, "busy") for name in readings}
    busiest = max(readings, key=lambda name: grid.lately(series[name]))
    figures = grid.percent(number(readings[busiest], "busy"), f"busy, {busiest}")
    every = [address for each in series.values() for address in each]
    head = grid.row("Disks", figures, every, SHARE, worst=True, is_head=True)
    rows = []
    for name, values in readings.items():
        busy: Line = [(f"{units.percent(number(values, 'busy')):>7}", "dim")]
        rates = grid.rates(("r", "w"), [number(values, field) for field in TRANSFER], busy)
        rows.append(grid.row(name, rates, addresses("disk", name, *TRANSFER)))
    return [Section("Disks", head, rows)]


def temperatures(grid: Grid) -> list[Section]:
    """Draw the sensors and the fans; the head is the processor, or the hottest."""
    warm, fans = _known(grid, "sensor", "celsius"), _known(grid, "sensor", "rpm")
    labels = {**_labels(warm), **_labels(fans)}
    turning = [_fan(grid, labels[name], name, values) for name, values in fans.items()]
    if not warm:
        return [Section("Fans", grid.note("Fans", []), turning)] if fans else []
    of_cpu = [name for name, values in warm.items() if text(values, "role") == "cpu"]
    chief = max(of_cpu or warm, key=lambda name: grid.lately(addresses("sensor", name, "celsius")))
    head = _sensor(grid, labels[chief], chief, warm[chief], is_head=True)
    rows = [_sensor(grid, labels[name], name, values) for name, values in warm.items()]
    return [Section("Temperature", head, [*(rows if len(rows) > 1 else ()), *turning])]


def _sensor(grid: Grid, label: str, name: str, values: Values, *, is_head: bool = False) -> Row:
    celsius, high, critical = (number(values, f"{field}celsius") for field in ("", "high_", "critical_"))
    assert celsius is not None
    hot = critical if critical is not None and critical > _COOL else _HOT
    whose = cut_start(label, _LONGEST_DETAIL, grid.style.glyphs.mark)
    detail = whose if is_head else f"critical {critical:g}" if critical is not None else ""
    if high is not None and celsius >= high:
        detail = f"high from {high:g} on"
    share = max(celsius - _COOL, 0.0) * 100 / (hot - _COOL)
    figures = grid.meter(share, f"{celsius:.1f} {grid.style.glyphs.degree}", detail)
    label = "Temperature" if is_head else label
    return grid.row(label, figures, addresses("sensor", name, "celsius"), Range(_COOL, hot), is_head=is_head)


def _fan(grid: Grid, label: str, name: str, values: Values) -> Row:
    rpm, low = number(values, "rpm"), number(values, "low_rpm")
    detail = f"low below {low:g}" if rpm is not None and low is not None and rpm < low else ""
    row = grid.row(label, grid.meter(None, f"{rpm:.0f} rpm", detail), addresses("sensor", name, "rpm"))
    # Turns are no degrees: beside temperatures they come last.
    return row._replace(rank=0.0)


def _labels(readings: Mapping[str, Values]) -> dict[str, str]:
    """Return what sensors of one kind are called: by their driver, and where it has several, by their labels too."""
    drivers = Counter(text(values, "driver") for values in readings.values())
    found = {}
    for name, values in readings.items():
        driver, label = text(values, "driver"), text(values, "label")
        several = drivers[driver] > 1 or not driver
        found[name] = " ".join(filter(None, (driver, label if several and label != driver else ""))) or name
    return found


def filesystems(grid: Grid) -> list[Section]:
    """Draw how full the file systems are; the head is the fullest."""
    readings = _known(grid, "filesystem", "percent")
    if not readings:
        return []
    fullest = max(readings, key=lambda name: number(readings[name], "percent") or 0.0)
    head = _mount(grid, fullest, readings[fullest], is_head=True)
    rows = [_mount(grid, name, values) for name, values in readings.items()]
    return [Section("Filesystems", head, rows if len(rows) > 1 else ())]


def _mount(grid: Grid, name: str, values: Values, *, is_head: bool = False) -> Row:
    used, whole = (units.iec(number(values, f"{part}_bytes")) for part in ("used", "total"))
    detail = cut_start(name, _LONGEST_DETAIL, grid.style.glyphs.mark) if is_head else f"{used:>8} / {whole}"
    if grid.described.problem("filesystem", name):
        detail = "not up to date"
    figures = grid.percent(number(values, "percent"), detail)
    label = "Filesystems" if is_head else name
    return grid.row(label, figures, addresses("filesystem", name, "percent"), SHARE, is_head=is_head)


def batteries(grid: Grid) -> list[Section]:
    """Draw what is left, and how long that lasts: of the machine's own, then of what is connected to it."""
    readings = _known(grid, "battery", "percent")
    rows: list[Row] = []
    for name, values in sorted(readings.items(), key=lambda item: _is_device(item[1])):
        share = number(values, "percent")
        own = text(values, "model") if _is_device(values) else ""
        # It is the less that is the worse.
        bar = grid.bar((share, heat(None if share is None else 100.0 - share)))
        figures = grid.percent(share, own if own and not rows else _lasts(values), bar=bar)
        label = own or name if rows else "Battery"
        series = addresses("battery", name, "percent")
        rows.append(grid.row(label, figures, series, Range(heated=False), is_head=not rows))
    return [Section("Battery", rows[0], rows[1:])] if rows else []


def _is_device(values: Values) -> bool:
    """Tell whether it is the battery of a mouse, or the like."""
    return text(values, "kind") == "device"


def _lasts(values: Values) -> str:
    empty, full = (number(values, f"{end}_seconds") for end in ("empty", "full"))
    if empty is not None:
        return f"{units.duration(empty)} left"
    return text(values, "status") if full is None else f"full in {units.age(full)}"


def _known(grid: Grid, family: str, field: str) -> dict[str, Values]:
    """Return the instances of which a field is known."""
    readings = grid.described.instances(family)
    return {name: values for name, values in readings.items() if number(values, field) is not None}
