# shellcheck shell=bash
# Installing from the distribution, for the scripts beside this one: `. scripts/apt.sh`.

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command quietly; shows the end of its output only if it fails.
quietly() {
    local output
    output=$("$@" 2>&1) && return 0
    printf 'failed: %s\n' "$*" >&2
    printf '%s\n' "$output" | tail -n 5 | sed 's/^/  /' >&2
    return 1
}

# Mirrors fail now and then: three times, with a longer pause each.
persistently() {
    local pause
    for pause in 5 20 0; do
        "$@" && return 0
        [ "$pause" = 0 ] || sleep "$pause"
    done
    return 1
}

# Ends with 1 where that is not ours to do: no root, or no apt.
apt_updated=
apt_install() {
    [ "$(id -u)" = 0 ] && have apt-get || return 1
    export DEBIAN_FRONTEND=noninteractive
    if [ -z "$apt_updated" ]; then
        persistently quietly apt-get update -q
        apt_updated=yes
    fi
    # Services of packages must not start: what is needed is started by whoever needs it.
    local policy=/usr/sbin/policy-rc.d ours='' result=0
    if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' 2>/dev/null >"$policy"; then
        chmod +x "$policy"
        ours=yes
    fi
    persistently quietly apt-get install -q -y --no-install-recommends "$@" || result=1
    [ -z "$ours" ] || rm -f "$policy"
    return $result
}
