"""What every answer has, and errors in one form: problems as RFC 9457 has them."""

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

PROBLEM = "application/problem+json"
STYLE = files("healthctl.web").joinpath("static", "style.css").read_text("utf-8")
"""Of every page, and in it; a browser takes no other."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src 'self'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "healthd",
}
"""What a browser may do with an answer."""


def problem(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error with the reason for it, one line."""
    title = web.Response(status=status).reason
    content = {"type": "about:blank", "title": title, "status": status, "detail": reason}
    return web.Response(
        status=status, text=json.dumps(content), content_type=PROBLEM, headers={**HEADERS, **(headers or {})}
    )
