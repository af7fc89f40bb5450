"""What is no D-Bus, or no answer of healthd, costs one host its answer, and the others nothing."""

import socket
import struct

import pytest
from jeepney import DBusAddress, HeaderFields, new_method_call, new_method_return
from private_bus import private_bus
from stand_in import Answering, member

from healthctl._client_connection import Connection
from healthctl.client import Client
from healthctl.errors import Unavailable
from healthctl.hosts import ask
from healthctl.render.described import number
from healthd import protocol


def message(field: bytes = b"", body: int = 0, kind: int = 2) -> bytes:
    """Return a message, or the begin of one whose body is to have so many bytes."""
    return struct.pack("<cBBBIII", b"l", kind, 0, 1, body, 1, len(field)) + field + bytes(-len(field) % 8)


def welcome(*content: str) -> bytes:
    """Return the answer to Hello."""
    answer = new_method_return(new_method_call(DBusAddress("/", "a.b"), "Hello"), "s" if content else None, content)
    answer.header.fields[HeaderFields.reply_serial] = 1
    return bytes(answer.serialise(serial=1))


ODD = {
    "text": b"xyzzy, and so on and so on",
    "unknown kind": message(kind=77),
    "unknown field": message(b"\xee\x01u\0" + bytes(4)),
    "no type": message(b"\x05\x01%\0" + bytes(4)),
    "no UTF-8": message(b"\x07\x01s\0\x02\0\0\0\xff\xff\0"),
    "an answer to no number": message(b"\x05\x02as\0\0\0\0\0\0\0"),
    "deep": message(b"\x07\x01v\0" + b"\x01v\0" * 2000),
    "huge": message(body=2**32 - 1),
}


# No object that ends, and one that json reads: so deep that nothing can be done with it.
DEEP = ("[" * 100_000, f'{{"time": "2026-11-23T05:00:00Z", "health": {"[" * 900}{"]" * 900}}}')


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("came", [*ODD.values(), welcome()], ids=[*ODD, "nothing"])
def test_what_is_no_message_makes_no_connection(pair, came):
    ours, theirs = pair
    theirs.sendall(came)
    with pytest.raises(OSError, match=r"^what came is no D-Bus message$"):
        Connection(ours, 1.0)


@pytest.mark.parametrize("came", ODD.values(), ids=ODD)
def test_what_is_no_message_ends_a_connection(pair, came):
    ours, theirs = pair
    theirs.sendall(welcome(":1.1"))
    client = Client("session", connection=Connection(ours, 1.0))
    client.ask()
    theirs.sendall(came)
    with pytest.raises(Unavailable, match=r"^the connection to the bus is lost: what came is no D-Bus message$"):
        client.answer()


@pytest.fixture(params=DEEP, ids=["no end", "an end"])
def odd_bus(request):
    """Give a bus on which healthd's answers have their types, and else nothing that healthd would say."""
    described = request.param

    def answer(call):
        if member(call) in ("Describe", "Explain"):
            return new_method_return(call, "s", (described,))
        if member(call) == "ListMetrics":
            return new_method_return(call, "a{sa{sv}}", ({},))
        conditions = {"x": {"value": ("s", "much")}, "y": {"severity": ("ay", b"\xff"), "summary": ("i", 7)}}
        return new_method_return(call, "a{sa{sv}}", (conditions,))

    with private_bus() as made, Answering(made.address, protocol.BUS_NAME, answer):
        yield made


def test_a_number_that_is_too_large_for_one_is_unknown():
    values = {"a": 10**400, "b": -(10**400), "c": float("inf"), "d": float("nan"), "e": 2**64}
    assert [number(values, name) for name in values] == [None, None, None, None, 2.0**64]


@pytest.mark.parametrize(
    "command", [["status"], ["status", "--json"], ["why", "x"], ["why", "x", "--json"]], ids=" ".join
)
def test_a_description_that_nobody_can_read_is_no_bug(odd_bus, healthctl, command):
    done = healthctl(odd_bus.address, *command)
    assert (done.returncode, done.stdout) == (69, "")
    assert "healthd's description can't be read" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--only", "x"], ["--only", "y"]])
def test_conditions_that_nobody_can_read_are_unknown(odd_bus, healthctl, options):
    done = healthctl(odd_bus.address, "check", *options)
    assert (done.returncode, done.stderr) == (3, "")
    assert "unknown" in done.stdout.lower()


def test_a_fault_of_ours_with_one_host_costs_the_others_nothing(healthd_bus, odd_bus):
    buses = {"well": healthd_bus.address, "odd": odd_bus.address}
    well, odd = ask(buses, lambda client: client.conditions().popitem()[1]["severity"].encode())
    assert (well.host, well.problem) == ("well", "")
    assert well.content in (b"ok", b"notice", b"warning", b"critical", b"unknown")
    assert (odd.host, odd.content) == ("odd", None)
    assert odd.problem.startswith("this is a bug of healthctl: AttributeError(")
