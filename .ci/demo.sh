#!/bin/sh
# The main job of dist on content that every machine with Go has: the tree of
# GOROOT becomes an image of two layers, is served by one store and pulled into
# another over HTTP. Everything happens in a temporary folder, which is removed.
set -eu

cd "$(dirname "$0")/.."
dist_binary=$(pwd)/${1:-bin/dist}
goroot=$("${GO:-go}" env GOROOT)
server=
work=$(mktemp -d "${TMPDIR:-/tmp}/dist-demo.XXXXXX")

clean_up() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || :
		wait "$server" 2>/dev/null || :
	fi
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# Nothing of this user's settings takes part.
unset DIST_STORE DIST_FORMAT DIST_PROGRESS DIST_JOBS DIST_PLATFORM SOURCE_DATE_EPOCH || :

step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; }
dist() { show "dist $*"; "$dist_binary" "$@"; }

cd "$work"

# One folder for each layer: links, which pack follows.
mkdir sources rest
for entry in "$goroot"/*; do
	[ -e "$entry" ] || continue
	case ${entry##*/} in
	src) ln -s "$entry" sources/src ;;
	*) ln -s "$entry" rest/ ;;
	esac
done

step "This is $("$dist_binary" version). Two stores: one to serve from, one to pull into."
dist init --store publisher
dist init --store reader

step "Pack the Go tree of this machine ($goroot) as an image of two layers."
dist pack --store publisher --follow-links --prefix /usr/local/go --compress zstd demo/go:v1 rest sources
dist images --store publisher

step "Look into it."
dist inspect --store publisher demo/go:v1

step "Serve the store on a free port of this machine."
show "dist serve --store publisher --addr 127.0.0.1:0 &"
"$dist_binary" serve --store publisher --addr 127.0.0.1:0 >address 2>serve.log &
server=$!
tries=0
until [ -s address ]; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
		cat serve.log >&2
		echo "dist serve did not start" >&2
		exit 1
	fi
	sleep 0.1 2>/dev/null || sleep 1
done
head -n 1 address
registry=$(sed -n '1s,^[a-z]*://,,p' address)

step "Pull the image from there into the other store."
dist pull --store reader "$registry/demo/go:v1"

step "Pull it again: everything is here, so nothing moves."
dist pull --store reader "$registry/demo/go:v1"

step "What the second store holds now."
dist images --store reader
dist list --store reader

step "Get the largest blob out of both stores and compare."
layer=$("$dist_binary" list --store reader --format 'go-template={{.size}} {{.digest}}' | sort -rn | sed -n '1s/^[0-9]* //p')
dist get --store publisher -o published.blob "$layer"
dist get --store reader -o pulled.blob "$layer"
show "cmp published.blob pulled.blob"
cmp published.blob pulled.blob
size=$(wc -c <pulled.blob)
echo "the same $((size)) bytes in both, and they hash to $layer"

step "Done. The temporary stores are removed."
