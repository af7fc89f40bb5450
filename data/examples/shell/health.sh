#!/bin/sh
# healthd from a shell, without healthctl: each of these is one line to copy.
#
#   ./health.sh status                 the verdict and its reasons
#   ./health.sh get memory.percent     one value; `healthctl metrics` shows all names
#   ./health.sh all                    everything, as one JSON object
#   ./health.sh follow                 verdict, transitions and events as they happen (gdbus, of libglib2.0-bin)
#   ./health.sh signals                every signal, those of all values too (busctl; on the system bus as root)
#
# A line of a crontab that has cron send mail while the machine is not well; healthctl check prints one line, and exits
# with 0 only if all is well:
#
#   */10 * * * * told=$(healthctl check) || echo "$told"
#
# HEALTHD_BUS chooses the bus: system (which is the default), session, or an address like unix:path=/run/bus.
set -eu

case ${HEALTHD_BUS:-system} in
    system) busctl=--system gdbus=--system ;;
    session) busctl=--user gdbus=--session ;;
    *) busctl=--address=$HEALTHD_BUS gdbus=--address=$HEALTHD_BUS ;;
esac

name=org.healthd.Health1
root=/org/healthd/Health1
manager=org.healthd.Health1.Manager

case ${1:-status} in
    status)
        busctl "$busctl" get-property $name $root $manager Health Reasons
        ;;
    get)
        # Unknown is nan, 18446744073709551615, "" or -1; never 0.
        busctl "$busctl" call $name $root $manager Read as 1 "${2:?which metric? for example: $0 get memory.percent}"
        ;;
    all)
        # Gives {"type":"s","data":["…"]}: the object is the text in there, which jq -r '.data[0]' takes out.
        busctl "$busctl" --json=short call $name $root $manager Describe
        ;;
    follow)
        exec gdbus monitor "$gdbus" --dest $name --object-path $root
        ;;
    signals)
        exec busctl "$busctl" monitor --match="type='signal',sender='$name'"
        ;;
    *)
        echo "usage: $0 status | get METRIC | all | follow | signals" >&2
        exit 64
        ;;
esac
