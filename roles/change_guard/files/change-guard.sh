#!/bin/sh
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Keeps files as they are before a change that may lock out whoever makes it, and puts them back unless the change is
# confirmed in time. One change at a time. It is sh, because it has to work when nobody can come in to mend it.
#
#   arm SECONDS REASON PATH...   keeps the paths; commands for after a restoration come by standard input. Prints an identifier.
#   still ID                     whether it would be put back yet; where it was already, what was written since goes too
#   disarm ID                    forgets them: the change is good
#   restore [boot]               what the timer runs, and the start of the machine
#   state [ID]                   one line: idle, armed, restoring, restored
#
# Whoever renames the directory "armed" decides what becomes of the change; two cannot.
set -u
base=/var/lib/bcm/change-guard
unit=bcm-change-guard
self=$(readlink -f "$0")

say() { printf '%s\n' "$*"; }
die() {
    status=$1
    shift
    say "$*" >&2
    exit "$status"
}

read_one() { cat "$1" 2>/dev/null; }

keep() {
    number=0
    : >"$1/paths"
    while [ $# -gt 1 ]; do
        number=$((number + 1))
        printf '%s\n' "$2" >>"$1/paths" || return 1
        if [ -e "$2" ] || [ -L "$2" ]; then
            cp -a -T "$2" "$1/$number" || return 1
        fi
        place=$1
        shift 2
        set -- "$place" "$@"
    done
}

arm() {
    seconds=$1 reason=$2
    shift 2
    if ! { mkdir -p "$base" && chmod 0700 "$base"; }; then
        die 1 "$base cannot be made."
    fi
    new=$base/new.$$
    rm -rf "$new"
    mkdir "$new" || die 1 "$new cannot be made."
    cat >"$new/commands"
    id=$(cat /proc/sys/kernel/random/uuid)
    say "$id" >"$new/id"
    say "$reason" >"$new/reason"
    say $(($(date +%s) + seconds)) >"$new/until"
    if ! keep "$new" "$@"; then
        rm -rf "$new"
        die 1 "Not all of the files can be kept."
    fi
    # What is kept has to outlive a power cut.
    sync -f "$new"
    # The timer first: between the two there may be a timer with nothing to do, and never a change without a timer.
    if ! words=$(systemd-run --quiet --collect --unit="$unit" --description="Restores what was there before: $reason" \
        --on-active="$seconds" --timer-property=AccuracySec=100ms "$self" restore 2>&1); then
        rm -rf "$new"
        [ -d "$base/armed" ] && die 4 "$(state)"
        die 1 "systemd takes no timer: $words"
    fi
    if ! mv -T "$new" "$base/armed" 2>/dev/null; then
        rm -rf "$new"
        die 4 "$(state)"
    fi
    forget
    say "$id"
}

# What a restoration leaves for "still". The list first: without its copies it would be one of files to remove.
forget() {
    rm -f "$base/restored/paths"
    find "$base/restored" -mindepth 1 -maxdepth 1 -name '[0-9]*' -exec rm -rf {} + 2>/dev/null
}

still() {
    if [ "$(read_one "$base/armed/id")" = "$1" ]; then
        state "$1"
        exit 0
    fi
    # Whoever asks has written after the files were put back, or may have.
    if [ "$(read_one "$base/restored/id")" = "$1" ] && [ -e "$base/restored/paths" ] &&
        mv -T "$base/restored" "$base/restoring" 2>/dev/null; then
        take_back
        forget
    fi
    state "$1"
    exit 3
}

disarm() {
    if ! { [ "$(read_one "$base/armed/id")" = "$1" ] && mv -T "$base/armed" "$base/done.$$" 2>/dev/null; }; then
        [ "$(read_one "$base/restored/id")" = "$1" ] && forget
        state "$1"
        exit 3
    fi
    systemctl stop "$unit.timer" 2>/dev/null
    rm -rf "$base/done.$$" "$base/restored"
    say confirmed
}

put_back() {
    failed=$base/restoring/failed
    : >"$failed"
    number=0
    while IFS= read -r path; do
        number=$((number + 1))
        kept=$base/restoring/$number
        if [ -e "$kept" ] || [ -L "$kept" ]; then
            mkdir -p "$(dirname "$path")" &&
                rm -rf "$path.bcm-guard" &&
                cp -a -T "$kept" "$path.bcm-guard" &&
                if [ -d "$path" ] && [ ! -L "$path" ]; then rm -rf "$path"; fi &&
                mv -T "$path.bcm-guard" "$path"
        else
            rm -rf "$path"
        fi || say "$path" >>"$failed"
    done <"$base/restoring/paths"
    sync
}

restore() {
    if ! mv -T "$base/armed" "$base/restoring" 2>/dev/null; then
        # One that was cut short is begun again, which does no harm.
        [ -d "$base/restoring" ] || exit 0
    fi
    take_back "$@"
}

take_back() {
    put_back
    if [ "${1-}" = boot ]; then
        # Nothing has been started yet; what the commands are about has to run first.
        systemd-run --quiet --no-block --collect --unit="$unit-commands" --property=After=multi-user.target \
            sh "$base/restored/commands"
    else
        sh "$base/restoring/commands" || say "a command that should follow" >>"$base/restoring/failed"
    fi
    date +%s >"$base/restoring/when"
    rm -rf "$base/restored"
    mv -T "$base/restoring" "$base/restored"
    logger -t "$unit" "restored what was there before: $(read_one "$base/restored/reason")" 2>/dev/null
    return 0
}

state() {
    for name in armed restoring restored; do
        place=$base/$name
        if [ -d "$place" ] && { [ -z "${1-}" ] || [ "$(read_one "$place/id")" = "$1" ]; }; then
            # Nobody waits for what is over, unless it is asked for.
            [ "$name" = restored ] && [ -z "${1-}" ] && continue
            say "$name: $(read_one "$place/reason") (until $(date -u -d "@$(read_one "$place/until")" +%H:%M:%S) UTC)$(
                [ -s "$place/failed" ] && printf ', but not %s' "$(tr '\n' ' ' <"$place/failed")"
            )"
            return
        fi
    done
    say idle
}

command=${1-}
[ $# -gt 0 ] && shift
case $command in
arm | still | disarm | restore | state) "$command" "$@" ;;
*) die 2 "usage: $0 arm SECONDS REASON PATH... | still ID | disarm ID | restore [boot] | state [ID]" ;;
esac
