"""The command line of healthd: a client of the bus like any other.

    cli.py        the edge: errors become one line and an exit code
    shortcut.py   the way past click for what scripts and prompts repeat: health.py and values.py have the two answers
    group.py      the click group; options.py: what every command understands; settings.py: what was said by that
    commands/     one file per subcommand
    client.py     the only door to the bus, with _client_*.py behind it
    place.py      where healthd is: bus and machine; tunnel.py: the way to another machine; hosts.py: several at once
    poll.py       asking it for each new sample; stream.py: events as they happen; verdicts.py: verdicts as they change
    address.py    which metrics an address means; naming.py: which conditions a name means
    program.py    what healthd itself says of a configuration; dropin.py: the file of it that is healthctl's own
    completion.py how a shell learns what may come next; candidates.py: the names that may be meant
    when.py       times as people write them; series.py: points of history
    terminal.py   width, colour and encoding of the output; pager.py: what is longer than the screen
    views.py      where `watch` shows samples; screen.py: the whole terminal and its signals
    render/       pure functions from what the daemon describes to lines of text

Start-up is the user's waiting time: a module is imported only where its command needs it.
"""
