# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The client of a plugin, from the options of doc_fragments/lxd.py (PLUGIN)."""

from __future__ import annotations

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient

if t.TYPE_CHECKING:
    from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions

Option = t.Callable[[str], t.Any]


def client(option: Option, url: str | None, timeout: float, project: str | None = None) -> LXDClient:
    """option: the plugin's get_option."""
    return LXDClient(
        url,
        project=project,
        client_cert=option("client_cert"),
        client_key=option("client_key"),
        server_cert=option("server_cert"),
        ssh=_ssh(option) if url and url.startswith("ssh://") else None,
        timeout=timeout,
    )


def _ssh(option: Option) -> SSHOptions:
    # Here, for it is much to load for those who go another way.
    from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions

    return SSHOptions.of(
        # In the order of ansible.builtin.ssh: ssh goes by the first value that it is given.
        option("ssh_args"),
        option("ssh_common_args"),
        option("ssh_extra_args"),
        user=option("ssh_user"),
        port=option("ssh_port"),
        private_key_file=option("private_key_file"),
        executable=option("ssh_executable"),
        host_key_checking=option("host_key_checking"),
        control_dir=option("control_path_dir"),
    )


def is_pem(value: t.Any) -> bool:
    """PEM text, and not the path of a file."""
    return "-----BEGIN" in str(value or "")
