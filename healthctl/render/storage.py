"""Filesystems and disks."""

from healthctl.render import units
from healthctl.render.described import Described, Values, blank, number, text
from healthctl.render.line import Line, cut_start, extend, length, pad
from healthctl.render.section import LIMIT, Frame, most, names_width, section, unavailable

_LARGEST_NAME = 20


def filesystems(frame: Frame) -> list[Line]:
    """Draw how full the file systems are, the fullest first where they are many."""
    rows = _known(frame.described, "filesystem")
    shown, more = most([(row, number(row[1], "percent")) for row in rows])
    lines = [_filesystem(frame, mount, values) for mount, values in shown]
    return section("Filesystems", lines + _rest(frame, "filesystem", more))


def _filesystem(frame: Frame, mount: str, values: Values) -> Line:
    share = number(values, "percent")
    used, total = number(values, "used_bytes"), number(values, "total_bytes")
    stale = frame.described.problem("filesystem", mount)
    row = frame.bar((share, frame.style.glyphs.user, "used"))
    row += [(f"{units.percent(share):>9}  {units.iec(used):>8} / {units.iec(total):<8}  ", "")]
    flags = [("stale ", "warning")] * bool(stale) + [("ro ", "notice")] * (values.get("read_only") is True)
    room = frame.room - length([*row, *flags])
    row = [*row, *flags, (cut_start(mount, room, frame.style.glyphs.mark), "")]
    return extend(row, [(stale, "dim")], frame.room) if stale else row


def disks(frame: Frame) -> list[Line]:
    """Draw what is read and written, the busiest first where they are many."""
    rows = _known(frame.described, "disk")
    shown, more = most([(row, number(row[1], "busy")) for row in rows])
    column = names_width((name for name, _ in shown), _LARGEST_NAME)
    lines = [_disk(frame, name, values, column) for name, values in shown]
    return section("Disks", lines + _rest(frame, "disk", more))


def _disk(frame: Frame, name: str, values: Values, column: int) -> Line:
    read, written = number(values, "read_bytes_per_second"), number(values, "write_bytes_per_second")
    row: Line = [(pad(name, column, frame.style.glyphs.mark), "")]
    row += [("  read", "dim"), (f"{units.rate(read):>11}", ""), ("  write", "dim"), (f"{units.rate(written):>11}", "")]
    row = extend(row, [("busy ", "dim"), (f"{units.percent(number(values, 'busy')):>7}", "")], frame.room)
    return extend(row, [(text(values, "model"), "dim")], frame.room)


def _known(described: Described, family: str) -> list[tuple[str, Values]]:
    """Return the instances of which something is known, or whose problem nobody tells."""
    rows = described.instances(family).items()
    whole = described.problem(family)
    return [(name, row) for name, row in rows if not (blank(row) and (whole or described.problem(family, name)))]


def _rest(frame: Frame, family: str, more: int) -> list[Line]:
    """Say what is not in the rows: those beyond the limit, and those that are unavailable."""
    described = frame.described
    lines: list[Line] = [[(f"+{more} more", "dim")]] if more else []
    known = {name for name, _ in _known(described, family)}
    gone = [name for name in described.problems(family) if name not in known]
    lines += [[(f"{name}  ", ""), *unavailable(described.problem(family, name))] for name in gone[:LIMIT]]
    if len(gone) > LIMIT:
        lines.append([(f"+{len(gone) - LIMIT} unavailable", "dim")])
    if described.problem(family):
        lines.append(unavailable(described.problem(family)))
    return lines
