"""The dashboard of `watch`: a pure function of what is known, the size of the screen, and what keys have made of it."""

from collections.abc import Sequence
from time import localtime, strftime
from typing import NamedTuple

from healthctl.render.dashboard_rows import Grid, Picture, Row, Section, grid
from healthctl.render.dashboard_sections import sections, wrong
from healthctl.render.dashboard_state import COLLAPSED, EXPANDED, Ui
from healthctl.render.described import text
from healthctl.render.line import Line, fit, length
from healthctl.render.style import Glyphs, Style
from healthctl.render.units import age, duration, span

_HELP = (
    ("space p", "pause, and go on"),
    ("tab up down j k", "another section"),
    ("enter", "all of it, or as usual"),
    ("right left + -", "more of it, less of it"),
    ("s", "the busiest first"),
    ("page up, down", "what is above, below"),
    ("home end", "the beginning, the end"),
    ("esc", "all as usual"),
    ("ctrl-l", "draw it anew"),
    ("h ?", "this help"),
    ("q ctrl-c", "quit"),
)
_LEGEND = (
    "Strips: how it went until now, blank is",
    "unknown. -25 s is where they all begin.",
    "+4 is how many rows are hidden.",
)
_USUAL_ROWS = 8
"""Rows of a section at most, unless everything is shown."""
_EDGE = 2
"""Lines at the top and the bottom that are always there."""


class Drawn(NamedTuple):
    """A screen, and what keys and the loading of history go by."""

    lines: list[str]
    ui: Ui
    """With what this screen has."""
    addresses: list[str]
    """Of the metrics whose strips are on it."""


class _Block(NamedTuple):
    """A section as it is shown."""

    name: str
    rows: list[Row]
    """The head, and those below it."""
    hidden: int
    """How many are not shown."""


def dashboard(picture: Picture, size: tuple[int, int], style: Style, ui: Ui, interval: float) -> Drawn:
    """Draw the screen: no more than its lines, none wider than its columns."""
    width, height = size
    columns = grid(picture, width, style)
    if ui.help:
        return Drawn([style.write(line, width) for line in _help(height, style.glyphs)], ui, [])
    room = max(height - _EDGE, 0)
    blocks = _fitted(wrong(columns), sections(columns), ui, room)
    body, starts = _body(blocks, room, ui.selected, style)
    overflow = max(len(body) - room, 0)
    top = _top(ui, starts, room, overflow)
    shown = body[top : top + room]
    shown += [Row([])] * (room - len(shown))
    names = tuple(block.name for block in blocks if block.name)
    ui = ui._replace(sections=names, overflow=overflow, top=top)
    lines = [_header(columns, interval), *(row.line for row in shown), _footer(ui, width, interval)]
    addresses = dict.fromkeys(address for row in shown for address in row.addresses)
    return Drawn([style.write(line, width) for line in lines[:height]], ui, list(addresses))


def _fitted(above: list[Row], parts: Sequence[Section], ui: Ui, room: int) -> list[_Block]:
    """Show as much of each section as there is room for: the one with the most rows gives up one after the other."""
    is_short = len(above) + sum(1 + min(len(part.rows), _USUAL_ROWS) for part in parts) > room
    rows = [_rows(part, ui.fold(part.name), is_short=is_short) for part in parts]
    counts = [len(each) for each in rows]
    free = [index for index, part in enumerate(parts) if ui.fold(part.name) != EXPANDED]
    for index in free:
        counts[index] = min(counts[index], _USUAL_ROWS)
    listed = len(above)
    while sum(counts) + len(parts) + listed > room:
        largest = max(free, key=lambda index: (counts[index], index), default=None)
        if largest is not None and counts[largest]:
            counts[largest] -= 1
        elif listed > 1:
            listed -= 1
        else:
            break
    blocks = [_Block("", above[:listed], 0)] if above else []
    for part, each, count in zip(parts, rows, counts, strict=True):
        told = len(part.rows) if count and each is part.brief else count
        hidden = len(part.rows) + len(part.more) - told
        blocks.append(_Block(part.name, [part.head, *_chosen(each, count, busiest=ui.busiest)], hidden))
    return blocks


def _rows(part: Section, fold: int, *, is_short: bool) -> Sequence[Row]:
    if fold == COLLAPSED:
        return ()
    if fold == EXPANDED:
        return [*part.rows, *part.more]
    return part.brief if is_short and 0 < len(part.brief) < len(part.rows) else part.rows


def _chosen(rows: Sequence[Row], count: int, *, busiest: bool) -> list[Row]:
    """Choose so many rows, those that have the most to tell; they keep their order, unless that comes first."""
    best = sorted(range(len(rows)), key=lambda index: -rows[index].rank)[:count]
    return [rows[index] for index in (best if busiest else sorted(best))]


