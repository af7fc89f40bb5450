"""Messages that D-Bus allows and healthd's contract does not: made by a grammar, from a seed."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from raw import CALL, DRIVER, ERROR, HEALTHD, NO_REPLY, RETURN, ROOT, SIGNAL, Client, Writer, message
from raw import _types as complete
from wire_values import TEXTS, Values

PEER = f"{DRIVER}.Peer"
INTROSPECTABLE = f"{DRIVER}.Introspectable"
PROPERTIES = f"{DRIVER}.Properties"
LOG_CONTROL = "org.freedesktop.LogControl1"
INVALID_ARGS = f"{DRIVER}.Error.InvalidArgs"
LIMITS_EXCEEDED = f"{DRIVER}.Error.LimitsExceeded"
ACCESS_DENIED = f"{DRIVER}.Error.AccessDenied"
READ_ONLY = f"{DRIVER}.Error.PropertyReadOnly"
UNKNOWN = {what: f"{DRIVER}.Error.Unknown{what}" for what in ("Object", "Interface", "Method", "Property")}
NO_METRIC, NOT_AVAILABLE, NO_CONDITION, NO_COLLECTOR = (
    f"{HEALTHD}.Error.{name}" for name in ("UnknownMetric", "NotAvailable", "UnknownCondition", "UnknownCollector")
)
NO_WATCH = f"{HEALTHD}.Error.UnknownWatch"

LIMIT = 64 * 1024
"""The largest body that healthd looks at, bytes."""

_DEEPEST = 28
"""How deep arrays, structs and variants are nested at most; libdbus allows 32 and 64."""

Served = Mapping[str, Mapping[str, Mapping[str, str]]]
"""The signature that a method takes, by path, interface and name."""


KNOWN: Served = {
    path: {
        f"{HEALTHD}.Manager": {"Read": "as", "GetEvents": "ttasu", "Explain": "s", "Acknowledge": "oa{sv}"},
        PROPERTIES: {"Get": "ss", "GetAll": "s", "Set": "ssv"},
        f"{HEALTHD}.Reading": {},
    }
    for path in (ROOT, f"{ROOT}/memory")
}
"""What every healthd serves, at least."""


class Wrong(NamedTuple):
    """A message that violates the contract."""

    serial: int
    data: bytes
    errors: tuple[str, ...]
    """One of them is the answer; where there is none, no answer may come."""
    what: str


class Bare(NamedTuple):
    """A call before it is dressed: where it goes, what it carries, and the errors that may answer it."""

    what: str
    errors: tuple[str, ...]
    path: str
    interface: str
    member: str
    signature: str = ""
    values: Sequence[Any] | bytes = ()
    """The arguments, or all of them marshalled already, as a little-endian peer does."""


def served(client: Client) -> dict[str, dict[str, dict[str, str]]]:
    """Walk through what introspection tells of a bus's healthd."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        node = ET.fromstring(client.call("Introspect", interface=INTROSPECTABLE, path=path).body[0])
        found[path] = {
            interface.attrib["name"]: {
                method.attrib["name"]: "".join(
                    argument.attrib["type"]
                    for argument in method.findall("arg")
                    if argument.get("direction", "in") == "in"
                )
                for method in interface.findall("method")
            }
            for interface in node.findall("interface")
        }
        waiting += [f"{path.rstrip('/')}/{child.attrib['name']}" for child in node.findall("node")]
    return found


