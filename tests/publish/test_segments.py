"""Segments on disk: what is left is repaired and compressed, what is too old or too much goes, nothing else does."""

import json
import logging
import os
import subprocess
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_child import START, Machine, no_summary

from healthd import recording
from healthd.description import opening
from healthd.errors import RecordingTaken
from healthd.events import encode
from healthd.publish import _stock
from healthd.publish._segment import OpenSegment
from healthd.publish._stock import AT_ONCE, Stock, compress, leftovers, repair, settle
from healthd.publish._writer import Batch, Keeping, Writer, _humane

ROOMY = Keeping(min_free=0)
DAY = 86400.0


@pytest.fixture(autouse=True)
def _debug(caplog):
    caplog.set_level(logging.DEBUG, "healthd.publish")


def batch(*cycles, fresh: bool = True) -> Batch:
    """Return a batch as the recorder makes it."""
    events = [event for cycle in cycles for event in cycle.events]
    lines = [encode(event, after).encode() + b"\n" for event, after in zip(events, [None, *events], strict=False)]
    return Batch(cycles[0], fresh, b"".join(lines), tuple(events), 0.0)


def segment(directory, at: float, content: bytes = b"{}\n", ending: str = ".jsonl") -> str:
    """Put a segment there."""
    path = os.path.join(directory, recording.stem(at) + ending)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path


def closed(directory, at: float, size: int = 100) -> str:
    return segment(directory, at, b"x" * size, ".jsonl.gz")


def tree(directory) -> list[str]:
    """Return all files and empty directories."""
    return sorted(
        os.path.relpath(os.path.join(found, name), directory)
        for found, below, names in os.walk(directory)
        for name in [*names, *(one for one in below if not os.listdir(os.path.join(found, one)))]
    )


def content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def members(path: str) -> list[bytes]:
    """Return the gzip members of a file."""
    data, found = content(path), []
    while data:
        inflate = zlib.decompressobj(wbits=31)
        found.append(inflate.decompress(data))
        assert inflate.eof
        data = inflate.unused_data
    return found


def tidy(writer: Writer) -> int:
    """Put everything in order, and return how many pieces that took."""
    pieces = 1
    while writer.tidy():
        pieces += 1
    return pieces


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# Writing


def test_a_segment_opens_with_what_was_known_and_is_named_by_the_time(tmp_path):
    machine, writer = Machine(), Writer(str(tmp_path), ROOMY, no_summary)
    first, second = machine.cycle(), machine.cycle()
    assert writer.write(batch(second)).written
    assert tree(tmp_path) == ["2026-01-01/12-00-05.jsonl"]
    found = content(tmp_path / "2026-01-01/12-00-05.jsonl")
    assert found == encode(opening(second)).encode() + b"\n" + batch(second).lines
    assert json.loads(found.splitlines()[0])["seq"] == first.snapshot.seq
    assert writer.written == len(found)


def test_a_batch_that_follows_goes_into_the_same_segment_and_a_fresh_one_into_another(tmp_path):
    machine, writer = Machine(), Writer(str(tmp_path), ROOMY, no_summary)
    one, two, three = batch(machine.cycle()), batch(machine.cycle(), fresh=False), batch(machine.cycle())
    for each in (one, two, three):
        writer.write(each)
    assert tree(tmp_path) == ["2026-01-01/12-00-00.jsonl", "2026-01-01/12-00-10.jsonl"]
    assert content(tmp_path / "2026-01-01/12-00-00.jsonl").endswith(one.lines + two.lines)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_a_name_that_is_taken_is_left_alone_and_the_segment_is_named_a_second_later(tmp_path, ending):
    taken = [segment(tmp_path, START + second, b"taken\n", ending) for second in (0, 1)]
    writer = Writer(str(tmp_path), ROOMY, no_summary)
    writer.write(batch(Machine(time=START + 0.9).cycle()))
    assert os.path.exists(tmp_path / "2026-01-01/12-00-02.jsonl")
    assert [content(path) for path in taken] == [b"taken\n"] * 2


def test_a_segment_that_was_removed_is_not_written_any_more(tmp_path):
    machine, writer = Machine(), Writer(str(tmp_path), ROOMY, no_summary)
    writer.write(batch(machine.cycle()))
    os.unlink(tmp_path / "2026-01-01/12-00-00.jsonl")
    second = machine.cycle()
    assert writer.write(batch(second, fresh=False)).written
    assert content(tmp_path / "2026-01-01/12-00-05.jsonl").startswith(encode(opening(second)).encode())
    assert writer.problem is None
    tidy(writer)
    assert tree(tmp_path) == ["2026-01-01/12-00-05.jsonl"]


