"""Packages with collectors, put where Python finds them."""

import os
import shutil
import tomllib

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin_example")


def install(directory: str, name: str, entry: str, source: str = "") -> None:
    """Write a package's module, if it has one, and the record of its entry point, as pip does offline too."""
    module = entry.partition(":")[0]
    if source:
        with open(os.path.join(directory, f"{module}.py"), "w", encoding="utf-8") as file:
            file.write(source)
    info = os.path.join(directory, f"{name}_package-1.0.dist-info")
    os.makedirs(info)
    with open(os.path.join(info, "METADATA"), "w", encoding="utf-8") as file:
        file.write(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1.0\n")
    with open(os.path.join(info, "entry_points.txt"), "w", encoding="utf-8") as file:
        file.write(f"[healthd.collectors]\n{name} = {entry}\n")


def install_example(directory: str) -> None:
    """Install the load cell, as its pyproject.toml says."""
    with open(os.path.join(EXAMPLE, "pyproject.toml"), "rb") as file:
        ((name, entry),) = tomllib.load(file)["project"]["entry-points"]["healthd.collectors"].items()
    shutil.copy(os.path.join(EXAMPLE, "healthd_loadcell.py"), directory)
    install(directory, name, entry)
