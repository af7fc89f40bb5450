"""Another time zone for a test."""

import contextlib
import time
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def zone(name: str) -> Iterator[None]:
    """Have the local time be that of a zone, as `TZ` names it."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", name)
            time.tzset()
            yield
    finally:
        time.tzset()
