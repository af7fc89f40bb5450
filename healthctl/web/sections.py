"""The parts of the page that tell how the machine is now, each by its name; what changes is sent anew."""

from healthctl.render import condition, units
from healthctl.render.described import Described, Values, blank, number, sensor_name, text
from healthctl.render.processor import processors
from healthctl.render.style import Style
from healthctl.web.cards import LIMIT, aside, card, headline, listed, of, problems, shown, table
from healthctl.web.charts import columns
from healthctl.web.devices import disks, filesystems, networks
from healthctl.web.markup import Content, Markup, element, join
from healthd import protocol

_STYLE = Style()
_CPU = ("user", "system", "iowait", "nice", "irq", "softirq", "steal")
_FLAGS = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")


def sections(described: Described) -> dict[str, Markup]:
    """Return what each part shows; those that this machine has nothing for are empty."""
    return {
        "verdict": _verdict(described),
        "host": _host(described),
        "cpu": _cpu(described),
        "memory": _memory(described),
        "load": _load(described),
        "pressure": _pressure(described),
        "sensors": _sensors(described),
        "upkeep": _upkeep(described),
        "filesystems": filesystems(described),
        "disks": disks(described),
        "networks": networks(described),
    }


def _verdict(described: Described) -> Markup:
    severity = described.severity
    lasts = ""
    if described.since is not None and described.time is not None:
        lasts = f" for {units.age(described.time - described.since)}"
    rows = [(name, described.conditions.get(name, {})) for name in described.reasons if name in described.conditions]
    rows += [(name, row) for name, row in condition.ordered(described.conditions) if name not in described.reasons]
    said = [] if rows else [element("p", "; ".join(described.reasons))]
    if described.faults:
        said.append(element("p", "The configuration has faults; the one before is in force: healthctl config check"))
    listed = [told(name, row, described.time) for name, row in rows]
    return join(
        element(
            "h2", element("strong", severity, class_=f"severity {severity}", id_="severity", aria_live="polite"), lasts
        ),
        *said,
        element("ul", *listed, class_="conditions") if listed else None,
    )


def told(name: str, row: Values, now: float | None) -> Markup:
    """Return a condition as an item of a list; `now` in seconds since 1970."""
    severity = text(row, "severity") or protocol.UNKNOWN
    begun = condition.since(row)
    figures = ""
    if number(row, "value") is not None:
        figures = condition.value(row, _STYLE)
        if number(row, "threshold") is not None:
            figures += f" (threshold {condition.threshold(row, _STYLE)})"
    lasts = f"for {units.age(now - begun)}" if begun is not None and now is not None else ""
    words = ", ".join(filter(None, (figures, lasts)))
    return element(
        "li",
        element("span", severity, class_=f"severity {severity}"),
        " ",
        element("a", name, href=f"/condition/{quoted(name)}"),
        f" {words}. " if words else " ",
        # A summary says what is wrong, which of one that is ok would be untrue.
        "If not: " if severity == protocol.OK else None,
        condition.summary(row),
        data_condition=name,
        class_=None if condition.counts(row) else "aside",
    )


def quoted(name: str) -> str:
    """Return a name as a part of a path."""
    # Only here: a machine that is well does without.
    from urllib.parse import quote  # noqa: PLC0415

    return quote(name, safe="")


def _host(described: Described) -> Markup:
    values = described.single("host")
    kernel = " ".join(filter(None, ("Linux", text(values, "kernel"), text(values, "architecture"))))
    kind = text(values, "virtualisation")
    rows = [
        ("Model", text(values, "model")),
        ("Processor", text(values, "cpu_model")),
        ("System", ", ".join(filter(None, (text(values, "os"), kernel, kind if kind != "none" else "")))),
        ("Uptime", units.duration(described.since_boot) if described.since_boot is not None else ""),
    ]
    return card("Host", listed((label, said) for label, said in rows if said), described.problem("host"))


def _cpu(described: Described) -> Markup:
    values = described.single("cpu")
    busy = number(values, "busy")
    rows: list[tuple[str, Content]] = [
        (field, shown(f"cpu.{field}", values.get(field), units.percent)) for field in _CPU
    ]
    return card(
        "CPU",
        None if blank(values) else join(headline("cpu.busy", busy, processors(values)), _cores(values), listed(rows)),
        described.problem("cpu"),
    )


def _cores(values: Values) -> Markup | None:
    cores = values.get("core_busy")
    if not isinstance(cores, list) or len(cores) < 2:
        return None
    shares = [float(share) if isinstance(share, int | float) else None for share in cores]
    said = ", ".join(f"{place}: {units.percent(share)}" for place, share in enumerate(shares))
    return columns(shares, f"each CPU; {said}")


