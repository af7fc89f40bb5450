"""What the kernel says becomes readings: one file per collector.

A module here whose name has no leading underscore is a collector: it declares a family and names its class in
`COLLECTOR`. There is no other list of them. Those of other packages are entry points (`_plugins.py`), and none of these
is looked for unless somebody names it.
"""

import importlib
import pkgutil
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from healthd.model import Family, Reading
from healthd.observe._files import Roots, roots
from healthd.observe._runner import CollectorType, Runner

__all__ = ["CollectorType", "Roots", "Runner", "collectors", "families", "plugins", "recalled", "roots", "who"]


def collectors(enabled: Sequence[str] = ()) -> list[CollectorType]:
    """Return every collector's class, in the order of their families' names, and then those of enabled plug-ins.

    A plug-in that can't be used has a family without metrics, which is unavailable.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    made = [importlib.import_module(f"{__name__}.{name}").COLLECTOR for name in names]
    if enabled:
        # What looks for them takes longer to import than all else here.
        from healthd.observe._plugins import load  # noqa: PLC0415

        made += load(enabled, families(made))
    return made


def plugins() -> list[str]:
    """Return the names of the plug-ins that are installed."""
    from healthd.observe._plugins import installed  # noqa: PLC0415  # as above

    return installed()


def who(resource: str) -> dict[str, Any]:
    """Return who uses most of `cpu`, `memory` or `io` on this machine; blocks for a second or two."""
    # Rare, and nobody else needs it.
    from healthd.observe._processes import who as found  # noqa: PLC0415

    return found(roots(), resource)


def recalled(family: Family, readings: Mapping[str, Reading], told: Container[str]) -> Mapping[str, Reading]:
    """Return readings of a recording that tells of some fields, with what an older healthd did not tell of them."""
    if "role" not in family.by_name or "role" in told:
        return readings
    # As above.
    from healthd.observe._roles import recalled as with_roles  # noqa: PLC0415

    return with_roles(readings)


def families(of: Iterable[CollectorType]) -> list[Family]:
    """Return the families that these collectors observe."""
    return [collector.reading.family for collector in of]
