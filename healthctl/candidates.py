"""Names that may be meant by what was typed so far: what a shell completes.

They come from healthd, if it runs: it is not started for that, nor waited for, and nothing is said when it is away.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from healthctl.errors import HealthctlError
from healthctl.options import Settings
from healthd import protocol

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from healthctl.client import Client

Rows = Mapping[str, Mapping[str, Any]]
"""What healthd tells of things by their names."""

_PATIENCE = 1.0
"""The longest wait for an answer, seconds."""
_VERDICTS = (protocol.OK, protocol.WARNING, protocol.CRITICAL)
_PARTS = ("enter", "clear", "hold")
_LEVELS = (protocol.NOTICE, protocol.WARNING, protocol.CRITICAL)


def metrics(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the metrics that may be meant."""
    return _metrics(_ask(context, lambda client: client.metrics()), incomplete)


def gauges(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the metrics that may be meant and have a history."""
    known = _ask(context, lambda client: client.metrics())
    return _metrics({name: row for name, row in known.items() if row.get("kind") == "gauge"}, incomplete)


def units(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the units that may be meant, and `none`."""
    rows = _ask(context, lambda client: client.metrics()).values()
    return _items(((unit, "") for unit in sorted({str(row.get("unit") or "none") for row in rows})), incomplete)


def _metrics(known: Rows, incomplete: str) -> "list[CompletionItem]":
    found = {name: row for name, row in known.items() if name.startswith(incomplete.partition("@")[0])}
    if "@" in incomplete or len(found) == 1:
        # Whoever has come to one of them may want an instance.
        found = {address: row for name, row in found.items() for address in (name, *_addresses(name, row))}
    return _items(((name, str(row.get("summary") or "")) for name, row in found.items()), incomplete)


def _addresses(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}@{instance}" for instance in row.get("instances") or ())


def families(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the families that may be meant: for `--enable` those that are disabled, for `--disable` the others."""
    known = _ask(context, lambda client: client.collectors())
    disabled = {name for name, row in known.items() if row.get("problem") == protocol.DISABLED}
    wanted = disabled if parameter.name == "enable" else known.keys() - disabled
    return _items(((name, str(known[name].get("summary") or "")) for name in sorted(wanted)), incomplete)


def conditions(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the conditions that may be meant, and their rules."""
    return _items(_conditions(_ask(context, lambda client: client.conditions())), incomplete)


def wrongs(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the conditions that may be meant and are not ok, and their rules."""
    known = _ask(context, lambda client: client.conditions())
    return _items(
        _conditions({name: row for name, row in known.items() if row.get("severity") != protocol.OK}), incomplete
    )


def ends(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the verdicts and conditions that may be waited for."""
    return [*_items(((verdict, "") for verdict in _VERDICTS), incomplete), *conditions(context, parameter, incomplete)]


def _conditions(known: Rows) -> Iterator[tuple[str, str]]:
    """Yield conditions with what they mean, each rule of several before its first."""
    seen = set()
    for name, row in sorted(known.items()):
        rule, summary = str(row.get("rule") or name), str(row.get("summary") or "")
        if rule not in seen and rule != name:
            yield rule, summary
        seen.add(rule)
        yield name, summary


def keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the keys of the configuration that may be meant; those of a rule once its name is there."""
    shown = _shown(context)
    rules = {f"rules.{row.get('rule')}" for row in _ask(context, lambda client: client.conditions()).values()}
    rules |= {f"rules.{name}" for name in shown.pop("rules", {})}
    names = {*_keys("", shown), *rules}
    for rule in rules:
        if incomplete.startswith(f"{rule}.") or rule == incomplete:
            parts = ("enabled", "clear_after", *(f"{level}.{part}" for level in _LEVELS for part in _PARTS))
            names |= {f"{rule}.{part}" for part in parts}
    return _items(((name, "") for name in sorted(names)), incomplete)


def values(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return what a key may be set to, where that is a matter of few words, and else what it is now."""
    key = str(context.params.get("key"))
    if key.endswith(".enabled"):
        return _items((("true", ""), ("false", "")), incomplete)
    value: Any = _shown(context)
    for name in key.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return _items([(str(value), "as it is now")] if value and isinstance(value, str | int) else [], incomplete)


def keys_set(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001
    """Return the keys that were set by healthctl and may be meant."""
    from healthctl.dropin import DropIn  # noqa: PLC0415  # nobody else needs it

    return _items(((name, "") for name in _keys("", DropIn(_directory(context)).known())), incomplete)


def _directory(context: click.Context) -> str:
    return str(context.params.get("config") or protocol.CONFIGURATION)


def _shown(context: click.Context) -> dict[str, Any]:
    """Return the configuration that is in force with all its defaults; nothing where there is no healthd to ask."""
    import tomllib  # noqa: PLC0415  # nobody else needs them

    from healthctl import program  # noqa: PLC0415

    try:
        return tomllib.loads(program.ask("--show-config", context.params.get("config")))
    except (HealthctlError, tomllib.TOMLDecodeError):
        return {}


def _keys(above: str, table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _keys(f"{above}{name}.", value)
        else:
            yield f"{above}{name}"


def _ask(context: click.Context, question: "Callable[[Client], Rows]") -> Rows:
    from healthctl.client import Client  # noqa: PLC0415  # a command has its own reason to import it, or none

    try:
        with Client(context.ensure_object(Settings).bus, patience=_PATIENCE, start=False, asks=False) as client:
            return question(client)
    except HealthctlError:
        return {}


def _items(names: Iterable[tuple[str, str]], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem  # noqa: PLC0415  # a command that runs completes nothing

    return [CompletionItem(name, help=help_ or None) for name, help_ in names if name.startswith(incomplete)]
