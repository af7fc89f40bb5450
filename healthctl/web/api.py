"""The JSON of the bridge: what `healthctl --json` writes, under `/api/v1`.

An endpoint is declared once: its route, what it takes and the OpenAPI document follow from that.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from healthctl import when
from healthctl.address import resolve
from healthctl.errors import UnknownMetric
from healthctl.render import condition
from healthctl.series import as_data
from healthctl.stream import meant
from healthctl.web.machine import Machine
from healthd import protocol

BASE = "/api/v1"
_MOST = 10_000
_MOST_POINTS = 20_000
"""Of all metrics of one answer together."""
_METRICS = 32
"""Metrics of one question."""


class Bad(Exception):
    """A request can't be answered as it is: its status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Parameter(NamedTuple):
    """What an endpoint takes."""

    name: str
    summary: str
    schema: Mapping[str, Any]
    place: str = "query"
    required: bool = False


class Answer(NamedTuple):
    """JSON, and a tag that is another one for any other content: "" where nobody knows without looking."""

    content: bytes
    tag: str = ""


Handle = Callable[[Machine, web.Request], Awaitable[Answer]]


class Endpoint(NamedTuple):
    """Something that can be asked."""

    path: str
    summary: str
    schema: Mapping[str, Any]
    handle: Handle | None
    """`None`: a stream, which `site` serves."""
    parameters: Sequence[Parameter] = ()


async def _snapshot(machine: Machine, _: web.Request) -> Answer:
    seen = await machine.now()
    return Answer(seen.text, seen.tag)


async def _status(machine: Machine, _: web.Request) -> Answer:
    seen = await machine.now()
    return Answer(dumps(seen.verdict), seen.tag)


async def _metrics_list(machine: Machine, _: web.Request) -> Answer:
    return Answer(dumps(await machine.door.metrics()))


async def _conditions(machine: Machine, request: web.Request) -> Answer:
    every = request.query.get("all", "false")
    if every not in _FLAG["enum"]:
        raise Bad(400, "all is true or false")
    rows = condition.ordered(await machine.door.conditions())
    return Answer(dumps({name: row for name, row in rows if every == "true" or row.get("severity") != protocol.OK}))


async def _condition(machine: Machine, request: web.Request) -> Answer:
    return Answer((await machine.door.explain(request.match_info["name"])).encode())


async def _history(machine: Machine, request: web.Request) -> Answer:
    now = (await machine.now()).time
    since = _moment(request, "since", now, now - 3600)
    until = _moment(request, "until", now, now)
    most = _whole(request, "points", 1000)
    asked = list(dict.fromkeys(request.query.getall("metric", [])))
    if not asked or len(asked) > _METRICS:
        raise Bad(400, f"name one to {_METRICS} metrics: metric=cpu.busy&metric=load.load1")
    known = await machine.door.metrics()
    for address in asked:
        if address.partition("@")[0] not in known:
            raise Bad(404, f"there is no metric '{address[:200]}'; see: {BASE}/metrics-list")
    present = await machine.door.read([address for address in asked if "@" not in address])
    found = {}
    addresses = resolve(asked, present)
    if len(addresses) * most > _MOST_POINTS:
        few = _MOST_POINTS // len(addresses)
        raise Bad(400, f"these are {len(addresses)} series; ask for {few} points of each at most")
    end = until if "until" in request.query else None
    async with machine.long:
        for address in addresses:
            try:
                points = await machine.door.history(address, since, end, most) if since < until else []
            except UnknownMetric as error:
                raise Bad(404, f"{address[:200]} has no history: it is no number that goes up and down") from error
            unit = str(known[address.partition("@")[0]].get("unit") or "")
            found[address] = {"unit": unit, "points": as_data(points)}
        return Answer(dumps({"since": when.iso(since), "until": when.iso(until), "metrics": found}))


def wanted(request: web.Request) -> Callable[[str], bool]:
    """Return what tells whether an event of a name is asked for."""
    names = request.query.getall("name", [])
    if len(names) > _METRICS:
        raise Bad(400, f"at most {_METRICS} names")
    return lambda name: meant(name, names)


def _moment(request: web.Request, name: str, now: float, default: float) -> float:
    if (text := request.query.get(name)) is None:
        return default
    problem = Bad(400, f"{name} is no time; write -2h, 2026-11-22T03:00Z or @1700000000")
    if not re.fullmatch(str(_TIME["pattern"]), text):
        raise problem
    try:
        return when.parse(text, now)
    except (ValueError, OverflowError, OSError) as error:
        raise problem from error


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= _MOST):
        raise Bad(400, f"{name} is no whole number from 1 to {_MOST}")
    return int(text)


