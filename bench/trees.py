"""Machines larger than this one: trees with what `/proc` and `/sys` of theirs would hold."""

import os

_DEV_HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n"
)


def write(path: str, content: str) -> None:
    """Write a file and the directories above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(content)


def interfaces(root: str, count: int) -> None:
    """Make a machine of so many virtual interfaces."""
    for index in range(count):
        base = f"{root}/sys/class/net/veth{index}"
        for name, content in {"type": "1", "operstate": "up", "carrier": "1", "speed": "10000"}.items():
            write(f"{base}/{name}", f"{content}\n")
    traffic(root, count, 0)


def traffic(root: str, count: int, step: int) -> None:
    """Let every interface have carried something more than at the step before."""
    lines = [
        f" veth{index}: {117017398 + 1500 * step} {353400 + step} 0 0 0 0 0 0 "
        f"{294788010 + 900 * step} {238700 + step} 0 0 0 0 0 0\n"
        for index in range(count)
    ]
    write(f"{root}/proc/net/dev", _DEV_HEAD + "".join(lines))


_FASTEST = 3600000


def cpus(root: str, count: int) -> None:
    """Make a machine of so many CPUs, each with a frequency of its own."""
    names = range(count)
    for cpu in names:
        policy = f"{root}/sys/devices/system/cpu/cpufreq/policy{cpu}"
        files = {"affected_cpus": cpu, "scaling_cur_freq": 2400000 + cpu}
        files |= {"cpuinfo_max_freq": _FASTEST, "cpuinfo_min_freq": 800000}
        files |= {"scaling_max_freq": _FASTEST, "scaling_min_freq": 800000}
        for name, content in files.items():
            write(f"{policy}/{name}", f"{content}\n")
        write(f"{root}/sys/devices/system/cpu/cpu{cpu}/online", "1\n")
    # psutil takes frequencies from here where they are, which costs it less.
    processor = "processor\t: {}\nmodel name\t: one of many\ncpu MHz\t\t: 2400.000\n\n"
    write(f"{root}/proc/cpuinfo", "".join(map(processor.format, names)))
    work(root, count, 0)


def throttle(root: str, count: int) -> None:
    """Let no CPU run as fast as it can."""
    for cpu in range(count):
        write(f"{root}/sys/devices/system/cpu/cpufreq/policy{cpu}/scaling_max_freq", f"{_FASTEST // 2}\n")


def work(root: str, count: int, step: int) -> None:
    """Let every CPU have worked a little since the step before."""
    ticks = [1234567 + 7 * step, 890, 345678 + 2 * step, 98765432 + 91 * step, 12345, 0, 6789, 0, 0, 0]
    rows = [f"cpu{cpu} {' '.join(map(str, ticks))}\n" for cpu in range(count)]
    total = "cpu  " + " ".join(str(count * value) for value in ticks) + "\n"
    rest = f"intr 123456789{' 0' * 400}\nctxt 987654321\nbtime 1767225600\nprocesses 12345\n"
    write(f"{root}/proc/stat", total + "".join(rows) + rest)


def mounts(root: str, count: int) -> None:
    """Make a machine of so many file systems beside its root, each with a device of its own."""
    for index in range(count):
        os.makedirs(f"{root}/srv/volume{index}", exist_ok=True)
    write(f"{root}/etc/fstab", "/dev/sda1 / ext4 errors=remount-ro 0 1\n")
    mounted(root, count)


def mounted(root: str, count: int) -> None:
    """Let so many file systems be mounted beside the root."""
    lines = ["21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"]
    lines += [
        f"{40 + index} 21 253:{index} / /srv/volume{index} rw,relatime shared:9 - ext4 /dev/mapper/vg-{index} rw\n"
        for index in range(count)
    ]
    write(f"{root}/proc/self/mountinfo", "".join(lines))


def disks(root: str, count: int) -> None:
    """Make a machine of so many disks of two partitions each."""
    for index in range(count):
        base = f"{root}/sys/block/{disk(index)}"
        for name, content in {"device/model": "ST4000NM0033", "size": "7814037168", "queue/rotational": "1"}.items():
            write(f"{base}/{name}", f"{content}\n")
    transfers(root, count, 0)


def disk(index: int) -> str:
    """Return the name of a disk as the kernel counts: sda, …, sdz, sdaa."""
    name = ""
    while index >= 0:
        name, index = chr(ord("a") + index % 26) + name, index // 26 - 1
    return f"sd{name}"


def transfers(root: str, count: int, step: int) -> None:
    """Let every disk have read and written something more than at the step before, and its second partition too."""
    lines = []
    for index in range(count):
        for part in ("", "1", "2"):
            more = 0 if part == "1" else step
            reads = f"{353400 + more} 120 {9014448 + 16 * more} 113020"
            writes = f"{87200 + more} 52 {4031120 + 8 * more} 99120"
            rest = f"0 {71234 + 9 * more} 212140 0 0 0 0 0 0"
            lines.append(f"   8 {index:7d} {disk(index)}{part} {reads} {writes} {rest}\n")
    write(f"{root}/proc/diskstats", "".join(lines))


PER_CHIP = 6


def sensors(root: str, count: int) -> None:
    """Make a machine of so many thermometers, six on a chip."""
    os.makedirs(f"{root}/sys/class/hwmon")
    for index in range(0, count, PER_CHIP):
        device = f"{root}/sys/devices/platform/chip.{index}"
        hwmon = f"{device}/hwmon/hwmon{index}"
        write(f"{hwmon}/name", "chip\n")
        os.symlink(device, f"{hwmon}/device")
        os.symlink(hwmon, f"{root}/sys/class/hwmon/hwmon{index}")
        for number in range(1, PER_CHIP + 1):
            for name, content in {"label": f"Zone {number}", "max": "80000", "crit": "100000"}.items():
                write(f"{hwmon}/temp{number}_{name}", f"{content}\n")
    warm(root, count, 0)


def thermometers(root: str, count: int) -> list[str]:
    """Return the files that so many thermometers are read from."""
    return [
        f"{root}/sys/devices/platform/chip.{index}/hwmon/hwmon{index}/temp{number}_input"
        for index in range(0, count, PER_CHIP)
        for number in range(1, PER_CHIP + 1)
    ]


def warm(root: str, count: int, step: int) -> None:
    """Let every thermometer show another temperature than at the step before."""
    for index, path in enumerate(thermometers(root, count)):
        write(path, f"{40000 + 50 * (index % 100) + 1000 * (step % 20)}\n")
