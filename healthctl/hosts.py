"""Several machines at once: healthd on each is asked at the same time, and none of them holds the others up."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from healthctl.client import TIMEOUT, Client, connect, dial
from healthctl.errors import HealthctlError

if TYPE_CHECKING:
    from healthctl.tunnel import Tunnel


class Answer(NamedTuple):
    """What came of a question to one host."""

    host: str
    content: Any
    """`None` where there is a problem."""
    problem: str = ""
    """Why nothing came."""


def ask(buses: Mapping[str, str], question: Callable[[Client], Any]) -> list[Answer]:
    """Ask healthd on each of these buses, by the names of their hosts; nobody is asked for a password."""
    # All are on their way before there is a second thread, beside which no process should be started.
    dialled = [(host, bus, _dial(bus)) for host, bus in buses.items()]
    with ThreadPoolExecutor(len(dialled)) as pool:
        return list(pool.map(lambda each: _answer(question, *each), dialled))


def _dial(bus: str) -> "Tunnel | HealthctlError | None":
    try:
        return dial(bus, TIMEOUT, asks=False)
    except HealthctlError as error:
        return error


def _answer(
    question: Callable[[Client], Any], host: str, bus: str, way: "Tunnel | HealthctlError | None"
) -> Answer:  # fmt: skip
    if isinstance(way, HealthctlError):
        return _unreachable(host, way)
    try:
        with closing(Client(bus, connection=connect(bus, TIMEOUT, tunnel=way))) as client:
            return Answer(host, question(client))
    except HealthctlError as error:
        return _unreachable(host, error)
    except Exception as error:  # noqa: BLE001  # a fault of ours with one of them costs the others nothing
        return Answer(host, None, f"this is a bug of healthctl: {error!r}")


def _unreachable(host: str, error: HealthctlError) -> Answer:
    return Answer(host, None, str(error).removeprefix(f"{host}: "))
