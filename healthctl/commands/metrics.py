"""`healthctl metrics`."""

import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.address import similar
from healthctl.client import Client
from healthctl.errors import UsageError
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.render.line import Span
from healthctl.render.style import Style
from healthctl.render.table import table

Row = Mapping[str, Any]

# By the name of each column: where its content is from.
_KEYS = {
    "metric": "",
    "kind": "kind",
    "unit": "unit",
    "value": "value",
    "instances": "instances",
    "minimum": "minimum",
    "maximum": "maximum",
    "interface": "interface",
    "property": "property",
    "summary": "summary",
}
_COLUMNS = ("metric", "kind", "unit", "summary")
_NO_UNIT = "none"

_EXAMPLES = """\b
Examples:
  healthctl metrics swap                                   whose names have it
  healthctl metrics 'memory.*_bytes'
  healthctl metrics --unit bytes --columns metric,value    how much there is
  healthctl metrics --sort unit,metric
  healthctl metrics network --json --columns unit,instances
"""


def _columns(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:  # noqa: ARG001
    """Return the columns that a list names. Raises BadParameter."""
    names = tuple(dict.fromkeys(text.split(","))) if text else ()
    for name in names:
        if name not in _KEYS:
            meant = similar(name, list(_KEYS))
            hint = f"did you mean {meant[0]}?" if meant else f"those that are: {', '.join(_KEYS)}"
            raise click.BadParameter(f"there is no column '{name}'; {hint}")
    return names


def _completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return how a list of columns may go on."""
    before = incomplete[: incomplete.rfind(",") + 1]
    return [before + name for name in _KEYS if name.startswith(incomplete.removeprefix(before))]


@click.command("metrics", short_help="What can be asked for.", epilog=_EXAMPLES)
@click.argument("pattern", default="*", shell_complete=candidates.metrics)
@click.option(
    "--unit",
    metavar="UNIT",
    shell_complete=candidates.units,
    help=f"Those in this unit alone: bytes, percent, ..., {_NO_UNIT}.",
)
@click.option(
    "--sort",
    metavar="COLUMN[,...]",
    callback=_columns,
    shell_complete=_completed,
    help="In this order.  [default: metric]",
)
@click.option(
    "--columns",
    metavar="COLUMN[,...]",
    callback=_columns,
    shell_complete=_completed,
    help=f"With these columns; those that are: {', '.join(_KEYS)}.  [default: {','.join(_COLUMNS)}]",
)
@shared
@click.pass_context
def command(
    context: click.Context, pattern: str, unit: str | None, sort: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    """List the metrics of this machine, or those that match PATTERN.

    PATTERN is part of a name (swap) or stands for whole names (memory.*_bytes). The column value is the present one, of
    each instance. With --json it is an object by their names, each with all that is told of it, or with those columns.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        known = dict(sorted(client.metrics().items()))
        metrics = {name: row for name, row in _of_unit(known, unit).items() if _matches(name, pattern)}
        if metrics and "value" in (*sort, *columns):
            metrics = _with_values(metrics, client.read(list(metrics)))
    metrics = dict(sorted(metrics.items(), key=_order(sort)))
    if settings.json:
        wanted = [_KEYS[name] for name in columns if _KEYS[name]]
        shown = {name: {key: row.get(key) for key in wanted} for name, row in metrics.items()} if columns else metrics
        terminal.write([json.dumps(shown)])
    elif metrics:
        style = terminal.style(settings.color)
        page(draw(metrics, terminal.width(bounded=False), style, columns or _COLUMNS), settings)
    else:
        families = dict.fromkeys(name.partition(".")[0] for name in known)
        meant = similar(pattern, [*families, *known])
        hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
        click.echo(terminal.style("never").clean(f"No metric matches '{pattern}'.{hint}"), err=True)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if any(char in pattern for char in "*?[") else pattern in name


def _of_unit(known: Mapping[str, Row], unit: str | None) -> dict[str, Row]:
    """Return the metrics of a unit, `none` for those that have none. Raises UsageError for one that nobody has."""
    if unit is None:
        return dict(known)
    units = {name: str(row.get("unit") or _NO_UNIT) for name, row in known.items()}
    if unit not in units.values():
        those = sorted(set(units.values()))
        meant = similar(unit, those)
        hint = f"did you mean {' or '.join(meant)}?" if meant else f"those that are: {', '.join(those)}"
        raise UsageError(f"there is no unit '{unit}'; {hint}")
    return {name: known[name] for name, each in units.items() if each == unit}


def _with_values(metrics: Mapping[str, Row], values: Mapping[str, Any]) -> dict[str, Row]:
    """Return metrics with their values: one, or by instance where there may be several."""
    found: dict[str, Any] = {}
    for address, value in values.items():
        name, at, instance = address.partition("@")
        if at:
            found.setdefault(name, {})[instance] = value
        else:
            found[name] = value
    return {name: {**row, "value": found.get(name)} for name, row in metrics.items()}


def _order(columns: Sequence[str]) -> Callable[[tuple[str, Row]], list[Any]]:
    """Return the key by which metrics come in the order of columns, numbers before text, and unknown last."""

    def key(metric: tuple[str, Row]) -> list[Any]:
        name, row = metric
        parts = [row.get(_KEYS[column]) if _KEYS[column] else name for column in columns]
        return [*map(_rank, parts), _rank(name)]

    return key


def _rank(value: Any) -> tuple[int, float, str]:
    match value:
        case dict():
            return min(map(_rank, value.values()), default=_rank(None))
        case list():
            return 0, len(value), ""
        case int() | float():
            return 0, float(value), ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))


def draw(
    metrics: Mapping[str, Row], width: int, style: Style, columns: Sequence[str] = _COLUMNS
) -> list[str]:  # fmt: skip
    """Draw a table of metrics."""
    rows = [[_cell(column, name, row, style) for column in columns] for name, row in metrics.items()]
    return table([column.upper() for column in columns], rows, width, style)


def _cell(column: str, name: str, row: Row, style: Style) -> Span:
    content = row.get(_KEYS[column])
    match column:
        case "metric":
            return style.clean(name), ""
        case "value":
            # Only here: the others are as they are.
            from healthctl.render.person import value  # noqa: PLC0415

            return style.clean(value(name.partition(".")[2], content)), ""
        case "instances":
            return style.clean(" ".join(map(str, content or ()))), "dim"
        case "minimum" | "maximum":
            return "" if content is None else f"{content:g}", "dim"
    return style.clean(str(content or "")), "" if column == "summary" else "dim"
