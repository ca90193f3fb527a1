#!/bin/sh
# Runs after the package was removed or upgraded. The user stays, as a number that is given to
# somebody else later would hand over the files that are left of it.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/vernegate
	# Certificates and settings that others have put there are not the package's.
	for folder in /etc/vernegate/tls /etc/vernegate; do
		if [ -d "$folder" ]; then
			rmdir --ignore-fail-on-non-empty "$folder"
		fi
	done
fi
