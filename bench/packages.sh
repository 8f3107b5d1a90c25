#!/bin/sh
# The peers that come from Debian, and a C compiler: installed where they may be, named where not.
# A peer that is missing is no failure: its place in the tables says so.
set -u
missing=
for pair in gcc:gcc baresip:baresip-core sipp:sip-tester rtpengine:rtpengine-daemon \
    pg_ctlcluster:postgresql; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # One at a time: what this Debian does not have must not keep back the others.
    for package in $missing; do
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 && continue
        apt-get update -qq >/dev/null 2>&1
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "cannot be installed here: $package" >&2
    done
    # The bench starts an rtpengine of its own; Debian's service would only be in the way.
    case "$missing" in *rtpengine*) systemctl disable --now rtpengine-daemon >/dev/null 2>&1 ;; esac
    exit 0
fi
echo "Without these Debian packages some peers are left out:$missing" >&2
echo "(as root: apt-get install$missing)" >&2
