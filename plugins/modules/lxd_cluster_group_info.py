#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster_group_info
short_description: Read the groups of members of an LXD cluster
version_added: 0.1.0
description:
  - Gives the groups of the cluster that a server is in. Of a server that is in no cluster there are none.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
seealso:
  - module: bcm.datacenter.lxd_cluster_group
"""

EXAMPLES = r"""
- name: Read the groups
  bcm.datacenter.lxd_cluster_group_info:
  register: result

- name: Show who is in them
  ansible.builtin.debug:
    msg: "{{ result.groups | items2dict(key_name='name', value_name='members') }}"
"""

RETURN = r"""
groups:
  description: What there is, one item each, as LXD describes it, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: default, description: Default cluster group, members: [rack-1, rack-2]}]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_module
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object


def read(client: LXDClient, params: t.Mapping[str, t.Any]) -> list[Object]:
    if not clusters.cluster_of(client).get("enabled"):
        return []
    groups = client.get("/1.0/cluster/groups", recursion=1) or []
    return [group for group in groups if params["name"] in (None, group["name"])]


def main() -> None:
    info_module("groups", read, project=False)


if __name__ == "__main__":
    main()
