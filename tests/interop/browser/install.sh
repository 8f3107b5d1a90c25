#!/bin/sh
# Installs the client that the tests' page is made of, as package-lock.json has it, into a folder
# outside of the work tree and prints the file. What is there already is not installed again.
#
#   install.sh          install what is missing
#   install.sh --path   only say where it is; fails where nothing is installed
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/telephony
mark=$(sha256sum <"$here/package-lock.json" | cut -c1-12)
folder=$cache/livekit-client-$mark
file=$folder/node_modules/livekit-client/dist/livekit-client.umd.js
log=$cache/livekit-client.log

if [ -s "$file" ]; then
    echo "$file"
    exit 0
fi
if [ "${1:-}" = --path ]; then
    echo "LiveKit's client for browsers is not installed: tests/interop/browser/install.sh does it" >&2
    [ ! -s "$log" ] || { echo "the last attempt said:" >&2 && tail -n 12 "$log" >&2; }
    exit 1
fi
mkdir -p "$cache"
part=$(mktemp -d "$cache/installing.XXXXXX")
trap 'rm -rf "$part"' EXIT
chmod 755 "$part"
cp "$here/package.json" "$here/package-lock.json" "$part"
# No package's own scripts: there is nothing to build.
if ! (cd "$part" && npm ci --ignore-scripts --no-audit --no-fund >"$log" 2>&1 </dev/null); then
    echo "LiveKit's client for browsers was not installed:" >&2
    tail -n 12 "$log" >&2
    exit 1
fi
# In one step, so that nobody sees half of it. Who installed the same meanwhile was faster.
mv -T "$part" "$folder" 2>/dev/null || [ -s "$file" ]
echo "$file"
