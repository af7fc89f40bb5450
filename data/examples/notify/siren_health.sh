#!/bin/sh
# A siren at a GPIO of a Raspberry Pi: on while anything is critical, off when nothing is any more.
#
#   PIN=17 healthctl notify --min-severity critical --at-most 60/min --exec ./siren_health.sh
#
# The pins are for the group gpio; as a service: health-notify.service beside this, with SupplementaryGroups=gpio, and,
# as a pin stays as it was set, ExecStopPost=pinctrl set 17 op dl. pinctrl is in Raspberry Pi OS (raspi-utils). A siren
# takes more than a pin gives: put a transistor or a relay between.

case $HEALTHD_WORST in
    critical) level=dh ;;
    *) level=dl ;;
esac
exec pinctrl set "${PIN:-17}" op "$level"
