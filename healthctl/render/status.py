"""The status screen, top to bottom."""

from typing import Any

from healthctl.render import units
from healthctl.render.battery import batteries
from healthctl.render.described import Described, Values, blank
from healthctl.render.host import host
from healthctl.render.line import Line
from healthctl.render.memory import memory
from healthctl.render.network import networks
from healthctl.render.processor import cpu, load, pressure
from healthctl.render.section import Frame, section, unavailable
from healthctl.render.sensors import sensors
from healthctl.render.storage import disks, filesystems
from healthctl.render.style import Style
from healthctl.render.upkeep import upkeep
from healthctl.render.verdict import verdict

_SINGLE = (cpu, memory, load, pressure)
_SEVERAL = (filesystems, sensors, batteries, networks, disks, upkeep)
_DRAWN = frozenset(
    (
        *("host", "cpu", "memory", "load", "pressure", "filesystem", "sensor", "network", "disk", "battery"),
        *("throttling", "clock", "services"),
        # What healthd itself costs is for those who ask.
        "self",
    )
)


def status(described: dict[str, Any], width: int, style: Style) -> list[str]:
    """Draw what `Describe` gave; no line is wider than the width."""
    frame = Frame(Described(described, style), width, style)
    blocks = [
        verdict(frame),
        host(frame),
        [line for draw in _SINGLE for line in draw(frame)],
        *(draw(frame) for draw in _SEVERAL),
        [line for family in frame.described.families if family not in _DRAWN for line in _other(frame, family)],
    ]
    lines: list[Line] = []
    for block in filter(None, blocks):
        lines += [[], *block] if lines else block
    return [style.write(line, width) for line in lines]


def _other(frame: Frame, family: str) -> list[Line]:
    """Draw a family that has no section of its own in one line; none where the machine does not have it."""
    described = frame.described
    problem = described.problem(family)
    if described.unsupported(family):
        return []
    label = family.capitalize()
    several = described.instances(family)
    if several:
        words = "  ".join(f"{name}: {_words(values)}" for name, values in several.items())
        return section(label, [[(words, "")]])
    values = described.single(family)
    if not blank(values):
        return section(label, [[(_words(values), "")]])
    return section(label, [unavailable(problem)]) if problem else []


def _words(values: Values) -> str:
    return ", ".join(f"{name} {units.by_name(name, value)}" for name, value in values.items() if value is not None)
