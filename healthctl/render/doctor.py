"""What the doctor found, a line each; what is not well has a second one, which says what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from healthctl.diagnosis import ABSENT, FAIL, OK, WARN, Finding, worst
from healthctl.render.line import cells
from healthctl.render.style import Style
from healthd import protocol

_ROLES = {OK: protocol.OK, WARN: protocol.WARNING, FAIL: protocol.CRITICAL, ABSENT: "dim"}
_MARKS = {ABSENT: "-", "unknown": "?", "unavailable": "-"}
_MARK = 4
_UNBOUNDED = 1_000_000


def draw(findings: Sequence[Finding], style: Style) -> list[str]:
    """Draw the findings, and what they come to; a line is as long as what it says, as none must lose its end."""
    widest = max(cells(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(_line(finding.state, finding.check, widest, style.clean(finding.text), style))
        if finding.remedy:
            remedy = f"{style.glyphs.became} {style.clean(finding.remedy)}"
            lines.append(style.write([(" " * (_MARK + widest + 4) + remedy, "")], _UNBOUNDED))
    return [*lines, "", style.write([(_sum(findings), _ROLES[worst(findings)])], _UNBOUNDED)]


def _line(state: str, check: str, widest: int, text: str, style: Style) -> str:
    mark = _MARKS.get(state, state)
    check = style.clean(check)
    gap = " " * (widest - cells(check) + 2)
    role = _ROLES.get(state, "dim")
    return style.write([(f"{mark:<{_MARK}}", role), ("  ", ""), (check, "bold"), (gap, ""), (text, "")], _UNBOUNDED)


def _sum(findings: Sequence[Finding]) -> str:
    failed = sum(finding.state == FAIL for finding in findings)
    warned = sum(finding.state == WARN for finding in findings)
    counts = [f"{number} {word}" for number, word in ((failed, "broken"), (warned, "degraded")) if number]
    return f"healthd: {', '.join(counts)}" if counts else "healthd is well"


def draw_metrics(metrics: Mapping[str, Mapping[str, Any]], style: Style) -> list[str]:
    """Draw how each metric is, and what it is read from."""
    widest = max((cells(name) for name in metrics), default=0)
    lines = []
    for name, metric in metrics.items():
        text = str(metric.get("reason") or metric.get("source") or "")
        if metric["state"] == "unknown":
            text = f"unknown here; from {text}"
        lines.append(_line(str(metric["state"]), name, widest, style.clean(text), style))
    return lines
