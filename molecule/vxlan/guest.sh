#!/bin/sh
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# guest ADDRESS: somebody with this address on the server's bridge, in a network namespace, who answers broadcasts.
set -eu
[ -e /run/netns/guest ] && exit 0
ip netns add guest
mtu=$(cat /sys/class/net/inner0/mtu)
ip link add guest0 mtu "$mtu" type veth peer name eth0 mtu "$mtu" netns guest
ip link set guest0 master inner0 up
ip -n guest link set lo up
ip -n guest link set eth0 up
ip -n guest address add "$1/24" dev eth0
ip netns exec guest sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts'
