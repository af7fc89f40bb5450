import errno
import os
import struct
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pi_firmware import GENCMD, NUMBERS, PROPERTY, REFUSED, SUCCESS, Firmware, words

from healthd import protocol
from healthd.errors import Unobserved
from healthd.observe import _vcio
from healthd.observe._vcio import Mailbox

EIGHT = (0x1, 0x2, 0x4, 0x8, 0x10000, 0x20000, 0x40000, 0x80000)
CHOICES = product((0, 1), repeat=8)
COMBINATIONS = [sum(bit for bit, is_set in zip(EIGHT, chosen, strict=True) if is_set) for chosen in CHOICES]
WAYS = {"command": (_vcio.COMMAND, _vcio.told), "property": (_vcio.PROPERTY, _vcio.held)}


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "vcio"
    path.write_bytes(b"")
    return str(path)


def text(told: bytes, error: int = 0, status: int = SUCCESS, tag: int = GENCMD) -> bytes:
    """Return an answer of the firmware to a command."""
    return words(4124, status, tag, 4096, SUCCESS | len(told), error) + told.ljust(4096, b"\0") + words(0)


def refusal(read, answer: bytes) -> str:
    with pytest.raises(Unobserved) as caught:
        read(answer)
    assert caught.value.reason.isprintable()
    return caught.value.problem


def test_the_request_has_the_size_of_a_pointer_in_it():
    assert _vcio.request(8) == 0xC0086400 == NUMBERS[8]
    assert _vcio.request(4) == 0xC0046400 == NUMBERS[4]
    assert _vcio.request() == NUMBERS[struct.calcsize("P")]


def test_the_command_is_framed_as_vcgencmd_frames_it():
    head, rest = _vcio.COMMAND[:24], _vcio.COMMAND[24:]
    assert head == bytes.fromhex("1c100000 00000000 80000300 00100000 00000000 00000000")
    assert rest == b"get_throttled" + bytes(4096 - 13 + 4)
    assert len(_vcio.COMMAND) == 0x101C


def test_the_property_has_a_mask_that_resets_nothing():
    expected = bytes.fromhex("1c000000 00000000 46000300 04000000 00000000 00000000 00000000")
    assert expected == _vcio.PROPERTY


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", ["old", "plain", "grouped"])
@pytest.mark.parametrize("pointer", [4, 8])
def test_all_256_combinations_come_through_each_kernel_at_each_width(way, kernel, pointer, device, monkeypatch):
    monkeypatch.setattr(_vcio, "request", lambda made=_vcio.request: made(pointer))
    firmware = Firmware(kernel=kernel, pointer=pointer)
    message, read = WAYS[way]
    mailbox = Mailbox(device, firmware)
    for firmware.flags in COMBINATIONS:
        assert read(mailbox.ask(message)) == firmware.flags
    assert len(firmware.asked) == len(set(COMBINATIONS)) == 256


def test_a_request_of_the_other_width_is_refused_by_the_kernel(device, monkeypatch):
    monkeypatch.setattr(_vcio, "request", lambda made=_vcio.request: made(4))
    with pytest.raises(OSError, match="Invalid argument") as caught:
        Mailbox(device, Firmware(pointer=8)).ask(_vcio.COMMAND)
    assert caught.value.errno == errno.EINVAL


def test_the_answers_bytes_are_read_as_the_firmware_lays_them_out():
    assert _vcio.told(text(b"throttled=0x50005\0")) == 0x50005
    assert _vcio.told(text(b"throttled=0x0")) == 0
    assert _vcio.told(text(b"throttled=0xE0008\n\0throttled=0x1")) == 0xE0008
    # What `vcmailbox 0x00030046 4 4 0` prints.
    assert _vcio.held(words(28, SUCCESS, PROPERTY, 4, SUCCESS | 4, 0x50000, 0)) == 0x50000


def test_an_error_answer_is_a_failure_and_no_flags():
    assert refusal(_vcio.told, text(b"throttled=0x0", status=REFUSED)) == protocol.FAILED
    assert refusal(_vcio.held, words(28, REFUSED, PROPERTY, 4, SUCCESS | 4, 0, 0)) == protocol.FAILED
    assert refusal(_vcio.told, text(b'error=1 error_msg="Command not registered"', error=1)) == protocol.FAILED


@pytest.mark.parametrize("size", [0, 4, SUCCESS, SUCCESS | 8, SUCCESS | 2])
def test_a_tag_that_the_firmware_does_not_know_is_no_sign_that_all_is_well(size):
    assert refusal(_vcio.held, words(28, SUCCESS, PROPERTY, 4, size, 0, 0)) == protocol.FAILED


@pytest.mark.parametrize(
    "answer",
    [
        text(b""),
        text(b"0x50005"),
        text(b"throttled=50005"),
        text(b"throttled=0x"),
        text(b"throttled=0x123456789"),
        text(b"throttled=0x50005 throttled=0x0"),
        text(b"throttled=0x0", status=0),
        text(b"throttled=0x0", tag=PROPERTY),
        text(b"throttled=0x0")[:26],
    ],
)
def test_an_answer_that_says_something_else_is_malformed(answer):
    assert refusal(_vcio.told, answer) == protocol.MALFORMED


@pytest.mark.parametrize("length", range(28))
def test_a_short_answer_is_malformed(length):
    assert refusal(_vcio.told, text(b"throttled=0x0")[:length]) == protocol.MALFORMED
    assert refusal(_vcio.held, words(28, SUCCESS, PROPERTY, 4, SUCCESS | 4, 0, 0)[:length]) == protocol.MALFORMED


@given(st.binary(max_size=64))
def test_no_answer_raises_anything_else(answer):
    for read in (_vcio.told, _vcio.held):
        with pytest.raises(Unobserved):
            read(answer)


def test_the_narrow_device_lets_the_command_alone_through(tmp_path):
    path = tmp_path / "vcio_gencmd"
    path.write_bytes(b"")
    mailbox = Mailbox(str(path), Firmware(flags=0x50000))
    assert _vcio.told(mailbox.ask(_vcio.COMMAND)) == 0x50000
    with pytest.raises(PermissionError) as caught:
        mailbox.ask(_vcio.PROPERTY)
    assert caught.value.filename == str(path)


def test_a_device_is_kept_open_until_an_error_and_opened_anew_after_it(device):
    firmware = Firmware()
    mailbox = Mailbox(device, firmware)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        mailbox.ask(_vcio.COMMAND)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    firmware.fails = errno.ETIMEDOUT
    with pytest.raises(TimeoutError):
        mailbox.ask(_vcio.COMMAND)
    assert len(os.listdir("/proc/self/fd")) == before
    firmware.fails = 0
    assert _vcio.told(mailbox.ask(_vcio.COMMAND)) == 0
    mailbox.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_kernel_of_this_machine_refuses_the_request_on_another_device():
    with pytest.raises(OSError, match="/dev/null") as caught:
        Mailbox("/dev/null").ask(_vcio.COMMAND)
    assert caught.value.errno == errno.ENOTTY
