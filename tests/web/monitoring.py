"""Prometheus and its promtool, as they are installed or unpacked by `.make/prometheus`, and what to give them."""

import os
import shutil
import subprocess
from typing import Any

import pytest
from replica import FAMILIES

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "data")
_UNPACKED = os.path.join(ROOT, ".build", "prometheus", "usr", "bin")


def command(name: str) -> str:
    """Return the path of a command; skips the test where it is not there."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), _UNPACKED)))
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def promtool(*arguments: str, send: bytes = b"") -> str:
    """Have promtool check something that it must find no fault with, and return what it says."""
    done = subprocess.run([command("promtool"), *arguments], input=send, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def described(**readings: Any) -> dict[str, Any]:
    """Return what `Describe` gives where nothing is wrong."""
    return {
        "version": "1.2.3",
        "time": "2026-01-01T12:00:00.000Z",
        "health": {"severity": "ok", "reasons": [], "conditions": {}},
        "readings": readings,
        "unavailable": {},
    }


def everything() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return a machine on which every metric that is declared is known, and a condition is not ok; and the metrics."""
    values = {"s": "text", "as": ["text"], "ad": [1.0, 2.0], "b": True, "i": True, "t": 1, "d": 1.0}
    told = described()
    told["health"]["conditions"] = {"filesystem_space@/": {"severity": "notice"}}
    metrics = {}
    for family in FAMILIES.values():
        reading = {metric.name: values[metric.signature] for metric in family.reading.metrics}
        told["readings"][family.name] = reading if family.single else {"one": reading, "other": reading}
        for metric in family.reading.metrics:
            metrics[f"{family.name}.{metric.name}"] = {
                "family": family.name, "field": metric.name, "kind": metric.kind.value, "unit": metric.unit.value,
                "signature": metric.signature, "summary": metric.summary,
            }  # fmt: skip
    return told, metrics
