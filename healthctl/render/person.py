"""Values for a person to read: in units that fit, and numbers as the locale writes them.

For tables alone: whatever a program may read has a point and no separators.
"""

import os
import re
from collections.abc import Callable

from healthctl.render import units

_NUMBER = re.compile(r"(\d+)(?:\.(\d+))?")
_GROUPED = 10_000
"""From here on digits stand in groups of three."""


def value(field: str, content: object) -> str:
    """Write the value of a field, or those of its instances."""
    localised = _localised()
    if isinstance(content, dict):
        return ", ".join(f"{instance} {_value(field, each, localised)}" for instance, each in content.items())
    return _value(field, content, localised)


def _value(field: str, content: object, localised: Callable[[str], str]) -> str:
    text = units.by_name(field, content)
    return text if isinstance(content, str) else localised(text)


def _localised() -> Callable[[str], str]:
    """Return what writes the numbers of a text as the locale does."""
    from humanize import i18n  # noqa: PLC0415  # it takes a while: only once there is something to write

    try:
        i18n.activate(_locale())
    except FileNotFoundError:
        # It knows nothing of this one, as of English.
        i18n.deactivate()
    point, separator = i18n.decimal_separator(), i18n.thousands_separator()

    def write(found: re.Match[str]) -> str:
        whole, part = found.groups()
        if int(whole) >= _GROUPED:
            whole = f"{int(whole):,}".replace(",", separator)
        return whole if part is None else f"{whole}{point}{part}"

    return lambda text: _NUMBER.sub(write, text)


def _locale() -> str:
    """Return the locale of numbers (locale(7)): `de_DE`."""
    chosen = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_NUMERIC", "LANG"))), "C")
    return chosen.partition(".")[0].partition("@")[0]