def _memory(described: Described) -> Markup:
    values = described.single("memory")
    rows: list[tuple[str, Content]] = [
        ("used", of(values, "memory", "used_bytes", "total_bytes")),
        ("available", shown("memory.available_bytes", values.get("available_bytes"), units.iec)),
    ]
    if number(values, "swap_total_bytes"):
        rows.append(("swap", of(values, "memory", "swap_used_bytes", "swap_total_bytes")))
    elif number(values, "swap_total_bytes") == 0:
        rows.append(("swap", "none"))
    if number(values, "limit_bytes") is not None:
        rows.append(("limit", shown("memory.limit_bytes", values.get("limit_bytes"), units.iec)))
    whole = join(headline("memory.percent", number(values, "percent"), ""), listed(rows))
    return card("Memory", None if blank(values) else whole, described.problem("memory"))


def _load(described: Described) -> Markup:
    values = described.single("load")
    rows = [
        (f"{minutes} min", shown(f"load.load{minutes}", values.get(f"load{minutes}"), _two)) for minutes in (1, 5, 15)
    ]
    return card("Load", None if blank(values) else listed(rows), described.problem("load"))


def _pressure(described: Described) -> Markup:
    values = described.single("pressure")
    rows: list[list[Content]] = []
    for resource, kinds in (("CPU", ("some",)), ("memory", ("some", "full")), ("io", ("some", "full"))):
        fields = (f"{resource.lower()}_{kind}_avg10" for kind in kinds)
        shares = [shown(f"pressure.{field}", values.get(field), units.percent) for field in fields]
        rows.append([resource, *shares, *[""] * (2 - len(shares))])
    drawn = table(("Waiting for", "Some tasks", "All"), rows)
    return card("Pressure", None if blank(values) else drawn, described.problem("pressure"))


def _sensors(described: Described) -> Markup:
    readings = described.instances("sensor")
    warm = [(name, row) for name, row in readings.items() if number(row, "celsius") is not None]
    more = len(warm) - LIMIT
    # In the order of their heat rows would change places with each sample.
    hottest = sorted(warm, key=lambda row: (text(row[1], "role") != "cpu", -(number(row[1], "celsius") or 0.0)))[:LIMIT]
    warm = sorted(hottest, key=lambda row: (text(row[1], "role") != "cpu", warm.index(row)))
    rows: list[list[Content]] = []
    for name, row in warm:
        limit = number(row, "critical_celsius")
        called = join(sensor_name(name, row), aside(" the CPU") if text(row, "role") == "cpu" else None)
        value = shown(f"sensor.celsius@{name}", row.get("celsius"), _celsius)
        rows.append([called, value, f"{limit:g}\u00a0°C" if limit is not None else ""])
    for name, row in readings.items():
        if number(row, "rpm") is not None:
            rows.append([sensor_name(name, row), shown(f"sensor.rpm@{name}", row.get("rpm"), _rpm), ""])
    drawn = table(("Sensor", "Now", "Critical"), rows)
    return card("Temperature", drawn if rows else None, problems(described, "sensor"), more)


def _upkeep(described: Described) -> Markup:
    rows: list[tuple[str, Content]] = []
    throttling, clock, services = (described.single(name) for name in ("throttling", "clock", "services"))
    if not blank(throttling):
        now = [flag.replace("_", " ") for flag in _FLAGS if throttling.get(flag) is True]
        before = [flag.replace("_", " ") for flag in _FLAGS if throttling.get(f"{flag}_since_boot") is True]
        unknown = [flag.replace("_", " ") for flag in _FLAGS if throttling.get(flag) is None]
        if now or len(unknown) < len(_FLAGS):
            rows.append(("throttling", element("strong", ", ".join(now)) if now else "none now"))
        if unknown:
            rows.append(("unknown", ", ".join(unknown)))
        if before:
            rows.append(("since boot", ", ".join(before)))
    if clock.get("synchronised") is not None:
        by = f" by {text(clock, 'source')}" if clock["synchronised"] and text(clock, "source") else ""
        rows.append(("clock", f"synchronised{by}" if clock["synchronised"] else "not synchronised"))
    failed = number(services, "failed_units")
    if failed is not None:
        rows.append(
            ("failed units", join(shown("services.failed_units", failed, _count), f" {text(services, 'failed')}"))
        )
    for name, row in described.instances("battery").items():
        if number(row, "percent") is not None:
            value = shown(f"battery.percent@{name}", row.get("percent"), units.percent)
            rows.append((f"battery {name}", join(value, " ", aside(text(row, "status")))))
    problems = "; ".join(filter(None, map(described.problem, _judged(described, "throttling", "clock", "services"))))
    return card("Upkeep", listed(rows) if rows else None, problems)


def _judged(described: Described, *families: str) -> list[str]:
    return [family for family in families if not described.unsupported(family)]


def _celsius(value: float) -> str:
    return f"{value:.1f} °C"


def _rpm(value: float) -> str:
    return f"{value:.0f} rpm"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _count(value: float) -> str:
    return f"{value:.0f}"
