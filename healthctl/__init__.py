"""The command line of healthd: a client of the bus like any other.

    cli.py        the edge: errors become one line and an exit code; errors.py: all of them, as one tree
    shortcut.py   the way past click for what scripts and prompts repeat: health.py and values.py have the two answers
    group.py      the click group; options.py: what every command understands; settings.py: what was said by that
    commands/     one file per subcommand
    client.py     the only door to the bus, with _client_*.py behind it
    place.py      where healthd is: bus and machine; tunnel.py: the way to another machine; hosts.py: several at once
    following.py  a connection that lasts: poll.py asks it for each new sample, live.py has metrics as they are
                  observed, stream.py events as they happen, verdicts.py verdicts as they change
    notify/       telling somebody what becomes of conditions
    web/          the bridge: the page, JSON and metrics over HTTP
    address.py    which metrics an address means; naming.py: which conditions a name means
    program.py    what healthd itself says of a configuration; dropin.py: the file of it that is healthctl's own
    diagnosis.py  what the doctor finds: installation.py looks at healthd from outside, observed.py at what it observes
    completion.py how a shell learns what may come next; candidates.py: the names that may be meant
    when.py       times as people write them; series.py: points of history
    terminal.py   width, colour and encoding of the output; pager.py: what is longer than the screen
    show.py       `watch`: feed.py has what comes, recent.py and strips.py keep it, views.py is where it is shown,
                  screen.py the whole terminal and its signals, keys.py what is typed there
    roll.py       `watch` of some metrics: line after line
    render/       pure functions from what the daemon describes to lines of text

Start-up is the user's waiting time: a module is imported only where its command needs it.
"""
