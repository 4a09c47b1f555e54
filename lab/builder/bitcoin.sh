#!/bin/bash
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs in the builder. Packs Bitcoin Knots as its makers do: bitcoin-VERSION/bin and /lib in one tarball.
# Debian's programs are linked to libraries that a plain base image lacks, so these come along, found from where the
# program lies. The C library stays the base image's own.
set -euo pipefail
out=$1
export DEBIAN_FRONTEND=noninteractive
suite() { printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\nCheck-Valid-Until: no\n' "$1" "$2"; }
mirror=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -n 1)
# Only Debian sid has it; nothing else is taken from there. Its lists may be older than they are valid.
suite "$mirror" /usr/share/keyrings/debian-archive-keyring.gpg > /etc/apt/sources.list.d/sid.sources
printf 'Package: *\nPin: release n=sid\nPin-Priority: 100\n' > /etc/apt/preferences.d/sid
apt-get -q update
apt-get -q install -y --no-install-recommends patchelf bitcoin-knots
version=$(dpkg-query -W -f '${Version}' bitcoin-knots | sed 's/^[0-9]*://; s/-[^-]*$//; s/+.*$//')
triplet=$(uname -m)-linux-gnu
root=/tmp/build/bitcoin-$version
rm -rf /tmp/build
mkdir -p "$root/bin" "$root/lib"
dpkg -L bitcoin-knots | while read -r file; do
    case $file in
        /usr/bin/bitcoin*) install -m 0755 "$file" "$root/bin/" ;;
        /usr/share/doc/bitcoin-knots/copyright) install -m 0644 "$file" "$root/COPYING" ;;
    esac
done
ldd "$root"/bin/* | awk '/=> \//{print $3}' | sort -u | while read -r library; do
    case ${library##*/} in
        libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.* | ld-linux*) ;;
        *) install -m 0644 "$library" "$root/lib/" ;;
    esac
done
# $ORIGIN is for the loader, not for the shell.
# shellcheck disable=SC2016
patchelf --set-rpath '$ORIGIN/../lib' "$root"/bin/*
# shellcheck disable=SC2016
patchelf --set-rpath '$ORIGIN' "$root"/lib/*
"$root/bin/bitcoind" -version > /dev/null
mkdir -p "$out"
tar -C /tmp/build --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf - "bitcoin-$version" |
    gzip -n -3 > "$out/bitcoin-$version-$triplet.tar.gz"
printf '%s\n' "$version" > "$out/version"
