"""`healthctl watch`."""

import click

from healthctl import candidates
from healthctl.errors import UsageError
from healthctl.options import Settings, interval, shared

_EXAMPLES = """\b
Examples:
  healthctl watch -n 1                                the whole screen, each second
  healthctl watch --plain                             a line of words for each sample
  healthctl watch -n 1 cpu.user cpu.system cpu.iowait
  healthctl watch -n 0.25 network.rx_bytes_per_second
  healthctl watch --json --count 60 -n 1 memory.percent
"""


@click.command("watch", short_help="How the machine is, live; or some metrics, a line a sample.", epilog=_EXAMPLES)
@click.argument("metrics", metavar="[METRIC]...", nargs=-1, shell_complete=candidates.metrics)
@interval("How often to look.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="With METRIC: end after so many samples.")
@click.option("--plain", is_flag=True, help="Write a line of words for each sample, as a screen reader likes it.")
@shared
@click.pass_context
def command(
    context: click.Context, metrics: tuple[str, ...], *, seconds: float | None, count: int | None, plain: bool
) -> None:
    """Show how the machine is, and go on with each new sample; q or Ctrl-C ends it, h shows the other keys.

    Screens in a file or a pipe, and objects with --json, come no oftener than healthd samples.

    With METRIC, write a line of these alone for each sample, as observed: memory.percent, network.rx_bytes_per_second
    for all interfaces, filesystem.percent@/mnt, which may be yet to come.
    """
    settings = context.ensure_object(Settings)
    if metrics:
        # Only here: the screen has no use for it.
        from healthctl.roll import roll  # noqa: PLC0415

        roll(settings, metrics, seconds, count)
        return
    if count:
        raise UsageError("--count goes with METRIC")
    # Only here: the lines have no use for it.
    from healthctl.show import show  # noqa: PLC0415

    show(settings, seconds, plain=plain)
