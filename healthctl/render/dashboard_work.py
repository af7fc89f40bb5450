"""The sections of the dashboard about what the machine does: CPU, memory, pressure, load."""

from healthctl.render import units
from healthctl.render.dashboard_rows import SHARE, Grid, Range, Row, Section, heat, total
from healthctl.render.dashboard_series import RESOURCES, core, cores
from healthctl.render.described import Values, number
from healthctl.render.line import Line
from healthctl.render.processor import processors

_SPLIT = ("user", "system", "iowait", "steal")
_EACH = 8
"""Cores that have a row each at most; of more, all stand in one."""


def cpu(grid: Grid) -> list[Section]:
    """Draw what the processors do, together and each."""
    values = grid.described.single("cpu")

    def share(*fields: str) -> float | None:
        return total(number(values, field) for field in fields)

    if share("busy") is None:
        return []
    bar = grid.bar(
        (share("user", "nice"), "user"),
        (share("system", "irq", "softirq"), "system"),
        (share("iowait"), "iowait"),
        (share("steal"), "steal"),
    )
    head = grid.row("CPU", grid.percent(share("busy"), processors(values), bar=bar), ["cpu.busy"], SHARE, is_head=True)
    split = [
        grid.row(field, grid.percent(share(field)), [f"cpu.{field}"], SHARE)
        for field in _SPLIT
        if share(field) is not None
    ]
    shares = cores(values)
    each = [
        grid.row(f"core {index}", grid.percent(busy), [core(index)], SHARE)
        for index, busy in enumerate(shares)
        if busy is not None
    ]
    together = _together(grid, shares)
    if len(each) > _EACH:
        return [Section("CPU", head, together, [*split, *each])]
    return [Section("CPU", head, each, split, together)]


def _together(grid: Grid, shares: list[float | None]) -> list[Row]:
    """Draw all cores as a character each, in as few lines as there can be; one that is off is a space."""
    glyphs = grid.style.glyphs.steps
    room = max(grid.width - grid.name, 1)
    rows = []
    for start in range(0, len(shares), room):
        line: Line = [(f"{'' if start else '  cores':<{grid.name}}", "")]
        for share in shares[start : start + room]:
            step = 0 if share is None else min(int(share * len(glyphs) / 100), len(glyphs) - 1)
            line.append((" " if share is None else glyphs[step], heat(share) if step else "dim"))
        rows.append(Row(line))
    return rows


def memory(grid: Grid) -> list[Section]:
    """Draw how much of the memory is used, and of swap."""
    values = grid.described.single("memory")
    if number(values, "percent") is None:
        return []
    head = grid.row("Memory", _amount(grid, values, ""), ["memory.percent"], SHARE, is_head=True)
    if not number(values, "swap_total_bytes"):
        return [Section("Memory", head)]
    return [Section("Memory", head, [grid.row("swap", _amount(grid, values, "swap_"), ["memory.swap_percent"], SHARE)])]


def _amount(grid: Grid, values: Values, prefix: str) -> Line:
    used, whole = (units.iec(number(values, f"{prefix}{part}_bytes")) for part in ("used", "total"))
    return grid.percent(number(values, f"{prefix}percent"), f"{used:>8} / {whole}")


def pressure(grid: Grid) -> list[Section]:
    """Draw the shares of the last 10 s in which tasks waited; the head is for what they waited most."""
    values = grid.described.single("pressure")
    some = {resource: number(values, f"{resource}_some_avg10") for resource in RESOURCES}
    known = {resource: share for resource, share in some.items() if share is not None}
    if not known:
        return []
    series = {resource: f"pressure.{resource}_some_avg10" for resource in known}
    rows = []
    for resource, share in known.items():
        full = number(values, f"{resource}_full_avg10")
        detail = "" if full is None else f"{units.percent(full):>8} full"
        rows.append(grid.row(resource, grid.percent(share, detail), [series[resource]], SHARE))
    figures = grid.percent(max(known.values()), "waiting, of 10 s")
    head = grid.row("Pressure", figures, series.values(), SHARE, worst=True, is_head=True)
    return [Section("Pressure", head, rows)]


def load(grid: Grid) -> list[Section]:
    """Draw the means of 1, 5 and 15 min; the strip is full where every CPU has a task."""
    values = grid.described.single("load")
    one, *others = (number(values, field) for field in ("load1", "load5", "load15"))
    if one is None:
        return []
    online = max(number(grid.described.single("cpu"), "online") or 1.0, 1.0)
    detail = " ".join(f"{units.UNKNOWN if mean is None else f'{mean:.2f}':>7}" for mean in others)
    figures = grid.meter(min(one * 100 / online, 100.0), f"{one:.2f}", detail)
    return [Section("Load", grid.row("Load", figures, ["load.load1"], Range(0.0, online), is_head=True))]
