"""Types and values of D-Bus, names and texts: all that a wire takes, and the odd more often."""

import random
from typing import Any

from raw import DRIVER, HEALTHD, ROOT
from raw import _types as complete

TEXTS = (
    "", " ", "a", "memory", "memory.percent@", "cpu.busy", ".", "..", "@", "@@", "a.b.c", "../../etc/passwd", "%s%n%d",
    "line\nline", "\x01\x1b[31m", "é", "日本", "\U0001f4a9", "\u202e", "\ufeff", "x" * 300, "\ufffd",
    "'\"; --", "*", ".*", "{}",
)  # fmt: skip
_INTEGERS = {
    "y": (0, 2**8 - 1), "n": (-(2**15), 2**15 - 1), "q": (0, 2**16 - 1), "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1), "x": (-(2**63), 2**63 - 1), "t": (0, 2**64 - 1),
}  # fmt: skip
_DOUBLES = (0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308)
_NAMES = ("A", "_", "Get", "Ping", "ping", "PING", "Quit", "Sample", "N" * 255, "x1", "Describe_", "GetALL")


class Values:
    """Chooses by a seed."""

    def __init__(self, chance: random.Random) -> None:
        self._random = chance

    def chance(self, share: float) -> bool:
        """Tell whether something happens that happens so often."""
        return self._random.random() < share

    def path(self) -> str:
        """Return the path of no object."""
        elements = [
            self._random.choice(["a", "_", "load", "condition", "memory", "_2f", "org", "x" * 200, "0"])
            for _ in range(self._random.randint(0, 6))
        ]
        return self._random.choice(["", ROOT, f"{ROOT}_", "/org/healthd", "/org/freedesktop/DBus"]) + (
            "/" + "/".join([*elements, "none"])
        )

    def interface(self) -> str:
        return self._random.choice(
            [
                HEALTHD,
                f"{HEALTHD}.manager",
                f"{HEALTHD}.Nothing",
                "a.b",
                "a._",
                DRIVER,
                f"{DRIVER}.Monitoring",
                "a." * 126 + "b",
            ]
        )

    def member(self) -> str:
        return self._random.choice(_NAMES)

    def text(self) -> str:
        if self.chance(0.5):
            return self._random.choice(TEXTS)
        letters = [
            self._random.choice([0x20, 0x5E, 0xA0, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0x10FFFF]) for _ in "12345"
        ]
        return "".join(chr(self._random.randint(1, top) if top < 0xD800 else top) for top in letters)

    def body(self) -> tuple[str, list[Any]]:
        """Return a signature, and the values."""
        signature = "".join(self.type() for _ in range(self._random.randint(0, 4)))
        return signature, self.values(signature)

    def type(self, depth: int = 0) -> str:
        kind = self._random.random() + depth * 0.1
        if kind < 0.15:
            return "a" + self.type(depth + 1)
        if kind < 0.25:
            return f"({''.join(self.type(depth + 1) for _ in range(self._random.randint(1, 3)))})"
        if kind < 0.35:
            return f"a{{{self._random.choice('ybnqiuxtdsog')}{self.type(depth + 1)}}}"
        return self._random.choice("ybnqiuxtdsogvh")

    def values(self, signature: str) -> list[Any]:
        return [self.value(kind) for kind in complete(signature)]

    def value(self, kind: str, depth: int = 0) -> Any:
        token = kind[0]
        simple = {
            "b": lambda: self._random.getrandbits(1),
            "h": lambda: 0,
            "d": lambda: self._random.choice(_DOUBLES),
            "s": self.text,
            "o": self.path,
            "g": lambda: self.type(2),
        }
        if token in simple:
            return simple[token]()
        if token in _INTEGERS:
            low, high = _INTEGERS[token]
            return self._random.choice([low, high, 0, 1, self._random.randint(low, high)])
        if token == "v":
            inner = self.type(depth + 2)
            return inner, self.value(inner, depth + 1)
        if token == "a":
            return self._array(kind[1:], depth + 1)
        return [self.value(each, depth + 1) for each in complete(kind[1:-1])]

    def _array(self, kind: str, depth: int) -> Any:
        if kind == "y":
            return self._random.randbytes(self._random.randint(0, 40))
        return [self.value(kind, depth) for _ in range(self._random.choice([0, 0, 1, 2, 3]) if depth < 5 else 0)]