def test_below_the_floor_no_file_is_made_and_nothing_follows_in_the_open_one(tmp_path, caplog):
    machine, directory = Machine(), str(tmp_path / "new")
    writer = Writer(directory, Keeping(min_free=10**18), no_summary)
    for _ in range(2):
        assert not writer.write(batch(machine.cycle())).written
    assert tree(directory) == []
    assert writer.problem.reason == ("the disk has less than 1e+06 TB free: nothing is recorded until there is more")
    assert len(messages(caplog)) == 1
    writer._keeping = ROOMY
    assert writer.write(batch(machine.cycle(), fresh=False)).written
    assert writer.problem is None
    assert messages(caplog)[1:] == [f"{directory} is recorded to again"]
    assert tree(directory) == ["2026-01-01/12-00-10.jsonl"]


@pytest.mark.parametrize(
    ("size", "text"), [(100_000_000, "100 MB"), (1_500_000_000, "1.5 GB"), (0, "0 bytes"), (2 * 10**12, "2 TB")]
)
def test_sizes_are_written_for_people(size, text):
    assert _humane(size) == text


def test_a_directory_is_held_by_one_until_it_is_let_go(tmp_path):
    writer = Writer(str(tmp_path), ROOMY, no_summary)
    expected = f"{tmp_path} is recorded to by another healthd: stop it, or use another directory"
    with pytest.raises(RecordingTaken) as caught:
        Writer(str(tmp_path), ROOMY, no_summary)
    assert str(caught.value) == expected
    writer.close()
    Writer(str(tmp_path), ROOMY, no_summary).close()


def test_a_directory_that_another_one_took_meanwhile_is_a_problem_until_it_is_free(tmp_path):
    directory = tmp_path / "a: b"
    writer, machine = Writer(str(directory), ROOMY, no_summary), Machine()
    os.rename(directory, tmp_path / "old")
    other = Writer(str(directory), ROOMY, no_summary)
    assert not writer.write(batch(machine.cycle())).written
    assert writer.problem.reason == f"{directory} is recorded to by another healthd"
    assert writer.problem.remedy == "stop it, or use another directory"
    assert tree(directory) == []
    other.close()
    assert writer.write(batch(machine.cycle())).written
    assert writer.problem is None


# Closing


def test_a_closed_segment_is_two_members_of_which_the_first_sums_up(tmp_path):
    path = segment(tmp_path, START, b"line\n" * 100_000)
    size = compress(path, lambda asked: b"sum of " + asked.encode() + b"\n")
    (found,) = tree(tmp_path)
    assert found == "2026-01-01/12-00-00.jsonl.gz"
    assert members(tmp_path / found) == [f"sum of {path}\n".encode(), b"line\n" * 100_000]
    assert size == os.path.getsize(tmp_path / found)
    assert subprocess.run(["gzip", "-t", tmp_path / found], check=False).returncode == 0


def test_without_a_summary_there_is_one_member(tmp_path):
    compress(segment(tmp_path, START, b"line\n"), no_summary)
    assert members(tmp_path / "2026-01-01/12-00-00.jsonl.gz") == [b"line\n"]


def test_a_summary_that_fails_prevents_nothing_and_is_said(tmp_path, caplog):
    def fail(_: str) -> bytes:
        raise ZeroDivisionError

    path = segment(tmp_path, START, b"line\n")
    compress(path, fail)
    assert members(f"{path}.gz") == [b"line\n"]
    assert messages(caplog) == [f"{path} can't be summed up"]


def test_the_plain_one_is_there_until_the_compressed_one_is_whole(tmp_path):
    path = segment(tmp_path, START, b"line\n")

    def look(_: str) -> bytes:
        assert content(path) == b"line\n"
        assert not os.path.exists(f"{path}.gz")
        return b""

    compress(path, look)
    assert not os.path.exists(path)


WHOLE = b'{"a":1}\n{"b":"\xc3\xa9"}\n{"c":3}\n'


