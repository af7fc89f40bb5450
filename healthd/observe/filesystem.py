"""The `filesystem` family: space and inodes of each mounted file system."""

import os
from collections.abc import Callable, Mapping
from functools import partial

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Band, Reading, Unit, family, gauge, state
from healthd.observe._files import Roots, Tree
from healthd.observe._mounts import Mount, expected, listed, parse, visible
from healthd.observe._shares import percent

# Totals of btrfs and ZFS, and inodes of XFS, move with what is used.
_TOTAL = Band(relative=0.001)

# Some network file systems claim all that 64 bits can say, which means that they have no size.
_LIMIT = 2**63


@family(
    "filesystem",
    event="system.disk.usage.updated",
    instances="mount point",
    every=30.0,
    source="/proc/self/mountinfo, /etc/fstab, statvfs(3)",
)
class Filesystem(Reading):
    """Space and inodes of each file system (`/proc/self/mountinfo`, statvfs).

    A device that is mounted several times, by bind mounts or as btrfs subvolumes, is one file system.
    """

    device: str | None = state("Block device, network source or pool that holds it.")
    type: str | None = state("Type of the file system, such as ext4.")
    read_only: bool | None = state("Whether it is read-only for everyone (flag of the superblock, not of the mount).")
    total_bytes: int | None = state("Size.", Unit.BYTES, band=_TOTAL)
    used_bytes: int | None = gauge(Unit.BYTES, "Space in use.", of="total_bytes")
    available_bytes: int | None = gauge(
        Unit.BYTES, "Space that users without privileges can still fill.", of="total_bytes"
    )
    percent: float | None = gauge(Unit.PERCENT, "Used, as a share of used and available, as df has it.")
    inodes_total: int | None = state(
        "Inodes that it can hold; unknown where they are not limited.", Unit.COUNT, band=_TOTAL
    )
    inodes_used: int | None = gauge(Unit.COUNT, "Inodes in use.", of="inodes_total")
    inodes_percent: float | None = gauge(Unit.PERCENT, "Inodes in use, as a share of their total.")


def measure(mount: Mount, device: str, figures: os.statvfs_result) -> Filesystem | None:
    """Make the reading of one file system from what statvfs(3) tells; `None` where it has no blocks to speak of.

    Raises Unobserved where the figures contradict each other.
    """
    size, blocks, free, available = figures.f_frsize, figures.f_blocks, figures.f_bfree, figures.f_bavail
    if blocks == 0:
        return None
    if not (0 < size * blocks < _LIMIT and 0 <= free <= blocks and 0 <= available <= blocks):
        raise Unobserved(protocol.MALFORMED, f"{blocks} blocks, {free} free and {available} available can't be true")
    used = blocks - free
    inodes, inodes_used = figures.f_files, figures.f_files - figures.f_ffree
    counted = 0 < inodes < _LIMIT and 0 <= inodes_used <= inodes
    return Filesystem(
        device=device,
        type=mount.type,
        read_only=mount.read_only,
        total_bytes=size * blocks,
        used_bytes=size * used,
        available_bytes=size * available,
        percent=percent(used, used + available),
        inodes_total=inodes if counted else None,
        inodes_used=inodes_used if counted else None,
        inodes_percent=percent(inodes_used, inodes) if counted else None,
    )


_GRANT = (
    f"let uid {os.geteuid()} into the directories above it; as a service, by the drop-in private-mounts.conf "
    "(/usr/share/doc/healthd/examples/drop-ins)"
)


class FilesystemCollector:
    """Reads the mount table each time, and asks each file system in a probe of its own.

    The table can't be left unread until poll(2) reports a change: a file system that the kernel turns
    read-only after an error is none. What poll reports, mounting and unmounting, is seen at the next tick.
    """

    reading = Filesystem

    def __init__(self, roots: Roots, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> None:
        self._mountinfo = roots.proc.file("self/mountinfo")
        self._fstab = roots.etc.file("fstab")
        self._sys = roots.sys
        self._host = roots.host
        self._statvfs = statvfs
        self._table: bytes | None = None
        self._visible: list[Mount] = []
        self._files: set[Mount] = set()
        self._listed: dict[str, tuple[Mount, str]] = {}
        """Each with its device, by mount point."""

    def changed(self) -> bool:
        """Tell whether something was mounted or unmounted, once each time (proc_pid_mountinfo(5), poll)."""
        return self._mountinfo.changed()

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Filesystem | None]]:  # noqa: ARG002
        """Return what reads each file system, by mount point."""
        table = self._mountinfo.read()
        if table != self._table:
            self._visible, self._table = visible(parse(table)), table
            self._files.intersection_update(self._visible)
            self._choose()
        # Made anew: kept, they would keep this one alive that they are methods of.
        probes = {point: partial(self._read, *listed) for point, listed in self._listed.items()}
        return {**self._missing(), **probes}

    def _missing(self) -> dict[str, Callable[[], Filesystem | None]]:
        """Return what says that a file system of `/etc/fstab` is not mounted, by mount point."""
        try:
            wanted = expected(self._fstab.read())
        except OSError:
            return {}
        finally:
            # Whoever changes it puts another file in its place.
            self._fstab.close()
        mounted = {mount.path for mount in self._visible}
        return {point: partial(self._not_mounted, path, point) for path, point in wanted.items() if path not in mounted}

    def _not_mounted(self, path: str, point: str) -> Filesystem | None:
        """Say that it is not mounted, unless it is at the place that a link leads to."""
        root = self._host.path("")
        real = os.path.realpath(self._host.path(path.lstrip("/")))
        if "/" + real.removeprefix(root).lstrip("/") in {mount.path for mount in self._visible}:
            return None
        raise Unobserved(protocol.UNMOUNTED, "it is in /etc/fstab, and not mounted", f"mount it (mount {point})")

    def _choose(self) -> None:
        mounts = listed(mount for mount in self._visible if mount not in self._files)
        self._listed = {mount.point: (mount, _device(self._sys, mount)) for mount in mounts}

    def _read(self, mount: Mount, device: str) -> Filesystem | None:
        path = self._host.path(mount.path.lstrip("/"))
        if mount.root != b"/" and os.path.isfile(path):
            # Part of a file system, mounted over a single file as containers do: another mount may show more of it.
            self._files.add(mount)
            self._choose()
            return None
        try:
            found = self._statvfs(path)
        except PermissionError as error:
            raise Unobserved(protocol.PERMISSION, f"{mount.point}: {error.strerror}", _GRANT) from error
        return measure(mount, device, found)


def _device(sys: Tree, mount: Mount) -> str:
    """Return where a file system comes from; without an initrd the kernel calls the root's device `/dev/root`."""
    name = sys.target(f"dev/block/{mount.number}") if mount.source == "/dev/root" else ""
    return f"/dev/{name.replace('!', '/')}" if name else mount.source


COLLECTOR = FilesystemCollector
