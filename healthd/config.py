"""What the user may choose: TOML in, one frozen `Config` out, every fault of a file reported at once.

A table of the file is a frozen dataclass whose fields are declared by `_duration`, `_size`, `_whole`, `_path`, `_table`
and `_tables`; reading, checking and the documentation (`reference`) follow from that.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from healthd.errors import ConfigError
from healthd.quantity import SIZES, TIMES, NoQuantity, duration, found, short, size

LARGEST = 64 * 1024
"""The largest file that is taken for a configuration, bytes."""
DEEPEST = 16
"""How deep tables and lists may lie in each other."""
ROWS = 20_000
"""The most rows that one tier of the history may hold."""


def _toml(value: Any) -> str:
    """Return a default or a limit as TOML; "" where there is none."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(below)}' for name, below in value.items())}}}"
    if isinstance(value, str):
        return f'"{value}"'
    return "" if value is None else str(value)


_Dataclass = type[Any]
_Faults = list[str]
_Check = Callable[[str, list[Any]], Iterator[str]]


def _fault(key: str, expected: str, found: str) -> str:
    return f"{key}: expected {expected}, found {found}"


class _Form(NamedTuple):
    """How a number is written: `type` where it stands alone, else a text that `parse` takes (`None`: not at all)."""

    name: str
    type: type[Any]
    parse: Callable[[str], float | None] = lambda _: None
    hint: str = ""


class _Key(NamedTuple):
    """One declared key."""

    type: str
    """What it holds, as documentation and faults name it after "a"."""
    default: Any
    """As in TOML; `None` where the key has to be given, or is a table."""
    summary: str
    read: Callable[[Any, str, _Faults], Any]
    """Takes a value of TOML and the key's full name; returns the value for the dataclass, `None` after a fault."""
    below: tuple[str, _Dataclass] | None = None
    """What stands between this key and those of its tables, and their dataclass."""


def _keys(cls: _Dataclass) -> dict[str, _Key]:
    return {item.name: item.metadata["key"] for item in fields(cls)}


def _scalar(kind: str, hint: str, default: Any, summary: str, fit: Callable[[Any], Any]) -> Any:
    """Declare a key of one value: `fit` returns it as the dataclass holds it, or `None` where it does not fit."""

    def read(value: Any, where: str, faults: _Faults) -> Any:
        fitting = fit(value)
        if fitting is None:
            faults.append(_fault(where, f"a {kind}{hint}", found(value)))
        return fitting

    metadata = {"key": _Key(kind, default, summary, read)}
    return field(metadata=metadata) if default is None else field(default=fit(default), metadata=metadata)


def _quantity(default: Any, summary: str, low: Any, high: Any, *, form: _Form) -> Any:
    """Declare a number from `low` to `high`; these and the default as in TOML."""

    def number(value: Any) -> Any:
        try:
            return form.parse(value) if isinstance(value, str) else value
        except NoQuantity:
            return None

    def fit(value: Any) -> Any:
        amount = number(value)
        # A boolean is no number. Converted after it was compared: an integer may be too large for a float.
        fits = type(amount) in (int, form.type) and number(low) <= amount <= number(high)
        return form.type(amount) if fits else None

    return _scalar(f"{form.name} from {_toml(low)} to {_toml(high)}", form.hint, default, summary, fit)


_duration = partial(_quantity, form=_Form("duration", float, duration, TIMES))
_size = partial(_quantity, form=_Form("size", int, size, SIZES))
_whole = partial(_quantity, form=_Form("whole number", int))


def _path(default: str, summary: str) -> Any:
    def fit(value: Any) -> str | None:
        return value if isinstance(value, str) and value[:1] in ("", "/") and "\0" not in value else None

    return _scalar('path that begins with "/", or is empty', "", default, summary, fit)


def _names(summary: str) -> Any:
    """Declare a list of names, none by default."""

    def fit(value: Any) -> tuple[str, ...] | None:
        fits = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return tuple(value) if fits else None

    return _scalar("list of names", "", [], summary, fit)


def _table(cls: _Dataclass) -> Any:
    """Declare a table, all of whose keys have defaults; its sentence is the docstring."""

    def read(value: Any, where: str, faults: _Faults) -> Any:
        return _read_table(cls, value, where, faults)

    return field(default=cls(), metadata={"key": _Key("table", None, cls.__doc__ or "", read, (".", cls))})


