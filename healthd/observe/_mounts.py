"""The mount table, and which of its lines are file systems of their own (kernel: filesystems/proc, mountinfo)."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from healthd import protocol
from healthd.errors import Unobserved
from healthd.observe._files import printable

_LEFT_OUT = re.compile(
    r"(aufs|autofs|bdev|binder|binfmt_misc|bpf|cgroup2?|configfs|cpuset|debugfs|devfs|devpts|devtmpfs|efivarfs|"
    r"functionfs|fusectl|hugetlbfs|mqueue|nfsd|none|nsfs|overlay|overlayfs|pipefs|proc|pstore|ramfs|resctrl|rootfs|"
    r"rpc_pipefs|securityfs|selinuxfs|smackfs|sockfs|sysfs|tmpfs|tracefs|xenfs|"
    r"fuse\.(fuse-overlayfs|gvfsd-fuse|lxcfs|portal|rofiles-fuse|vmware-vmblock)|"
    r"cramfs|erofs|iso9660|romfs|squashfs|fuse\.(snapfuse|squashfuse|squashfuse_ll|.*\.AppImage))"
)
"""Types that keep nothing of their own; in the last line, images that are full by nature."""

_CONTAINER_FILES = frozenset(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"))
"""Single files that container managers mount."""

# A kernel that found an error says `emergency_ro` beside `rw` since 6.14, and `ro` before.
_READ_ONLY = frozenset((b"ro", b"emergency_ro", b"shutdown"))

_ESCAPE = re.compile(rb"\\([0-3][0-7][0-7])")
_NUMBER = re.compile(rb"[0-9]+:[0-9]+")


class Mount(NamedTuple):
    """One line of `/proc/self/mountinfo`."""

    id: bytes
    parent: bytes
    number: str
    """Major and minor number of the device, `8:1`; one superblock has one number."""
    root: bytes
    """Which directory of the file system is seen here."""
    path: str
    """The mount point, for system calls."""
    point: str
    """The mount point as valid, printable text."""
    type: str
    source: str
    read_only: bool
    """The superblock's flag: a sandbox makes single mounts read-only that are not so for others."""


def parse(mountinfo: bytes) -> list[Mount]:
    """Read the whole table.

    Raises Unobserved where a line is not as the kernel writes it, is cut off, or where there is none.
    """
    if not mountinfo.endswith(b"\n"):
        raise Unobserved(protocol.MALFORMED, "/proc/self/mountinfo is empty or cut off")
    return [_parse(line) for line in mountinfo.split(b"\n")[:-1]]


def _parse(line: bytes) -> Mount:
    # A source can be the empty string: one blank is one separator.
    mount, _, superblock = line.partition(b" - ")
    words, tail = mount.split(b" "), superblock.split(b" ", 2)
    if len(words) < 6 or len(tail) < 3 or not _NUMBER.fullmatch(words[2]):
        raise Unobserved(protocol.MALFORMED, "/proc/self/mountinfo has a line that is no mount")
    options = tail[2].split(b",")
    point = _unescape(words[4])
    if options[0] not in (b"rw", b"ro") or not point.startswith(b"/") or b"\0" in point:
        raise Unobserved(protocol.MALFORMED, "/proc/self/mountinfo has a line that is no mount")
    return Mount(
        words[0],
        words[1],
        words[2].decode(),
        words[3],
        os.fsdecode(point),
        printable(point),
        printable(_unescape(tail[0])),
        printable(_unescape(tail[1])),
        not _READ_ONLY.isdisjoint(options),
    )


def _unescape(word: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), word) if b"\\" in word else word


def visible(mounts: Iterable[Mount]) -> list[Mount]:
    """Leave out what a later mount covers: at its place the figures would be those of the other."""
    mounts = list(mounts)
    places = {(mount.parent, mount.path) for mount in mounts}
    covered: set[bytes] = set()
    top: dict[str, Mount] = {}
    for mount in mounts:
        if mount.parent in covered or any((mount.parent, above) in places for above in _above(mount.path)):
            covered.add(mount.id)
        else:
            top[mount.path] = mount
    return list(top.values())


def _above(path: str) -> Iterator[str]:
    while path.strip("/"):
        path = os.path.dirname(path)
        yield path


def listed(mounts: Iterable[Mount]) -> list[Mount]:
    """Choose one mount for each file system that a user would call one.

    That is the root whatever it is made of, and each device once: bind mounts and btrfs subvolumes share its
    space. The one that shows the device whole is preferred, then the shortest mount point.
    """
    chosen: dict[str, Mount] = {}
    for mount in sorted(filter(_kept, mounts), key=_preference):
        chosen.setdefault(mount.number, mount)
    return list(chosen.values())


def _kept(mount: Mount) -> bool:
    if mount.path == "/":
        return True
    if _LEFT_OUT.fullmatch(mount.type) or mount.path in _CONTAINER_FILES:
        return False
    # A snapshot is always full.
    return not (mount.type == "zfs" and "@" in mount.source)


def _preference(mount: Mount) -> tuple[bool, bool, int, str]:
    # Tools mount the top of a btrfs for a moment: that must not rename the row of a subvolume.
    part = mount.root != b"/" and mount.type != "btrfs"
    return mount.path != "/", part, len(mount.path), mount.path


_MAY_BE_MISSING = frozenset((b"noauto", b"nofail", b"x-systemd.automount", b"comment=systemd.automount"))
_NO_MOUNTS = frozenset((b"swap", b"ignore"))


def expected(fstab: bytes) -> dict[str, str]:
    """Return what `/etc/fstab` wants to be mounted in any case (fstab(5)): mount points for system calls, and as text.

    What keeps nothing of its own (tmpfs, proc) and swap is left out, like lines that are none.
    """
    found = {}
    for line in fstab.splitlines():
        words = line.split()
        if len(words) < 4 or words[0].startswith(b"#"):
            continue
        path = b"/" + os.path.normpath(_unescape(words[1])).lstrip(b"/") if words[1].startswith(b"/") else b""
        if not path or words[2] in _NO_MOUNTS or _LEFT_OUT.fullmatch(words[2].decode("ascii", "replace")):
            continue
        if _MAY_BE_MISSING.isdisjoint(words[3].split(b",")):
            found[os.fsdecode(path)] = printable(path)
    return found
