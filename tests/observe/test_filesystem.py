import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe import _mounts
from healthd.observe._files import Roots, roots
from healthd.observe.filesystem import Filesystem, FilesystemCollector, measure

NOW = Instant(1767225600.0, 1000.0, 0.0)
FULL = {"f_frsize": 4096, "f_blocks": 1000, "f_bfree": 400, "f_bavail": 300, "f_files": 200, "f_ffree": 150}
MOUNT = _mounts.Mount(b"28", b"1", "8:1", b"/", "/", "/", "ext4", "/dev/sda1", read_only=False)


def recorded(tree: Roots) -> Callable[[str], SimpleNamespace]:
    """Return a statvfs that answers from the recorded machine's statvfs.json."""
    with open(tree.host.path("statvfs.json"), encoding="utf-8") as file:
        figures = json.load(file)
    return lambda path: SimpleNamespace(**figures[path.removeprefix(tree.host.root)])


def table(tmp_path, text: str | bytes) -> Roots:
    """Return roots with this mount table."""
    os.makedirs(tmp_path / "proc/self", exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "proc/self/mountinfo").write_bytes(content)
    return roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))


def observe(tree: Roots, figures: Mapping[str, int] | None = None) -> dict[str, Filesystem | None]:
    collector = FilesystemCollector(tree, lambda _: SimpleNamespace(**(figures or FULL)))
    return {point: probe() for point, probe in collector.probes(NOW).items()}


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or why it could not be observed."""
    try:
        return call()
    except Unobserved as error:
        return error


def points(text: str) -> set[str]:
    return {mount.point for mount in _mounts.listed(_mounts.visible(_mounts.parse(text.encode())))}


ROOT = "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def test_a_server_has_its_own_file_systems_and_the_figures_of_df(machine):
    tree = machine("server-64")
    found = {point: probe() for point, probe in FilesystemCollector(tree, recorded(tree)).probes(NOW).items()}
    assert found == {
        "/": Filesystem(
            device="/dev/md0",
            type="xfs",
            read_only=False,
            total_bytes=478356176896,  # 116786176 blocks of 4096
            used_bytes=119589044224,  # 116786176 - 87589632 = 29196544 blocks
            available_bytes=358767132672,
            percent=25.0,
            inodes_total=233684992,
            inodes_used=584992,
            inodes_percent=0.3,  # 0.2503
        ),
        "/boot/efi": Filesystem(
            device="/dev/sda1",
            type="vfat",
            read_only=False,
            total_bytes=535805952,
            used_bytes=6127616,  # 130812 - 129316 = 1496 blocks
            available_bytes=529678336,
            percent=1.1,
            inodes_total=None,
            inodes_used=None,
            inodes_percent=None,
        ),
        "/srv/data": Filesystem(
            device="/dev/mapper/vg0-data",
            type="xfs",
            read_only=False,
            total_bytes=30717606100992,
            used_bytes=26109965189120,
            available_bytes=4607640911872,
            percent=85.0,
            inodes_total=7499415552,
            inodes_used=63000000,
            inodes_percent=0.8,
        ),
        "/srv/cold archive": Filesystem(
            device="/dev/mapper/vg0-archive",
            type="ext4",
            read_only=True,
            total_bytes=4226392195072,
            used_bytes=2535835320320,  # 1031834032 - 412733612 = 619100420 blocks
            available_bytes=1475741532160,
            percent=63.2,  # 619100420 of 619100420 + 360288460: the reserve is nobody's
            inodes_total=262144000,
            inodes_used=262144,
            inodes_percent=0.1,
        ),
        "/mnt/backup": Filesystem(
            device="nas01.example.org:/export/backup",
            type="nfs4",
            read_only=False,
            total_bytes=21990232555520,  # 20 TiB
            used_bytes=19791209299968,
            available_bytes=2199023255552,
            percent=90.0,
            inodes_total=1342177280,
            inodes_used=2177280,
            inodes_percent=0.2,
        ),
    }


def test_a_container_has_its_root_and_its_data_but_no_files_of_the_host(machine):
    tree = machine("container")
    found = {point: probe() for point, probe in FilesystemCollector(tree, recorded(tree)).probes(NOW).items()}
    assert set(found) == {"/", "/media/films"}
    root = found["/"]
    assert (root.device, root.type, root.percent) == ("rpool/data/subvol-101-disk-0", "zfs", 25.0)
    assert (root.total_bytes, root.used_bytes) == (8 * 2**30, 2 * 2**30)
    assert (root.inodes_used, root.inodes_percent) == (65536, 0.5)


@pytest.mark.parametrize(
    "line",
    [
        "9 28 0:9 / /x rw - squashfs /dev/loop3 ro",
        "9 28 7:3 / /snap/core/1 ro - squashfs /dev/loop3 ro",
        "9 28 7:3 / /media/cd ro - iso9660 /dev/sr0 ro",
        "9 28 7:3 / /apex rw - erofs /dev/loop3 ro",
        "9 28 0:9 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw,lowerdir=/a",
        "9 28 0:9 / /tmp rw - tmpfs tmpfs rw",
        "9 28 0:9 / /run/credentials/a ro - ramfs ramfs rw",
        "9 28 0:9 / /net rw - autofs /etc/auto.net rw",
        "9 28 0:9 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw",
        "9 28 0:9 / /run/user/1000/doc rw - fuse.portal portal rw",
        "9 28 0:9 / /tmp/.mount_ab rw - fuse.Nextcloud-3.AppImage Nextcloud-3.AppImage ro",
        "9 28 0:9 / /pool/.zfs/snapshot/a rw - zfs pool@a ro",
        "9 28 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "9 28 8:9 /hosts /etc/hosts rw - ext4 /dev/sdb1 rw",
    ],
)
def test_what_keeps_nothing_or_is_always_full_is_not_listed(line):
    assert points(ROOT + line + "\n") == {"/"}


@pytest.mark.parametrize(
    "kind", ["ext4", "btrfs", "nfs", "cifs", "9p", "fuseblk", "fuse.sshfs", "fuse.ntfs-3g", "zfs", "vfat", "future"]
)
def test_what_keeps_data_is_listed(kind):
    assert points(f"{ROOT}9 28 0:9 / /data rw - {kind} source rw\n") == {"/", "/data"}


@pytest.mark.parametrize("kind", ["overlay", "squashfs", "tmpfs"])
def test_the_root_is_listed_whatever_it_is_made_of(kind):
    assert points(f"28 1 0:50 / / rw - {kind} {kind} rw\n") == {"/"}


def test_bind_mounts_are_no_second_file_system():
    text = ROOT + "9 28 8:1 /srv/www /w rw - ext4 /dev/sda1 rw\n10 28 8:2 / /home rw - ext4 /dev/sda2 rw\n"
    assert points(text + "11 28 8:2 / /h rw - ext4 /dev/sda2 rw\n") == {"/", "/h"}
    assert points(text + "11 28 8:2 /me /h rw - ext4 /dev/sda2 rw\n") == {"/", "/home"}


def test_the_root_is_preferred_even_where_another_mount_shows_its_device_whole():
    assert points("28 1 8:1 /rootfs / rw - ext4 /dev/sda1 rw\n9 28 8:1 / /host rw - ext4 /dev/sda1 rw\n") == {"/"}


def test_subvolumes_of_a_btrfs_share_one_row_which_keeps_its_name():
    text = "28 1 0:30 /@ / rw - btrfs /dev/sda2 rw,subvol=/@\n9 28 0:30 /@home /home rw - btrfs /dev/sda2 rw\n"
    data = "10 28 0:31 /@data /data rw - btrfs /dev/sdb rw\n"
    top = "11 28 0:31 / /run/backup/0 rw - btrfs /dev/sdb rw\n12 28 0:30 / /run/backup/1 rw - btrfs /dev/sda2 rw\n"
    assert points(text + data) == points(text + data + top) == {"/", "/data"}


def test_of_mounts_over_each_other_the_last_one_counts():
    lower = "9 28 0:8 / /data rw - autofs /etc/auto rw\n"
    assert points(f"{ROOT}{lower}10 9 0:9 / /data rw - nfs4 nas:/data rw\n") == {"/", "/data"}
    assert points(f"{ROOT}9 28 8:9 / /data rw - ext4 /dev/sdb rw\n10 9 0:9 / /data rw - tmpfs tmpfs rw\n") == {"/"}
    assert points(f"1 1 0:2 / / rw - rootfs rootfs rw\n{ROOT}9 28 8:9 / /data rw - ext4 /dev/sdb rw\n") == {
        "/",
        "/data",
    }


def test_what_a_later_mount_covers_is_not_listed_as_its_figures_would_be_those_of_the_other():
    below = "9 28 8:8 / /mnt/a rw - ext4 /dev/sdb rw\n10 9 8:9 / /mnt/a/b rw - ext4 /dev/sdc rw\n"
    above = "11 10 8:10 / /mnt/a/b/c rw - ext4 /dev/sdd rw\n"
    assert points(ROOT + below + above) == {"/", "/mnt/a", "/mnt/a/b", "/mnt/a/b/c"}
    assert points(f"{ROOT}{below}{above}12 28 8:11 / /mnt rw - ext4 /dev/sde rw\n") == {"/", "/mnt"}
    assert points(f"{ROOT}{below}{above}12 9 8:11 / /mnt/a rw - ext4 /dev/sde rw\n") == {"/", "/mnt/a"}


def test_a_single_file_from_elsewhere_is_no_file_system_and_hides_none(tmp_path):
    bind = (
        "9 28 8:9 /x.conf /opt/x.conf rw - ext4 /dev/sdb rw\n10 28 8:9 /volumes /data/volumes rw - ext4 /dev/sdb rw\n"
    )
    tree = table(tmp_path, ROOT + bind)
    os.makedirs(tmp_path / "opt")
    (tmp_path / "opt/x.conf").write_text("x")
    collector = FilesystemCollector(tree, lambda _: SimpleNamespace(**FULL))
    first = collector.probes(NOW)
    assert set(first) == {"/", "/opt/x.conf"}
    assert first["/opt/x.conf"]() is None
    assert set(collector.probes(NOW)) == {"/", "/data/volumes"}


def test_escapes_and_names_that_are_no_text_become_printable_while_the_system_call_gets_the_real_path(tmp_path):
    text = ROOT.encode() + (
        rb"9 28 8:2 / /a\040b\011c\134d rw - ext4 /dev/my\040disk rw" + b"\n"
        b"10 28 8:3 / /caf\xe9 rw - ext4 /dev/sdb rw\n11 28 8:4 / /\xc3\xa9t\xc3\xa9 rw - ext4 /dev/sdc rw\n"
        b"12 28 8:5 / /empty rw - ext4  rw\n"
    )
    asked = []

    def statvfs(path: str) -> SimpleNamespace:
        asked.append(os.fsencode(path).removeprefix(os.fsencode(tmp_path)))
        return SimpleNamespace(**FULL)

    probes = FilesystemCollector(table(tmp_path, text), statvfs).probes(NOW)
    found = {point: probe() for point, probe in probes.items()}
    assert list(found) == ["/", "/été", r"/caf\xe9", "/empty", r"/a b\tc\d"]
    assert asked == [b"/", "/été".encode(), b"/caf\xe9", b"/empty", b"/a b\tc\\d"]
    assert found[r"/a b\tc\d"].device == "/dev/my disk"
    assert found["/empty"].device == ""


@pytest.mark.parametrize(
    ("mount", "superblock", "expected"),
    [
        ("ro,relatime", "rw,errors=remount-ro", False),
        ("rw,relatime", "ro,errors=remount-ro", True),
        ("rw,relatime", "rw,emergency_ro", True),
    ],
)
def test_read_only_is_the_superblocks_flag_and_not_the_mounts(tmp_path, mount, superblock, expected):
    found = observe(table(tmp_path, f"28 1 8:1 / / {mount} shared:1 master:2 - ext4 /dev/sda1 {superblock}\n"))
    assert found["/"].read_only is expected


def test_dev_root_is_resolved_by_its_number(tmp_path):
    os.makedirs(tmp_path / "sys/devices/mmc/mmcblk0/mmcblk0p2")
    os.makedirs(tmp_path / "sys/dev/block")
    os.symlink("../../devices/mmc/mmcblk0/mmcblk0p2", tmp_path / "sys/dev/block/179:2")
    tree = table(tmp_path, "25 1 179:2 / / rw - ext4 /dev/root rw\n26 25 179:9 / /a rw - ext4 /dev/root rw\n")
    assert {point: one.device for point, one in observe(tree).items()} == {"/": "/dev/mmcblk0p2", "/a": "/dev/root"}


def test_a_changed_table_is_seen_at_the_next_run(machine, tmp_path):
    shutil.copytree(machine("server-64").host.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    tree = roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))
    collector = FilesystemCollector(tree, recorded(tree))
    assert collector.probes(NOW)["/srv/data"]().read_only is False
    path = tmp_path / "proc/self/mountinfo"
    kept = [line for line in path.read_text().splitlines(keepends=True) if " /mnt/backup " not in line]
    path.write_text("".join(kept).replace("/dev/mapper/vg0-data rw", "/dev/mapper/vg0-data ro"))
    probes = collector.probes(NOW)
    assert set(probes) == {"/", "/boot/efi", "/srv/data", "/srv/cold archive"}
    assert probes["/srv/data"]().read_only is True


def test_finding_the_mounts_asks_no_file_system(machine):
    def statvfs(path: str) -> SimpleNamespace:
        pytest.fail(f"{path} was asked")

    assert len(FilesystemCollector(machine("server-64"), statvfs).probes(NOW)) == 5


def test_a_mount_that_cannot_be_asked_is_a_problem_of_its_own(machine):
    tree = machine("server-64")
    answer = recorded(tree)

    def statvfs(path: str) -> SimpleNamespace:
        if path.endswith("/mnt/backup"):
            raise PermissionError(13, "Permission denied", path)
        return answer(path)

    probes = FilesystemCollector(tree, statvfs).probes(NOW)
    with pytest.raises(Unobserved, match="/mnt/backup: Permission denied") as raised:
        probes["/mnt/backup"]()
    assert raised.value.problem == "permission"
    assert "private-mounts.conf" in raised.value.remedy
    assert probes["/"]().percent == 25.0


def test_without_blocks_there_is_no_reading_and_without_inodes_none_of_them():
    assert measure(MOUNT, "x", SimpleNamespace(**FULL | {"f_blocks": 0, "f_bfree": 0, "f_bavail": 0})) is None
    for files in ({"f_files": 0, "f_ffree": 0}, {"f_files": 5, "f_ffree": 6}, {"f_files": 2**64 - 1}):
        reading = measure(MOUNT, "x", SimpleNamespace(**FULL | files))
        assert (reading.inodes_total, reading.inodes_used, reading.inodes_percent) == (None, None, None)
        assert reading.percent == 66.7  # 600 of 600 + 300


def test_a_full_file_system_reads_100_percent_and_one_that_is_all_reserve_reads_unknown():
    assert measure(MOUNT, "x", SimpleNamespace(**FULL | {"f_bavail": 0})).percent == 100.0
    assert measure(MOUNT, "x", SimpleNamespace(**FULL | {"f_bfree": 1000, "f_bavail": 0})).percent is None


@pytest.mark.parametrize(
    "wrong",
    [{"f_bfree": 1001}, {"f_bavail": 1001}, {"f_bfree": -1}, {"f_bavail": -1}, {"f_frsize": 0}, {"f_blocks": 2**63}],
)
def test_figures_that_contradict_each_other_are_malformed(wrong):
    with pytest.raises(Unobserved) as caught:
        measure(MOUNT, "x", SimpleNamespace(**FULL | wrong))
    assert caught.value.problem == protocol.MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "garbage\n",
        ROOT[:-1],
        ROOT[:20] + "\n",
        ROOT + "29 28 8:2 / /home rw - ext4 /dev/sda2\n",
        ROOT + "29 28 -8:2 / /home rw - ext4 /dev/sda2 rw\n",
        ROOT + "29 28 8:2 / home rw - ext4 /dev/sda2 rw\n",
        ROOT + "29 28 8:2 / /home rw - ext4 /dev/sda2 r\n",
        ROOT + "29 28 8:2 / /ho\\000me rw - ext4 /dev/sda2 rw\n",
    ],
)
def test_a_table_that_the_kernel_did_not_write_is_malformed(tmp_path, content):
    with pytest.raises(Unobserved) as caught:
        FilesystemCollector(table(tmp_path, content)).probes(NOW)
    assert caught.value.problem == protocol.MALFORMED


def test_a_missing_table_is_the_runners_to_name(tmp_path):
    tree = table(tmp_path, ROOT)
    os.unlink(tmp_path / "proc/self/mountinfo")
    with pytest.raises(FileNotFoundError):
        FilesystemCollector(tree).probes(NOW)


WORDS = st.sampled_from([b"28", b"0:5", b"/", b"//", b"/a\\040b", b"\xff", b"-", b"rw", b"ext4", b"\\000", b"", b"\t"])
LINES = st.lists(st.lists(WORDS, max_size=14).map(b" ".join), max_size=6).map(lambda rows: b"\n".join(rows) + b"\n")
VALID = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.binary(max_size=8)).map(
    lambda row: b"%d %d 8:%d / /%b rw - ext4 /dev/x rw\n" % (*row[:3], row[3].replace(b"\n", b"").replace(b" ", b""))
)


@given(st.binary() | LINES | st.lists(VALID, min_size=1).map(b"".join))
def test_any_bytes_are_a_sane_table_or_malformed(content):
    mounts = attempt(lambda: _mounts.parse(content))
    if isinstance(mounts, Unobserved):
        assert mounts.problem == protocol.MALFORMED
        return
    chosen = _mounts.listed(_mounts.visible(mounts))
    assert len({mount.number for mount in chosen}) == len(chosen)
    for mount in chosen:
        assert mount.point.isprintable()
        assert mount.point.encode()
        assert "\0" not in mount.path


@given(st.fixed_dictionaries(dict.fromkeys(FULL, st.integers(0, 2**64 - 1) | st.integers(0, 5000))))
def test_any_figures_give_values_in_their_declared_range_or_none(figures):
    reading = attempt(lambda: measure(MOUNT, "/dev/sda1", SimpleNamespace(**figures)))
    if isinstance(reading, Unobserved):
        assert reading.problem == protocol.MALFORMED
        return
    for metric in Filesystem.metrics if reading else ():
        value = getattr(reading, metric.name)
        if isinstance(value, int | float):
            assert metric.minimum <= value <= min(metric.maximum, 2**64)
            assert value == round(value, metric.digits or 0)


def test_the_root_of_this_machine_has_the_figures_of_statvfs():
    reading = FilesystemCollector(roots()).probes(NOW)["/"]()
    figures = os.statvfs("/")
    assert reading.total_bytes == figures.f_frsize * figures.f_blocks
    assert reading.available_bytes == pytest.approx(figures.f_frsize * figures.f_bavail, abs=64 * 2**20)
    assert reading.inodes_total == figures.f_files


MOUNTED = """
import json, subprocess, sys, os
from healthd.clock import Instant
from healthd.observe._files import roots
from healthd.observe.filesystem import FilesystemCollector
image, point = sys.argv[1:]
collector = FilesystemCollector(roots())
def tell(*command):
    if command:
        subprocess.run(command, check=True)
    probe = collector.probes(Instant(0.0, 0.0, 0.0)).get(point)
    one = probe and probe()
    print(json.dumps(one and [one.type, one.read_only, one.total_bytes, one.percent]))
