"""Interfaces as declared, and their XML: the same for introspection and for `data/dbus/interfaces/`."""

from collections.abc import Iterable
from typing import NamedTuple

from healthd.metric import Metric, Table, camel
from healthd.model import Condition, Status

DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
# The standard library's own way loads an HTTP client, 5 MiB of it.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
_DOC = "org.gtk.GDBus.DocString"
_EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


class Argument(NamedTuple):
    """A method's or signal's argument."""

    name: str
    signature: str


class Method(NamedTuple):
    """A method: what it takes, what it answers, and one paragraph."""

    name: str
    summary: str
    takes: tuple[Argument, ...] = ()
    gives: tuple[Argument, ...] = ()
    guarded: bool = False
    """Whether it changes something, so that not everyone may call it."""

    @property
    def signature(self) -> str:
        """The signature of what it takes."""
        return "".join(argument.signature for argument in self.takes)


class Property(NamedTuple):
    """A property, and when it is signalled: `true`, `false` or `const`."""

    name: str
    signature: str
    emits: str
    summary: str
    writable: bool = False
    """Whether some may set it."""


class Signal(NamedTuple):
    """A signal, and one paragraph."""

    name: str
    summary: str
    gives: tuple[Argument, ...] = ()


class Interface(NamedTuple):
    """One D-Bus interface."""

    name: str
    summary: str
    properties: tuple[Property, ...] = ()
    methods: tuple[Method, ...] = ()
    signals: tuple[Signal, ...] = ()


def of_table(
    table: type[Table],
    *,
    methods: tuple[Method, ...] = (),
    signals: tuple[Signal, ...] = (),
    constant: Iterable[str] = (),
    writable: Iterable[str] = (),
) -> Interface:
    """Return the interface that a table declares.

    The fields in `constant` never change, and those in `writable` can be set.
    """
    properties = [
        Property(
            camel(metric.name), metric.signature, _emits(metric, constant), metric.summary, metric.name in writable
        )
        for metric in table.metrics
    ]
    summary = " ".join((table.__doc__ or "").split())
    return Interface(table.interface, summary, tuple(properties), methods, signals)


def _emits(metric: Metric, constant: Iterable[str]) -> str:
    if metric.name in constant:
        return "const"
    return "false" if metric.live else "true"


def xml(interface: Interface) -> str:
    """Return an interface as introspection XML, documented member by member."""
    lines = [f"  <interface name={_quoted(interface.name)}>", _doc(interface.summary, 4)]
    for method in interface.methods:
        lines += [f"    <method name={_quoted(method.name)}>", _doc(method.summary, 6)]
        lines += [_argument(argument, ' direction="in"') for argument in method.takes]
        lines += [_argument(argument, ' direction="out"') for argument in method.gives]
        lines.append("    </method>")
    for signal in interface.signals:
        lines += [f"    <signal name={_quoted(signal.name)}>", _doc(signal.summary, 6)]
        lines += [_argument(argument, "") for argument in signal.gives]
        lines.append("    </signal>")
    for item in interface.properties:
        access = "readwrite" if item.writable else "read"
        lines.append(f'    <property name={_quoted(item.name)} type="{item.signature}" access="{access}">')
        if item.emits != "true":
            lines.append(f'      <annotation name="{_EMITS}" value="{item.emits}"/>')
        lines += [_doc(item.summary, 6), "    </property>"]
    return "\n".join([*(line for line in lines if line), "  </interface>\n"])


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _doc(text: str, indent: int) -> str:
    return f'{" " * indent}<annotation name="{_DOC}" value={_quoted(text)}/>' if text else ""


def _argument(argument: Argument, direction: str) -> str:
    return f'      <arg name={_quoted(argument.name)} type="{argument.signature}"{direction}/>'


def node(interfaces: Iterable[Interface], children: Iterable[str] = ()) -> str:
    """Return the introspection document of an object."""
    inside = "".join(map(xml, interfaces))
    inside += "".join(f"  <node name={_quoted(child)}/>\n" for child in children)
    return f"{DOCTYPE}<node>\n{inside}</node>\n"


def documents(tables: Iterable[type[Table]], manager: Interface) -> dict[str, str]:
    """Return the XML files to ship, by name."""
    interfaces = [manager, of_table(Status), of_table(Condition), *map(of_table, tables)]
    return {f"{interface.name}.xml": node([interface]) for interface in interfaces}
