import contextlib
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as some
from raw import CALL, ERROR, RETURN, SIGNAL, message

from healthd._dbus_frames import MAX_BODY, Frame, Framer, Violation

ROOM = 300_000
"""More than a framer may ever hold, bytes."""


def frames(pieces: Iterable[bytes]) -> list[Frame]:
    """Feed pieces as a socket does and return all frames, looking for them after each piece."""
    framer = Framer()
    found = []
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            room = framer.room()
            assert 0 < len(room) <= ROOM
            taken = min(len(room), len(rest))
            room[:taken] = rest[:taken]
            framer.filled(taken)
            rest = rest[taken:]
            found += iter(framer.next, None)
    return found


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def cleared(data: bytes) -> bytes:
    return data[:2] + b"\0" + data[3:]


bodies = some.one_of(
    some.binary(max_size=100),
    some.sampled_from([MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, 3 * MAX_BODY, 900_001]).map(bytes),
)
messages = some.builds(
    lambda kind, serial, flags, order, body, member: message(
        kind, serial, "s", flags=flags, order=order, body=body, member=member, path="/a"
    ),
    some.sampled_from([CALL, RETURN, ERROR, SIGNAL]),
    some.integers(1, 2**32 - 1),
    some.integers(0, 255),
    some.sampled_from("<>"),
    bodies,
    some.text("abc", min_size=1, max_size=9),
)


@given(some.lists(messages, max_size=6), some.lists(some.integers(0, 1 << 21), max_size=20))
def test_frames_come_out_the_same_wherever_the_stream_is_cut(sent, cuts):
    stream = b"".join(sent)
    found = frames(pieces(stream, cuts))

    assert len(found) == len(sent)
    for frame, data in zip(found, sent, strict=True):
        order = "little" if data[0] == ord("l") else "big"
        body = int.from_bytes(data[4:8], order)
        assert frame.kind == data[1]
        assert frame.flags == data[2]
        assert frame.serial == int.from_bytes(data[8:12], order)
        if body > MAX_BODY:
            assert frame.oversized == body
            assert frame.data == cleared(data[:4] + bytes(4) + data[8 : len(data) - body])
        else:
            assert not frame.oversized
            assert frame.data == cleared(data)


@given(some.lists(messages, min_size=1, max_size=3))
def test_a_stream_of_single_bytes_gives_the_same_frames(sent):
    stream = b"".join(data for data in sent if len(data) < 400)
    assert frames(stream[at : at + 1] for at in range(len(stream))) == frames([stream])


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("fields", [64 * 1024 + 1, 70_003, 5_000_000])
@pytest.mark.parametrize("body", [0, 9, MAX_BODY + 5])
def test_a_message_whose_fields_are_too_long_is_skipped_exactly(order, fields, body):
    first = b"l" if order == "little" else b"B"
    head = first + bytes([CALL, 0, 1]) + b"".join(number.to_bytes(4, order) for number in (body, 7, fields))
    long = head + bytes(fields + -fields % 8 + body)
    after = message(CALL, 8, path="/a", member="After")

    assert [frame.serial for frame in frames([long + after, long, after])] == [8, 8]


def test_fields_of_the_greatest_length_are_delivered():
    long = message(CALL, 7, path="/a", member="A", signature="")
    padding = 64 * 1024 - int.from_bytes(long[12:16], "little")
    data = long[:12] + (64 * 1024).to_bytes(4, "little") + long[16:] + bytes(padding - (len(long) - 16) % 8)
    data = data[: 16 + 64 * 1024].ljust(16 + 64 * 1024, b"\0")
    assert [frame.serial for frame in frames([data, message(CALL, 8, path="/a", member="B")])] == [7, 8]


@pytest.mark.parametrize(
    "data",
    [
        b"x" + message(CALL, 1, path="/a", member="A")[1:],
        b"\0" * 16,
        b"l\1\0\2" + bytes(12),
        b"l\1\0\1" + (1 << 27).to_bytes(4, "little") + b"\1\0\0\0" + bytes(4),
        b"l\1\0\1" + bytes(4) + b"\1\0\0\0" + b"\xff\xff\xff\xff",
        b"l\1\0\1" + bytes(4) + b"\0\0\0\0" + bytes(4),
    ],
    ids=["order", "zeros", "version", "long body", "long fields", "serial"],
)
def test_what_the_specification_forbids_ends_the_stream(data):
    with pytest.raises(Violation):
        frames([message(CALL, 1, path="/a", member="A"), data])


@given(some.lists(some.binary(max_size=200), max_size=20), some.booleans())
def test_garbage_gives_frames_or_a_violation_and_nothing_else(garbage, plausible):
    # Plausible garbage gets past the first check.
    stream = [b"l\1\0\1" + piece for piece in garbage] if plausible else garbage
    with contextlib.suppress(Violation):
        assert sum(len(frame.data) for frame in frames(stream)) <= sum(map(len, stream))


@given(some.lists(some.binary(max_size=200).filter(lambda line: b"\r\n" not in line + b"\n"), max_size=10), some.data())
def test_lines_come_out_the_same_wherever_the_stream_is_cut(lines, data):
    stream = b"".join(line + b"\r\n" for line in lines)
    framer = Framer()
    found = []
    for piece in pieces(stream, data.draw(some.lists(some.integers(0, 2000), max_size=9))):
        framer.room()[: len(piece)] = piece
        framer.filled(len(piece))
        found += iter(framer.line, None)
    assert found == lines


def test_a_line_without_an_end_is_a_violation_before_it_fills_the_buffer():
    framer = Framer()
    sent = 0
    with pytest.raises(Violation):  # noqa: PT012  # it is not known beforehand which piece is too much
        while sent < ROOM:
            framer.room()[:1000] = b"a" * 1000
            framer.filled(1000)
            sent += 1000
            framer.line()
    assert sent < ROOM
