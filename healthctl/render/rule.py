"""A rule in words: what it looks at, and from when on until when that is a problem.

A rule is what `Explain` gives below `rule`.
"""

from healthctl.render.described import Values, number, text
from healthctl.render.units import span

_OPERATORS = {
    "": "{metric}",
    "mean": "mean of {metric} over {window}",
    "share": "{metric}, of what came within {window}",
    "increase": "growth of {metric} within {window}",
    "changes": "how often {metric} changed within {window}",
    "episodes": "how often {metric} began to be true within {window}",
    "turned": "whether {metric} became true while healthd watched",
    "lost": "whether {metric} became false while healthd watched",
    "seconds_to_limit": "time until nothing is left of {metric}, as it went in {window}",
}


def looks_at(rule: Values, instance: str) -> str:
    """Say what is judged."""
    metric, whole = text(rule, "metric"), text(rule, "per")
    if whole:
        metric = f"{_bracketed(metric)} / {_bracketed(whole)}"
    operator, window = text(rule, "operator"), span(number(rule, "window") or 0.0)
    words = _OPERATORS.get(operator, f"{operator} of {{metric}} over {{window}}")
    return words.format(metric=f"{metric} of {instance}" if instance else metric, window=window)


def _bracketed(sum_: str) -> str:
    return f"({sum_})" if " " in sum_ else sum_


def bounds(level: Values, rule: Values) -> str:
    """Say from when on, and until when, a condition has the severity of a level."""
    hold, clear_after = number(level, "hold"), number(rule, "clear_after")
    enter, clear = text(level, "enter"), text(level, "clear")
    begins = f"{enter} for {span(hold)}" if hold else enter
    if clear:
        ends = f"after {span(clear_after)} of {clear}" if clear_after else f"when {clear}"
    else:
        ends = f"{span(clear_after)} after that ended" if clear_after else "when that ends"
    return f"{begins}; over {ends}"
