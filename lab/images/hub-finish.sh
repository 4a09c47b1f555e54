#!/bin/sh
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The last hand on the root directory of the Hub's Debian.
set -eu
root=$1
chroot "$root" dpkg --purge busybox-static
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/0000* "$root/etc/hostname" "$root/etc/resolv.conf"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt
