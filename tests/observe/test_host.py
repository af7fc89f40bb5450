import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.clock import Instant
from healthd.observe._files import Roots, roots
from healthd.observe.host import COLLECTOR, Host, board, machine, phrase, pretty_name, processor

NOW = Instant(1767276000.0, 21600.0, 0.0)
FIELDS = [metric.name for metric in Host.metrics]
FILES = {
    "hostname": "proc/sys/kernel/hostname",
    "os": "etc/os-release",
    "kernel": "proc/sys/kernel/osrelease",
    "boot_id": "proc/sys/kernel/random/boot_id",
    "booted_at": "proc/stat",
    "cpu_model": "proc/cpuinfo",
}


@pytest.fixture
def laptop(machine: Callable[[str], Roots], tmp_path: Path) -> Path:
    """Return the laptop as a tree that a test can change."""
    shutil.copytree(machine("laptop").host.root, tmp_path / "laptop", symlinks=True)
    return tmp_path / "laptop"


def observe(root: object) -> Any:
    readings = COLLECTOR(roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", str(root))).collect(NOW)
    assert list(readings) == [""]
    return readings[""]


def test_the_laptop_is_known_by_its_dmi(laptop: Path) -> None:
    assert observe(laptop) == Host(
        hostname="heron",
        model="Dell Inc. XPS 13 9310",
        os="Ubuntu 24.04.1 LTS",
        kernel="6.8.0-45-generic",
        architecture="x86_64",
        boot_id="3b5f6a0e-8d1c-4c57-9a36-52f0de7c1b04",
        booted_at=1767254400.0,
        virtualisation="none",
        cpu_model="11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz",
    )


def test_the_pi_is_known_by_its_device_tree(machine: Callable[[str], Roots]) -> None:
    assert observe(machine("raspberry-pi-4").host.root) == Host(
        hostname="greenhouse",
        model="Raspberry Pi 4 Model B Rev 1.4",
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.6.31+rpt-rpi-v8",
        architecture="aarch64",
        boot_id="c1d2e3f4-0a1b-4c2d-8e3f-405162738495",
        booted_at=1767340800.0,
        virtualisation="none",
        cpu_model="Raspberry Pi 4 Model B Rev 1.4",
    )


def test_a_machine_of_which_nothing_can_be_read_still_has_an_architecture(tmp_path: Path) -> None:
    expected = dict.fromkeys(FIELDS) | {"architecture": os.uname().machine}
    assert observe(tmp_path) == Host(**expected)


@pytest.mark.parametrize("damage", ["missing", "empty", "directory", "garbage"])
@pytest.mark.parametrize("field", FILES)
def test_one_bad_file_loses_one_field(laptop: Path, field: str, damage: str) -> None:
    whole = observe(laptop)
    path = laptop / FILES[field]
    path.unlink()
    if damage == "directory":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"\x00\xff\x1b[31m\x00")
    reading = observe(laptop)
    assert getattr(reading, field) is None
    for other in FIELDS:
        if other != field:
            assert getattr(reading, other) == getattr(whole, other), other


def test_a_boot_id_cut_short_is_unknown(laptop: Path) -> None:
    (laptop / FILES["boot_id"]).write_text("3b5f6a0e-8d1c-4c57-9a36-52f0\n")
    assert observe(laptop).boot_id is None


@pytest.mark.parametrize(
    "btime", ["btime\n", "btime -5\n", "btime nan\n", "btime 1e999\n", "btime soon\n", "btime 0\n"]
)
def test_a_time_of_boot_that_can_not_be_is_unknown(laptop: Path, btime: str) -> None:
    (laptop / "proc/stat").write_text(btime)
    assert observe(laptop).booted_at is None


def test_a_clock_step_of_a_second_does_not_count() -> None:
    band = Host.family.by_name["booted_at"].band
    assert not band.left(1767254400.0, 1767254401.0, 1767254400.0)
    assert band.left(1767254400.0, 1767258000.0, 1767254400.0)


def test_an_older_kernel_without_arch_is_asked_by_uname(laptop: Path) -> None:
    (laptop / "proc/sys/kernel/arch").unlink()
    assert observe(laptop).architecture == os.uname().machine


def test_the_device_tree_below_proc_serves_where_sysfs_has_none(laptop: Path) -> None:
    (laptop / "proc/device-tree").mkdir()
    (laptop / "proc/device-tree/model").write_bytes(b"Acme Board\0")
    assert observe(laptop).model == "Acme Board"


def test_a_chip_names_the_processor_that_has_no_name(laptop: Path) -> None:
    (laptop / "proc/cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 48.00\n\n")
    base = laptop / "sys/firmware/devicetree/base"
    base.mkdir(parents=True)
    (base / "compatible").write_bytes(b"acme,board\0rockchip,rk3588\0")
    assert observe(laptop).cpu_model == "rockchip,rk3588"