def _tables(cls: _Dataclass, default: list[dict[str, str]], summary: str, most: int, check: _Check) -> Any:
    """Declare a list of 1 to `most` tables; `check` yields the faults of those that do not go together."""
    kind = f"list of 1 to {most} tables"

    def read(value: Any, where: str, faults: _Faults) -> Any:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            faults.append(_fault(where, f"a {kind}", found(value)))
            return None
        tables = [_read_table(cls, table, f"{where}[{index}]", faults) for index, table in enumerate(value)]
        faults.extend(check(where, tables))
        return tuple(tables)

    metadata = {"key": _Key(kind, default, summary, read, ("[].", cls))}
    return field(default=read(default, "", []), metadata=metadata)


def _read_table(cls: _Dataclass, table: Any, where: str, faults: _Faults) -> Any:
    """Return a table's dataclass, `None` after a fault."""
    if not isinstance(table, dict):
        faults.append(_fault(where, "a table", found(table)))
        return None
    values, before = {}, len(faults)
    above = f"{where}." if where else ""
    names = {name: f"{above}{name}" for name in _keys(cls)}
    for name, value in table.items():
        if name in names:
            values[name] = _keys(cls)[name].read(value, names[name], faults)
        else:
            shown = short(name if re.fullmatch(r"[\w-]+", name) else repr(name))
            faults.append(_fault(above + shown, f"one of {', '.join(names)}", f"an unknown key{_meant(name)}"))
    for name, key in _keys(cls).items():
        if name not in table and key.default is None and not key.below:
            faults.append(_fault(names[name], f"a {key.type}", "nothing"))
    return cls(**values) if len(faults) == before else None


def _meant(name: str) -> str:
    """Return the question whether a known key was meant, be it one of another table."""
    import difflib  # noqa: PLC0415  # nobody pays for it before the first fault

    names = {entry.key.rpartition(".")[2]: entry.key for entry in reference()}
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {names[close[0]]}?" if close else ""


@dataclass(frozen=True, slots=True)
class Tier:
    """One resolution of the history: rows of `step` seconds for `keep` seconds."""

    step: float = _duration(None, "Time that one row sums up.", "250ms", "1d")
    keep: float = _duration(None, "How far back the rows reach: at least one step, at most 20000.", "250ms", "3650d")


def _check_tiers(where: str, tiers: list[Tier | None]) -> Iterator[str]:
    """Yield the faults of tiers whose keys are right one by one; the others are `None`."""
    for index, (finer, tier) in enumerate(pairwise([None, *tiers])):
        if tier and not tier.step <= tier.keep <= ROWS * tier.step:
            expected = f"from {tier.step:.12g} s (one step) to {ROWS * tier.step:.12g} s ({ROWS} steps)"
            yield _fault(f"{where}[{index}].keep", expected, f"{tier.keep:.12g} s")
        if finer and tier and not _is_multiple(tier.step / finer.step):
            expected = f"a whole multiple of the step before ({finer.step:.12g} s), at least twice it"
            yield _fault(f"{where}[{index}].step", expected, f"{tier.step:.12g} s")


def _is_multiple(times: float) -> bool:
    return times > 1.5 and abs(times - round(times)) < 1e-9 * times


