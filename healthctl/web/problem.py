"""What every answer has, and errors in one form: problems as RFC 9457 has them."""

import json

from aiohttp import web

PROBLEM = "application/problem+json"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
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