def _body(blocks: Sequence[_Block], room: int, selected: str, style: Style) -> tuple[list[Row], dict[str, range]]:
    """Put the sections below one another, apart where there is room for that; return where each is, too."""
    apart = sum(len(block.rows) for block in blocks) + len(blocks) - 1 <= room
    body: list[Row] = []
    places: dict[str, range] = {}
    for block in blocks:
        if body and apart:
            body.append(Row([]))
        start = len(body)
        body += block.rows
        places[block.name] = range(start, len(body))
        if block.name:
            body[start] = _marked(block, block.name == selected, style)
    return body, places


def _marked(block: _Block, is_selected: bool, style: Style) -> Row:  # noqa: FBT001  # one of two looks
    """Say in the head whether the section is selected, and how much of it is hidden."""
    head = block.rows[0]
    (name, role), *rest = head.line
    if is_selected:
        name, role = (">" if not style.unicode else "▸") + name[1:], "selected"
    if block.hidden:
        count = f" +{block.hidden}"
        title = name.rstrip()
        if len(title) + len(count) < len(name):
            return head._replace(line=[(title, role), (f"{count:<{len(name) - len(title)}}", "dim"), *rest])
    return head._replace(line=[(name, role), *rest])


def _top(ui: Ui, places: dict[str, range], room: int, overflow: int) -> int:
    """Return how many lines are scrolled out: the selected section is on the screen unless somebody has scrolled."""
    top = min(ui.top, overflow)
    place = places.get(ui.selected)
    if place is None or not ui.follows:
        return top
    if place.stop > top + room:
        top = place.stop - room
    return min(top, place.start)


def _header(columns: Grid, interval: float) -> Line:
    """Say how the machine is, which it is, of how long the strips tell, and what time it is."""
    described, style = columns.described, columns.style
    host = described.single("host")
    line: Line = [(f"{style.glyphs.dot} {described.severity}", described.severity)]
    time = described.time
    if described.since is not None and time is not None:
        line += [(f" for {age(time - described.since)}", "dim")]
    up = f"up {duration(described.since_boot)}" if described.since_boot is not None else ""
    clock = "" if time is None else strftime("%H:%M:%S", localtime(time))
    left = min(columns.name + columns.middle, max(columns.width - length([(clock, "")]) - 1, 0))
    for words, role in ((text(host, "hostname"), "bold"), (up, "dim")):
        if words and length(line) + 2 + len(words) <= left:
            line += [("  ", ""), (words, role)]
    line = fit(line, left, style.glyphs.mark)
    past = f"-{span(columns.strip * interval)}" if columns.strip > length([(clock, "")]) + 8 else ""
    gap = max(columns.width - length(line) - len(past) - len(clock), 0)
    before = max(min(left + 2 - length(line), gap), 0)
    return [*line, (" " * before, ""), (past, "dim"), (" " * (gap - before), ""), (clock, "")]


def _footer(ui: Ui, width: int, interval: float) -> Line:
    """Name the keys, as many as there is room for, and say what is not as usual."""
    state: Line = []
    if ui.paused:
        state.append(("paused", "warning"))
    if ui.overflow:
        below = ui.overflow - ui.top
        state.append((f"{below} below" if below else f"{ui.top} above", "dim"))
    state.append((f"every {span(interval)}", "dim"))
    right: Line = []
    for words in state:
        right += [("  ", ""), words]
    order = "by name" if ui.busiest else "busiest"
    keys = [("q", "quit"), ("h", "help"), ("space", "go on" if ui.paused else "pause"), ("tab", "section")]
    keys += [("enter", "all of it")] if ui.selected else []
    line: Line = []
    for key, meaning in [*keys, ("s", order)]:
        spans: Line = [("  " if line else " ", ""), (key, "bold"), (f" {meaning}", "dim")]
        if length(line) + length(spans) + length(right) <= width:
            line += spans
    return [*line, (" " * max(width - length(line) - length(right), 0), ""), *right]


def _help(height: int, glyphs: Glyphs) -> list[Line]:
    rows: list[Line] = [[("Keys", "bold")]]
    rows += [[(f"  {keys:<15} ", "bold"), (meaning, "")] for keys, meaning in _HELP]
    parts = ((glyphs.user, "user"), (glyphs.system, "system"), (glyphs.iowait, "iowait"), (glyphs.iowait, "steal"))
    rows += [[], [("Bar of the CPU", "bold"), *(span for part in parts for span in _part(*part))]]
    rows += [[], *([(words, "dim")] for words in _LEGEND)]
    rows += [[], [("Any key goes back.", "dim")]]
    # Where it is too low, the end matters least.
    return rows[:height]


def _part(glyph: str, role: str) -> Line:
    return [("  ", ""), (glyph, role), (f" {role}", "")]
