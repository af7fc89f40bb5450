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


def cpus(root: str, count: int) -> None:
    """Make a machine of so many CPUs, each with a frequency of its own."""
    names = range(count)
    for cpu in names:
        policy = f"{root}/sys/devices/system/cpu/cpufreq/policy{cpu}"
        files = {"affected_cpus": cpu, "scaling_cur_freq": 2400000 + cpu}
        files |= {"scaling_max_freq": 3600000, "scaling_min_freq": 800000}
        for name, content in files.items():
            write(f"{policy}/{name}", f"{content}\n")
        write(f"{root}/sys/devices/system/cpu/cpu{cpu}/online", "1\n")
    # psutil takes frequencies from here where they are, which costs it less.
    processor = "processor\t: {}\nmodel name\t: one of many\ncpu MHz\t\t: 2400.000\n\n"
    write(f"{root}/proc/cpuinfo", "".join(map(processor.format, names)))
    work(root, count, 0)


def work(root: str, count: int, step: int) -> None:
    """Let every CPU have worked a little since the step before."""
    ticks = [1234567 + 7 * step, 890, 345678 + 2 * step, 98765432 + 91 * step, 12345, 0, 6789, 0, 0, 0]
    rows = [f"cpu{cpu} {' '.join(map(str, ticks))}\n" for cpu in range(count)]
    total = "cpu  " + " ".join(str(count * value) for value in ticks) + "\n"
    rest = f"intr 123456789{' 0' * 400}\nctxt 987654321\nbtime 1767225600\nprocesses 12345\n"
    write(f"{root}/proc/stat", total + "".join(rows) + rest)