tell()
tell("mount", "-o", "loop,errors=remount-ro", image, point)
tell("mount", "-o", "remount,ro", point)
tell("mount", "-o", "remount,rw", point)
tell("mount", "-o", "remount,bind,ro", point)
tell("mount", "-o", "remount,bind,rw", point)
device = os.path.basename(collector.probes(Instant(0.0, 0.0, 0.0))[point]().device)
with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w") as file:
    file.write("1")
tell()
tell("umount", point)
"""


def test_a_real_mount_appears_turns_read_only_even_by_an_error_and_is_gone_after_umount(tmp_path):
    image, point = tmp_path / "image", tmp_path / "a b"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        trial = f"mount -o loop '{image}' '{point}'"
        subprocess.run(["unshare", "-m", "sh", "-c", trial], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop mounts here: {error.stderr}")
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", MOUNTED, str(image), str(point)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    steps = deque(map(json.loads, done.stdout.splitlines()))
    assert steps.popleft() is None
    assert steps.popleft()[:2] == ["ext4", False]
    assert steps.popleft()[:2] == ["ext4", True]
    assert steps.popleft()[:2] == ["ext4", False]
    assert steps.popleft()[:2] == ["ext4", False], "read-only for one mount is not the file system's state"
    assert steps.popleft()[:2] == ["ext4", False]
    kind, read_only, total, percent = steps.popleft()
    assert (kind, read_only) == ("ext4", True), "an error turned it read-only, which poll(2) does not report"
    assert 8 * 2**20 < total < 16 * 2**20
    assert 0.0 < percent < 10.0
    assert steps.popleft() is None


NOTICED = """
import subprocess, sys
from healthd.clock import Instant
from healthd.observe._files import roots
from healthd.observe.filesystem import FilesystemCollector
collector = FilesystemCollector(roots())
told = [collector.changed()]
collector.probes(Instant(0.0, 0.0, 0.0))
told.append(collector.changed())
for command in (["mount", "-t", "tmpfs", "tmpfs", sys.argv[1]], ["umount", sys.argv[1]]):
    subprocess.run(command, check=True)
    told += [collector.changed(), collector.changed()]
