"""Help teaches by examples, all of which can be typed; and what was meant is told where it was not."""

import re
import shlex

import click
import pytest

from healthctl.group import COMMANDS, group
from healthd import protocol

# What ends by itself and changes nothing.
READS = ("status", "conditions", "why", "check", "get", "history", "log", "metrics", "collectors", "publishers")
LASTS = {"-f", "--follow", "-H", "--disable", "--enable"}


def every():
    """Yield each command by what is typed for it, those of groups too."""
    context = click.Context(group, info_name="healthctl")
    yield "healthctl", group
    for name in COMMANDS:
        command = group.get_command(context, name)
        yield f"healthctl {name}", command
        for below, each in getattr(command, "commands", {}).items():
            yield f"healthctl {name} {below}", each


def examples(command):
    """Return the lines of a command's examples, what is said beside them left out."""
    block = re.search(r"^Examples:\n((?:  .*\n?)+)", command.epilog or "", re.MULTILINE)
    text = re.sub(r" \\\n +", " ", block[1]) if block else ""
    return [re.sub(r"(?<=\S)  +.*", "", line.strip()) for line in text.splitlines()]


def typed(line):
    """Return the arguments of each call of healthctl in a line of shell."""
    words = shlex.shlex(re.sub(r'"?\$\((.*?)\)"?', r"; \1 ;", line), punctuation_chars=True, posix=True)
    words.whitespace_split = True
    calls, call = [], None
    for word in words:
        if re.fullmatch(r"[;&|<>()]+", word):
            call = None
        elif word == "healthctl" and call is None:
            calls.append(call := [])
        elif call is not None:
            call.append(word)
    return calls


ALL = dict(every())
CALLS = {
    f"{line} [{number}]": call
    for command in ALL.values()
    for line in examples(command)
    for number, call in enumerate(typed(line))
}
RUN = {
    line: call
    for line, call in CALLS.items()
    if (not call or call[0] in READS) and not LASTS & set(call) and not any("@" in word for word in call)
}


@pytest.mark.parametrize("name", ["healthctl", "healthctl config"])
def test_no_line_in_a_list_of_commands_is_cut(name):
    with click.Context(ALL[name], info_name=name, max_content_width=80, **group.context_settings) as context:
        listed = ALL[name].get_help(context).partition("Commands:")[2]
    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_examples_of_itself(name):
    assert any(line.startswith(name) for line in examples(ALL[name]))


def parse(command, name, arguments, parent=None):
    """Parse a command line as far as there are commands; raises click's UsageError."""
    context = command.make_context(name, list(arguments), parent=parent)
    with context:
        if isinstance(command, click.Group):
            # click 8.1 has no underscore before it, and later ones warn without it.
            names = getattr(context, "_protected_args", None) or context.__dict__.get("protected_args", [])
            rest = [*names, *context.args]
            if rest:
                below, found, after = command.resolve_command(context, rest)
                parse(found, below, after, context)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_example_is_a_command_line(call):
    parse(group, "healthctl", call)


def test_an_example_that_is_none_would_be_found():
    assert typed('eval "$(healthctl completions bash)" && healthctl -x') == [["completions", "bash"], ["-x"]]
    for wrong in (["get"], ["metrics", "--sort", "nothing"], ["config", "shew"], ["frob"]):
        with pytest.raises(click.UsageError):
            parse(group, "healthctl", wrong)


@pytest.mark.parametrize("call", RUN.values(), ids=RUN)
def test_examples_do_what_they_show(healthd_bus, healthctl, call):
    done = healthctl(healthd_bus.address, *call)
    # Of what is long ago there is no history yet.
    codes = [0, 69] if "--since" in call else [0, 1, 2, 3]
    assert done.returncode in codes, done.stderr
    assert done.stdout or done.stderr


def test_most_examples_are_run():
    assert len(RUN) > 25


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["statsu"], "no such command 'statsu'; did you mean status? see: 'healthctl --help'"),
     (["acknowlege"], "no such command 'acknowlege'; did you mean acknowledge? see: 'healthctl --help'"),
     (["config", "shwo"], "no such command 'shwo'; did you mean show? see: 'healthctl config --help'"),
     (["status", "--shor"], "no such option '--shor'; did you mean --short? see: 'healthctl status --help'"),
     (["get", "--quite", "a.b"], "no such option '--quite'; did you mean --quiet? see: 'healthctl get --help'"),
     (["metrics", "--sort", "unti"], "invalid value for '--sort': there is no column 'unti'; did you mean unit?"),
     (["frob"], "no such command 'frob'; try 'healthctl --help'"),
     (["status", "--frob"], "no such option '--frob'; try 'healthctl status --help'")],
)  # fmt: skip
def test_a_slip_brings_what_was_meant(healthctl, arguments, hint):
    done = healthctl("session", *arguments)
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    assert done.stderr.startswith(f"healthctl: {hint}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["get", "memory.precent"], "did you mean memory.percent"), (["history", "cpu.bsy"], "did you mean cpu.busy"),
     (["why", "usd"], "did you mean used"), (["acknowledge", "usde"], "did you mean used"),
     (["check", "--only", "usedd"], "did you mean used"), (["metrics", "--unit", "byte"], "did you mean bytes"),
     (["metrics", "memroy"], "Did you mean memory?"),
     (["get", "network.kind@llo"], "network has no instance 'llo' now; did you mean network.kind@lo?"),
     (["get", "network.kind@zzz"], "network has no instance 'zzz' now; those that are: "),
     (["get", "memory.percent@x"], "memory has no instance 'x' now; did you mean memory.percent?"),
     (["get", "memory.prcent@x"], "there is no metric 'memory.prcent@x'; did you mean memory.percent"),
     (["history", "network.rx_bytes_per_second@llo"], "; did you mean network.rx_bytes_per_second@lo?"),
     (["wait", "--until", "criticl", "--timeout", "0s"], "did you mean critical")],
)  # fmt: skip
def test_a_slip_in_a_name_does_too(judged_bus, healthctl, arguments, hint):
    done = healthctl(judged_bus.address, *arguments)
    # The line of a plug-in is its output.
    assert hint in (done.stdout if arguments[0] == "check" else done.stderr)
