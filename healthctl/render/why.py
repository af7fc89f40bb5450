"""One condition explained: its rule, the evidence, what else happened then, and what to do."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from healthctl.render import condition
from healthctl.render.axis import Window
from healthctl.render.described import Values, cleaned, number, seconds, text
from healthctl.render.event import told
from healthctl.render.line import Line, cells, pad, wrap
from healthctl.render.rule import bounds, looks_at
from healthctl.render.section import LABEL, names_width, section
from healthctl.render.spark import spark
from healthctl.render.style import Style
from healthctl.render.units import age, span
from healthctl.render.users import users
from healthctl.series import Series
from healthctl.when import clock, local
from healthd import protocol

_SHORTEST_SPARK, _LONGEST_SPARK = 8, 60
_WIDEST_NAME = 40
_DATE = 15
"""Columns of a time as events have it."""
_APART = "  "


class Explained(NamedTuple):
    """A condition, and what is known around it."""

    name: str
    told: dict[str, Any]
    """What `Explain` gave."""
    now: float
    """When that was, seconds since 1970."""
    series: Sequence[Series]
    """How what the rule looks at went until then."""
    events: Sequence[str]
    """What else happened when it became what it is, as lines of JSON."""


class _Page(NamedTuple):
    """What the parts are drawn from, every text of it clean."""

    name: str
    told: Values
    rule: Values
    explained: Explained
    room: int
    style: Style

    @property
    def since(self) -> float | None:
        """Since when it is so, seconds since 1970."""
        return condition.since(self.told)

    def words(self, label: str, content: str) -> list[Line]:
        """Write text beside a label; nothing where there is none."""
        return section(label, ([(row, "")] for row in wrap(content, self.room)))


def why(explained: Explained, width: int, style: Style) -> list[str]:
    """Draw it; no line is wider than the width."""
    told: Values = cleaned(explained.told, style)
    rule = told.get("rule")
    page = _Page(
        style.clean(explained.name), told, rule if isinstance(rule, dict) else {}, explained, width - LABEL, style
    )
    blocks = [_head(page), _rule(page), _evidence(page), _who(page), _moved(page), _meanwhile(page), _advice(page)]
    lines: list[Line] = []
    for block in filter(None, blocks):
        lines += [[], *block] if lines else block
    return [style.write(line, width) for line in lines]


def _head(page: _Page) -> list[Line]:
    severity = text(page.told, "severity") or protocol.UNKNOWN
    line: Line = [(f"{page.style.glyphs.dot} {severity}", severity), (_APART, ""), (page.name, "bold")]
    if page.since is not None:
        line += [(_APART, ""), (f"for {age(page.explained.now - page.since)}", "dim")]
    if severity == protocol.OK:
        return [line, *page.words("Would mean", text(page.told, "summary"))]
    return [line, *([(row, "")] for row in wrap(text(page.told, "summary"), page.room + LABEL))]


def _rule(page: _Page) -> list[Line]:
    """Say what is looked at, and from when on it is a problem."""
    lines = page.words("Looks at", looks_at(page.rule, text(page.told, "instance"))) if page.rule else []
    levels = page.rule.get("levels")
    for level in filter(lambda level: isinstance(level, dict), levels if isinstance(levels, list) else ()):
        lines += page.words(text(level, "severity").capitalize(), bounds(level, page.rule))
    if grace := number(page.rule, "grace"):
        lines += page.words("Not judged", f"in the first {span(grace)} after boot")
    if silenced := page.rule.get("inhibits"):
        lines += page.words("Silences", ", ".join(map(str, silenced)))
    return lines


def _evidence(page: _Page) -> list[Line]:
    """Tell what decided, and how it came to that."""
    lines = page.words("Evidence", ", ".join(_measured(page)))
    lines += page.words("Outlook", "; ".join(_outlook(page)))
    lines += page.words("Samples", _samples(page))
    return lines + section("History", _history(page))


def _measured(page: _Page) -> Iterator[str]:
    if number(page.told, "value") is not None:
        metric, looked_at = text(page.told, "metric"), text(page.rule, "metric")
        of = f" ({metric})" if metric != looked_at else ""
        yield condition.value(page.told, page.style) + of
    if number(page.told, "threshold") is not None:
        yield f"threshold {condition.threshold(page.told, page.style)}"
    if page.since is not None:
        yield f"{text(page.told, 'severity')} since {local(page.since)}"


def _outlook(page: _Page) -> Iterator[str]:
    """Say what becomes of it, and what comes of it."""
    due, returns = number(page.told, "due_seconds"), number(page.told, "returns")
    if condition.pending(page.told):
        within = f" within {span(due)}" if due else ""
        yield f"{text(page.told, 'next')}{within} if it stays so"
    if remark := condition.remark(page.told):
        at, until = number(page.told, "acknowledged"), number(page.told, "acknowledged_until")
        remark += f" at {local(at)}" if at is not None else ""
        remark += f" until {local(until)}" if until is not None else ""
        yield f"{remark}, and does not count for the host"
    if returns:
        times = "once" if returns == 1 else f"{returns:.0f} times"
        yield f"came back {times} soon after it was over, and takes longer to be over now"


def _samples(page: _Page) -> str:
    """Write the values that decided: the first, and as many of the last as there is room for."""
    samples = page.told.get("samples")
    shown = [_sample(page, *each) for each in samples if _is_sample(each)] if isinstance(samples, list) else []
    last, between = shown[1:], ", "
    while len(last) > 1 and cells(shown[0] + between + ", ".join(last)) > page.room:
        last, between = last[1:], f", {page.style.glyphs.mark} "
    return between.join([*shown[:1], *filter(None, [", ".join(last)])])


def _is_sample(content: object) -> bool:
    return isinstance(content, list) and len(content) == 2


def _sample(page: _Page, time: object, value: object) -> str:
    at, unit = seconds(time), text(page.told, "unit")
    measured = condition.quantity(number({"value": value}, "value"), unit, page.style)
    return f"{measured} at {clock(at)}" if at is not None else measured


def _history(page: _Page) -> Iterator[Line]:
    """Draw how each metric went, where something is known of that."""
    known = [series for series in page.explained.series if len(series.points) > 1]
    column = names_width((series.address for series in known), _WIDEST_NAME) if len(known) > 1 else 0
    now = page.explained.now
    window = Window(min((series.points[0].time for series in known), default=now), now, now)
    for series in known:
        low, high = min(point.low for point in series.points), max(point.high for point in series.points)
        ends = (condition.quantity(value, series.unit, page.style) for value in (low, high))
        figures = f"{' to '.join(ends)} in {age(window.length)}"
        line: Line = []
        if column:
            line = [(pad(page.style.clean(series.address), column, page.style.glyphs.mark), "dim"), (_APART, "")]
        room = page.room - column - len(_APART) * bool(column)
        beside = room - len(_APART) - cells(figures)
        columns = min(max(beside if beside >= _SHORTEST_SPARK else room, _SHORTEST_SPARK), _LONGEST_SPARK)
        line.append((spark(series.points, window, columns, page.style), ""))
        if beside >= _SHORTEST_SPARK:
            yield [*line, (_APART, ""), (figures, "dim")]
        else:
            yield from (line, [(figures, "dim")])


def _who(page: _Page) -> list[Line]:
    """Name those who used most of it, where that was looked at."""
    who = page.told.get("who")
    rows = users(who) if isinstance(who, dict) else []
    # Broken only where it must be: the space before the figures tells them apart.
    parts = (part for row in rows for part in (wrap(row, page.room) if cells(row) > page.room else [row]))
    return section("Who", ([(part, "")] for part in parts))


def _moved(page: _Page) -> list[Line]:
    """Tell which other metrics moved while it built up: what was usual before, and then."""
    movers = page.told.get("movers")
    if not isinstance(movers, list):
        return []
    moves = [(text(move, "metric"), _move(move, page.style)) for move in movers if isinstance(move, dict)]
    figures = names_width((figures for _, figures in moves), page.room)
    column = min(names_width((name for name, _ in moves), page.room), max(page.room - figures - len(_APART), 8))
    mark = page.style.glyphs.mark
    lines: list[Line] = [[(pad(name, column, mark), ""), (_APART, ""), (figures, "")] for name, figures in moves]
    return section("Moved", lines or [[("nothing else that is unusual", "")]])


def _move(move: Values, style: Style) -> str:
    before, after = (condition.quantity(number(move, key), text(move, "unit"), style) for key in ("before", "after"))
    return f"{before} {style.glyphs.became} {after}"


def _meanwhile(page: _Page) -> list[Line]:
    """Tell what else happened."""
    events = filter(None, (told(text, {}, page.style) for text in page.explained.events))
    room = page.room - _DATE - len(_APART)
    lines: list[Line] = []
    for event in events:
        for index, row in enumerate(wrap(event.words, room)):
            lines.append([(f"{'' if index else event.time:<{_DATE}}{_APART}", "dim"), (row, event.role)])
    return section("Meanwhile", lines)


def _advice(page: _Page) -> list[Line]:
    """Say why it matters, and what to do."""
    return page.words("Why", text(page.rule, "why")) + page.words("To do", text(page.rule, "remedy"))
