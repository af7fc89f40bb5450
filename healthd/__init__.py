"""healthd: the one process on a Linux machine that knows how the machine is, and tells everyone.

    observe  ->  state  ->  health  ->  publish
    /proc /sys   Snapshot               bus · console

Read `pipeline.py` first: it is that line. The stages know the types of `model.py` and nothing of each other.

    cli.py       the `healthd` command         model.py     the vocabulary as types, the extension points
    daemon.py    start order, signals, bus     protocol.py  what clients rely on
    pipeline.py  one cycle, stage by stage     events.py    what is streamed, as JSON
    observe/     one file per collector        dbus.py      the only door to D-Bus
    state/       what is accepted              publish/     the bus, the console
"""
