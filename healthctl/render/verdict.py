"""The verdict: how the machine is, since when, and what makes it so."""

from healthctl.render.line import Line
from healthctl.render.section import Frame
from healthctl.render.units import age


def verdict(frame: Frame) -> list[Line]:
    """Draw the first line, a line for each condition where there are some, and what is wrong with the configuration."""
    lines = _judged(frame)
    if faults := frame.described.faults:
        count = "a fault" if faults == 1 else f"{faults} faults"
        words = f"configuration: {count}, the one before is in force: healthctl config check"
        lines.append([("  ", ""), (words, "warning")])
    return lines


def _judged(frame: Frame) -> list[Line]:
    described, glyphs = frame.described, frame.style.glyphs
    severity = described.severity
    line: Line = [(f"{glyphs.dot} {severity}", severity)]
    if described.since is not None and described.time is not None:
        line += [("  ", ""), (f"for {age(described.time - described.since)}", "dim")]
    if not described.conditions:
        return [[*line, ("  ", ""), ("; ".join(described.reasons), "")]]
    # Only here: a machine that is well does without.
    from healthctl.render.condition import reasons  # noqa: PLC0415

    return [line, *reasons(frame)]
