"""How metrics went, as SVG: the mean of each moment in the band from its least to its greatest value."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from healthctl.render import axis
from healthctl.render.axis import Window
from healthctl.render.described import Described, number, sensor_name, text
from healthctl.render.scale import Scale, measure, scale
from healthctl.series import Point, resolution
from healthctl.web.markup import Content, Markup, element, join

RANGES = {"5min": 300.0, "1h": 3600.0, "24h": 86400.0, "7d": 604800.0}
"""Seconds."""
POINTS = 150
"""Of a line."""

_HEIGHT, _TOP, _BOTTOM = 140, 16, 20
"""Of a chart, and of what is above and below its lines, pixels: letters are not stretched."""
_WIDE, _HIGH = 600, 400
"""Of what lines are drawn in, which is stretched to the width that there is; whole numbers are the shortest."""
_DEVICES = 2
_LINES = 4
"""In one chart at most: more can't be told apart."""


class Chart(NamedTuple):
    """Which metrics are drawn together."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    """The name and the address of each."""


def charts(described: Described) -> list[Chart]:
    """Return the charts of a machine."""
    sensors = described.instances("sensor")
    warm = sorted(
        (name for name, row in sensors.items() if number(row, "celsius") is not None),
        key=lambda name: (text(sensors[name], "role") != "cpu", name),
    )
    uplinks = [name for name, row in described.instances("network").items() if row.get("uplink") is True]
    disks = [name for name, row in described.instances("disk").items() if number(row, "busy") is not None]
    mounts = [name for name, row in described.instances("filesystem").items() if number(row, "percent") is not None]
    found = [
        Chart("CPU", "percent", (("busy", "cpu.busy"),)),
        Chart("Memory", "percent", (("memory", "memory.percent"), ("swap", "memory.swap_percent"))),
        Chart("Load", "tasks", (("1 min", "load.load1"), ("15 min", "load.load15"))),
        Chart(
            "Pressure", "percent",
            tuple((name, f"pressure.{name}_some_avg10") for name in ("cpu", "memory", "io")),
        ),
        Chart(
            "Temperature", "celsius",
            tuple((sensor_name(name, sensors[name]), f"sensor.celsius@{name}") for name in warm),
        ),
        *(_flow("network", name, {"rx": "received", "tx": "sent"}) for name in uplinks[:_DEVICES]),
        *(_flow("disk", name, {"read": "read", "write": "written"}) for name in disks[:_DEVICES]),
        Chart("Filesystems", "percent", tuple((name, f"filesystem.percent@{name}") for name in mounts)),
    ]  # fmt: skip
    return [chart._replace(lines=chart.lines[:_LINES]) for chart in found if chart.lines]


def _flow(family: str, name: str, ways: Mapping[str, str]) -> Chart:
    """Return the chart of what passes a device both ways."""
    lines = ((word, f"{family}.{way}_bytes_per_second@{name}") for way, word in ways.items())
    return Chart(f"{family.capitalize()} {name}", "bytes_per_second", tuple(lines))


def draw(chart: Chart, points: Mapping[str, Sequence[Point]], window: Window) -> Markup:
    """Return a chart as a figure; of metrics without points nothing is drawn."""
    lines = [(name, points[address]) for name, address in chart.lines if points.get(address)]
    if not lines:
        return Markup()
    values = [value for _, line in lines for point in line for value in (point.low, point.high)]
    up = scale(measure(chart.unit, "°C"), min(values), max(values), 3)
    write = measure(chart.unit, "°C").write
    legend = [
        element(
            "li",
            element("i", class_=f"line{place}"), f" {name} ", element("span", write(line[-1].mean), class_="aside"),
        )
        for place, (name, line) in enumerate(lines)
    ]  # fmt: skip
    drawn = [_line(line, place, up, window) for place, (_, line) in enumerate(lines)]
    spans = (
        f"{name} from {write(min(point.low for point in line))} to {write(max(point.high for point in line))}"
        for name, line in lines
    )
    label = f"{chart.title}: {'; '.join(spans)}"
    rules, labels = _grid(up, window)
    return element(
        "figure",
        element("figcaption", element("h3", chart.title), element("ul", *legend, class_="legend")),
        element(
            "svg", rules,
            _stretched((_WIDE, _HIGH), drawn, y=_TOP, width="100%", height=_HEIGHT - _TOP - _BOTTOM), labels,
            role="img", aria_label=label, height=_HEIGHT,
        ),
    )  # fmt: skip


def _grid(up: Scale, window: Window) -> tuple[Markup, Markup]:
    """Return the rules, and what is written at them."""
    rules, labels = [], []
    for tick in up.ticks:
        y = round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - tick.place), 1)
        rules.append(element("line", x2="100%", y1=y, y2=y))
        labels.append(element("text", tick.label, y=y - 3))
    columns = 48
    for column, label in axis.ticks(window, columns):
        share = column / columns
        if share < 0.9:
            labels.append(element("text", label, x=f"{100 * share:.1f}%", y=_HEIGHT - 4))
    return element("g", *rules, class_="grid"), element("g", *labels, class_="grid")


def _stretched(size: tuple[int, int], content: Content, **more: str | float) -> Markup:
    """Return lines that are drawn in a size, and stretched to the room that there is."""
    return element("svg", content, viewBox=f"0 0 {size[0]} {size[1]}", preserveAspectRatio="none", **more)


def _line(line: Sequence[Point], position: int, up: Scale, window: Window) -> Markup:
    """Return a line, and the band around it; where nothing is known there is a gap."""
    step = 2.5 * resolution(line)
    parts: list[list[Point]] = []
    for point in line:
        if not parts or point.time - parts[-1][-1].time > max(step, 1.0):
            parts.append([])
        parts[-1].append(point)

    def place(point: Point, field: str) -> tuple[int, int]:
        share = min(max((point.time - window.since) / window.length, 0.0), 1.0)
        return round(_WIDE * share), round(_HIGH * (1 - up.place(getattr(point, field))))

    def places(points: Sequence[Point], field: str) -> list[tuple[int, int]]:
        return [place(point, field) for point in points]

    wide = [part for part in parts if len(part) > 1 and any(point.low != point.high for point in part)]
    bands = "".join(_path(places(part, "high") + places(part[::-1], "low")) + "z" for part in wide)
    means = "".join(_path(places(part, "mean")) for part in parts)
    return join(
        element("path", d=bands, class_=f"band{position}") if bands else None,
        element("path", d=means, class_=f"line{position}"),
    )


def _path(places: Sequence[tuple[int, int]]) -> str:
    """Return a path; from place to place it goes by steps, which are short to write."""
    (x, y), *_ = places
    steps = " ".join(f"{right - left} {lower - upper}" for (left, upper), (right, lower) in pairwise(places))
    # A point alone is a dot: the caps of the line are round.
    return f"M{x} {y}l{steps or '0 0'}".replace(" -", "-")


def strip(title: str, values: Sequence[float | None], low: float, high: float) -> Markup:
    """Return values as they were observed as a small line, the newest at the right; what is unknown is a gap."""
    path, drawn = "", False
    for position, value in enumerate(values):
        if value is not None:
            height = 18 * min(max((value - low) / (high - low), 0), 1)
            path += f"{'L' if drawn else 'M'}{2 * position} {20 - height:.1f}"
        drawn = value is not None
    line = element("path", d=path, class_="line0")
    return _stretched((2 * len(values) - 2, 22), line, role="img", aria_label=title, class_="strip")


def columns(values: Sequence[float | None], title: str) -> Markup:
    """Return shares of a whole, percent, as columns beside each other; what is unknown has none."""
    path = "".join(f"M{place + 0.5:g} 100v{-value:.0f}" for place, value in enumerate(values) if value is not None)
    line = element("path", d=path)
    return _stretched((len(values), 100), line, role="img", aria_label=title, class_="columns")
