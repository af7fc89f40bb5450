"""A sample as a line of words, for those who hear the screen, and for files."""

from collections.abc import Iterator
from time import localtime, strftime

from healthctl.render import units
from healthctl.render.described import Described, number, text
from healthctl.render.style import Style

_APART = ", "


def plain(described: Described, style: Style) -> str:
    """Say how the machine is, and each figure after its name; what it does not have is left out."""
    time = described.time
    moment = "" if time is None else strftime("%H:%M:%S ", localtime(time))
    reasons = f": {', '.join(described.reasons)}" if described.conditions and described.reasons else ""
    return moment + _APART.join([f"{described.severity}{reasons}", *_work(described), *_devices(described, style)])


def _work(described: Described) -> Iterator[str]:
    cpu, memory, load = (described.single(family) for family in ("cpu", "memory", "load"))
    for name, values, field in (
        ("cpu", cpu, "busy"),
        ("memory", memory, "percent"),
        ("swap", memory, "swap_percent"),
        ("io pressure", described.single("pressure"), "io_some_avg10"),
    ):
        if (share := number(values, field)) is not None:
            yield f"{name} {units.percent(share)}"
    if (mean := number(load, "load1")) is not None:
        yield f"load {mean:.2f}"
    for family, fields in (
        ("network", {"rx_bytes_per_second": "received", "tx_bytes_per_second": "sent"}),
        ("disk", {"read_bytes_per_second": "read", "write_bytes_per_second": "written"}),
    ):
        for name, values in described.instances(family).items():
            if text(values, "kind") in ("", "physical"):
                rates = [
                    f"{units.rate(rate)} {word}" for field, word in fields.items()
                    if (rate := number(values, field)) is not None
                ]  # fmt: skip
                if rates:
                    yield f"{name} {' '.join(rates)}"


def _devices(described: Described, style: Style) -> Iterator[str]:
    sensors, mounts = described.instances("sensor"), described.instances("filesystem")
    warm = [celsius for values in sensors.values() if (celsius := number(values, "celsius")) is not None]
    if warm:
        yield f"warmest {max(warm):.1f} {style.glyphs.degree}"
    for name, values in described.instances("battery").items():
        if (share := number(values, "percent")) is not None and text(values, "kind") != "device":
            yield f"battery {name} {units.percent(share)} {text(values, 'status')}".rstrip()
    full = [(share, name) for name, values in mounts.items() if (share := number(values, "percent")) is not None]
    if full:
        share, name = max(full)
        yield f"{name} {units.percent(share)} full"
