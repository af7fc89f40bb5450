"""What psutil takes to tell what a collector tells, as near as it comes."""

from collections.abc import Callable, Mapping

import psutil


def cpu() -> object:
    """Tell the times of all CPUs together and of each; shares and frequency it has in other functions."""
    return psutil.cpu_times(), psutil.cpu_times(percpu=True)


def frequencies() -> object:
    """Tell what each CPU runs at, and its limits."""
    return psutil.cpu_freq(percpu=True)


def cpu_and_frequencies() -> object:
    """Tell both."""
    return cpu(), frequencies()


def disk() -> object:
    """Tell the transfers of each disk and partition."""
    return psutil.disk_io_counters(perdisk=True)


def filesystem() -> object:
    """Tell the space of each mounted file system, without inodes."""
    return [psutil.disk_usage(mount.mountpoint) for mount in psutil.disk_partitions()]


def memory() -> object:
    """Tell main memory and swap."""
    return psutil.virtual_memory(), psutil.swap_memory()


def network() -> object:
    """Tell the traffic and the link of each interface."""
    return psutil.net_io_counters(pernic=True), psutil.net_if_stats()


def sensor() -> object:
    """Tell the temperatures."""
    return psutil.sensors_temperatures()


BY_FAMILY: Mapping[str, Callable[[], object]] = {
    "cpu": cpu,
    "disk": disk,
    "filesystem": filesystem,
    "host": psutil.boot_time,
    "load": psutil.getloadavg,
    "memory": memory,
    "network": network,
    "sensor": sensor,
}
"""By family; what is not here psutil does not tell."""
