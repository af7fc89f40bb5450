"""The reader of one rule's table: each key as what it has to be, every fault with file, rule and key."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Any

from healthd.health._scale import LARGEST, TRUE, BadThreshold
from healthd.health.operand import OPERATORS, Operator, share
from healthd.health.threshold import Field, Level, Names, Read, Threshold, parse
from healthd.quantity import NoQuantity, duration, found

Origin = Mapping[tuple[str, ...], str]
"""The file that each rule, key, and key of a key is from."""

Filter = tuple[Read, Callable[[Any], bool]]
"""What is read, and whether that is what is meant."""

LONGEST = 200
"""How long the text of a threshold may be, characters."""
_LEVEL_KEYS = ("enter", "clear", "hold")
_LIMIT_KEYS = ("metric", "from", "to", "else")


class Reader:
    """Reads one table, and gathers its faults; where a key is at fault its default is returned."""

    def __init__(self, name: str, table: Mapping[str, Any], origin: Origin) -> None:
        self.faults: list[str] = []
        self._name = name
        self._table = table
        self._origin = origin

    def fault(self, key: str, expected: str, instead: str) -> None:
        """Note a fault; `key` may have several parts, or be empty for the rule as a whole."""
        parts = [self._name, *key.split(".")] if key else [self._name]
        while tuple(parts) not in self._origin:
            parts.pop()
        where = f"rules.{self._name}.{key}" if key else f"rules.{self._name}"
        where = where if where.isprintable() else repr(where)
        self.faults.append(f"{self._origin[tuple(parts)]}: {where}: expected {expected}, found {instead}")

    def only(self, keys: Sequence[str]) -> None:
        """Find keys that there are not."""
        for key in self._table:
            if key not in keys:
                self.fault(key, f"one of {', '.join(keys)}", "an unknown key")

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return key in self._table

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a flag."""
        value = self._table.get(key, default)
        if isinstance(value, bool):
            return value
        self.fault(key, "true or false", found(value))
        return default

    def text(self, key: str) -> str:
        """Return a text, "" where there is none."""
        value = self._table.get(key, "")
        if isinstance(value, str):
            return value
        self.fault(key, "a text", found(value))
        return ""

    def one_of(self, key: str, words: Iterable[str]) -> str:
        """Return one of some words, "" where there is none."""
        word = self.text(key)
        if not word or word in words:
            return word
        self.fault(key, f"one of {', '.join(words)}", found(word))
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return texts, of which a single one needs no list."""
        return self._texts(key, self._table.get(key, []))

    def _texts(self, key: str, value: Any) -> tuple[str, ...]:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
        self.fault(key, "a text or a list of texts", found(value))
        return ()

    def seconds(self, key: str, default: float) -> float:
        """Return a duration."""
        return self._seconds(key, self._table.get(key, default), default)

    def _seconds(self, key: str, value: Any, default: float) -> float:
        try:
            seconds = duration(value) if isinstance(value, str) else value
        except NoQuantity:
            seconds = None
        if isinstance(seconds, float | int) and not isinstance(seconds, bool) and 0 <= seconds < LARGEST:
            return float(seconds)
        self.fault(key, 'a duration like "5min"', found(value))
        return default

    def fields(self, key: str, names: Names) -> tuple[Field, ...]:
        """Return the metrics that a key names."""
        return self._fields(key, self.texts(key), names)

    def _fields(self, key: str, texts: Iterable[str], names: Names) -> tuple[Field, ...]:
        made = []
        for text in texts:
            try:
                made.append(names.field(text))
            except BadThreshold as error:
                self.fault(key, error.expected, error.found)
        return tuple(made)

    def number(self, key: str) -> float:
        """Return a number that is not below zero, zero where there is none."""
        value = self._table.get(key, 0.0)
        if TRUE[float](value) and value >= 0:
            return float(value)
        self.fault(key, "a number that is not below zero", found(value))
        return 0.0

    def operator(self, looked_at: Sequence[Field], per: Sequence[Field]) -> Operator | None:
        """Return the operator, which has to suit what it looks at."""
        operator = OPERATORS.get(self.one_of("operator", OPERATORS))
        if operator and operator.takes and any(field.scale.type not in operator.takes for field in looked_at):
            kind = "a flag" if bool in operator.takes else "a number"
            self.fault("operator", f"a metric that is {kind} for {operator.name}", looked_at[0].name)
        if operator and operator.has_window and not self.seconds("window", 0.0):
            self.fault("window", f'a duration like "10min" for the operator {operator.name}', "nothing")
        if operator and operator.divides:
            if not per and not self.has("per"):
                self.fault("per", f"what {operator.name} is of", "nothing")
            return operator._replace(look=partial(share, least=self.number("least")))
        if self.has("least"):
            self.fault("least", "the operator share with it", "none" if operator is None else operator.name)
        return operator

    def filters(
        self, key: str, names: Names
    ) -> tuple[dict[str, tuple[str, ...]], tuple[Field, ...], tuple[Filter, ...]]:
        """Return patterns by field, as they are written, as fields, and as tests."""
        value = self._table.get(key, {})
        if not isinstance(value, Mapping):
            self.fault(key, "a table of patterns by field", found(value))
            return {}, (), ()
        patterns, fields, tests = {}, [], []
        for name, texts in value.items():
            patterns[name] = self._texts(f"{key}.{name}", texts)
            for field in self._fields(f"{key}.{name}", [name], names):
                fields.append(field)
                tests.append((field.read, _matching(patterns[name])))
        return patterns, tuple(fields), tuple(tests)

    def limit(self, names: Names) -> tuple[tuple[Field, ...], Read | None]:
        """Return what the limit is read from, and what reads it: a metric where it is within bounds, else a number."""
        value = self._table.get("limit")
        if value is None:
            return (), None
        if not isinstance(value, Mapping) or set(value) != set(_LIMIT_KEYS):
            self.fault("limit", f"a table of {', '.join(_LIMIT_KEYS)}", found(value))
            return (), None
        low, high, other = (value[key] for key in _LIMIT_KEYS[1:])
        fields = self._fields("limit.metric", self._texts("limit.metric", value["metric"]), names)
        is_number = len(fields) == 1 and fields[0].scale.is_number
        if not is_number or not all(map(TRUE[float], (low, high, other))):
            self.fault("limit", "a metric and three numbers", found(value))
            return (), None
        read = fields[0].read

        def limit(snapshot: Any, entry: Any) -> float:
            own = read(snapshot, entry)
            return float(own if own is not None and low <= own <= high else other)

        return fields, limit

    def level(self, severity: str, names: Names) -> Level | None:
        """Return the thresholds for a severity."""
        value = self._table.get(severity)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.fault(severity, f"a table of {', '.join(_LEVEL_KEYS)}", found(value))
            return None
        for key in value:
            if key not in _LEVEL_KEYS:
                self.fault(f"{severity}.{key}", f"one of {', '.join(_LEVEL_KEYS)}", "an unknown key")
        enter = self._threshold(f"{severity}.enter", value.get("enter"), names)
        clear = self._threshold(f"{severity}.clear", value["clear"], names) if "clear" in value else None
        hold = self._seconds(f"{severity}.hold", value.get("hold", 0.0), 0.0)
        if enter is None:
            return None
        level = Level(severity, enter, clear or enter.opposite, hold)
        if level.overlaps:
            self.fault(f"{severity}.clear", f"what can't be so while it is {enter.text}", found(level.clear.text))
        return level

    def _threshold(self, key: str, text: Any, names: Names) -> Threshold | None:
        if not isinstance(text, str):
            self.fault(key, 'a comparison like "> 90%"', "nothing" if text is None else found(text))
            return None
        if len(text) > LONGEST:
            self.fault(key, f"at most {LONGEST} characters", found(text))
            return None
        try:
            return parse(text, names)
        except BadThreshold as error:
            self.fault(key, error.expected, error.found)
            return None


def _matching(patterns: Sequence[str]) -> Callable[[Any], bool]:
    """Return what tells whether a value matches one of some patterns, and none of those with `!` before them."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]

    # The same few facts are looked at in each cycle.
    @lru_cache(maxsize=64)
    def matches(value: Any) -> bool:
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return (not wanted or any(fnmatchcase(text, pattern) for pattern in wanted)) and not any(
            fnmatchcase(text, pattern) for pattern in unwanted
        )

    return matches
