"""Figures: CPU time of a call, medians, tables, and the machine that they are of."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata

_LIBRARIES = ("dbus-fast", "dbus-next", "jeepney", "click", "psutil")


def cost(
    work: Callable[[], object],
    times: int,
    runs: int,
    prepare: Callable[[], object] = int,
    chosen: Callable[[Sequence[float]], float] = statistics.median,
) -> float:
    """Return the CPU time of one call in µs: the median, or what else is `chosen`, of `runs` means over `times` calls.

    `prepare` is called before each call and not counted. It is CPU time, not time by the clock: what else runs on
    the machine has its share in caches alone.
    """
    prepare()
    work()
    means = []
    for _ in range(runs):
        gc.collect()
        spent = 0
        for _ in range(times):
            prepare()
            began = time.process_time_ns()
            work()
            spent += time.process_time_ns() - began
        means.append(spent / times / 1000)
    return chosen(means)


def stay() -> None:
    """Stay on one CPU: what it costs to wake a thread on another one differs too much from run to run."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, the first column to the left and the others to the right."""
    body = [head, *rows]
    widths = [max(len(row[column]) for row in body) for column in range(len(head))]
    lines = [
        "| " + " | ".join(_aligned(cell, widths[column], column) for column, cell in enumerate(row)) + " |"
        for row in body
    ]
    rule = "|".join(f" {'-' * (width - 1)}{':' if column else '-'} " for column, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def number(value: float | None, digits: int = 0) -> str:
    """Return a figure with so many decimals; `-` where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def machine() -> str:
    """Describe in one paragraph what the figures are of, and how busy it was when they were taken."""
    load = ", ".join(f"{mean:.1f}" for mean in os.getloadavg())
    versions = ", ".join(f"{name} {version}" for name in _LIBRARIES if (version := _version(name)))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), Linux {platform.release().split('-')[0]}, {_system()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {versions}; load {load}."
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
