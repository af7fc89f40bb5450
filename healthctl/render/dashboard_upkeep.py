"""The sections of the dashboard about what keeps the machine right, in the words of the status screen."""

from healthctl.render import upkeep
from healthctl.render.dashboard_rows import Grid, Section
from healthctl.render.line import Line
from healthctl.render.section import Frame


def throttling(grid: Grid) -> list[Section]:
    """Say what holds a Raspberry Pi back, or has since boot."""
    return _said(grid, "Throttling", upkeep.throttling(_frame(grid)))


def clock(grid: Grid) -> list[Section]:
    """Say that nobody keeps the clock; one that is kept is as it should be."""
    if grid.described.single("clock").get("synchronised") is True:
        return []
    return _said(grid, "Clock", upkeep.clock(_frame(grid)))


def services(grid: Grid) -> list[Section]:
    """Name the units that failed."""
    return _said(grid, "Services", upkeep.services(_frame(grid)))


def _frame(grid: Grid) -> Frame:
    return Frame(grid.described, grid.width, grid.style)


def _said(grid: Grid, name: str, words: Line) -> list[Section]:
    return [Section(name, grid.note(name, words))] if words else []
