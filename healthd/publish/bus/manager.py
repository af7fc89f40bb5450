"""The Manager interface at the root: what it declares."""

from functools import lru_cache

from healthd import protocol
from healthd.model import Snapshot, Table, Unit, state, table
from healthd.publish.bus.interface import Argument, Method, Signal, of_table


@table("Manager")
class Manager(Table):
    """How this machine is, and what is observed of it. Everything here may be read by every local user."""

    version: str = state("Version of healthd.")
    api_level: int = state("Level of this API; within one level, members are only added.", signature="u")
    health: str = state(
        "How the machine is: ok, warning or critical, as the worst condition that counts; unknown while nothing is "
        "known of something that is judged, and nothing is worse. A notice never counts, nor what was acknowledged."
    )
    health_since_usec: int | None = state("Since when it is so, µs since 1970 UTC.", Unit.USEC)
    reasons: tuple[str, ...] = state("The conditions that make it so, the worst first: rule, or rule@instance.")
    features: tuple[str, ...] = state("Optional parts of this API that are offered here, beyond the readings.")
    sample_interval_usec: int = state("Time from one sample to the next, µs.", Unit.USEC)
    min_watch_interval_usec: int = state("The smallest interval of a watch, µs; others are multiples of it.", Unit.USEC)
    watch_count: int = state("How many watches there are now, of all clients.", live=True, signature="u")
    configuration_problem: str = state(
        "Why the configuration on disk is not the one in force: its faults, a line each. Empty where it is."
    )


def root(snapshot: Snapshot, features: tuple[str, ...]) -> tuple[Manager]:
    """Return the tables of the root; the same object while nothing of them changes."""
    health = snapshot.health
    since = round(health.since * 1_000_000) if health.since else None
    interval = round(snapshot.interval * 1_000_000)
    return _root(interval, health.severity, since, health.reasons, snapshot.configuration, features=features)


@lru_cache(maxsize=4)
def _root(
    sample_interval_usec: int,
    severity: str,
    since_usec: int | None,
    reasons: tuple[str, ...],
    configuration: str,
    *,
    features: tuple[str, ...],
) -> tuple[Manager]:
    return (
        Manager(
            version=protocol.VERSION,
            api_level=protocol.API_LEVEL,
            health=severity,
            health_since_usec=since_usec,
            reasons=reasons,
            features=features,
            sample_interval_usec=sample_interval_usec,
            min_watch_interval_usec=round(protocol.MIN_WATCH_INTERVAL * 1_000_000),
            watch_count=0,
            configuration_problem=configuration,
        ),
    )


_GUARDED = (
    "For root, the user that healthd runs as, and whom polkit lets (action org.healthd.health1.manage). Others are "
    "refused with AccessDenied, or with InteractiveAuthorizationRequired where polkit would have to ask a person and "
    "the call does not allow that. Fails with Error.NotAvailable in a replay."
)

