#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster_member_info
short_description: Read the members of an LXD cluster
version_added: 0.1.0
description:
  - Gives the members of the cluster that a server is in, and the tokens for servers that are to join, without what makes them
    secret. Of a server that is in no cluster there are none.
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
  - module: bcm.datacenter.lxd_cluster_member
  - module: bcm.datacenter.lxd_cluster_info
"""

EXAMPLES = r"""
- name: Read the members
  bcm.datacenter.lxd_cluster_member_info:
  register: result

- name: Show those that do not answer
  ansible.builtin.debug:
    msg: "{{ result.members | selectattr('status', 'equalto', 'Offline') | map(attribute='server_name') }}"
"""

RETURN = r"""
members:
  description: What there is, one item each, as LXD describes it, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{server_name: rack-1, url: 'https://203.0.113.11:8443', status: Online, roles: [database], groups: [default]}]
tokens:
  description: The tokens that can still be used.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name under which a server can join.
      type: str
    expires_at:
      description: Until when. V(null) if there is no end.
      type: str
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def run(lxd: LXDModule) -> dict[str, t.Any]:
    name = lxd.params["name"]
    made = [operation["metadata"] for operation in tokens.join_tokens(lxd.client, name)]
    return {
        "changed": False,
        "members": [item for item in clusters.members_of(lxd.client) if name in (None, item["server_name"])],
        "tokens": sorted(
            ({"name": fields["serverName"], "expires_at": fields.get("expiresAt")} for fields in made),
            key=lambda item: item["name"],
        ),
    }


def main() -> None:
    LXDModule({"name": {"type": "str"}}).run(run)


if __name__ == "__main__":
    main()
