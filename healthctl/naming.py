"""Conditions as people name them: which ones they mean, and what may have been meant."""

from collections.abc import Iterable

from healthctl.address import similar
from healthctl.errors import UnknownCondition


def meant(name: str, known: Iterable[str]) -> list[str]:
    """Return the conditions of that name, or of the rule of that name.

    Raises UnknownCondition.
    """
    names = list(known)
    found = [name] if name in names else [each for each in names if is_of(each, name)]
    if not found:
        raise unknown(name, names)
    return found


def is_of(condition: str, name: str) -> bool:
    """Tell whether a condition has a name, or its rule has."""
    return condition == name or condition.startswith(f"{name}@")


def unknown(name: str, known: Iterable[str]) -> UnknownCondition:
    """Tell that there is no such condition, and what may have been meant."""
    close = similar(name, list(known))
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return UnknownCondition(f"there is no condition '{name}'; {hint}see: healthctl conditions --all")
