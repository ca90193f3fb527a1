#!/bin/sh
# Runs before dpkg and rpm unpack the package, some of whose files belong to the group.
set -e
if ! getent group vernegate >/dev/null; then
	groupadd --system vernegate
fi
if ! getent passwd vernegate >/dev/null; then
	useradd --system --gid vernegate --no-create-home --home-dir /nonexistent \
		--shell /usr/sbin/nologin --comment vernegate vernegate
fi
