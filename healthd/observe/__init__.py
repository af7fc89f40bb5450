"""What the kernel says becomes readings: one file per collector.

A module here whose name has no leading underscore is a collector: it declares a family and names its class in
`COLLECTOR`. There is no other list of them.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from healthd.model import Family
from healthd.observe._files import Roots, roots
from healthd.observe._runner import CollectorType, Runner

__all__ = ["CollectorType", "Roots", "Runner", "collectors", "families", "roots", "who"]


def collectors() -> list[CollectorType]:
    """Return every collector's class, in the order of their families' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return [importlib.import_module(f"{__name__}.{name}").COLLECTOR for name in names]


def who(resource: str) -> dict[str, Any]:
    """Return who uses most of `cpu`, `memory` or `io` on this machine; blocks for a second or two."""
    # Rare, and nobody else needs it.
    from healthd.observe._processes import who as found  # noqa: PLC0415

    return found(roots(), resource)


def families(of: Iterable[CollectorType]) -> list[Family]:
    """Return the families that these collectors observe."""
    return [collector.reading.family for collector in of]
