"""A file system that can stop answering: FUSE as the kernel speaks it (linux/fuse.h), without a library.

`python fuse_server.py DIRECTORY` mounts it there and says so. It takes a word at a time, and repeats it once it has
force: `deaf` reads no request any more, `mute` reads them and answers none, and `answer` answers those it has read, and
all that follow.
"""

import ctypes
import os
import select
import struct
import sys

TYPE = "fuse.unsteady"
BLOCK, BLOCKS, FREE, AVAILABLE, FILES, FREE_FILES = 4096, 1000, 400, 300, 200, 150

_REQUEST = struct.Struct("<IIQQIIIHH")
"""Length, operation, number, inode, uid, gid, pid, and 32 bits of no interest."""
_ANSWER = struct.Struct("<IiQ")
_GETATTR, _STATFS, _INIT, _INTERRUPT, _FORGET, _BATCH_FORGET = 3, 17, 26, 36, 2, 42
_NO_SUCH_OPERATION = -38
_LARGEST = 4096

_ATTRIBUTES = struct.pack(
    "<QII 6Q 10I",
    *(3600, 0, 0),  # valid for an hour
    *(1, 0, 0, 0, 0, 0),  # inode, size, blocks, times
    *(0, 0, 0, 0o40755, 2, 0, 0, 0, BLOCK, 0),  # nanoseconds, mode, links, owner, device, block size, flags
)
_FIGURES = struct.pack("<5Q 4I 6I", BLOCKS, FREE, AVAILABLE, FILES, FREE_FILES, BLOCK, 255, BLOCK, 0, *[0] * 6)


def mount(directory: str) -> int:
    """Mount a file system, and return the descriptor by which the kernel asks for what is in it."""
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"unsteady", directory.encode(), TYPE.encode(), ctypes.c_ulong(0), options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), directory)
    return descriptor


def answer(descriptor: int, request: bytes) -> None:
    _, operation, number, *_ = _REQUEST.unpack_from(request)
    if operation in (_FORGET, _BATCH_FORGET, _INTERRUPT):
        return
    error, body = 0, b""
    if operation == _INIT:
        major, minor = struct.unpack_from("<II", request, _REQUEST.size)
        body = struct.pack("<IIIIHHI", major, min(minor, 31), 0, 0, 0, 0, _LARGEST).ljust(64, b"\0")
    elif operation == _GETATTR:
        body = _ATTRIBUTES
    elif operation == _STATFS:
        body = _FIGURES
    else:
        error = _NO_SUCH_OPERATION
    os.write(descriptor, _ANSWER.pack(_ANSWER.size + len(body), error, number) + body)


def serve(descriptor: int) -> None:
    word, held = "answer", []
    while word:
        heard = [0] if word == "deaf" else [0, descriptor]
        ready, _, _ = select.select(heard, [], [])
        if descriptor in ready:
            # The kernel wants room for the largest request, whatever it asks.
            held.append(os.read(descriptor, 2 * _LARGEST))
        if 0 in ready:
            word = os.read(0, 64).decode().strip()
            print(word, flush=True)
        while held and word == "answer":
            answer(descriptor, held.pop(0))


if __name__ == "__main__":
    opened = mount(sys.argv[1])
    print("mounted", flush=True)
    serve(opened)