@pytest.mark.parametrize("end", range(len(WHOLE) + 1))
@pytest.mark.parametrize("behind", [b"", b"\0", b"\0" * 4096])
def test_a_segment_torn_at_any_byte_keeps_its_whole_lines(tmp_path, caplog, end, behind):
    torn = WHOLE[:end] + behind
    kept = WHOLE[: WHOLE.rfind(b"\n", 0, end) + 1]
    path = segment(tmp_path, START, torn)
    settle(path, no_summary)
    assert not os.path.exists(path)
    assert tree(tmp_path / "2026-01-01") == (["12-00-00.jsonl.gz"] if kept else [])
    if kept:
        assert members(f"{path}.gz") == [kept]
    dropped = len(torn) - len(kept)
    assert messages(caplog) == ([f"dropped {dropped} bytes of a torn last line of {path}"] if dropped else [])


@given(whole=st.binary(max_size=200), torn=st.integers(0, 3 * _stock._PIECE), by=st.integers(-2, 2))
def test_the_last_line_is_found_however_long_it_is(tmp_path_factory, whole, torn, by):
    path = tmp_path_factory.mktemp("torn") / "x"
    kept = (whole + b"\n") if by else b""
    path.write_bytes(kept + b"x" * (torn + abs(by)))
    assert repair(str(path)) == torn + abs(by)
    assert path.read_bytes() == kept


def test_what_an_earlier_run_left_is_put_in_order_one_file_a_piece(tmp_path, caplog):
    segment(tmp_path, START - 5 * DAY, b"old\nto")
    segment(tmp_path, START - 4 * DAY, b"")
    compress(segment(tmp_path, START - 3 * DAY, b"both\n"), no_summary)
    segment(tmp_path, START - 3 * DAY, b"both\n")
    segment(tmp_path, START - 2 * DAY, b"half\n")
    segment(tmp_path, START - 2 * DAY, b"\x1f\x8b", ".jsonl.gz.tmp")
    segment(tmp_path, START - 2 * DAY + 1, b"\x1f\x8b", ".jsonl.gz.tmp")
    damaged = b"".join(b"%d\n" % number for number in range(10_000))
    path = segment(tmp_path, START - DAY, damaged)
    compress(path, no_summary)
    os.truncate(f"{path}.gz", os.path.getsize(f"{path}.gz") - 9)
    segment(tmp_path, START - DAY, damaged)
    segment(tmp_path, START - DAY + 1, b"nothing\n")
    segment(tmp_path, START - DAY + 1, b"", ".jsonl.gz")
    writer = Writer(str(tmp_path), ROOMY, no_summary)
    assert tree(tmp_path)[0] == "2025-12-27/12-00-00.jsonl", "making it changes nothing"
    outcome = writer.write(batch(Machine().cycle()))
    assert outcome.more
    assert tidy(writer) == 1 + 6 + 1, "the search, six plain ones, and what is too old"
    assert tree(tmp_path) == [
        "2025-12-27/12-00-00.jsonl.gz",
        "2025-12-29/12-00-00.jsonl.gz",
        "2025-12-30/12-00-00.jsonl.gz",
        "2025-12-31/12-00-00.jsonl.gz",
        "2025-12-31/12-00-01.jsonl.gz",
        "2026-01-01/12-00-00.jsonl",
    ]
    texts = [members(path.path) for path in recording.segments(str(tmp_path)) if path.closed]
    assert texts == [[b"old\n"], [b"both\n"], [b"half\n"], [damaged], [b"nothing\n"]]
    torn = tmp_path / "2025-12-27/12-00-00.jsonl"
    assert messages(caplog) == [f"dropped 2 bytes of a torn last line of {torn}"]
    assert not writer.write(batch(Machine().cycle(), fresh=False)).more


def test_foreign_files_and_directories_are_never_touched(tmp_path):
    foreign = [
        "README",
        "2020-01-01.tar",
        "2020-01-01/notes.txt",
        "2020-01-01/notes.tmp",
        "2020-01-01/12-00-00.json",
        "2020-01-01/25-00-00.jsonl",
        "2020-01-01/12-00-00.jsonl.tmp",
        "2020-01-01/12-00-00.jsonl.gz.tmp~",
        "2020-13-01/12-00-00.jsonl",
        "backup/2020-01-01/12-00-00.jsonl",
        "2020-01-02-old/12-00-00.jsonl",
    ]
    for name in foreign:
        os.makedirs(tmp_path / os.path.dirname(name), exist_ok=True)
        (tmp_path / name).write_text("torn")
    os.makedirs(tmp_path / "2020-01-03/12-00-00.jsonl")
    os.makedirs(tmp_path / "elsewhere")
    (tmp_path / "2020-01-04").symlink_to("backup/2020-01-01")
    before = tree(tmp_path)
    writer = Writer(str(tmp_path), Keeping(min_free=0, max_size=0, max_age=0.0), no_summary)
    writer.write(batch(Machine().cycle()))
    tidy(writer)
    assert tree(tmp_path) == sorted([*before, "2026-01-01/12-00-00.jsonl"])
    assert leftovers(str(tmp_path), "") == [f"{tmp_path}/2026-01-01/12-00-00.jsonl"]


