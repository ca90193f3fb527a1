#!/bin/sh
# Runs when the package has been installed or upgraded. dpkg says "configure" and the version
# before, rpm how many versions there are now. Nothing is started that did not run: there is
# something to be set first.
set -e
case $1 in
configure) upgraded=$2 ;;
1) upgraded= ;;
2) upgraded=yes ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ -n "$upgraded" ]; then
		# One after the other, so that the others take the clients of the one that drains.
		systemctl list-units --plain --no-legend --state=active vernegate.service 'vernegate@*.service' |
			while read -r unit _; do
				systemctl try-restart "$unit" || echo "vernegate: $unit did not start again, see: systemctl status $unit" >&2
			done
	fi
fi
