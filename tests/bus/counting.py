"""A real healthd that counts what reaches it: `python counting.py FILE OPTION…`; at its end it tells FILE.

What is told is a JSON object: by the sender, how many messages of each kind (by its number) came from it.
"""

import json
import sys
from collections import Counter

from raw import Reader

from healthd import _dbus_frames as frames
from healthd import cli

counted: dict[str, Counter[int]] = {}


class Counting(frames.Framer):
    def next(self) -> frames.Frame | None:
        frame = super().next()
        if frame:
            order = "<" if frame.data[0] == ord("l") else ">"
            fields = dict(Reader(bytes(frame.data), order).read("yyyyuua(yv)")[6])
            counted.setdefault(fields.get(_SENDER, ""), Counter())[frame.kind] += 1
        return frame


_SENDER = 7

if __name__ == "__main__":
    frames.Framer = Counting
    code = cli.main(sys.argv[2:])
    with open(sys.argv[1], "w") as file:
        json.dump(counted, file)
    sys.exit(code)