def test_closed_segments_are_compressed_while_recording_goes_on(tmp_path):
    machine, writer = Machine(), Writer(str(tmp_path), ROOMY, lambda _: b"sum\n")
    one, two = batch(machine.cycle()), batch(machine.cycle())
    writer.write(one)
    tidy(writer)
    assert writer.write(two).more
    tidy(writer)
    assert tree(tmp_path) == ["2026-01-01/12-00-00.jsonl.gz", "2026-01-01/12-00-05.jsonl"]
    summary, lines = members(tmp_path / "2026-01-01/12-00-00.jsonl.gz")
    assert summary == b"sum\n"
    assert lines.endswith(one.lines)
    assert writer.written == sum(os.path.getsize(tmp_path / path) for path in tree(tmp_path)) + len(lines), (
        "the plain one was written, too"
    )


# Retention


def test_what_is_more_than_allowed_goes_oldest_first_and_empty_days_with_it(tmp_path):
    paths = [closed(tmp_path, START - DAY + number * DAY / 4) for number in range(8)]
    stock = Stock(str(tmp_path), 350)
    assert not stock.retain(0.0, "")
    assert [path for path in paths if os.path.exists(path)] == paths[-3:]
    assert sorted(os.listdir(tmp_path)) == ["2026-01-01", "2026-01-02"], "2025-12-31 is gone"
    assert not stock.retain(0.0, "")
    assert [path for path in paths if os.path.exists(path)] == paths[-3:]


def test_plain_ones_count_and_the_open_one_is_spared(tmp_path):
    plain = segment(tmp_path, START, b"x" * 100)
    twin = closed(tmp_path, START)
    open_one = segment(tmp_path, START + 1, b"x" * 100)
    last = closed(tmp_path, START + 2)
    Stock(str(tmp_path), 200).retain(0.0, open_one)
    assert [os.path.exists(path) for path in (plain, twin, open_one, last)] == [False, False, True, True]
    Stock(str(tmp_path), 0).retain(START + DAY, open_one)
    assert tree(tmp_path) == ["2026-01-01/12-00-01.jsonl"]


def test_what_is_too_old_goes_and_the_rest_stays(tmp_path):
    paths = [closed(tmp_path, START + number) for number in range(5)]
    Stock(str(tmp_path), 10**9).retain(START + 3, "")
    assert [path for path in paths if os.path.exists(path)] == paths[3:]


def test_what_others_add_and_remove_is_seen(tmp_path):
    stock = Stock(str(tmp_path), 300)
    paths = [closed(tmp_path, START + number) for number in range(3)]
    stock.retain(0.0, "")
    os.unlink(paths[1])
    paths.append(closed(tmp_path, START + 3))
    stock.retain(0.0, "")
    assert [os.path.exists(path) for path in paths] == [True, False, True, True]
    paths.append(closed(tmp_path, START + 4))
    stock.retain(0.0, "")
    assert [os.path.exists(path) for path in paths] == [False, False, True, True, True]


