"""CPU, load and pressure."""

from healthctl.render import units
from healthctl.render.described import Values, blank, number
from healthctl.render.line import Line, Span, extend
from healthctl.render.section import Frame, section, stale, unavailable

# Fields of the breakdown, each with its role; the last ones are shown only where they are not zero.
_BREAKDOWN = (
    ("user", "user"),
    ("system", "system"),
    ("iowait", "iowait"),
    ("nice", "user"),
    ("irq", "system"),
    ("softirq", "system"),
    ("steal", "steal"),
)
_ALWAYS = 3


def cpu(frame: Frame) -> list[Line]:
    """Draw what the processors do, as a bar and in figures."""
    values, problem = frame.described.single("cpu"), frame.described.problem("cpu")
    if not values and not problem:
        return []
    if blank(values):
        return section("CPU", [unavailable(problem)])
    glyphs = frame.style.glyphs

    def total(*fields: str) -> float:
        return sum(number(values, field) or 0.0 for field in fields)

    bar = frame.bar(
        (total("user", "nice"), glyphs.user, "user"),
        (total("system", "irq", "softirq"), glyphs.system, "system"),
        (total("iowait"), glyphs.iowait, "iowait"),
        (total("steal"), glyphs.iowait, "steal"),
    )
    row: Line = [*bar, (f"{units.percent(number(values, 'busy')):>9}", "")]
    row = extend(row, [(processors(values), "dim")], frame.room)
    return section("CPU", [row, _breakdown(values, frame.room), *stale(problem)])


def processors(values: Values) -> str:
    """Say how many there are, and how fast they run."""
    online, frequency = number(values, "online"), number(values, "frequency_hertz")
    count = f"{online:.0f} CPU{'' if online == 1 else 's'}" if online is not None else ""
    return " at ".join(filter(None, (count, units.hertz(frequency) if frequency is not None else "")))


def _breakdown(values: Values, room: int) -> Line:
    line: Line = []
    for position, (field, role) in enumerate(_BREAKDOWN):
        share = number(values, field)
        if position < _ALWAYS or share:
            spans = [(field, role), (" " + (f"{share:.1f}" if share is not None else "?"), "")]
            line = extend(line, spans, room) if line else [*spans]
    return line


def load(frame: Frame) -> list[Line]:
    """Draw the three means."""
    values, problem = frame.described.single("load"), frame.described.problem("load")
    if not values and not problem:
        return []
    if blank(values):
        return section("Load", [unavailable(problem)])
    means = [number(values, field) for field in ("load1", "load5", "load15")]
    row: Line = [("  ".join("?" if mean is None else f"{mean:.2f}" for mean in means), "")]
    row = extend(row, [("mean tasks of 1, 5 and 15 min", "dim")], frame.room)
    return section("Load", [row, *stale(problem)])


def pressure(frame: Frame) -> list[Line]:
    """Draw the share of the last 10 s in which tasks waited."""
    values, problem = frame.described.single("pressure"), frame.described.problem("pressure")
    if not values and not problem:
        return []
    if blank(values):
        return section("Pressure", [unavailable(problem)])
    row: Line = []
    for resource, fields in (
        ("cpu", ["cpu_some_avg10"]),
        ("memory", ["memory_some_avg10", "memory_full_avg10"]),
        ("io", ["io_some_avg10", "io_full_avg10"]),
    ):
        row += [("  " if row else "", ""), (resource, "dim"), _shares(values, fields)]
    row = extend(row, [("some/full % of 10 s", "dim")], frame.room)
    return section("Pressure", [row, *stale(problem)])


def _shares(values: Values, fields: list[str]) -> Span:
    shares = [number(values, field) for field in fields]
    return (" " + "/".join("?" if share is None else f"{share:.1f}" for share in shares), "")