METHODS = (
    Method(
        "Describe",
        "The whole snapshot as one JSON object, the same that `healthctl status --json` prints: version, time, "
        "boot_id, since_boot, interval, seq, configuration (the faults of one that was refused), health, readings by "
        "family and instance, unavailable by family with problem, reason and remedy. Unknown is null.",
        gives=(Argument("json", "s"),),
    ),
    Method(
        "ListMetrics",
        "Every metric by its name `family.field`: family, field, kind (gauge, counter or state), unit, summary, "
        "signature, interface, property, signalled (whether PropertiesChanged tells of it), minimum and maximum "
        "(where it has them) and its present instances.",
        gives=(Argument("metrics", "a{sa{sv}}"),),
    ),
    Method(
        "ListCollectors",
        "Every collector by its family: summary, source (what it is read from), available, problem, reason, remedy, "
        "duration_usec of its last run, failures since start, sampled_at_usec (µs since 1970 UTC), every_usec and the "
        "number of instances. One that was switched off has the problem `disabled`.",
        gives=(Argument("collectors", "a{sa{sv}}"),),
    ),
    Method(
        "Read",
        "The present values of metrics named `family.field` or `family.field@instance`; without an instance those of "
        "all instances. Unknown is NaN, the largest number, an empty string or -1. Fails with Error.UnknownMetric for "
        "a name that no family declares, and with Error.NotAvailable for an instance that is not there.",
        takes=(Argument("metrics", "as"),),
        gives=(Argument("values", "a{sv}"),),
    ),
    Method(
        "GetHistory",
        "What a gauge did, as accepted: a metric `family.field`, or `family.field@instance` of a family with several, "
        "from since_usec to until_usec (µs since 1970 UTC; until 0 or the largest number is now). Gives at most "
        "max_points points (0 for 1000; no more than 10000), oldest first: the time at which a point begins (µs since "
        "1970 UTC), and the least, mean and greatest value in it. While a value was unknown there are no points. Fails "
        "with Error.UnknownMetric for a name that no family declares or that is no gauge of single numbers, with "
        "Error.NotAvailable for an instance of which nothing is known, and with LimitsExceeded while too many such "
        "calls wait.",
        takes=(
            Argument("metric", "s"),
            Argument("since_usec", "t"),
            Argument("until_usec", "t"),
            Argument("max_points", "u"),
        ),
        gives=(Argument("points", "a(tddd)"),),
    ),
    Method(
        "GetEvents",
        "What happened from since_usec to until_usec (µs since 1970 UTC; until 0 or the largest number is now), as "
        "lines of JSON, oldest first: of the events with one of these names the newest, as many as limit (0 for 1000; "
        "no more than 10000) and as 4 MiB of text can hold. A name may end in `.*`; at most 100 may be given, and "
        "without one the events are all those that signal Event tells of. A name that no event has finds nothing. "
        "Fails with LimitsExceeded while too many such calls wait.",
        takes=(
            Argument("since_usec", "t"),
            Argument("until_usec", "t"),
            Argument("names", "as"),
            Argument("limit", "u"),
        ),
        gives=(Argument("events", "as"),),
    ),
    Method(
        "ListConditions",
        "Every condition by its name (rule, or rule@instance), those that are ok too: rule, instance, severity, "
        "since_usec, summary, metric, unit, value, threshold and next (the severity that it has, or would have beyond "
        "the threshold), headroom (how far the value is from the threshold, below zero beyond it), pending (whether "
        "that is only a matter of time now), inhibited_by, acknowledged_by; and, as another field of the rule may have "
        "decided, own_value and own_unit of the metric that it looks at, and bounds on that: sign and threshold by "
        "severity.",
        gives=(Argument("conditions", "a{sa{sv}}"),),
    ),
    Method(
        "Explain",
        "One condition as a JSON object: what ListConditions tells, its rule with thresholds, reasons and remedy, the "
        "samples that decided, and movers: the metrics that moved most while it built up, the most unusual first, each "
        "with unit and what was usual before and after; null where that is not known. Fails with "
        "Error.UnknownCondition where there is none of that name.",
        takes=(Argument("condition", "s"),),
        gives=(Argument("json", "s"),),
    ),
    Method(
        "Watch",
        "Have metrics observed as often as the option interval_usec (t, µs) asks, rounded to a multiple of "
        "MinWatchIntervalUSec (without it, as often as they are sampled), and be told by the signal Sample, which "
        "nobody else gets. Metrics are named as for Read, at most 1024; an instance may be yet to come. Gives the "
        "number of the watch, and as accepted the interval_usec that it has. What is slow or dear to observe is "
        "observed less often: ten times as often as its every_usec at most. The watch ends with Unwatch, with the "
        "client's connection to the bus, or with the signal WatchClosed. A client shows by answering "
        "org.freedesktop.DBus.Peer.Ping, as D-Bus libraries do by themselves, that it takes what it is sent: one that "
        "does not is sent 256 KiB. Fails with Error.UnknownMetric for a name that no family declares, with "
        "Error.NotAvailable for an instance of a family that has only one and in a replay, with InvalidArgs for no "
        "metric, too many, or another option, and with Error.TooManyWatches beyond 16 watches of a connection, 64 of a "
        "user or 96 in all, beyond 8 intervals in the watches of a user or 16 in all, or beyond 4096 metrics in the "
        "watches of a user.",
        takes=(Argument("metrics", "as"), Argument("options", "a{sv}")),
        gives=(Argument("watch", "u"), Argument("accepted", "a{sv}")),
    ),
    Method(
        "Unwatch",
        "End a watch. Fails with Error.UnknownWatch where the caller has none of that number.",
        takes=(Argument("watch", "u"),),
    ),
    Method(
        "Acknowledge",
        "Take note of a condition, given by the path of its object: it does not count for Health until it is over, "
        "becomes worse, or the time in the option until_usec (t, µs since 1970 UTC) has come. Fails with "
        f"Error.UnknownCondition where there is no such object. {_GUARDED}",
        takes=(Argument("condition", "o"), Argument("options", "a{sv}")),
        guarded=True,
    ),
    Method(
        "SetCollectorEnabled",
        "Observe a family, or leave it out, until the configuration is read again: it is then unavailable, with the "
        "problem `disabled`. It answers when that is in force. "
        f"Fails with Error.UnknownCollector where there is no such family. {_GUARDED}",
        takes=(Argument("family", "s"), Argument("enabled", "b")),
        guarded=True,
    ),
    Method(
        "Reload",
        "Read the configuration again and act by it, as `systemctl reload healthd` does; it answers when the new one "
        "is in force. Fails with Error.ReloadFailed, whose text are all faults, a line each, where it can't be used; "
        f"the one in force then stays. {_GUARDED}",
        guarded=True,
    ),
    Method(
        "ListPublishers",
        "Every way by which what is known gets outside, by its name (bus, console, …): available (whether it works "
        "now), problem, reason and remedy where it does not, and lost: how many of its own pieces (signalled cycles, "
        "lines) nobody took since start.",
        gives=(Argument("publishers", "a{sa{sv}}"),),
    ),
)