def test_what_was_removed_is_not_counted_even_where_the_clock_of_the_disk_is_coarse(tmp_path):
    paths = [closed(tmp_path, START + number) for number in range(4)]
    before = os.stat(tmp_path / "2026-01-01")
    stock = Stock(str(tmp_path), 300)
    for _ in range(2):
        stock.retain(0.0, "")
        os.utime(tmp_path / "2026-01-01", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [path for path in paths if os.path.exists(path)] == paths[1:]


def test_a_day_in_which_nothing_changed_is_not_looked_at_again(tmp_path):
    paths = [closed(tmp_path, START + number) for number in range(3)]
    stock = Stock(str(tmp_path), 350)
    stock.retain(0.0, "")
    os.truncate(paths[0], 10_000)
    stock.retain(0.0, "")
    assert all(map(os.path.exists, paths))


def test_a_clock_that_jumps_to_2038_does_not_empty_the_directory(tmp_path):
    for number in range(3 * AT_ONCE):
        closed(tmp_path, START + 600 * number)
    writer, machine = Writer(str(tmp_path), ROOMY, no_summary), Machine(time=2147483000.0)
    writer.write(batch(machine.cycle()))
    tidy(writer)
    assert len(recording.segments(str(tmp_path))) == 2 * AT_ONCE + 1
    writer.write(batch(machine.cycle()))
    tidy(writer)
    assert len(recording.segments(str(tmp_path))) == AT_ONCE + 2


def test_far_too_much_goes_in_pieces_but_what_is_too_old_has_one_turn(tmp_path):
    for number in range(4 * AT_ONCE):
        closed(tmp_path, START + 600 * number)
    keeping = Keeping(min_free=0, max_size=100 * (AT_ONCE + 50), max_age=DAY)
    writer = Writer(str(tmp_path), keeping, no_summary)
    writer.write(batch(Machine(time=2147483000.0).cycle()))
    assert tidy(writer) == 1 + 3
    left = recording.segments(str(tmp_path))
    assert AT_ONCE + 30 < len(left) <= AT_ONCE + 51
    assert left[-2].opened == START + 600 * (4 * AT_ONCE - 1), "the newest are left"


def test_retention_follows_when_a_segment_is_closed(tmp_path):
    machine = Machine()
    writer = Writer(str(tmp_path), Keeping(min_free=0, max_age=1000.0), no_summary)
    for _ in range(5):
        writer.write(batch(machine.cycle(passed=600.0)))
        tidy(writer)
    assert tree(tmp_path) == [f"2026-01-01/12-{at}" for at in ("30-00.jsonl.gz", "40-00.jsonl")]


def test_one_that_can_not_be_removed_keeps_no_other(tmp_path, caplog):
    paths = [closed(tmp_path, START + number) for number in range(3)]
    if subprocess.run(["chattr", "+i", paths[0]], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        with pytest.raises(PermissionError):
            Stock(str(tmp_path), 0).retain(0.0, "")
        assert [os.path.exists(path) for path in paths] == [True, False, False]
        writer = Writer(str(tmp_path), Keeping(min_free=0, max_size=0), no_summary)
        writer.write(batch(Machine(time=START + 10).cycle()))
        tidy(writer)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert paths[0] in messages(caplog)[0]
    finally:
        subprocess.run(["chattr", "-i", paths[0]], check=True)


def test_a_day_is_not_removed_while_a_segment_is_opened_in_it(tmp_path):
    """Thousands of times, as the two threads meet at a new day."""
    turn, ended = threading.Lock(), threading.Event()
    stock = Stock(str(tmp_path), 1 << 40, turn)

    def tidy() -> None:
        while not ended.is_set():
            stock.retain(0.0, "")

    other = threading.Thread(target=tidy)
    other.start()
    try:
        for _ in range(15_000):
            with turn:
                opened = OpenSegment(str(tmp_path), START)
            opened.cut()
    finally:
        ended.set()
        other.join()
    assert stock.retain(0.0, "") is False


def test_a_name_that_was_just_given_up_for_the_compressed_form_is_not_taken(tmp_path):
    taken = segment(tmp_path, START, ending=".jsonl.gz")
    opened = OpenSegment(str(tmp_path), START)
    assert opened.path == f"{tmp_path}/{recording.stem(START + 1)}.jsonl"
    opened.append(b"{}\n")
    opened.close()
    assert sorted(os.listdir(os.path.dirname(taken))) == sorted(map(os.path.basename, (taken, opened.path)))


def test_less_that_may_be_kept_is_in_force_at_once(tmp_path):
    for day in range(1, 6):
        (tmp_path / f"2026-01-0{day}").mkdir()
        (tmp_path / f"2026-01-0{day}" / "00-00-00.jsonl.gz").write_bytes(os.urandom(20_000))
    writer = Writer(str(tmp_path), Keeping(min_free=0, max_size=100_000_000), no_summary)
    while writer.tidy():
        pass
    assert len(list(tmp_path.glob("*/*.gz"))) == 5
    writer.keep(Keeping(min_free=0, max_size=50_000))
    while writer.tidy():
        pass
    assert [path.parent.name for path in sorted(tmp_path.glob("*/*.gz"))] == ["2026-01-04", "2026-01-05"]
    writer.close()
