"""File systems that come, go and turn read-only while healthd runs: real ones on loop devices, in a namespace."""

import json
import math
import os
import shutil
import subprocess

import pytest
from mounting import SOON, Shown, Space, mount_space, object_path, signals
from private_bus import eventually

MIB = 2**20


@pytest.fixture
def space(tmp_path):
    with mount_space(str(tmp_path)) as made:
        yield made


@pytest.fixture
def disk(space):
    """Return a disk with a file system: an image, and where to mount it."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("mkfs.ext4 is not installed (apt install e2fsprogs)")
    image, point = f"{space.directory}/image", f"{space.directory}/disk"
    space.do("truncate", "--size=16M", image)
    # All is written now: later nothing is left for the kernel to complete.
    space.do("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    space.do("mkdir", point)
    tried = subprocess.run(
        space.enter("sh", "-c", f"mount -o loop {image} {point} && umount {point}"),
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"no loop mounts here: {tried.stderr.strip()}")
    return image, point


def umount(space: Space, point: str) -> None:
    # It may be asked at this very moment.
    command = space.enter("umount", point)
    eventually(lambda: subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0, SOON)


def test_a_file_system_comes_turns_read_only_and_goes_without_waiting_for_its_time(bus, space, disk):
    image, point = disk
    shown = Shown(bus)
    daemon = space.healthd(bus, "--interval", "0.5", "--console")
    monitor = signals(bus)
    try:
        daemon.ready()
        assert shown.row("/")
        assert shown.row(point) is None
        assert monitor.stdout
        told = (message for message in map(json.loads, monitor.stdout) if message["type"] == "signal")

        space.do("mount", "-o", "loop", image, point)
        row = eventually(lambda: shown.row(point), SOON)
        assert (row["type"], row["read_only"]) == ("ext4", False)
        assert 8 * MIB < row["total_bytes"] < 16 * MIB
        added = next(message for message in told if message["payload"]["data"][0] == object_path(point))
        assert added["member"] == "InterfacesAdded"

        # A remount is reported to the namespace alone where it was done, which a service's own is not.
        space.do("mount", "-o", "remount,ro", point)
        shown.observed_after(space, point)
        condition = eventually(lambda: shown.condition("filesystem_read_only", point), SOON)
        assert condition["severity"] == "critical"
        assert shown.row(point)["read_only"] is True

        umount(space, point)
        eventually(lambda: shown.row(point) is None, SOON)
        removed = next(message for message in told if message["member"] == "InterfacesRemoved")
        assert removed["payload"]["data"][0] == object_path(point)
        lines = [json.loads(line) for line in daemon.printed.splitlines(keepends=True) if line.endswith("\n")]
        instance = {"family": "filesystem", "instance": point}
        told_of = [line["name"] for line in lines if line["data"] == instance]
        assert told_of == ["instance.added", "instance.removed"]
        assert shown.condition("filesystem_read_only", point) is None
    finally:
        monitor.kill()
        monitor.communicate()
        assert daemon.stop() == 0


def test_an_error_that_turns_a_file_system_read_only_is_critical_though_df_shows_nothing(bus, space, disk):
    image, point = disk
    shown = Shown(bus)
    daemon = space.healthd(bus, "--interval", "0.5")
    try:
        daemon.ready()
        space.do("mount", "-o", "loop,errors=remount-ro", image, point)
        row = eventually(lambda: shown.row(point), SOON)
        before = space.do("df", point)
        trigger = f"/sys/fs/ext4/{os.path.basename(row['device'])}/trigger_fs_error"
        space.do("sh", "-c", f"echo 1 > {trigger}")
        # No poll reports that, so that it is seen when the family is due; or now, if something else happens.
        shown.observed_after(space, point)
        condition = eventually(lambda: shown.condition("filesystem_read_only", point), SOON)
        assert condition["severity"] == "critical"
        assert space.do("df", point) == before
    finally:
        assert daemon.stop() == 0


def test_figures_are_those_of_df_and_asking_for_them_wakes_no_disk(bus, space, disk):
    image, point = disk
    shown = Shown(bus)
    daemon = space.healthd(bus, "--interval", "0.5")
    try:
        daemon.ready()
        space.do("mount", "-o", "loop", image, point)
        space.do("sh", "-c", f"head -c 5M /dev/zero > {point}/file && touch {point}/1 {point}/2")
        # What is read-only is written no more by the kernel's own doing.
        space.do("mount", "-o", "remount,ro", point)
        space.stir()
        row = eventually(lambda: (row := shown.row(point)) and row["read_only"] and row, SOON)
        size, used, available, files, files_used = map(
            int, space.do("df", "--block-size=1", "--output=size,used,avail,itotal,iused", point).split()[-5:]
        )
        assert (row["total_bytes"], row["used_bytes"], row["available_bytes"]) == (size, used, available)
        assert (row["inodes_total"], row["inodes_used"]) == (files, files_used)
        # df rounds up.
        (percent,) = space.do("df", "--output=pcent", point).split()[-1:]
        assert math.ceil(row["percent"]) == int(percent.removesuffix("%")) > 30

        with open(f"/sys/block/{os.path.basename(row['device'])}/stat") as transfers:
            before = transfers.read().split()
            for _ in range(3):
                shown.observed_after(space, point)
            transfers.seek(0)
            assert transfers.read().split() == before
    finally:
        assert daemon.stop() == 0
