#!/bin/sh
# Runs a command in a network of its own that has loopback and nothing else, where the
# system lets anybody make one. Elsewhere the command runs as it is, and that is said.
set -eu
up='ip link set lo up && exec "$@"'
if unshare -rn sh -c "$up" sh true 2>/dev/null; then
	exec unshare -rn sh -c "$up" sh "$@"
fi
echo "no network of its own can be had here (unshare, ip): it runs in that of the machine" >&2
exec "$@"