@dataclass(frozen=True, slots=True)
class Record:
    """What is written to disk."""

    directory: str = _path(
        "", "Where the recording is; empty: nothing is recorded. What systemd starts records to its state directory."
    )
    batch: float = _duration("15min", "How long samples may wait in memory before they are written.", "1s", "1h")
    segment: float = _duration("2h", "Time that one file holds.", "1min", "1d")
    max_age: float = _duration("30d", "What is older is deleted.", "1h", "3650d")
    max_size: int = _size("500MB", "What the recording may take on disk; beyond it the oldest goes.", "1MB", "100TB")
    min_free: int = _size("100MB", "Nothing is written while less than this is free on the disk.", "0B", "100TB")


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered in memory."""

    tiers: tuple[Tier, ...] = _tables(
        Tier,
        [{"step": "5s", "keep": "1h"}, {"step": "1min", "keep": "24h"}, {"step": "15min", "keep": "7d"}],
        "Resolutions from fine to coarse: each step is a whole multiple of the one before.",
        most=4,
        check=_check_tiers,
    )
    series: int = _whole(512, "How many series are remembered.", 1, 10_000)


@dataclass(frozen=True, slots=True)
class Collectors:
    """What is observed."""

    disabled: tuple[str, ...] = _names("Families that are not observed, like `disk` and `sensor`.")
    plugins: tuple[str, ...] = _names(
        "Families that are observed besides, by the collectors of other packages (entry points `healthd.collectors`)."
    )


def _rules() -> Any:
    """Declare the table of rules, which is given on as it is: who judges knows what it may hold."""

    def read(value: Any, where: str, faults: _Faults) -> Any:
        if isinstance(value, dict):
            return value
        faults.append(_fault(where, "a table of rules by name", found(value)))
        return None

    summary = "Rules by name: each overrides the one of the same name, key by key, or is another one."
    return field(default_factory=dict, metadata={"key": _Key("table of rules", {}, summary, read)})


@dataclass(frozen=True, slots=True)
class Config:
    """All that can be chosen; durations in seconds, sizes in bytes."""

    interval: float = _duration(
        "5s", "Time from sample to sample; for a service at most half of its WatchdogSec, so 15s.", "250ms", "1h"
    )
    record: Record = _table(Record)  # noqa: RUF009  # it is frozen
    history: History = _table(History)  # noqa: RUF009  # it is frozen
    collectors: Collectors = _table(Collectors)  # noqa: RUF009  # it is frozen
    rules: Mapping[str, Any] = _rules()


class Entry(NamedTuple):
    """What documentation says of one key."""

    key: str
    """The full name: `record.batch`, `history.tiers[].step`."""
    type: str
    default: str
    """As TOML; "" for a table, and for a key that has to be given."""
    summary: str


def reference() -> list[Entry]:
    """Return all keys, in the order of their declaration."""
    return list(_entries(Config, ""))


def _entries(cls: _Dataclass, above: str) -> Iterator[Entry]:
    for name, key in _keys(cls).items():
        yield Entry(f"{above}{name}", key.type, _toml(key.default), key.summary)
        if key.below:
            separator, below = key.below
            yield from _entries(below, f"{above}{name}{separator}")


def parse(table: dict[str, Any], file: str) -> Config:
    """Return what a file's table chooses, and the defaults for the rest; raises ConfigError with all its faults."""
    faults: _Faults = []
    config: Config = _read_table(Config, table, "", faults)
    if faults:
        raise ConfigError(*(f"{shown(file)}: {fault}" for fault in faults))
    return config


def read(file: str) -> dict[str, Any]:
    """Return the content of a TOML file, of which no key is checked yet; blocks as long as the file does.

    Raises ConfigError where the file can't be read, or is no TOML.
    """
    import tomllib  # noqa: PLC0415  # without a file nobody pays for it

    try:
        with open(file, "rb") as opened:
            content = opened.read(LARGEST + 1)
        reason = f"expected at most {LARGEST} bytes, found more"
        if len(content) <= LARGEST:
            # Some editors put a byte order mark before it.
            table = tomllib.loads(content.decode("utf-8-sig"))
            if _depth(table) <= DEEPEST:
                return table
            reason = f"expected tables at most {DEEPEST} deep in each other, found more"
    except OSError as error:
        reason = f"can't be read: {error.strerror}"
    except UnicodeDecodeError as error:
        reason = "no UTF-8 (at line {})".format(error.object.count(b"\n", 0, error.start) + 1)
    except tomllib.TOMLDecodeError as error:
        reason = f"no TOML: {error}"
    except (ValueError, RecursionError):
        # What tomllib leaves to Python.
        reason = "no TOML: a number is too long, or lists and tables lie too deep in each other"
    raise ConfigError(f"{shown(file)}: {reason}")


def _depth(table: dict[str, Any]) -> int:
    """Return how deep tables and lists lie in each other."""
    depth, level = 0, list[Any]([table])
    while level:
        values = [value for each in level for value in (each.values() if isinstance(each, dict) else each)]
        depth, level = depth + 1, [value for value in values if isinstance(value, dict | list)]
    return depth


def shown(file: str) -> str:
    """Return a file's name as a message has it."""
    return file if file and file.isprintable() else repr(file)
