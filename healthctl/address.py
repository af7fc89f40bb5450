"""Addresses of metrics as people write them: which metrics they mean, and what may have been meant."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from healthctl.errors import Absent, HealthctlError, Unavailable, UnknownMetric

Metrics = Mapping[str, Mapping[str, Any]]
"""What each metric is, by `family.field`."""


def resolve(asked: Iterable[str], present: Iterable[str]) -> list[str]:
    """Return the addresses that are meant: without an instance, all that are present."""
    found = list(present)
    meant: dict[str, None] = {}
    for address in asked:
        instances = [each for each in found if each == address or each.startswith(f"{address}@")]
        meant |= dict.fromkeys([address] if "@" in address else instances)
    return list(meant)


def explained(error: HealthctlError, asked: Sequence[str], known: Metrics) -> HealthctlError:
    """Tell which of the addresses healthd does not know, or has no instance for, and what may have been meant."""
    for address in asked:
        name, at, instance = address.partition("@")
        if name not in known:
            return unknown(address, known)
        instances = [str(each) for each in known[name].get("instances") or ()]
        if at and instance not in instances and isinstance(error, Absent):
            meant = [f"{name}@{each}" for each in similar(instance, instances)] or ([] if instances else [name])
            hint = f"did you mean {' or '.join(meant)}?" if meant else f"those that are: {', '.join(instances)}"
            return Absent(f"{error}; {hint}")
    return error


def unknown(address: str, known: Metrics) -> UnknownMetric:
    """Tell that there is no such metric, and what may have been meant."""
    meant = similar(address.partition("@")[0], list(known))
    hint = f"did you mean {' or '.join(meant)}?" if meant else "see: healthctl metrics"
    return UnknownMetric(f"there is no metric '{address}'; {hint}")


def similar(address: str, names: list[str]) -> list[str]:
    """Return up to three names that someone who wrote `address` may have meant, the likeliest first."""
    # Only here: nobody waits for it who spells well.
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(address, names, cutoff=0.7)
    return close or [name for name in names if len(address) > 1 and address in name][:3]


def absent(asked: Iterable[str], collectors: Metrics) -> Unavailable:
    """Tell why there is nothing to write: the families have no instances."""
    families = dict.fromkeys(address.partition(".")[0] for address in asked)
    reasons = [f"there is no {name} now: {collectors[name].get('reason') or 'none was found'}" for name in families]
    return Unavailable("; ".join(reasons))
