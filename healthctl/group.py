"""The click group; a command is imported when it is called."""

import os
from importlib import import_module
from typing import Any

import click

from healthctl.errors import UsageError
from healthctl.options import shared
from healthctl.settings import ASKED
from healthd import protocol

# What click calls a number that is none.
_NUMBERS = {"is not a valid float range": "is no number", "is not a valid integer range": "is no whole number"}
# Here, so that the list of commands needs none of them.
COMMANDS = {
    "status": "How the machine is; what happens without a command.",
    "watch": "How the machine is, live; or some metrics, a line a sample.",
    "conditions": "What is judged, and how it is: what is wrong, or all of it.",
    "why": "Why the machine is as it is: rule, evidence, what to do.",
    "acknowledge": "Take note of a condition, so that it does not count.",
    "check": "The verdict as a plug-in of Nagios, Icinga and the like.",
    "wait": "Wait until the machine is well, or is not.",
    "get": "The present values of some metrics.",
    "history": "How metrics went, as charts, JSON or CSV.",
    "log": "What happened: what became wrong or right, failures, what came and went.",
    "metrics": "What can be asked for.",
    "collectors": "How the observing goes, and what is unavailable why.",
    "publishers": "How what is known gets outside, and what was lost.",
    "doctor": "What does not work, and what to do about it.",
    "notify": "Tell the desktop, or a command of yours, what becomes wrong.",
    "web": "A page, JSON and Prometheus metrics over HTTP.",
    "config": "Show, check and change the configuration.",
    "reload": "Have healthd read its configuration again.",
    "completions": "The script with which a shell completes what is typed.",
}


_EXAMPLES = """\b
Examples:
  healthctl                              how the machine is
  healthctl why                          what is wrong, and what to do
  healthctl watch
  healthctl get memory.percent
  healthctl history cpu.busy --since -1d
  healthctl -H pi4,nas status

Exit codes: 0 done; status and check: 0 ok or notice, 1 warning, 2 critical, 3 unknown; doctor: 0 all is
well, 1 degraded, 2 broken; 64 usage; 69 healthd can't be reached; 75 waited in vain; 77 not allowed; 78 the
configuration has faults.
"""


class Group(click.Group):
    """A group that tells which of its commands may have been meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the name of a command, the command and its arguments; raises UsageError."""
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        # Only here: who spells well does without.
        from healthctl.address import similar  # noqa: PLC0415

        meant = similar(name, self.list_commands(ctx))
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        raise click.UsageError(f"no such command '{name}'{hint}", ctx)


class LazyGroup(Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command; `None` where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"healthctl.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXAMPLES,
)
@shared
@click.version_option(protocol.VERSION, prog_name="healthctl")
@click.pass_context
def group(context: click.Context) -> None:
    """Show how this machine is, as healthd observes it."""
    if context.invoked_subcommand is None:
        status = group.get_command(context, "status")
        assert status is not None
        context.invoke(status)


def run(arguments: list[str]) -> int:
    """Run a command line, or tell a shell how to go on with it, and return the exit code.

    It goes without click's own handling of errors, which knows other codes.
    Raises HealthctlError, UsageError for arguments that can't be used.
    """
    if asked := os.environ.get(ASKED):
        # Only here: nobody pays for it who runs a command.
        from healthctl.completion import answer  # noqa: PLC0415

        return answer(group, asked)
    try:
        with group.make_context("healthctl", arguments) as context:
            group.invoke(context)
        return protocol.EXIT_OK
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "healthctl"
        message = _similar(error) if isinstance(error, click.NoSuchOption) else error.format_message().rstrip(".")
        for theirs, ours in _NUMBERS.items():
            message = message.replace(theirs, ours)
        also = " see: " if message.endswith("?") else "; try "
        raise UsageError(f"{message[:1].lower()}{message[1:]}{also}'{path} --help'") from error


def _similar(error: click.NoSuchOption) -> str:
    """Say which options may have been meant: in one voice over click's versions."""
    from healthctl.address import similar  # noqa: PLC0415  # as above

    meant = similar(error.option_name, list(error.possibilities or ()))
    hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
    return f"no such option '{error.option_name}'{hint}"
