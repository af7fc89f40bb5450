"""Which path leads where, and what every answer has: the rules of the guard, and errors in one form."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from gzip import compress
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from healthctl.errors import Absent, HealthctlError, Unavailable, UnknownCondition, UnknownMetric
from healthctl.web import live
from healthctl.web.api import BASE, ENDPOINTS, Answer, Bad, Endpoint, check, dumps, wanted
from healthctl.web.charts import RANGES
from healthctl.web.connection import heard
from healthctl.web.contract import document
from healthctl.web.exposition import expose, weight
from healthctl.web.guard import COOKIE, Guard
from healthctl.web.machine import Machine, tag_of
from healthctl.web.page import DEFAULT, Page
from healthctl.web.page import document as html
from healthctl.web.problem import HEADERS, problem
from healthctl.web.verdicts import conditions, evidence, explain, login, sorry

_STATIC = {"live.js": "text/javascript", "icon.svg": "image/svg+xml"}
_OPEN = ("/login", "/static/icon.svg")
"""What may be seen without a token."""
_NAME = "{name:[^/]+}"
"""The name of a condition in a path: whatever is quoted there, braces too."""
_STREAMS, _OF_ONE = 512, 128
"""Streams in all, and of one address."""
_SMALL = 512
"""What is smaller than this is not compressed, bytes."""
_LARGE = 64 * 1024
"""What is larger than this when packed is not kept, bytes."""
_REMEMBERED = 16
_KEPT = 30 * 86400
"""How long a browser is known, seconds."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """The bridge's application."""

    def __init__(self, machine: Machine, guard: Guard) -> None:
        self._machine = machine
        self._guard = guard
        self._page = Page(machine)
        self._parcels = live.Parcels(self._page)
        self._streams: dict[str, int] = {}
        self._packed: OrderedDict[str, bytes] = OrderedDict()
        self._contract = dumps(document())
        self._metrics: dict[str, dict[str, Any]] = {}
        self._declared: tuple[str, ...] = ()
        self._static = {name: files("healthctl.web").joinpath("static", name).read_bytes() for name in _STATIC}

    def application(self) -> web.Application:
        """Return the application; its requests are no larger than a token."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app = web.Application(middlewares=[guarded], client_max_size=2048)
        app.on_response_prepare.append(_dress)
        gets = {
            "/": self._home,
            "/conditions": self._conditions,
            f"/condition/{_NAME}": self._condition,
            "/live": self._live,
            "/static/{name}": self._file,
            "/metrics": self._exposed,
            f"{BASE}/openapi.json": self._described,
            **{f"{BASE}{endpoint.path.replace('{name}', _NAME)}": self._endpoint(endpoint) for endpoint in ENDPOINTS},
        }
        streams = {"/live", *(f"{BASE}{endpoint.path}" for endpoint in ENDPOINTS if endpoint.handle is None)}
        posts: dict[str, Handler] = {}
        if self._guard.asks:
            gets["/login"] = self._ask_for_token
            posts = {"/login": self._login, "/logout": self._logout}
        for path, handler in gets.items():
            app.router.add_get(path, handler, allow_head=path not in streams, expect_handler=_unmoved)
        for path, handler in posts.items():
            app.router.add_post(path, handler, expect_handler=_unmoved)
        return app

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        heard(request)
        try:
            # A response may be false: it counts as a mapping.
            refused = self._refused(request)
            response = await handler(request) if refused is None else refused
        except Bad as error:
            response = self._sorry(request, error.status, str(error))
        except (Absent, UnknownCondition, UnknownMetric) as error:
            response = self._sorry(request, 404, str(error))
        except Unavailable as error:
            response = self._sorry(request, 503, str(error), {"Retry-After": "1"})
        except HealthctlError as error:
            response = self._sorry(request, 400, str(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
            response = self._sorry(request, error.status, error.reason, kept)
        return response

    @staticmethod
    def _sorry(request: web.Request, status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
        """Return an error to a program, or to a person."""
        if request.path.startswith(BASE) or "text/html" not in request.headers.get("Accept", ""):
            return problem(status, reason, headers)
        text = html("healthd", sorry(reason), live=False)
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)

    def _refused(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that is not for us, comes too soon, or shows no token."""
        address = request.remote or ""
        if not self._guard.knows(request.headers.get("Host", "")):
            return problem(
                421, "this name is none of this machine; use its address, or start the bridge with --name NAME"
            )
        if self._guard.hurried(address):
            return problem(429, "too many requests", {"Retry-After": "1"})
        if request.body_exists and request.method != "POST":
            return problem(400, "nothing here takes a body")
        if request.path in _OPEN or self._guard.admits(request.headers, request.cookies):
            return None
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": "/login"})
        return problem(401, "show the token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _endpoint(self, endpoint: Endpoint) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            check(endpoint, request)
            if not endpoint.handle:
                is_wanted = wanted(request)
                return await self._stream(request, lambda stream: live.events(self._machine, stream, is_wanted))
            content = await endpoint.handle(self._machine, request)
            return self._answer(request, content, "application/json")

        return answer

    async def _described(self, request: web.Request) -> web.Response:
        return self._answer(request, Answer(self._contract), "application/json")

    async def _exposed(self, request: web.Request) -> web.Response:
        seen = await self._machine.now()
        try:
            # Another healthd, or one with other plug-ins, declares others.
            declared = seen.described["version"], *seen.described["readings"]
            if self._declared != declared:
                self._metrics, self._declared = await self._machine.door.metrics(), declared
            content, kind = expose(seen.described, self._metrics, request.headers.get("Accept", ""))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Another machine's healthd may be one of another time.
            raise Unavailable(f"what healthd tells can't be exported: {error!r}") from error
        return self._answer(request, Answer(content), kind)

    async def _home(self, request: web.Request) -> web.Response:
        content = await self._page.whole(_range(request), leave=self._guard.asks)
        return self._html(request, content)

    async def _conditions(self, request: web.Request) -> web.Response:
        seen = await self._machine.now()
        known = await self._machine.door.conditions()
        changes = await self._machine.door.events(0, None, ["health.transition"], 50)
        return self._html(request, html("Conditions", conditions(known, changes, seen.time), live=False))

    async def _condition(self, request: web.Request) -> web.Response:
        explained = await explain(self._machine, request.match_info["name"])
        return self._html(request, html(explained.name, evidence(explained), live=False))

    async def _live(self, request: web.Request) -> web.StreamResponse:
        range_ = _range(request)
        return await self._stream(
            request, lambda stream: live.parts(self._machine, self._parcels, stream, range_, _had(request))
        )

    async def _stream(self, request: web.Request, send: Callable[[live.Stream], Awaitable[None]]) -> web.StreamResponse:
        address = request.remote or ""
        if sum(self._streams.values()) >= _STREAMS or self._streams.get(address, 0) >= _OF_ONE:
            return problem(429, "too many streams", {"Retry-After": "10"})
        self._streams[address] = self._streams.get(address, 0) + 1
        stream = live.Stream(request)
        heard(request, ends=False)
        try:
            await stream.begin()
            await send(stream)
        except ConnectionError:
            pass
        finally:
            self._streams[address] -= 1
            if not self._streams[address]:
                del self._streams[address]
        return stream.response

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._static:
            raise web.HTTPNotFound
        return self._answer(request, Answer(self._static[name]), _STATIC[name])

    async def _ask_for_token(self, request: web.Request) -> web.Response:
        return self._html(request, html("healthd", login(), live=False))

    async def _login(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return problem(403, "log in on this page, not on another site's")
        form = parse_qs((await request.read()).decode("utf-8", "replace"))
        shown = form.get("token", [""])[0].strip()
        if not self._guard.takes(shown):
            response = self._html(request, html("healthd", login("This is not the token."), live=False))
            response.set_status(403)
            return response
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(COOKIE, self._guard.cookie, max_age=_KEPT, httponly=True, samesite="Strict")
        return response

    async def _logout(self, request: web.Request) -> web.Response:  # noqa: ARG002  # a handler's form
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(COOKIE)
        return response

    def _html(self, request: web.Request, content: str) -> web.Response:
        return self._answer(request, Answer(content.encode("utf-8", "replace")), "text/html; charset=utf-8")

    def _answer(self, request: web.Request, answer: Answer, kind: str) -> web.Response:
        """Return content as the client can take it: not at all where it has it, packed where that is wanted."""
        content = answer.content
        tag = answer.tag or tag_of(content)
        headers = {
            "Content-Type": kind,
            "ETag": tag,
            "Cache-Control": "no-cache",
            "Vary": "Accept, Accept-Encoding, Cookie, Authorization",
        }
        if tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        if len(content) > _SMALL and weight(request.headers.get("Accept-Encoding", ""), "gzip"):
            content = self._pack(tag, content)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=content, headers=headers)

    def _pack(self, tag: str, content: bytes) -> bytes:
        """Pack content; what is asked for again and again is packed once."""
        if (known := self._packed.get(tag)) is not None:
            self._packed.move_to_end(tag)
            return known
        packed = compress(content, 6, mtime=0)
        if len(packed) <= _LARGE:
            self._packed[tag] = packed
            if len(self._packed) > _REMEMBERED:
                self._packed.popitem(last=False)
        return packed


def _range(request: web.Request) -> str:
    name = request.query.get("range", DEFAULT)
    if name not in RANGES:
        raise Bad(400, f"there is no such range; there are {', '.join(RANGES)}")
    return name


def _had(request: web.Request) -> int:
    """Return the number of the state that a browser says it has; 0 where it says none."""
    said = request.headers.get("Last-Event-ID") or request.query.get("since", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0


async def _dress(_: web.Request, response: web.StreamResponse) -> None:
    """Give every answer what a browser has to know."""
    response.headers.update(HEADERS)


async def _unmoved(_: web.Request) -> None:
    """Answer nothing to `Expect`: a body is smaller than the question, and who asks is judged first."""