print(*told)
"""


def test_mounting_and_unmounting_are_noticed_once_each_and_without_reading_the_table(tmp_path):
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    done = subprocess.run(
        [*alone, sys.executable, "-c", NOTICED, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "False False True False True False\n"


def test_in_a_recorded_tree_nothing_is_ever_noticed(tmp_path):
    collector = FilesystemCollector(table(tmp_path, ROOT))
    collector.probes(NOW)
    table(tmp_path, ROOT + "29 28 8:2 / /home rw - ext4 /dev/sda2 rw\n")
    assert not collector.changed()


FSTAB = """
# <file system> <mount point> <type> <options> <dump> <pass>
UUID=1 / ext4 errors=remount-ro 0 1
UUID=2 /srv/a\\040b ext4 defaults 0 2
/dev/sdb1 /backup/ xfs rw,noatime 0 0
/dev/sdc1 /usb vfat noauto 0 0
/dev/sdd1 /maybe ext4 defaults,nofail 0 0
server:/x /later nfs x-systemd.automount 0 0
tmpfs /tmp tmpfs defaults 0 0
UUID=3 none swap sw 0 0
/swapfile /swap swap sw 0 0
/dev/sdf1 /old ext4 comment=systemd.automount 0 0
/dev/sdg1 /never ignore defaults 0 0
/dev/sdh1 //srv/twice ext4 defaults 0 2
broken
/dev/sde1 relative ext4 defaults
"""


def test_what_fstab_wants_and_is_not_mounted_is_a_problem_with_a_remedy_until_it_is(tmp_path):
    tree = table(tmp_path, ROOT)
    os.makedirs(tmp_path / "etc")
    (tmp_path / "etc/fstab").write_text(FSTAB)
    collector = FilesystemCollector(tree, lambda _: SimpleNamespace(**FULL))
    found = {point: attempt(probe) for point, probe in collector.probes(NOW).items()}
    assert found.keys() == {"/", "/srv/a b", "/backup", "/srv/twice"}
    missing = found["/backup"]
    assert (missing.problem, str(missing)) == (protocol.UNMOUNTED, "it is in /etc/fstab, and not mounted")
    assert missing.remedy == "mount it (mount /backup)"
    table(tmp_path, ROOT + "29 28 8:17 / /backup rw - xfs /dev/sdb1 rw\n")
    collector = FilesystemCollector(tree, lambda _: SimpleNamespace(**FULL))
    found = {point: attempt(probe) for point, probe in collector.probes(NOW).items()}
    assert isinstance(found["/backup"], Filesystem)
    (tmp_path / "etc/fstab").unlink()
    assert collector.probes(NOW).keys() == {"/", "/backup"}


def test_what_is_mounted_where_a_link_leads_to_is_not_missing(tmp_path):
    tree = table(tmp_path, ROOT + "29 28 8:17 / /mnt/x rw - xfs /dev/sdb1 rw\n")
    os.makedirs(tmp_path / "mnt/x")
    os.symlink("mnt", tmp_path / "media")
    os.makedirs(tmp_path / "etc")
    (tmp_path / "etc/fstab").write_text("/dev/sdb1 /media/x xfs defaults 0 2\n")
    collector = FilesystemCollector(tree, lambda _: SimpleNamespace(**FULL))
    found = {point: probe() for point, probe in collector.probes(NOW).items()}
    assert {point for point, reading in found.items() if reading} == {"/", "/mnt/x"}


@given(st.binary())
def test_whatever_fstab_holds_gives_mount_points_or_nothing(content):
    assert all(path.startswith("/") for path in _mounts.expected(content))
