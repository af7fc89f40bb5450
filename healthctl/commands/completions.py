"""`healthctl completions`."""

import click

from healthctl import terminal
from healthctl.options import shared

_SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """\b
Examples:
  eval "$(healthctl completions bash)"                  in this shell
  healthctl completions fish | source
  healthctl completions zsh > "${fpath[1]}/_healthctl"  for all to come
"""


@click.command("completions", short_help="The script with which a shell completes.", epilog=_EXAMPLES)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(_SHELLS))
@shared
def command(shell: str) -> None:
    """Write the script with which a shell completes commands, options, metrics, conditions and keys.

    The package of a distribution has them in their places already.
    """
    # Only here: what click has for it is imported by nobody else.
    from healthctl.completion import SCRIPTS  # noqa: PLC0415

    terminal.write([SCRIPTS[shell].rstrip("\n")])
