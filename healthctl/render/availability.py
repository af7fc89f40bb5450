"""Whether something works, as two cells of a table."""

from typing import Any

from healthctl.render.line import Span
from healthctl.render.style import Style
from healthd import protocol


def availability(row: dict[str, Any], style: Style) -> tuple[Span, Span]:
    """Return its state, and why it is so with what to do about it."""
    reason = "; ".join(str(row[field]) for field in ("reason", "remedy") if row.get(field))
    if row.get("available") is not False:
        return (protocol.OK, protocol.OK), (style.clean(reason), "dim")
    return (style.clean(str(row.get("problem") or "unavailable")), protocol.WARNING), (style.clean(reason), "dim")
