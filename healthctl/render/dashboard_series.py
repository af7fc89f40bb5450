"""What the dashboard has strips of."""

from healthctl.render.described import Described, Values, number

TRAFFIC = ("rx_bytes_per_second", "tx_bytes_per_second")
TRANSFER = ("read_bytes_per_second", "write_bytes_per_second")
RESOURCES = ("cpu", "memory", "io")
"""Those for which tasks may have to wait."""

_SERIES = {
    "cpu": ("busy", "user", "system", "iowait", "steal"),
    "load": ("load1",),
    "memory": ("percent", "swap_percent"),
    "pressure": tuple(f"{resource}_some_avg10" for resource in RESOURCES),
    "network": TRAFFIC,
    "disk": ("busy", *TRANSFER),
    "sensor": ("celsius", "rpm"),
    "filesystem": ("percent",),
    "battery": ("percent",),
}
# What stands beside them of the families that change fast, and cost little.
_BESIDE = {
    "cpu": ("nice", "irq", "softirq", "core_busy", "frequency_hertz"),
    "load": ("load5", "load15"),
    "memory": ("used_bytes", "swap_used_bytes"),
    "pressure": ("memory_full_avg10", "io_full_avg10"),
    "network": (),
    "disk": (),
}
FAST = tuple(f"{family}.{field}" for family, more in _BESIDE.items() for field in (*_SERIES[family], *more))
"""The metrics that are watched where it is to be oftener than healthd samples."""

_CORE = "cpu.core_busy#"


def core(index: int) -> str:
    """Return by what the strip of a core is known: its metric is one of them all."""
    return f"{_CORE}{index}"


def is_kept(address: str) -> bool:
    """Tell whether healthd keeps the history of what is known by an address here."""
    return not address.startswith(_CORE)


def cores(values: Values) -> list[float | None]:
    """Return how busy each core is."""
    shares = values.get("core_busy")
    if not isinstance(shares, list):
        return []
    return [float(share) if isinstance(share, int | float) else None for share in shares]


def addresses(family: str, instance: str, *fields: str) -> tuple[str, ...]:
    """Return the addresses of fields of an instance."""
    return tuple(f"{family}.{field}@{instance}" for field in fields)


def strip_values(described: Described) -> dict[str, float]:
    """Return what goes into the strips, by address."""
    found: dict[str, float] = {}
    for family, fields in _SERIES.items():
        several = {f"@{name}": values for name, values in described.instances(family).items()}
        for at, values in (several or {"": described.single(family)}).items():
            known = ((field, number(values, field)) for field in fields)
            found |= {f"{family}.{field}{at}": value for field, value in known if value is not None}
    shares = enumerate(cores(described.single("cpu")))
    return found | {core(index): share for index, share in shares if share is not None}
