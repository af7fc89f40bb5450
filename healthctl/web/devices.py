"""The parts of the page that are tables: filesystems, disks, network interfaces."""

from healthctl.render import units
from healthctl.render.described import Described, Values, blank, number, text
from healthctl.web.cards import LIMIT, aside, bar, card, of, problems, shown, table
from healthctl.web.markup import Markup, element, join


def filesystems(described: Described) -> Markup:
    """Return how full the file systems are."""
    rows = _rows(described, "filesystem", "percent")
    drawn = table(
        ("Mount point", "Used", "Size"),
        [
            (
                join(name, element("em", " read-only") if row.get("read_only") is True else None),
                join(
                    bar(number(row, "percent")),
                    " ",
                    shown(f"filesystem.percent@{name}", row.get("percent"), units.percent),
                ),
                of(row, "filesystem", "used_bytes", "total_bytes", f"@{name}"),
            )
            for name, row in rows[:LIMIT]
        ],
    )
    return card("Filesystems", drawn if rows else None, problems(described, "filesystem"), len(rows) - LIMIT)


def disks(described: Described) -> Markup:
    """Return what is read and written."""
    rows = _rows(described, "disk", "busy")
    drawn = table(
        ("Disk", "Read", "Written", "Busy"),
        [
            (
                join(name, " ", aside(text(row, "model"))),
                shown(f"disk.read_bytes_per_second@{name}", row.get("read_bytes_per_second"), units.rate),
                shown(f"disk.write_bytes_per_second@{name}", row.get("write_bytes_per_second"), units.rate),
                shown(f"disk.busy@{name}", row.get("busy"), units.percent),
            )
            for name, row in rows[:LIMIT]
        ],
    )
    return card("Disks", drawn if rows else None, problems(described, "disk"), len(rows) - LIMIT)


def networks(described: Described) -> Markup:
    """Return what is received and sent: physical interfaces, and others with traffic."""
    readings = described.instances("network")
    rows = [
        (name, row)
        for name, row in readings.items()
        if text(row, "kind") == "physical" or (text(row, "kind") != "loopback" and _traffic(row))
    ]
    drawn = table(
        ("Interface", "Received", "Sent", "Link"),
        [
            (
                name,
                shown(f"network.rx_bytes_per_second@{name}", row.get("rx_bytes_per_second"), units.rate),
                shown(f"network.tx_bytes_per_second@{name}", row.get("tx_bytes_per_second"), units.rate),
                _link(row),
            )
            for name, row in rows[:LIMIT]
        ],
    )
    others = len(readings) - len(rows)
    rest = element("p", f"{others} more, idle or virtual", class_="aside") if others else None
    problem = problems(described, "network")
    return card("Network", join(drawn, rest) if rows else rest, problem, len(rows) - LIMIT)


def _traffic(row: Values) -> float:
    return sum(number(row, f"{way}_bytes_per_second") or 0.0 for way in ("rx", "tx"))


def _link(row: Values) -> str:
    if row.get("carrier") is False or text(row, "operstate") == "down":
        return "none"
    speed, signal = number(row, "speed_bytes_per_second"), number(row, "signal_dbm")
    said = (units.bits(speed) if speed else "", f"{signal:.0f} dBm" if signal is not None else "")
    return ", ".join(filter(None, said)) or "up"


def _rows(described: Described, family: str, order: str) -> list[tuple[str, Values]]:
    """Return the instances of which something is known, those with the most first where they are many."""
    rows = [(name, row) for name, row in described.instances(family).items() if not blank(row)]
    return rows if len(rows) <= LIMIT else sorted(rows, key=lambda row: -(number(row[1], order) or 0.0))
