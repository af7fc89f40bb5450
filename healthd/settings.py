"""Where the configuration is, how its files are put together, and what follows from them."""

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from healthd import observe, protocol
from healthd.config import Config, parse, read, reference, shown
from healthd.errors import ConfigError
from healthd.health.rule import Layer, Rule, RuleError, rules
from healthd.model import Family
from healthd.quantity import found

MAIN, DROP_INS = "healthd.toml", "conf.d"


class Settings(NamedTuple):
    """What is in force."""

    config: Config
    table: Mapping[str, Any]
    """The same as the files say it, one over the other; without what they leave out."""
    rules: tuple[Rule, ...]
    digest: str
    """Stands for the rules: another one, other rules."""
    files: tuple[str, ...]
    """What was read, in this order."""
    origins: Mapping[str, str]
    """Which file said it, by the full name of a key; what no file says has its default."""
    collectors: tuple[observe.CollectorType, ...]
    """What observes, the plug-ins that are enabled included."""


def files(place: str) -> list[str]:
    """Return the files of a configuration: a file alone, or of a directory `healthd.toml`, then `conf.d/*.toml`.

    A directory that is empty has none, nor has the system's own where it is absent. Raises ConfigError where it can't
    be read.
    """
    if not os.path.isdir(place):
        return [place] if place != protocol.CONFIGURATION or os.path.lexists(place) else []
    main, drop_ins = os.path.join(place, MAIN), os.path.join(place, DROP_INS)
    try:
        names = sorted(os.listdir(drop_ins))
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise ConfigError(f"{shown(drop_ins)}: can't be read: {error.strerror}") from None
    found = [os.path.join(drop_ins, name) for name in names if name.endswith(".toml") and not name.startswith(".")]
    return [main, *found] if os.path.lexists(main) else found


def load(place: str | None, *, starting: bool = False) -> Settings:
    """Return what the configuration at a place chooses, and the defaults for the rest; without a place these alone.

    Imports the plug-ins that are enabled. Blocks as long as the files do. Raises ConfigError with the faults of all;
    that a plug-in is not installed is none for who is `starting`: its family is unavailable.
    """
    faults: list[str] = []
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    tables: dict[str, dict[str, Any]] = {}
    names = files(place) if place else []
    for name in names:
        table: dict[str, Any] = {}
        try:
            table = read(name)
            # Each by itself, so that a fault is told with its file.
            parse(table, name)
        except ConfigError as error:
            faults += error.faults
        _merge(merged, table, name, origins)
        tables[name] = table
    enabled = _listed(merged, "plugins")
    if not starting:
        faults += _unknown(tables, "plugins", observe.plugins)
        enabled = [name for name in enabled if name in observe.plugins()]
    collectors = observe.collectors(enabled)
    families = observe.families(collectors)
    faults += _unknown(tables, "disabled", lambda: sorted(family.name for family in families))
    layers: list[Layer] = [("rules.toml", shipped())]
    layers += [(shown(name), own) for name, table in tables.items() if isinstance(own := table.get("rules"), dict)]
    made: tuple[Rule, ...] = ()
    try:
        silent = _silent(layers, families)
        possible = [
            (file, {name: table for name, table in layer.items() if name not in silent}) for file, layer in layers
        ]
        made = rules(families, possible, silent)
    except RuleError as error:
        faults += error.faults
    if faults:
        raise ConfigError(*faults)
    config = parse(merged, place or "")
    return Settings(config, merged, made, _digest(layers), tuple(names), origins, tuple(collectors))


def shipped() -> dict[str, Any]:
    """Return the tables of healthd's own rules."""
    return read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "health", "rules.toml"))


def _digest(layers: list[Layer]) -> str:
    content = json.dumps([table for _, table in layers if table], sort_keys=True, default=str)
    return f"{zlib.crc32(content.encode('utf-8', 'backslashreplace')):08x}"


def _listed(table: Mapping[str, Any], key: str) -> list[str]:
    """Return the names in a list of the table `collectors`; none where there is no such list, or another thing."""
    collectors = table.get("collectors")
    listed = collectors.get(key) if isinstance(collectors, dict) else None
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def _unknown(tables: Mapping[str, dict[str, Any]], key: str, known: Callable[[], list[str]]) -> Iterator[str]:
    """Yield the faults of lists that name what is not known; `known` is asked only where there is such a list."""
    for file, table in tables.items():
        if listed := _listed(table, key):
            names = known()
            expected = f"some of {', '.join(names)}" if names else "none, as nothing of that kind is installed"
            for name in listed:
                if name not in names:
                    yield f"{shown(file)}: collectors.{key}: expected {expected}, found {found(name)}"


def _silent(layers: list[Layer], families: Iterable[Family]) -> set[str]:
    """Return the rules that look at a family that has no metrics, because its plug-in can't be used.

    healthd runs without the plug-in, and so does it without what judges it.
    """
    empty = "|".join(family.name for family in families if not family.reading.metrics)
    if not empty:
        return set()
    names = re.compile(rf"(?<![\w.])({empty})\.")
    return {
        rule
        for _, layer in layers
        for rule, table in layer.items()
        if isinstance(table, dict) and any(names.search(text) for text in _looked_at(table))
    }


_PROSE = ("summary", "why", "remedy")


def _looked_at(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a rule that can name metrics."""
    for key, value in table.items():
        if key not in _PROSE:
            yield key
            if isinstance(value, dict):
                yield from _looked_at(value)
            else:
                yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _merge(into: dict[str, Any], table: Mapping[str, Any], file: str, origins: dict[str, str], above: str = "") -> None:
    """Put a file's table over what is known: tables key by key, all else as a whole."""
    for name, value in table.items():
        if isinstance(value, dict):
            below = into.get(name)
            into[name] = below = below if isinstance(below, dict) else {}
            _merge(below, value, file, origins, f"{above}{name}.")
        else:
            into[name] = value
            origins[above + name] = file


def show(settings: Settings) -> str:
    """Return what is in force as TOML; behind what is no default stands the file that says it."""
    import tomllib  # noqa: PLC0415  # nobody else needs them

    import tomli_w  # noqa: PLC0415

    whole: dict[str, Any] = {}
    for entry in reference():
        if entry.default and "[]" not in entry.key:
            *tables, name = entry.key.split(".")
            into = whole
            for table in tables:
                into = into.setdefault(table, {})
            into[name] = tomllib.loads(f"value = {entry.default}")["value"]
    _merge(whole, settings.table, "", {})
    lines, above = [], ""
    for line in tomli_w.dumps(whole).splitlines():
        key = line
        if header := _HEADER.fullmatch(line):
            above, key = f"{header[1]}.", header[1]
        elif named := _NAMED.match(line):
            key = above + named[1]
        origin = settings.origins.get(key)
        lines.append(f"{line}  # {shown(origin)}" if origin else line)
    return "\n".join(lines)


_HEADER = re.compile(r"\[\[?([\w.-]+)]]?")
_NAMED = re.compile(r"([\w-]+) = ")
