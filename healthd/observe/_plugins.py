"""Collectors of other packages: entry points of the group `healthd.collectors`, each named after its family.

    [project.entry-points."healthd.collectors"]
    tide = "healthd_tide:TideCollector"

A plug-in is imported only where the configuration names it. One that can't be used is one line of the log, and its
family is there, without metrics and unavailable: so whoever asks is told why.
"""

import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import Family, Reading, family
from healthd.observe._files import Roots
from healthd.observe._problems import RAISED
from healthd.observe._runner import CollectorType

_log = logging.getLogger(__name__)

GROUP = "healthd.collectors"


class _Unfit(Exception):
    """A plug-in can't be used; the text is the reason."""


def installed() -> list[str]:
    """Return the names of the plug-ins that are installed."""
    return sorted(_found())


def load(names: Iterable[str], known: Iterable[Family]) -> list[CollectorType]:
    """Return the collectors of plug-ins, each once; `known` are the families that there are without them."""
    taken = list(known)
    found = _found()
    made = []
    for name in dict.fromkeys(names):
        try:
            collector = _checked(name, _imported(found.get(name)), taken)
        except _Unfit as fault:
            _log.warning("the plug-in %s can't be used: %s", name, fault)
            if not _can_stand_in(name, taken):
                continue
            collector = _stand_in(name, str(fault))
        taken.append(collector.reading.family)
        made.append(collector)
    return made


def _found() -> dict[str, EntryPoint]:
    """Return the plug-ins by their names; of several with one name the first, as an import would take it."""
    return {each.name: each for each in reversed(tuple(entry_points(group=GROUP)))}


def _imported(plugin: EntryPoint | None) -> Any:
    if plugin is None:
        raise _Unfit("no package that is installed brings it")
    try:
        return plugin.load()
    except RAISED as error:  # isolation: whatever a plug-in raises stays with its family
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise _Unfit(f"{plugin.value} can't be imported: {reason:.300}") from error


def _checked(name: str, made: Any, taken: Iterable[Family]) -> CollectorType:
    """Return a plug-in's collector; raises _Unfit for what is none, or would be taken for another one."""
    reading = getattr(made, "reading", None)
    declared = getattr(reading, "family", None)
    if not (isinstance(made, type) and isinstance(declared, Family) and declared.reading is reading):
        raise _Unfit(f"it is no class whose `reading` was declared by @family, but {made!r:.60}")
    if not any(callable(getattr(made, method, None)) for method in ("collect", "probes", "inquire")):
        raise _Unfit(f"{made.__name__} has none of collect(), probes() and inquire()")
    if declared.name != name:
        raise _Unfit(f"it observes the family {declared.name}: the entry point has to be named after that")
    if not reading.metrics:
        raise _Unfit(f"the family {name} has no metrics")
    if not declared.event.startswith("system."):
        raise _Unfit(f"the event {declared.event} does not begin with system.")
    for other in taken:
        if name == other.name:
            raise _Unfit(f"there is a family {name} already")
        if declared.event == other.event:
            raise _Unfit(f"the event {declared.event} is that of the family {other.name}")
    return cast(CollectorType, made)


def _can_stand_in(name: str, taken: Iterable[Family]) -> bool:
    """Tell whether there can be a family of this name."""
    try:
        _stand_in(name, "")
    except TypeError:
        return False
    return name not in [other.name for other in taken]


def _stand_in(name: str, reason: str) -> CollectorType:
    """Return what says that a plug-in can't be used, and why; raises TypeError for the name of no family."""

    @family(name)
    class Absent(Reading):
        """Nothing: the plug-in that observes it can't be used."""

    class AbsentCollector:
        """Fails."""

        reading = Absent

        def __init__(self, roots: Roots) -> None:  # noqa: ARG002
            remedy = "install, repair or update the package of the plug-in, or take it out of collectors.plugins"
            raise Unobserved(protocol.FAILED, f"its plug-in can't be used: {reason}", remedy)

        def collect(self, now: Any) -> dict[str, Reading]:  # noqa: ARG002
            """Return nothing: there is no such collector."""
            return {}

    return cast(CollectorType, AbsentCollector)
