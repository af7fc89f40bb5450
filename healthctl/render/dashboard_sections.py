"""The sections of the dashboard, from top to bottom."""

from collections.abc import Callable

from healthctl.render.dashboard_devices import batteries, disks, filesystems, network, temperatures
from healthctl.render.dashboard_rows import Grid, Row, Section
from healthctl.render.dashboard_upkeep import clock, services, throttling
from healthctl.render.dashboard_work import cpu, load, memory, pressure
from healthctl.render.section import Frame, unavailable
from healthctl.render.verdict import verdict

_SECTIONS: tuple[tuple[str, str, Callable[[Grid], list[Section]]], ...] = (
    ("CPU", "cpu", cpu),
    ("Memory", "memory", memory),
    ("Pressure", "pressure", pressure),
    ("Load", "load", load),
    ("Network", "network", network),
    ("Disks", "disk", disks),
    ("Temperature", "sensor", temperatures),
    ("Throttling", "throttling", throttling),
    ("Filesystems", "filesystem", filesystems),
    ("Battery", "battery", batteries),
    ("Clock", "clock", clock),
    ("Services", "services", services),
)


def sections(grid: Grid) -> list[Section]:
    """Draw what this machine has, and of what is unavailable why it is so."""
    found = []
    for name, family, draw in _SECTIONS:
        drawn = draw(grid)
        if not drawn and not grid.described.unsupported(family) and (problem := grid.described.problem(family)):
            drawn = [Section(name, grid.note(name, unavailable(problem)))]
        found += drawn
    return found


def wrong(grid: Grid) -> list[Row]:
    """Draw what is wrong: conditions, faults of the configuration."""
    described = grid.described
    lines = verdict(Frame(described, grid.width, grid.style))[1:]
    if not described.conditions and described.reasons:
        lines = [[(f"  {'; '.join(described.reasons)}", "dim")], *lines]
    return [Row(line) for line in lines]