SIGNALS = (
    Signal(
        "Transition",
        "A condition came, became better or worse, or is over (to is ok): its name (rule, or rule@instance), its "
        "severity before and now, and as details instance, summary, metric, value, threshold and remedy. Told after "
        "the changes of properties that come with it.",
        gives=(
            Argument("condition", "s"),
            Argument("from", "s"),
            Argument("to", "s"),
            Argument("details", "a{sv}"),
        ),
    ),
    Signal(
        "Event",
        "Something happened that is no sample: an instance came or went, a collector failed or recovered, healthd "
        "started, stopped or missed a while. Told after the changes of properties that came with it: its name, when it "
        "was (µs since 1970 UTC) and the whole event as one line of JSON, the same that GetEvents gives. What a "
        "family's values do is told by PropertiesChanged alone.",
        gives=(Argument("name", "s"), Argument("time_usec", "t"), Argument("json", "s")),
    ),
    Signal(
        "Sample",
        "What is watched, as it was observed and not as it was accepted, for the watcher alone: the first time at "
        "once, then at each multiple of the watch's interval since boot. Gives the number of the watch, when it was "
        "(µs since boot, suspended time included, and µs since 1970 UTC) and values by their addresses, unknown as "
        "for Read. What can't be observed is left out. A value may be older, where observing takes longer than the "
        "interval. Where the watcher or the bus was too slow, the value `lost` (t) is the number of samples that it "
        "was not told of.",
        gives=(
            Argument("watch", "u"),
            Argument("boot_usec", "t"),
            Argument("time_usec", "t"),
            Argument("values", "a{sv}"),
        ),
    ),
    Signal(
        "WatchClosed",
        "A watch is over, for the watcher alone: its number and why: slow (the watcher took nothing for a minute; it "
        "may watch again, and is sent as much once more before it answers), stopping (healthd ends), or failed (it "
        "can't be observed, or the bus does not tell when the watcher leaves).",
        gives=(Argument("watch", "u"), Argument("reason", "s")),
    ),
)

_CONSTANT = ("version", "api_level", "features", "min_watch_interval_usec")
INTERFACE = of_table(Manager, methods=METHODS, signals=SIGNALS, constant=_CONSTANT)
