"""Files are kept open, whole, and text."""

import gc
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.observe._files import File, Tree, printable


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("read", [File.read, File.attribute])
def test_a_file_is_opened_once_and_read_anew_each_time(tmp_path, read):
    path = tmp_path / "file"
    path.write_text("before\n")
    file = File(str(path))
    assert read(file) == b"before\n"
    before = descriptors()
    for content in (b"after that\n", b"", b"short\n"):
        path.write_bytes(content)
        assert read(file) == content
    assert descriptors() == before


def test_nothing_is_opened_before_the_first_read(tmp_path):
    before = descriptors()
    file = File(str(tmp_path / "absent"))
    assert descriptors() == before
    file.close()


def test_content_longer_than_a_buffer_is_read_whole(tmp_path):
    content = bytes(range(256)) * 1024  # 256 KiB
    (tmp_path / "long").write_bytes(content)
    file = File(str(tmp_path / "long"))
    assert file.read() == content
    assert file.read() == content


@pytest.mark.parametrize("size", [32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 64 * 1024])
def test_content_about_the_size_of_a_buffer_is_read_whole(tmp_path, size):
    (tmp_path / "long").write_bytes(b"x" * size)
    assert len(File(str(tmp_path / "long")).read()) == size


@pytest.mark.parametrize("read", [File.read, File.attribute])
def test_a_file_of_the_kernel_that_vanishes_fails_and_is_read_again_when_it_comes_back(tmp_path, read):
    def process() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "60"])

    def end(one: subprocess.Popen[bytes]) -> None:
        one.send_signal(signal.SIGKILL)
        one.wait()

    link = tmp_path / "stat"
    first, second = process(), process()
    try:
        link.symlink_to(f"/proc/{first.pid}/stat")
        file = File(str(link))
        assert read(file).startswith(b"%d " % first.pid)
        before = descriptors()
        end(first)
        with pytest.raises(ProcessLookupError) as caught:
            read(file)
        assert caught.value.filename == str(link)
        assert descriptors() == before - 1
        with pytest.raises(FileNotFoundError):
            read(file)
        link.unlink()
        link.symlink_to(f"/proc/{second.pid}/stat")
        assert read(file).startswith(b"%d " % second.pid)
    finally:
        end(first)
        end(second)


@pytest.mark.parametrize("read", [File.read, File.attribute])
def test_a_directory_in_its_place_is_an_error_and_no_leak(tmp_path, read):
    (tmp_path / "file").mkdir()
    file = File(str(tmp_path / "file"))
    before = descriptors()
    for _ in range(3):
        with pytest.raises(IsADirectoryError) as caught:
            read(file)
        assert caught.value.filename == str(tmp_path / "file")
    assert descriptors() == before
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_text("x")
    assert read(file) == b"x"


@pytest.mark.parametrize("read", [File.read, File.attribute])
def test_a_pipe_in_its_place_does_not_block(tmp_path, read):
    os.mkfifo(tmp_path / "file")
    before = descriptors()
    file = File(str(tmp_path / "file"))
    with pytest.raises(OSError, match="Illegal seek"):
        read(file)
    assert descriptors() == before


def test_a_file_nobody_needs_any_more_is_closed(tmp_path):
    (tmp_path / "file").write_text("x")
    before = descriptors()
    file = File(str(tmp_path / "file"))
    file.read()
    assert descriptors() == before + 1
    del file
    assert descriptors() == before
    file = File(str(tmp_path / "file"))
    file.read()
    file.close()
    file.close()
    assert descriptors() == before
    assert file.read() == b"x"


def test_a_descriptor_is_not_inherited(tmp_path):
    (tmp_path / "file").write_text("x")
    file = File(str(tmp_path / "file"))
    file.read()
    assert not os.get_inheritable(file._fd)


def test_text_has_nothing_but_text_at_its_ends_and_keeps_its_lines(tmp_path):
    path = tmp_path / "file"
    tree = Tree(f"{tmp_path}/")
    for content, text in (
        (b"\n\t \r\0Raspberry Pi 4\0\n \0", "Raspberry Pi 4"),
        (b"A=1\nB=2\n", "A=1\nB=2"),
        (b"acme,board\0acme,chip\0", "acme,board\0acme,chip"),
        (b"caf\xe9\n", "caf\ufffd"),
        ("µ \u2013 é\n".encode(), "µ \u2013 é"),
        (b"\0\0", ""),
        (b"", ""),
    ):
        path.write_bytes(content)
        assert tree.text("file") == text


def test_a_text_read_once_leaves_no_descriptor(tmp_path):
    (tmp_path / "file").write_text("text\n")
    tree = Tree(str(tmp_path))
    before = descriptors()
    assert tree.text("file") == "text"
    assert tree.text("absent", default="none") == "none"
    assert tree.text("", default="directory") == "directory"
    with pytest.raises(FileNotFoundError):
        tree.text("absent")
    assert descriptors() == before


def test_a_number_is_one_decimal_number_or_unknown(tmp_path):
    tree = Tree(str(tmp_path))
    for content, number in (
        (b"42\n", 42),
        (b"-1\n", -1),
        (b"", None),
        (b"4 2", None),
        (b"0x10", None),
        (b"\xff", None),
    ):
        (tmp_path / "number").write_bytes(content)
        assert tree.number("number") == number
    assert tree.number("absent") is None


def test_names_are_in_order_and_none_where_there_is_no_directory(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()
    tree = Tree(str(tmp_path))
    assert tree.names("") == ["a", "b", "c"]
    assert tree.names("absent") == []
    assert tree.names("a") == []


RENAMING = """
import socket
from healthd.observe._files import File
file = File("/proc/sys/kernel/hostname")
told = [file.changed(), bool(file.read()), file.changed()]
socket.sethostname("another")
told += [file.changed(), file.text(), file.changed()]
print(*told)
"""


def test_the_kernel_says_when_a_file_changed_since_it_was_read():
    alone = ["unshare", "--user", "--map-root-user", "--uts"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have a name of its own")
    told = subprocess.run([*alone, sys.executable, "-c", RENAMING], capture_output=True, check=True, text=True)
    assert told.stdout == "False True False True another False\n"


def test_a_file_of_which_the_kernel_says_nothing_never_changes(tmp_path):
    path = tmp_path / "file"
    path.write_text("before\n")
    file = File(str(path))
    file.read()
    path.write_text("after\n")
    assert not file.changed()
    file.close()
    assert not file.changed()


def test_a_link_has_a_target_that_is_there(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").touch()
    (tmp_path / "link").symlink_to("deep/file")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    tree = Tree(str(tmp_path))
    assert tree.target("link") == "file"
    assert [tree.target(name) for name in ("broken", "circle", "absent")] == ["", "", ""]
    assert tree.exists("link")
    assert not tree.exists("broken")


@given(st.binary())
def test_any_name_becomes_printable_utf_8(name):
    text = printable(name)
    assert text.isprintable()
    text.encode()


def test_what_is_no_text_in_a_name_is_shown_by_its_bytes():
    assert printable("é ü".encode()) == "é ü"
    assert printable(b"caf\xe9") == r"caf\xe9"
    assert printable(b"a\nb\x1b[0m\0") == r"a\nb\x1b[0m\x00"