class Grammar:
    """Makes the messages of one client, the same for the same seed."""

    def __init__(self, seed: int, known: Served) -> None:
        self._random = random.Random(seed)
        self._of = Values(self._random)
        self._known = known
        # What has no more than these only leads to objects.
        everywhere = {PEER, INTROSPECTABLE, PROPERTIES}
        self._objects = [path for path, interfaces in known.items() if not everywhere.issuperset(interfaces)]
        self._serial = 1000
        self._calls: Sequence[tuple[int, Callable[[], Bare]]] = (
            (3, self._elsewhere),
            (3, self._other_interface),
            (3, self._no_method),
            (6, self._other_arguments),
            (2, self._deep_arguments),
            (6, self._other_values),
            (1, self._too_large),
        )

    def messages(self, count: int) -> Iterator[Wrong]:
        for _ in range(count):
            yield self._message()

    def _message(self) -> Wrong:
        self._serial += 1
        kind = self._random.choices([CALL, SIGNAL, RETURN, ERROR], [80, 8, 7, 5])[0]
        if kind == CALL:
            weights, makers = zip(*self._calls, strict=True)
            return self._dressed(self._random.choices(makers, weights)[0]())
        signature, values = self._of.body()
        fields: dict[str, Any] = {}
        if kind == SIGNAL:
            fields = {"path": self._of.path(), "interface": self._of.interface(), "member": self._of.member()}
            if self._of.chance(0.3):
                fields |= {"interface": DRIVER, "path": "/org/freedesktop/DBus"}
                fields["member"] = self._random.choice(["NameLost", "NameOwnerChanged", "NameAcquired"])
        elif kind in (RETURN, ERROR):
            # The first ones are those that healthd asked the bus by.
            fields = {"reply_serial": self._random.choice([1, 2, 3, 4, 7, self._random.randint(1, 2**32 - 1)])}
            if kind == ERROR:
                fields["error_name"] = self._of.interface()
        flags = self._random.randrange(256) & ~NO_REPLY
        return self._made(kind, signature, values, fields, flags=flags, errors=(), what=f"of kind {kind}")

    def _dressed(self, bare: Bare) -> Wrong:
        """Add what changes nothing about a call's being wrong."""
        odd = {
            "sender": (":1.99999", 0.1),
            "unix_fds": (0, 0.1),
            "reply_serial": (self._random.randint(1, 9), 0.05),
            "error_name": ("a.b", 0.05),
        }
        fields: dict[str, Any] = {"path": bare.path, "member": bare.member}
        fields |= {"interface": bare.interface} if bare.interface else {}
        fields |= {name: value for name, (value, share) in odd.items() if self._of.chance(share)}
        flags, errors = self._random.choice([0, 0, 2, 4, 6, 0xF8, 0xFE]), bare.errors
        if self._of.chance(0.1):
            flags, errors = flags | NO_REPLY, ()
        return self._made(CALL, bare.signature, bare.values, fields, flags=flags, errors=errors, what=bare.what)

    def _made(
        self, kind: int, signature: str, values: Sequence[Any] | bytes, fields: dict[str, Any],
        *, flags: int, errors: tuple[str, ...], what: str,
    ) -> Wrong:  # fmt: skip
        whole = isinstance(values, bytes)
        order = self._random.choice("<" if whole else "<>")
        parts = [*fields.items(), ("destination", HEALTHD)]
        self._random.shuffle(parts)
        inside = values if whole else bytes(Writer(order).write(signature, *values).data)
        data = message(kind, self._serial, signature, flags=flags, order=order, body=inside, **dict(parts))
        if errors and len(inside) > LIMIT:
            errors = (LIMITS_EXCEEDED,)
        shown = {name: value if len(str(value)) < 80 else f"{str(value)[:80]}…" for name, value in parts}
        return Wrong(
            self._serial, data, errors,
            f"{what}: {shown}, {order} flags {flags:#x}, {signature[:80]!r}, {len(data)} bytes, "
            f"expecting {' or '.join(errors) or 'no answer'}",
        )  # fmt: skip

    # Where a call can go wrong.

    def _elsewhere(self) -> Bare:
        found = self._method(lambda interface: interface not in (PEER, INTROSPECTABLE))
        path = self._of.path()
        while any(known == path or known.startswith(f"{path}/") for known in ["/", *self._known]):
            path = self._of.path()
        return Bare("no such object", (UNKNOWN["Object"],), path, *found[1:4], self._of.values(found[3]))

    def _other_interface(self) -> Bare:
        path, _, member, signature = self._method()
        interface = self._of.interface()
        if self._of.chance(0.4):
            interface = self._random.choice(sorted({name for each in self._known.values() for name in each}))
        while interface in self._known[path]:
            interface = self._of.interface()
        error = UNKNOWN["Interface" if path in self._objects else "Object"]
        return Bare("no such interface", (error,), path, interface, member, signature, self._of.values(signature))

    def _no_method(self) -> Bare:
        path, interface, _, signature = self._method()
        known = {name for methods in self._known[path].values() for name in methods}
        member = self._of.member()
        while member in known:
            member = self._of.member()
        error = UNKNOWN["Method" if path in self._objects else "Object"]
        return Bare(
            "no such method", (error,), path, self._maybe(interface), member, signature, self._of.values(signature)
        )  # fmt: skip

    def _other_arguments(self) -> Bare:
        path, interface, member, right = self._method(objects=True)
        types = list(complete(right))
        signature, values = self._of.body()
        change = self._random.choice(["fewer", "more", "other", "order", "random"])
        if change == "fewer":
            signature = "".join(types[:-1])
        elif change == "more":
            signature = right + self._of.type()
        elif change == "other" and types:
            types[self._random.randrange(len(types))] = self._of.type()
            signature = "".join(types)
        elif change == "order":
            self._random.shuffle(types)
            signature = "".join(types)
        while signature == right:
            signature = self._of.type() + signature
        values = self._of.values(signature)
        return Bare("arguments", (INVALID_ARGS,), path, self._maybe(interface), member, signature, values)

    def _deep_arguments(self) -> Bare:
        path, interface, member, _ = self._method(objects=True)
        depth = self._random.randint(3, _DEEPEST)
        shape = self._random.choice(["arrays", "structs", "variants", "dictionaries", "both"])
        inner = self._of.type(3)
        value: Any = self._of.value(inner)
        for _ in range(depth // 2 if shape == "both" else depth):
            if shape == "variants":
                inner, value = "v", (inner, value)
            elif shape == "structs":
                inner, value = f"({inner})", (value,)
            elif shape == "arrays":
                inner, value = f"a{inner}", b"\1" if inner == "y" else [value]
            elif shape == "dictionaries":
                inner, value = f"a{{s{inner}}}", [("k", value)]
            else:
                inner, value = f"a({inner})", [(value,)]
        return Bare(f"deep {shape}", (INVALID_ARGS,), path, self._maybe(interface), member, f"y{inner}", (0, value))

    def _too_large(self) -> Bare:
        path, interface, member, _ = self._method(objects=True)
        # Marshalled by hand: it is as long as many others together.
        signature, item = self._random.choice(
            [
                ("ay", b"\0"), ("as", b"\3\0\0\0abc\0"), ("av", b"\1i\0\0\1\0\0\0"),
                ("au", b"\1\0\0\0"), ("aas", bytes(4)), ("ag", b"\1v\0"),
            ]
        )  # fmt: skip
        least = LIMIT // len(item)
        count = self._random.choice([least, least + 1, 2 * least, self._random.randint(least, 5 * least)])
        size = count * len(item)
        body = size.to_bytes(4, "little") + item * count
        return Bare("too large", (LIMITS_EXCEEDED,), path, self._maybe(interface), member, signature, body)

    def _other_values(self) -> Bare:
        """Make a call with the right arguments, but values that nothing has."""
        if self._of.chance(0.4):
            return self._property()
        member = self._random.choice(
            [name for name in self._impossible if name in self._known[ROOT][f"{HEALTHD}.Manager"]]
        )
        errors, values = self._random.choice(self._impossible[member])
        interface = self._maybe(f"{HEALTHD}.Manager")
        signature = self._known[ROOT][f"{HEALTHD}.Manager"][member]
        return Bare("values", errors, ROOT, interface, member, signature, values(self))

    def _property(self) -> Bare:
        path = self._random.choice([path for path in self._objects if LOG_CONTROL not in self._known[path]])
        interface = self._random.choice([name for name in self._known[path] if name.startswith(HEALTHD)])
        member = self._random.choice(["Get", "GetAll", "Set"])
        name, error = f"{self._of.member()}_", UNKNOWN["Property"]
        if member == "GetAll" or self._of.chance(0.4):
            while interface in self._known[path]:
                interface = self._random.choice([self._of.interface(), *TEXTS[1:]])
            error = UNKNOWN["Interface"]
        elif member == "Set" and interface == f"{HEALTHD}.Reading" and self._of.chance(0.7):
            name, error = self._random.choice(["Available", "Problem", "Instance"]), READ_ONLY
        values = {"Get": (interface, name), "GetAll": (interface,), "Set": (interface, name, self._of.value("v"))}[
            member
        ]
        signature = {"Get": "ss", "GetAll": "s", "Set": "ssv"}[member]
        return Bare("property", (error,), path, self._maybe(PROPERTIES), member, signature, values)

    _impossible: Mapping[str, Sequence[tuple[tuple[str, ...], Callable[["Grammar"], Sequence[Any]]]]] = {
        "Read": (
            ((NO_METRIC,), lambda self: (["memory.percent", self._no_metric()],)),
            ((NO_METRIC,), lambda self: ([self._no_metric()] * self._random.randint(1, 100),)),
            ((NOT_AVAILABLE,), lambda self: ([f"load.load1@{self._of.text()}"],)),
            ((NOT_AVAILABLE,), lambda _: (["network.rx_bytes_per_second@nowhere"],)),
            ((INVALID_ARGS,), lambda self: (["cpu.busy"] * self._random.randint(1025, 2000),)),
        ),
        "GetHistory": (
            ((NO_METRIC,), lambda self: (self._no_metric(), 0, 0, 0)),
            ((NO_METRIC,), lambda _: ("host.hostname", 0, 0, 0)),
            ((INVALID_ARGS,), lambda self: ("cpu.busy", self._random.randint(2, 2**51), 1, 0)),
            ((INVALID_ARGS,), lambda self: ("cpu.busy", 0, 0, self._random.randint(10_001, 2**32 - 1))),
            ((INVALID_ARGS,), lambda _: ("network.rx_bytes_per_second", 0, 0, 0)),
            ((NOT_AVAILABLE,), lambda self: (f"cpu.busy@{self._of.text()}", 0, 0, 0)),
        ),
        "GetEvents": (
            ((INVALID_ARGS,), lambda self: (self._random.randint(2, 2**51), 1, [self._of.text()], 1)),
            ((INVALID_ARGS,), lambda self: (0, 0, [self._of.text()] * self._random.randint(101, 3000), 1)),
            ((INVALID_ARGS,), lambda self: (0, 0, [], self._random.randint(10_001, 2**32 - 1))),
        ),
        "Explain": (((NO_CONDITION,), lambda self: (self._no_metric(),)),),
        "Watch": (
            ((NO_METRIC,), lambda self: (["memory.percent", self._no_metric()], [])),
            ((NOT_AVAILABLE,), lambda self: ([f"load.load1@{self._of.text()}"], [])),
            ((INVALID_ARGS,), lambda _: ([], [])),
            ((INVALID_ARGS,), lambda self: (["cpu.busy"] * self._random.randint(1025, 2000), [])),
            ((INVALID_ARGS,), lambda self: (["cpu.busy"], [("interval_usec", ("d", self._random.random()))])),
            ((INVALID_ARGS,), lambda self: (["cpu.busy"], [(f"x{self._of.text()}", self._of.value("v"))])),
        ),
        "Unwatch": (((NO_WATCH,), lambda self: (self._random.randint(0, 2**32 - 1),)),),
        # These are answered later, and only a few of one caller wait.
        "Acknowledge": (
            ((NO_CONDITION, LIMITS_EXCEEDED), lambda self: (self._of.path(), [])),
            ((NO_CONDITION, LIMITS_EXCEEDED), lambda _: (f"{ROOT}/condition/{'x' * 200}", [])),
            ((NO_CONDITION, LIMITS_EXCEEDED), lambda self: (ROOT, [("until_usec", self._of.value("v"))])),
        ),
        "SetCollectorEnabled": (
            ((NO_COLLECTOR, ACCESS_DENIED, LIMITS_EXCEEDED), lambda self: (self._no_metric(), 0)),
            ((NO_COLLECTOR, ACCESS_DENIED, LIMITS_EXCEEDED), lambda self: (self._no_metric(), 1)),
        ),
    }  # fmt: skip

    # Of what calls are made.

    def _maybe(self, interface: str) -> str:
        return interface if self._of.chance(0.8) else ""

    def _method(
        self, allowed: Callable[[str], bool] = lambda _: True, *, objects: bool = False
    ) -> tuple[str, str, str, str]:
        """Choose a method; return its path, interface, name and signature."""
        path = self._random.choice(list(self._objects) if objects else [*self._objects, *self._known])
        if self._of.chance(0.4):
            path = ROOT
        interface = self._random.choice([name for name, has in self._known[path].items() if has and allowed(name)])
        member, signature = self._random.choice(list(self._known[path][interface].items()))
        return path, interface, member, signature

    def _no_metric(self) -> str:
        """Return what names nothing, in whatever way."""
        return self._random.choice(["no.", "memory.no", "cpu.busy.", "", "conditions@"]) + "_" + self._of.text()