@pytest.mark.parametrize(
    ("vendor", "product", "model"),
    [
        ("Dell Inc.", "XPS 13 9310", "Dell Inc. XPS 13 9310"),
        ("HP", "HP EliteBook 840", "HP EliteBook 840"),
        ("ASUS", "System Product Name", "ASUS"),
        ("To be filled by O.E.M.", "To Be Filled By O.E.M.", None),
        ("System manufacturer", "X570", "X570"),
        ("Default string", "", None),
        ("", "", None),
        ("Acme\x1b[31m", "Box", "Box"),
    ],
)
def test_what_the_maker_did_not_fill_in_is_left_out(vendor: str, product: str, model: str | None) -> None:
    assert board(vendor, product) == model


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Alpine Linux v3.20'", "Alpine Linux v3.20"),
        ("PRETTY_NAME=Arch", "Arch"),
        ('PRETTY_NAME="The \\"best\\" \\$1"', 'The "best" $1'),
        ('NAME="Debian"', None),
        ('PRETTY_NAME=""', None),
        ('PRETTY_NAME="cut', None),
        ("", None),
    ],
)
def test_the_pretty_name_is_without_quotes(line: str, name: str | None) -> None:
    assert pretty_name(f"ID=x\n{line}\nHOME_URL=y\n") == name


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel\t\t: 140\nmodel name\t: Intel(R) N100\n", "Intel(R) N100"),
        ("processor\t: 0\n\nHardware\t: BCM2835\nRevision\t: a02082\nModel\t\t: Raspberry Pi 3\n", "Raspberry Pi 3"),
        ("processor\t: 0\n\nHardware\t: Allwinner sun8i\n", "Allwinner sun8i"),
        ("processor\t: 0\nmodel name\t:\n", None),
        ("", None),
    ],
)
def test_the_processor_has_the_best_name_there_is(cpuinfo: str, name: str | None) -> None:
    assert processor(cpuinfo) == name


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("QEMU Standard PC (Q35 + ICH9, 2009)", "qemu"),
        ("Red Hat KVM", "kvm"),
        ("VMware, Inc. VMware Virtual Platform", "vmware"),
        ("Microsoft Corporation Virtual Machine", "microsoft"),
        ("Microsoft Corporation Surface Laptop 4", "none"),
        ("innotek GmbH VirtualBox", "oracle"),
        ("Oracle Corporation SUN FIRE X4170", "none"),
        ("xen Xen HVM domU", "xen"),
        ("Google Google Compute Engine", "google"),
        ("linux,dummy-virt", "qemu"),
        ("Amazon EC2 m7g.large", "amazon"),
        ("Amazon EC2 m7g.metal", "none"),
        ("Hetzner vServer", "kvm"),
        ("Dell Inc. XPS 13 9310", "none"),
        ("   ", None),
    ],
)
def test_a_virtual_machine_is_known_by_its_board(names: str, kind: str | None) -> None:
    assert machine(names, "") == kind


def test_a_virtual_machine_of_no_known_make_is_known_by_a_flag() -> None:
    assert machine("", "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n") == "vm-other"
    assert machine("", "processor\t: 0\nflags\t\t: fpu vme lahf_lm\n") == "none"


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("run/systemd/container", "lxc\n", "lxc"),
        ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("run/systemd/container", "podman", "podman"),
        ("run/systemd/container", "jail\n", "container-other"),
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("proc/sys/kernel/osrelease", "5.15.153.1-microsoft-standard-WSL2\n", "wsl"),
        ("proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n", "wsl"),
    ],
)
def test_a_container_wins_over_the_virtual_machine_it_runs_in(
    laptop: Path, path: str, text: str, kind: str | None
) -> None:
    (laptop / "sys/class/dmi/id/sys_vendor").write_text("QEMU\n")
    assert observe(laptop).virtualisation == "qemu"
    (laptop / path).parent.mkdir(parents=True, exist_ok=True)
    (laptop / path).write_text(text)
    assert observe(laptop).virtualisation == kind


def test_a_guest_of_xen_is_virtual_and_its_first_domain_is_not(laptop: Path) -> None:
    (laptop / "sys/hypervisor").mkdir()
    (laptop / "sys/hypervisor/type").write_text("xen\n")
    assert observe(laptop).virtualisation == "xen"
    (laptop / "proc/xen").mkdir()
    (laptop / "proc/xen/capabilities").write_text("control_d\n")
    assert observe(laptop).virtualisation == "none"


@given(st.binary())
def test_no_bytes_give_a_name_that_can_not_be_shown(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    named = f"model name: {text}\nPRETTY_NAME={text}\n"
    for name in (
        phrase(text),
        pretty_name(text),
        pretty_name(named),
        processor(text),
        processor(named),
        board(text, text),
    ):
        assert name is None or (name and name.isprintable() and name == name.strip())
    assert machine(text, text) is None or machine(text, text).isprintable()


@pytest.mark.parametrize(("name", "kind"), [("vm", "qemu"), ("lxc", "lxc"), ("docker", "docker")])
def test_a_recorded_machine_says_what_it_runs_in(machine: Callable[[str], Roots], name: str, kind: str) -> None:
    assert COLLECTOR(machine(name)).collect(NOW)[""].virtualisation == kind
