"""The `loadcell` family: the weight on a load cell whose driver writes grams to a file."""

import os
from collections.abc import Mapping

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Band, Reading, Unit, counter, family, gauge, state
from healthd.observe import Roots

_FILE = os.environ.get("LOADCELL", "/run/loadcell/grams")
_LARGEST = 200.0
"""What the cell can bear, kilograms."""


@family("loadcell", source=_FILE)
class LoadCell(Reading):
    """What lies on the load cell."""

    kilograms: float | None = gauge(
        Unit.NONE, "Weight on the cell, kg.", band=Band(absolute=0.05), digits=2, span=(-_LARGEST, _LARGEST)
    )
    overloaded: bool | None = state("Whether that is more than the cell can bear.")
    readings: int | None = counter(Unit.COUNT, "How often the cell was read.")


class LoadCellCollector:
    """Reads one file, which its driver may put another one in place of."""

    reading = LoadCell

    def __init__(self, roots: Roots) -> None:
        self._tree = roots.host
        self._readings = 0

    def collect(self, now: Instant) -> Mapping[str, Reading]:  # noqa: ARG002  # the driver has it ready
        """Return one reading."""
        try:
            grams = float(self._tree.text(_FILE.lstrip("/")))
        except FileNotFoundError as error:
            raise Unobserved(
                protocol.UNSUPPORTED,
                "there is no load cell",
                "connect it and start its driver: systemctl start loadcell",
            ) from error
        except ValueError as error:
            raise Unobserved(protocol.MALFORMED, f"{_FILE} holds no number") from error
        self._readings += 1
        kilograms = round(grams / 1000, 2)
        return {SINGLE: LoadCell(kilograms=kilograms, overloaded=abs(kilograms) > _LARGEST, readings=self._readings)}
