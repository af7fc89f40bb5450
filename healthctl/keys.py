"""Keys by their names, of the bytes that a terminal sends for them (ECMA-48, xterm's control sequences)."""

import re

_NAMES = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab",
    "1~": "home", "4~": "end", "5~": "pageup", "6~": "pagedown", "7~": "home", "8~": "end",
}  # fmt: skip
_PLAIN = {"\r": "enter", "\n": "enter", "\t": "tab", " ": "space", "\x1b": "escape"}
# A sequence with its end, one that is cut off, or a key that is itself. What a modifier adds is passed over.
_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])|\x1b(?:\[[0-?]*[ -/]*|O)\Z|.", re.DOTALL)


class Keys:
    """Takes what is typed as it comes."""

    def __init__(self) -> None:
        self._rest = ""

    def of(self, text: str) -> list[str]:
        """Return the keys that are complete: a character, or a name like `up`; what nobody knows is ""."""
        found = _KEY.findall(self._rest + text)
        self._rest = found.pop() if found and _is_cut(found[-1]) else ""
        return [_name(sequence) for sequence in found]


def _is_cut(sequence: str) -> bool:
    return len(sequence) > 1 and (len(sequence) == 2 or not "@" <= sequence[-1] <= "~")


def _name(sequence: str) -> str:
    if len(sequence) == 1:
        return _PLAIN.get(sequence, sequence)
    found = re.fullmatch(r"(\d*)((?:;\d*)*)(.*)", sequence[2:], re.DOTALL)
    assert found
    number, modifier, final = found.groups()
    return _NAMES.get(final if modifier and final != "~" else number + final, "")
