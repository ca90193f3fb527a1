#!/bin/sh
# Runs before the package is removed or upgraded. dpkg says which, rpm how many versions will
# be left.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop vernegate.service 'vernegate@*.service' || true
fi
# What "systemctl enable" has made would lead nowhere.
rm -f /etc/systemd/system/*.wants/vernegate.service /etc/systemd/system/*.wants/vernegate@*.service