def check(endpoint: Endpoint, request: web.Request) -> None:
    """Raise Bad where a request has a parameter that is none."""
    known = {parameter.name: parameter for parameter in endpoint.parameters if parameter.place == "query"}
    for name in request.query:
        if name in known and known[name].schema.get("type") != "array" and len(request.query.getall(name)) > 1:
            raise Bad(400, f"{name} can be given once")
        if name not in known:
            raise Bad(
                400,
                f"there is no parameter '{name[:100]}'" + (f"; there are {', '.join(sorted(known))}" if known else ""),
            )


def dumps(content: object) -> bytes:
    """Return an object as JSON."""
    return json.dumps(content).encode()


_OBJECT = {"type": "object"}
_FLAG = {"enum": ["true", "false"], "default": "false"}
_TIME = {
    "type": "string",
    "pattern": r"^(now|@[0-9]{1,10}|-([0-9]{1,6}(w|d|h|min|s))+|"
    r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z)$",
    "examples": ["-2h", "2026-11-22T03:00Z", "@1700000000"],
}
_SEVERITY = {"enum": [protocol.OK, protocol.NOTICE, protocol.WARNING, protocol.CRITICAL, protocol.UNKNOWN]}
_MOMENT = {"type": "string", "format": "date-time"}
_VERDICT = {
    "version": {"type": "string"},
    "time": _MOMENT,
    "boot_id": {"type": ["string", "null"]},
    "since_boot": {"type": "number", "description": "Seconds, suspended time included."},
    "interval": {"type": "number", "description": "Seconds from sample to sample."},
    "seq": {"type": "integer"},
    "configuration": {"type": "string", "description": "Its faults; empty where there are none."},
    "health": {
        "type": "object",
        "properties": {"severity": _SEVERITY},
        "required": ["severity", "reasons", "conditions"],
    },
}
_POINT = {
    "type": "object",
    "properties": {
        "time": _MOMENT,
        **{name: {"type": "number"} for name in ("min", "mean", "max")},
    },
    "required": ["time", "min", "mean", "max"],
}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TABLE = {"type": "object", "additionalProperties": _OBJECT}

_EXPLAINED = Parameter(
    "name",
    "As `/conditions` names it: filesystem_filling@/home.",
    {"type": "string", "minLength": 1},
    "path",
    required=True,
)
_ADDRESSES = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": _METRICS}
_POINTS = {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 1000}
_SERIES = {
    "type": "object",
    "properties": {"unit": {"type": "string"}, "points": {"type": "array", "items": _POINT}},
    "required": ["unit", "points"],
}
_HISTORY = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("since", "until"), _MOMENT),
        "metrics": {"type": "object", "additionalProperties": _SERIES},
    },
    "required": ["since", "until", "metrics"],
}
_NAMES = {"type": "array", "items": {"type": "string"}, "maxItems": _METRICS}

ENDPOINTS = (
    Endpoint("/status", "The verdict, and what it rests on.", _object(_VERDICT), _status),
    Endpoint(
        "/snapshot",
        "All that is known of the machine: what `healthctl status --json` writes.",
        _object({**_VERDICT, "readings": _TABLE, "unavailable": _TABLE}),
        _snapshot,
    ),
    Endpoint("/metrics-list", "What each metric is: what `healthctl metrics --json` writes.", _TABLE, _metrics_list),
    Endpoint(
        "/history",
        "How metrics went: what `healthctl history --json` writes.",
        _HISTORY,
        _history,
        (
            Parameter("metric", "An address: cpu.busy, or filesystem.percent@/home.", _ADDRESSES, required=True),
            Parameter("since", "When it begins, one hour ago by default.", _TIME),
            Parameter("until", "When it ends, now by default.", _TIME),
            Parameter("points", "At most so many points of each.", _POINTS),
        ),
    ),
    Endpoint(
        "/conditions",
        "What is wrong, the worst first: what `healthctl conditions --json` writes.",
        _TABLE,
        _conditions,
        (Parameter("all", "Also what is ok.", _FLAG),),
    ),
    Endpoint(
        "/conditions/{name}",
        "One condition with its rule and its evidence: what healthd explains of it.",
        _OBJECT,
        _condition,
        (_EXPLAINED,),
    ),
    Endpoint(
        "/events",
        "What happens from now on, as server-sent events: `status` when something has changed, `event` for each event.",
        {"type": "string"},
        None,
        (Parameter("name", "Only events of this name, or of all that begin so: runtime.*", _NAMES),),
    ),
)
