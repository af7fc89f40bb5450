"""The `host` family: which machine this is, and since when it runs."""

import os
import re
from collections.abc import Mapping

import psutil

from healthd.clock import Instant
from healthd.model import SINGLE, Band, Reading, Unit, family, state
from healthd.observe._files import Roots, Tree


@family(
    "host", every=600.0, source="/proc/sys/kernel, /proc/stat, /etc/os-release, /proc/device-tree or /sys/class/dmi/id"
)
class Host(Reading):
    """Which machine this is and since when it runs, from `/proc/sys/kernel`, os-release, device tree or DMI."""

    hostname: str | None = state("The kernel's name of the machine (kernel/hostname).")
    model: str | None = state("Maker's name of the board (device tree model, or DMI sys_vendor and product_name).")
    os: str | None = state("Name of the operating system (PRETTY_NAME of os-release).")
    kernel: str | None = state("The kernel's release (kernel/osrelease).")
    architecture: str | None = state("The kernel's architecture (kernel/arch).")
    boot_id: str | None = state("A name that the kernel makes up at each boot (random/boot_id).")
    # The kernel computes it from the wall clock: it moves when that is set.
    booted_at: float | None = state(
        "When the machine was started (btime of /proc/stat).", Unit.TIME, band=Band(absolute=2.0)
    )
    virtualisation: str | None = state(
        "What the system runs in: none, a container (docker, podman, lxc, systemd-nspawn, wsl, container-other) or a "
        "virtual machine (kvm, qemu, vmware, microsoft, xen, oracle, …, vm-other)."
    )
    cpu_model: str | None = state("Name of the processor (model name of /proc/cpuinfo, or what the board says).")


_KERNEL = "sys/kernel"
_DEVICE_TREE = "firmware/devicetree/base"
_DMI = "class/dmi/id"
# Enough for the first processor on x86, and for all of a small board, whose name stands at the end.
_CPUINFO_BYTES = 8192

_JUNK = frozenset(
    (
        "",
        "all series",
        "default string",
        "invalid",
        "none",
        "not applicable",
        "not specified",
        "o.e.m.",
        "oem",
        "product name",
        "system manufacturer",
        "system product name",
        "to be filled by o.e.m.",
        "undefined",
        "unknown",
    )
)

_CONTAINERS = frozenset(("docker", "lxc", "podman", "systemd-nspawn", "wsl"))
# What a virtual machine's board calls itself; the first that is found wins.
_MACHINES = (
    (".metal", "none"),  # of Amazon EC2: the machine itself
    ("amazon ec2", "amazon"),
    ("kubevirt", "kvm"),
    ("openstack", "kvm"),
    ("kvm", "kvm"),
    ("droplet", "kvm"),
    ("vserver", "kvm"),
    ("virtualbox", "oracle"),
    ("innotek", "oracle"),
    ("vmware", "vmware"),
    ("microsoft corporation virtual machine", "microsoft"),
    ("google compute engine", "google"),
    ("hvm domu", "xen"),
    ("xen", "xen"),
    ("parallels virtual", "parallels"),
    ("bhyve", "bhyve"),
    ("apple virtualization", "apple"),
    ("bochs", "bochs"),
    ("qemu", "qemu"),
    ("dummy-virt", "qemu"),
)

_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PRETTY_NAME = re.compile(r"^PRETTY_NAME=([\"']|(?![\"']))(.*)\1\s*$", re.MULTILINE)
_CPU_NAMES = tuple(re.compile(rf"^{key}\s*:(.+)$", re.MULTILINE) for key in ("model name", "Model", "Hardware"))
_HYPERVISOR = re.compile(r"^flags\s*:.*\bhypervisor\b", re.MULTILINE)


def phrase(text: str) -> str | None:
    """Return a name as it can be shown, up to the first line break or NUL; `None` where there is none."""
    first = re.split(r"[\n\0]", text, maxsplit=1)[0].strip()
    return first if first and first.isprintable() else None


def pretty_name(release: str) -> str | None:
    """Return the operating system's name from the text of os-release."""
    match = _PRETTY_NAME.search(release)
    return phrase(re.sub(r"\\(.)", r"\1", match[2])) if match else None


