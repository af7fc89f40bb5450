#!/bin/sh
# Push what becomes of the machine's health to a phone, by ntfy (https://ntfy.sh, or a server of your own).
#
#   NTFY_URL=https://ntfy.sh/a-name-nobody-guesses healthctl notify --exec ./ntfy_health.sh
#
# As a service: health-notify.service beside this. Whoever knows the name of the topic can read it.

case $HEALTHD_TO in
    critical) priority=urgent tags=rotating_light ;;
    warning) priority=high tags=warning ;;
    ok) priority=low tags=white_check_mark ;;
    *) priority=default tags=grey_question ;;
esac

text=$HEALTHD_CONDITION
[ "$HEALTHD_TO" = ok ] || text="$HEALTHD_SUMMARY $HEALTHD_REMEDY"
[ "$HEALTHD_LEFT_OUT" = 0 ] || text="$text ($HEALTHD_LEFT_OUT more: healthctl log)"

exec curl --silent --show-error --fail --max-time 20 --output /dev/null \
    --header "Title: $HEALTHD_HOST: $HEALTHD_CONDITION is $HEALTHD_TO" \
    --header "Priority: $priority" --header "Tags: $tags" \
    --data-raw "$text" "${NTFY_URL:?is not set: the address of a topic, like https://ntfy.sh/a-name-nobody-guesses}"
