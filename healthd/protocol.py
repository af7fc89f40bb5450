"""The public contract as constants: what clients of healthd may rely on.

This module imports nothing, so that `healthctl` can share it without loading the daemon.
"""

VERSION = "0.1.0"
API_LEVEL = 1
# Version of the events' form; within one, keys are only ever added.
SCHEMA_VERSION = 1

BUS_NAME = "org.healthd.Health1"
ROOT = "/org/healthd/Health1"
INTERFACE = "org.healthd.Health1"
MANAGER = INTERFACE + ".Manager"
READING = INTERFACE + ".Reading"
CONDITION = INTERFACE + ".Condition"

# Time from sample to sample where nobody says another, seconds.
INTERVAL = 5.0

# Where the configuration of the system is.
CONFIGURATION = "/etc/healthd"

# How a client names the daemon's bus; `--bus` wins over it.
BUS_VARIABLE = "HEALTHD_BUS"

# The polkit action that guards what changes something.
MANAGE = "org.healthd.health1.manage"

# Names of errors on the bus. The text beside one is for developers.
ERROR = INTERFACE + ".Error"
UNKNOWN_METRIC = ERROR + ".UnknownMetric"
NOT_AVAILABLE = ERROR + ".NotAvailable"
UNKNOWN_CONDITION = ERROR + ".UnknownCondition"
UNKNOWN_COLLECTOR = ERROR + ".UnknownCollector"
RELOAD_FAILED = ERROR + ".ReloadFailed"
TOO_MANY_WATCHES = ERROR + ".TooManyWatches"
UNKNOWN_WATCH = ERROR + ".UnknownWatch"

# Optional parts of the API, as the property Features names them.
WATCHES = "watches"
# The smallest interval of a watch, seconds; all are multiples of it.
MIN_WATCH_INTERVAL = 0.25
# Why healthd ends a watch, beside FAILED.
WATCHER_SLOW = "slow"
STOPPING = "stopping"

# Why something could not be observed; "" is the absence of a problem.
PERMISSION = "permission"
VANISHED = "vanished"
UNMOUNTED = "unmounted"
TIMEOUT = "timeout"
UNSUPPORTED = "unsupported"
DISABLED = "disabled"
MALFORMED = "malformed"
FAILED = "failed"

# It is so by the machine, or because somebody wants it: nothing failed.
NO_FAULTS = (UNSUPPORTED, DISABLED)

# Names of events that are not a family's `….updated`.
INSTANCE_ADDED = "instance.added"
INSTANCE_REMOVED = "instance.removed"
COLLECTOR_FAILED = "collector.failed"
COLLECTOR_RECOVERED = "collector.recovered"
COLLECTOR_ENABLED = "collector.enabled"
COLLECTOR_DISABLED = "collector.disabled"
CONFIG_LOADED = "config.loaded"
CONFIG_REFUSED = "config.refused"
RUNTIME_STARTED = "runtime.started"
RUNTIME_STOPPED = "runtime.stopped"
RUNTIME_GAP = "runtime.gap"
HEALTH_TRANSITION = "health.transition"
HEALTH_ACKNOWLEDGED = "health.acknowledged"
HEALTH_WITNESSED = "health.witnessed"
# What happens after a sample and before the next.
BETWEEN_SAMPLES = (RUNTIME_STOPPED, HEALTH_ACKNOWLEDGED, HEALTH_WITNESSED, CONFIG_REFUSED)
# In recordings alone: what opens a segment, and the rows of one minute that a closed one begins with.
SNAPSHOT = "snapshot"
HISTORY = "history"

# Why there is a gap between two samples.
SUSPEND = "suspend"
CLOCK = "clock"
OVERRUN = "overrun"

# Severity of a condition and of the host.
OK = "ok"
NOTICE = "notice"
WARNING = "warning"
CRITICAL = "critical"
UNKNOWN = "unknown"

# Exit codes of `healthd` and `healthctl`; `healthctl status` gives 0 to 3 by severity.
EXIT_OK = 0
EXIT_WARNING = 1
EXIT_CRITICAL = 2
EXIT_UNKNOWN = 3
EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_NO_INPUT = 66
EXIT_UNAVAILABLE = 69
EXIT_SOFTWARE = 70
EXIT_IO_ERROR = 74
EXIT_TAKEN = 75
EXIT_NOT_ALLOWED = 77
EXIT_CONFIG = 78
