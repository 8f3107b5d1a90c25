#!/bin/sh
# The tests drive real SIP gear, a real PostgreSQL, a real LiveKit and a real browser: one that is
# missing is a failure, not a skip.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing=
for pair in sipp:sip-tester baresip:baresip-core chromium:chromium npm:npm; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Debian keeps the server's own tools out of the path.
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing Debian packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
    else
        echo "The tests need these Debian packages:$missing" >&2
        echo "Install them (as root: apt-get install$missing) and run this again." >&2
        exit 1
    fi
fi
# What cannot be had fails its own tests, which say why; all the others still tell what they know.
# The server takes minutes of a processor the first time, the others wait for the network.
{ sh "$here/../deploy/livekit/build.sh" >/dev/null || echo "The tests with LiveKit will fail." >&2; } &
make -s -C "$here/.." agents || echo "The tests with the example worker will fail." >&2
sh "$here/interop/browser/install.sh" >/dev/null || echo "The tests with a browser will fail." >&2
wait
