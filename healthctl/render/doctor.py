"""What the doctor found, a line each; what is not well has a second one, which says what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from healthctl.diagnosis import ABSENT, FAIL, OK, WARN, Finding, worst
from healthctl.render.line import UNBOUNDED, Line, cells, wrap
from healthctl.render.style import Style
from healthd import protocol

_ROLES = {OK: protocol.OK, WARN: protocol.WARNING, FAIL: protocol.CRITICAL, ABSENT: "dim"}
_MARKS = {ABSENT: "-", "unknown": "?", "unavailable": "-"}
_MARK = 4
_LEAST = 30
"""Columns for a text, below which it is left to the terminal to break it."""


def draw(findings: Sequence[Finding], style: Style, width: int = UNBOUNDED) -> list[str]:
    """Draw the findings, and what they come to; nothing loses its end.

    A text goes on in the next line; what is to be copied is one line, however long.
    """
    widest = max(cells(finding.check) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        lines += _lines(finding.state, finding.check, widest, finding.text, style, width=width)
        if finding.remedy:
            remedy = f"{style.glyphs.became} {style.clean(finding.remedy)}"
            lines.append(style.write([(" " * (_MARK + widest + 4) + remedy, "")], UNBOUNDED))
    return [*lines, "", style.write([(_sum(findings), _ROLES[worst(findings)])], UNBOUNDED)]


def _lines(state: str, check: str, widest: int, text: str, style: Style, *, width: int) -> list[str]:
    mark = _MARKS.get(state, state)
    check, text = style.clean(check), style.clean(text)
    gap = " " * (widest - cells(check) + 2)
    line: Line = [(f"{mark:<{_MARK}}", _ROLES.get(state, "dim")), ("  ", ""), (check, "bold"), (gap, "")]
    before = _MARK + widest + 4
    rows = wrap(text, width - before) if width - before >= _LEAST else [text]
    below = [[(" " * before + row, "")] for row in rows[1:]]
    return [style.write(each, UNBOUNDED) for each in ([*line, ("".join(rows[:1]), "")], *below)]


def _sum(findings: Sequence[Finding]) -> str:
    failed = sum(finding.state == FAIL for finding in findings)
    warned = sum(finding.state == WARN for finding in findings)
    counts = [f"{number} {word}" for number, word in ((failed, "broken"), (warned, "degraded")) if number]
    return f"healthd: {', '.join(counts)}" if counts else "healthd is well"


def draw_metrics(metrics: Mapping[str, Mapping[str, Any]], style: Style, width: int = UNBOUNDED) -> list[str]:
    """Draw how each metric is, and what it is read from."""
    widest = max((cells(name) for name in metrics), default=0)
    lines: list[str] = []
    for name, metric in metrics.items():
        text = str(metric.get("reason") or metric.get("source") or "")
        if metric["state"] == "unknown":
            text = f"unknown here; from {text}"
        lines += _lines(str(metric["state"]), name, widest, text, style, width=width)
    return lines
