"""Sparklines: how a metric went, in one line."""

from collections.abc import Sequence

from healthctl.render.axis import Window
from healthctl.render.chart import slots
from healthctl.render.style import Style
from healthctl.series import Point


def spark(points: Sequence[Point], window: Window, columns: int, style: Style) -> str:
    """Draw the means from the least to the greatest one, and a space where nothing is known."""
    shown = slots(points, window, columns)
    means = [point.mean for point in shown if point]
    if not means:
        return " " * columns
    low, apart = min(means), max(means) - min(means)
    return "".join(_step(point.mean - low, apart, style.glyphs.steps) if point else " " for point in shown)


def _step(above: float, apart: float, steps: str) -> str:
    return steps[min(int(above / apart * len(steps)), len(steps) - 1)] if apart > 0 else steps[0]
