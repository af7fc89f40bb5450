"""A healthd that a test plays: of a recorded machine, whose time stands still until the test lets it go on."""

import json
import zlib
from datetime import datetime
from math import sin
from typing import Any

from jeepney import new_error, new_method_return
from stand_in import StandIn, member

from healthd import protocol

POINTS = 256
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"


class RecordedHealthd(StandIn):
    """Answers `Describe`, and `GetHistory` with waves below the present values.

    Nothing to the latter if `mute`; if `busy` it refuses each at first.
    """

    def __init__(
        self, address: str, described: dict[str, Any], *, mute: bool = False, busy: bool = False
    ) -> None:  # fmt: skip
        self.described = described
        self.told = 0
        """How often it was asked to describe."""
        self.histories: list[str] = []
        """The addresses of which it was asked the history."""
        self._mute = mute
        self._busy = busy
        self._refused: set[str] = set()
        super().__init__(address, protocol.BUS_NAME, {})

    def go_on(self, seconds: float = 0.0, **memory: float) -> None:
        """Take another sample, in which some fields of the memory are other ones."""
        readings = {**self.described["readings"], "memory": {**self.described["readings"]["memory"], **memory}}
        later = {"seq": self.described["seq"] + 1, "since_boot": self.described["since_boot"] + seconds}
        self.described = {**self.described, "readings": readings, **later}

    def _told(self, call: Any) -> Any:
        match member(call):
            case "Describe":
                self.told += 1
                return new_method_return(call, "s", (json.dumps(self.described),))
            case "GetHistory" if self._busy and call.body[0] not in self._refused:
                self._refused.add(call.body[0])
                return new_error(call, LIMITS_EXCEEDED, "s", ("too many calls wait; try again",))
            case "GetHistory" if not self._mute:
                self.histories.append(call.body[0])
                points = self._points(call.body[0])
                if points:
                    return new_method_return(call, "a(tddd)", (points,))
                return new_error(call, protocol.NOT_AVAILABLE, "s", ("nothing is known",))
            case "GetHistory":
                return None
        return super()._told(call)

    def _points(self, address: str) -> list[tuple[int, float, float, float]]:
        name, _, instance = address.partition("@")
        family, _, field = name.partition(".")
        reading = self.described["readings"][family]
        value = (reading[instance] if instance else reading)[field]
        if value is None:
            return []
        now = datetime.fromisoformat(self.described["time"]).timestamp()
        phase = zlib.crc32(address.encode()) % 7
        means = [value * (0.6 + 0.4 * sin(number / 5 + phase)) for number in range(POINTS)]
        every = self.described["interval"]
        return [(round((now - (POINTS - number) * every) * 1e6), mean, mean, mean) for number, mean in enumerate(means)]
