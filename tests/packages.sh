#!/bin/sh
# The tests drive real SIP gear and a real PostgreSQL: one that is missing is a failure, not a skip.
set -eu
missing=
for pair in sipp:sip-tester baresip:baresip-core; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Debian keeps the server's own tools out of the path.
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
    exit 0
fi
echo "The tests need these Debian packages:$missing" >&2
echo "Install them (as root: apt-get install$missing) and run this again." >&2
exit 1
