"""The verdict in one line, for prompts, panels and greetings."""

from typing import Any

from healthctl.render.line import Line
from healthctl.render.style import Style
from healthd import protocol

_WIDTH = 60
"""Columns at most: others have to say something there too."""


def brief(described: dict[str, Any], style: Style) -> str:
    """Return the verdict, its worst reason, and how many others there are: `● warning swap +1`."""
    severity, words = _words(described, style)
    line: Line = [(" ".join(filter(None, (style.glyphs.dot, severity, words))), severity)]
    return style.write(line, _WIDTH)


def panel(described: dict[str, Any], style: Style) -> dict[str, str]:
    """Return the object that panels like waybar take: text, class and tooltip, none of it markup."""
    severity, words = _words(described, style)
    reasons, conditions = _reasons(described)
    told = [_told(name, conditions.get(name), style) for name in reasons]
    text = style.cut(" ".join(filter(None, (severity, words))), _WIDTH)
    return {"text": text, "class": severity, "tooltip": "\n".join(told or [f"health is {severity}"])}


def _words(described: dict[str, Any], style: Style) -> tuple[str, str]:
    """Return the severity and what makes it so, in as few words as tell it."""
    reasons, _ = _reasons(described)
    more = f" +{len(reasons) - 1}" if len(reasons) > 1 else ""
    severity = style.clean(str(_health(described).get("severity") or protocol.UNKNOWN))
    return severity, f"{style.clean(reasons[0])}{more}" if reasons else ""


def _reasons(described: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions that make the verdict, the worst first, and all by name."""
    health = _health(described)
    reasons, conditions = health.get("reasons"), health.get("conditions")
    names = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    return names, conditions if isinstance(conditions, dict) else {}


def _health(described: dict[str, Any]) -> dict[str, Any]:
    health = described.get("health")
    return health if isinstance(health, dict) else {}


def _told(name: str, condition: Any, style: Style) -> str:
    summary = condition.get("summary") if isinstance(condition, dict) else ""
    return style.clean(f"{name}: {summary}" if summary else name)
