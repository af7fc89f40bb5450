"""Signals whose bodies are marshalled beside the library are what the library makes of them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from healthd import _dbus_frames as frames
from healthd import _dbus_library as library
from healthd._dbus_unicast import Unicast, dictionary, entry

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(
    st.tuples(st.just("d"), st.floats()),
    st.tuples(st.just("t"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("i"), st.integers(-1, 1)),
    st.tuples(st.just("s"), TEXT),
    st.tuples(st.just("ad"), st.lists(st.floats(allow_nan=False), max_size=5)),
    st.tuples(st.just("as"), st.lists(TEXT, max_size=5)),
)


def signals(data, destination=":1.7"):
    """Return a message by the library alone, and by ours."""
    variants = {key: library.Variant(*value) for key, value in data.items()}
    parts = {"path": "/a/b", "interface": "a.b", "member": "Sample", "destination": destination}
    made = library.Message(
        message_type=library.MessageType.SIGNAL, serial=77, signature="a{sv}", body=[variants], **parts
    )
    body = dictionary([entry(key, *value) for key, value in data.items()])
    return bytes(made._marshall(False)), Unicast(destination, "/a/b", "a.b", "Sample", "a{sv}").message(77, body)


@given(st.dictionaries(TEXT, VALUES, max_size=8))
def test_what_is_joined_of_entries_is_what_the_library_makes_of_it_at_once(data):
    theirs, ours = signals(data)
    size = int.from_bytes(ours[4:8], "little")
    assert ours[len(ours) - size :] == theirs[len(theirs) - size :]


@given(st.dictionaries(TEXT, VALUES, max_size=4), st.integers(1, 4000))
def test_the_whole_message_is_read_by_the_framer_and_the_library(data, number):
    _, ours = signals(data, f":1.{number}")
    framer = frames.Framer()
    framer.room()[: len(ours)] = ours
    framer.filled(len(ours))
    frame = framer.next()
    assert frame
    assert (frame.kind, frame.serial, bytes(frame.data)) == (frames.SIGNAL, 77, ours)
    assert Unicast(f":1.{number}", "/a/b", "a.b", "Sample", "a{sv}").size < len(ours)


def test_unknown_numbers_travel_too():
    theirs, ours = signals({"a": ("d", math.nan), "b": ("t", 2**64 - 1), "c": ("i", -1)})
    assert ours[-60:] == theirs[-60:]
