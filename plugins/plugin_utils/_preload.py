# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""What an inventory plugin loads beforehand for the tasks on its hosts.

Ansible forks a process for each task on each host. Of a collection's plugins Python keeps no bytecode: a process that
loads one compiles it, and parses its documentation for its options. Inventories are read by the process that forks, and
what that one has loaded all others inherit. Nothing works differently without it, only slower: in the worker of
a task the connection lxd takes 25 to 45 ms to load, and the filters of this collection about 90 ms where one is used.
"""

from __future__ import annotations

import importlib

from ansible.plugins.loader import connection_loader, filter_loader, test_loader

# What the connection lxd loads only where it goes through ssh.
_THROUGH_SSH = ("module_utils._lxd_ssh", "plugin_utils._lxd_relay")


def preload_connection(name: str) -> None:
    """Load the connection plugin of that name (fully qualified)."""
    connection_loader.get(name, class_only=True)


def preload_way(url: str | None) -> None:
    """Load what leads to LXD at URL."""
    if url and url.startswith("ssh://"):
        for name in _THROUGH_SSH:
            importlib.import_module(f"ansible_collections.bcm.datacenter.plugins.{name}")


def preload_filters(name: str) -> None:
    """Load Ansible's own filters and tests, and of a collection all filters: a fully qualified one stands for them."""
    for loader in (filter_loader, test_loader):
        for _plugin in loader.all():
            pass
    filter_loader.get(name)
