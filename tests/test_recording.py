"""A recording on disk: what is read of it, however it was left."""

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import recording
from healthd.recording import Fault, Segment, events, lines, segments, stem

LINE = b'{"time":"2026-01-01T12:00:00.000Z","name":"a","data":{},"boot_id":"b","since_boot":1.0,"seq":1}\n'
NOON = 1767268800.0


def written(directory, content: bytes, name: str = "12-00-00.jsonl") -> str:
    path = f"{directory}/{name}"
    with open(path, "wb") as file:
        file.write(content)
    return path


def read(path: str) -> tuple[list[tuple[int, bytes]], list[Fault]]:
    faults: list[Fault] = []
    return list(lines(path, faults.append)), faults


def test_segments_come_in_the_order_of_their_names_and_other_files_are_none(tmp_path):
    for name in (
        "2026-01-01/12-00-00.jsonl.gz",
        "2026-01-01/11-50-00.jsonl.gz",
        "2026-01-02/00-00-00.jsonl",
        "2026-01-01/12-00-00.jsonl",
        "2026-01-01/25-00-00.jsonl",
        "2026-13-01/12-00-00.jsonl",
        "2026-01-01/12-10-00.jsonl.gz.tmp",
        "2026-01-01/notes.txt",
        "lost+found/12-00-00.jsonl",
    ):
        os.makedirs(os.path.dirname(tmp_path / name), exist_ok=True)
        written(tmp_path, b"", name)
    written(tmp_path, b"", "2026-01-03")
    assert segments(str(tmp_path)) == [
        Segment(NOON - 600, f"{tmp_path}/2026-01-01/11-50-00.jsonl.gz"),
        Segment(NOON, f"{tmp_path}/2026-01-01/12-00-00.jsonl.gz"),
        Segment(NOON + 12 * 3600, f"{tmp_path}/2026-01-02/00-00-00.jsonl"),
    ]


def test_a_segment_is_named_by_its_time_in_utc():
    assert stem(NOON + 61.9) == "2026-01-01/12-01-01"


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        segments(str(tmp_path / "none"))


def test_lines_have_their_numbers_and_empty_ones_count(tmp_path):
    assert read(written(tmp_path, b"a\n\nb\n")) == ([(1, b"a"), (3, b"b")], [])


@given(st.binary(min_size=1).filter(lambda text: b"\n" not in text and text.strip(b"\0")))
def test_a_last_line_without_an_end_is_torn(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("torn"), b"a\n" + text)
    assert read(path) == ([(1, b"a")], [Fault(path, 2, "the last line is torn")])


def test_zeros_at_the_end_are_nothing(tmp_path):
    assert read(written(tmp_path, b"a\n" + bytes(5000))) == ([(1, b"a")], [])


@pytest.mark.parametrize("name", ["12-00-00.jsonl", "12-00-00.jsonl.gz"])
def test_a_huge_line_is_passed_over_and_never_held(tmp_path, name):
    content = b"a\n" + b"x" * (3 * recording.LONGEST) + b"\nb\n"
    path = written(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)
    assert read(path) == ([(1, b"a"), (3, b"b")], [Fault(path, 2, f"a line of over {recording.LONGEST} bytes")])


def test_a_compressed_segment_has_as_many_members_as_it_likes(tmp_path):
    path = written(tmp_path, gzip.compress(b"a\nb") + gzip.compress(b"\n") + gzip.compress(b"c\n"), "x.jsonl.gz")
    assert read(path) == ([(1, b"a"), (2, b"b"), (3, b"c")], [])


def test_a_compressed_segment_is_read_up_to_where_it_is_cut(tmp_path):
    content = b"".join(b"line %d\n" % number for number in range(200))
    whole = gzip.compress(content)
    for length in range(1, len(whole)):
        path = written(tmp_path, whole[:length], "x.jsonl.gz")
        found, faults = read(path)
        assert b"".join(line + b"\n" for _, line in found) == content[: sum(len(line) + 1 for _, line in found)]
        assert faults
        assert str(faults[0]).startswith(f"{path}:{len(found) + 1}: ")


def test_a_damaged_compressed_segment_is_read_up_to_the_damage(tmp_path):
    whole = bytearray(gzip.compress(b"a\n" * 5000, mtime=0))
    whole[len(whole) // 2] ^= 0xFF
    found, faults = read(written(tmp_path, bytes(whole), "x.jsonl.gz"))
    assert len(found) < 5000 or faults
    assert "damaged" in faults[0].reason


def test_what_is_compressed_while_it_is_looked_for_is_read(tmp_path):
    written(tmp_path, gzip.compress(b"a\n"), "12-00-00.jsonl.gz")
    assert read(f"{tmp_path}/12-00-00.jsonl") == ([(1, b"a")], [])


def test_a_file_that_can_not_be_read_is_reported(tmp_path):
    path = f"{tmp_path}/12-00-00.jsonl"
    assert read(path) == ([], [Fault(path, 0, "No such file or directory")])
    assert str(Fault(path, 0, "gone")) == f"{path}: gone"


def test_what_is_no_event_is_reported_with_its_line_and_the_rest_is_read(tmp_path):
    path = written(tmp_path, LINE + b"nonsense\n" + LINE.replace(b'"seq":1', b'"seq":2') + b'{"time":')
    faults: list[Fault] = []
    assert [(number, event.seq) for number, event in events(path, faults.append)] == [(1, 1), (3, 2)]
    assert [(fault.line, fault.reason.split(":")[0]) for fault in faults] == [
        (2, "this is no JSON"),
        (4, "the last line is torn"),
    ]


@given(content=st.binary(max_size=300))
@pytest.mark.parametrize("name", ["12-00-00.jsonl", "12-00-00.jsonl.gz"])
def test_whatever_a_file_holds_reading_it_ends(tmp_path_factory, name, content):
    path = written(tmp_path_factory.mktemp("any"), content, name)
    list(events(path, lambda _: None))


@pytest.mark.parametrize("name", ["12-00-00.jsonl", "12-00-00.jsonl.gz"])
def test_what_is_no_regular_file_is_reported_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    path = str(tmp_path / name)
    assert read(path) == ([], [Fault(path, 0, "this is no regular file")])
