"""What is asked, as the bus takes it, behind `client.py`."""

from jeepney import MatchRule

from healthd import protocol


def condition_path(rule: str, instance: str) -> str:
    """Return the path of a condition's object, the instance in systemd's escaping: `/home` is `_2fhome`."""
    path = f"{protocol.ROOT}/condition/{rule}"
    return f"{path}/{_escaped(instance)}" if instance else path


def _escaped(label: str) -> str:
    """Escape what an object path can't hold, and a leading digit (sd_bus_path_encode(3))."""
    letters = (chr(byte) for byte in label.encode("utf-8", "replace"))
    return "".join(
        letter if letter.isascii() and (letter.isalpha() or (letter.isdigit() and position)) else f"_{ord(letter):02x}"
        for position, letter in enumerate(letters)
    )


def usec(seconds: float) -> int:
    """Return seconds as what the bus takes for a time."""
    return max(0, round(seconds * 1_000_000))


def until_usec(seconds: float | None) -> int:
    """Return what the bus takes for the end of a time: 0 is the present, and nothing else."""
    return 0 if seconds is None else max(1, usec(seconds))


def rule_of(interface: str, member: str) -> MatchRule:
    """Return the rule for a signal of healthd."""
    return MatchRule(type="signal", sender=protocol.BUS_NAME, path=protocol.ROOT, interface=interface, member=member)


EVENTS = rule_of(protocol.MANAGER, "Event")
"""The signal of every event that is no sample."""
