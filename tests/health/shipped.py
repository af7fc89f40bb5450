"""The rules that healthd has, and a machine to judge by them."""

import os
import tomllib
from typing import Any

from scripted import Machine

import healthd
from healthd import observe
from healthd.health.rule import rules

FILE = os.path.join(os.path.dirname(healthd.__file__), "health", "rules.toml")
with open(FILE, "rb") as file:
    TABLES: dict[str, Any] = tomllib.load(file)

FAMILIES = observe.families(observe.collectors())
RULES = rules(FAMILIES, [("rules.toml", TABLES)])
GIB, MIB = 2**30, 2**20


def machine(**options: Any) -> Machine:
    """Return a machine that is judged by all rules, of which nothing is known yet."""
    return Machine(RULES, **options)
