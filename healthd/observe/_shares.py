"""Shares in percent, to the resolution that `model` declares for them."""


def percent(part: float | None, whole: float | None) -> float | None:
    """Return `part` of `whole` in percent with one decimal; `None` where either is unknown or there is no whole."""
    if part is None or not whole:
        return None
    return round(100.0 * part / whole, 1)


def shares(parts: list[int]) -> list[float] | None:
    """Return what each part is of their sum in percent; `None` where the sum is nothing."""
    whole = sum(parts)
    if whole <= 0:
        return None
    return [round(100.0 * part / whole, 1) for part in parts]