def board(vendor: str, product: str) -> str | None:
    """Join DMI's vendor and product, without what firmware makers left unfilled."""
    maker, name = ("" if word.lower() in _JUNK else word for word in (phrase(vendor) or "", phrase(product) or ""))
    if name.lower().startswith(maker.lower()):
        return name or None
    return f"{maker} {name}".strip()


def processor(cpuinfo: str) -> str | None:
    """Return the processor's name from the text of `/proc/cpuinfo`."""
    for key in _CPU_NAMES:
        match = key.search(cpuinfo)
        if match and (name := phrase(match[1])):
            return name
    return None


def machine(names: str, cpuinfo: str) -> str | None:
    """Return which virtual machine this is by what its board is called and the CPU's flags; "none" for a real one.

    `None` where neither is known.
    """
    lower = names.lower()
    for word, kind in _MACHINES:
        if word in lower:
            return kind
    if _HYPERVISOR.search(cpuinfo):
        return "vm-other"
    return "none" if lower.strip() or cpuinfo else None


class HostCollector:
    """Reads small files, each for itself: one that is missing does not lose the others."""

    reading = Host

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def collect(self, now: Instant) -> Mapping[str, Reading]:  # noqa: ARG002 - nothing here is a rate
        """Return one reading."""
        proc, etc = self._roots.proc, self._roots.etc
        cpuinfo = _head(proc, "cpuinfo")
        boot_id = proc.text(f"{_KERNEL}/random/boot_id", "")
        reading = Host(
            hostname=phrase(proc.text(f"{_KERNEL}/hostname", "")),
            model=self._model(),
            os=pretty_name(etc.text("os-release", "")),
            kernel=phrase(proc.text(f"{_KERNEL}/osrelease", "")),
            architecture=phrase(proc.text(f"{_KERNEL}/arch", "")) or os.uname().machine,
            boot_id=boot_id if _BOOT_ID.fullmatch(boot_id) else None,
            booted_at=_booted_at(proc),
            virtualisation=self._container() or self._machine(cpuinfo),
            cpu_model=processor(cpuinfo) or self._compatible(),
        )
        return {SINGLE: reading}

    def _model(self) -> str | None:
        proc, sys = self._roots.proc, self._roots.sys
        return (
            phrase(sys.text(f"{_DEVICE_TREE}/model", ""))
            or phrase(proc.text("device-tree/model", ""))
            or board(*self._dmi())
        )

    def _dmi(self) -> tuple[str, str]:
        sys = self._roots.sys
        return sys.text(f"{_DMI}/sys_vendor", ""), sys.text(f"{_DMI}/product_name", "")

    def _compatible(self) -> str | None:
        """Return the least specific name of the board's kind, which is its chip's."""
        return phrase(self._roots.sys.text(f"{_DEVICE_TREE}/compatible", "").rpartition("\0")[2])

    def _container(self) -> str | None:
        host = self._roots.host
        named = host.text("run/systemd/container", "")
        if named:
            return named if named in _CONTAINERS else "container-other"
        if host.exists(".dockerenv"):
            return "docker"
        if host.exists("run/.containerenv"):
            return "podman"
        release = self._roots.proc.text(f"{_KERNEL}/osrelease", "")
        return "wsl" if "WSL" in release or "Microsoft" in release else None

    def _machine(self, cpuinfo: str) -> str | None:
        proc, sys = self._roots.proc, self._roots.sys
        # Xen's first domain runs on the machine itself.
        if "control_d" in proc.text("xen/capabilities", ""):
            return "none"
        tree = sys.text(f"{_DEVICE_TREE}/compatible", "")
        hypervisor = sys.text("hypervisor/type", "")
        return machine(f"{hypervisor} {' '.join(self._dmi())} {tree}", cpuinfo)


def _head(tree: Tree, relative: str) -> str:
    """Return the first part of a file that is long, and slow to make, on large machines."""
    try:
        with open(tree.path(relative), "rb", buffering=0) as file:
            return (file.read(_CPUINFO_BYTES) or b"").decode("utf-8", "replace")
    except OSError:
        return ""


def _booted_at(proc: Tree) -> float | None:
    psutil.PROCFS_PATH = proc.root
    try:
        booted_at = float(psutil.boot_time())
    except (OSError, RuntimeError, ValueError, IndexError):
        return None
    return booted_at if 0 < booted_at < float("inf") else None


COLLECTOR = HostCollector
