#!/bin/sh
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Turns an instance of the base image, which cloud-init has set up, into the disk of a server: install.sh PACKAGE...
set -eu
export DEBIAN_FRONTEND=noninteractive
# cloud-init has written a short sudoers: the one of the package takes its place. Nobody misses the disk after a power cut.
apt-get -q update
apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-confnew -o Dpkg::Options::=--force-unsafe-io "$@"

# The installer is through: it leaves the user and the network, and does not come again.
touch /etc/cloud/cloud-init.disabled

# A server is a host of instances. The hardware below it gives it ten million numbers of users, and the range which packages
# choose for them lies outside of that.
echo root:1000000:1000000 | tee -a /etc/subuid >> /etc/subgid

# What must differ from server to server; systemd and sshd make it at the first boot, which is told by this word.
rm -f /etc/ssh/ssh_host_*
echo uninitialized > /etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/journal/* /var/log/apt /var/log/*.log
