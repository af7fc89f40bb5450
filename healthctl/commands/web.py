"""`healthctl web`."""

import asyncio
import os
import re
import sys
from contextlib import ExitStack

import click

from healthctl.errors import Unavailable, UsageError, complaint
from healthctl.options import Settings, shared

_EXAMPLES = """\b
Examples:
  healthctl web                              http://127.0.0.1:8086/
  healthctl web --listen 127.0.0.1:9000
  healthctl web --listen '*' --name pi4.lan  for others too, who show the token
  healthctl -H pi4 web                       another machine's, over ssh
"""


@click.command("web", short_help="A page, JSON and Prometheus metrics over HTTP.", epilog=_EXAMPLES)
@click.option(
    "--listen",
    "places",
    multiple=True,
    metavar="ADDRESS[:PORT]",
    help="Where; may be repeated.  [default: 127.0.0.1:8086]",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="What this machine is called besides its host name, as by a proxy: others are refused. Asks for the token.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="Where the token is, or will be.  [default: healthd/web-token in $XDG_STATE_HOME; token in $STATE_DIRECTORY]",
)
@shared
@click.pass_context
def command(context: click.Context, places: tuple[str, ...], names: tuple[str, ...], token_file: str | None) -> None:
    """Serve a page that shows how the machine is, its JSON under /api/v1, and /metrics for Prometheus.

    Only this machine reaches it by default. Where others do, whoever looks has to show the token; it is made when it
    is needed first, and its file is named. It changes nothing, and watches only while somebody looks.
    """
    settings = context.ensure_object(Settings)
    if settings.json:
        raise UsageError("web writes nothing; its JSON is served under /api/v1")
    try:
        from healthctl.web import guard, server  # noqa: PLC0415  # only here: it takes long, and may not be installed
    except ModuleNotFoundError as error:
        packages = "python3-aiohttp python3-prometheus-client"
        raise Unavailable(
            f"{error.name} is not installed; apt install {packages}, or pip install aiohttp prometheus-client"
        ) from error
    for name in names:
        if not re.fullmatch(r"[\w.-]+", name):
            raise UsageError(f"'{name}' is no host name; write it without a scheme and a port: pi4.lan")
    if token_file == "":
        raise UsageError("--token-file names no file")
    made = server.sockets([server.place(text) for text in places or ("127.0.0.1",)])
    with ExitStack() as opened:
        for each in made:
            opened.enter_context(each)
        token = ""
        if server.is_open(made) or token_file or names:
            path = token_file or _token_file()
            token = guard.token(path)
            sys.stderr.write(complaint(f"whoever looks has to show the token in {path}"))
        asyncio.run(server.serve(settings.bus, made, token, names))


def _token_file() -> str:
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        return os.path.join(state, "token")
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "healthd", "web-token")
