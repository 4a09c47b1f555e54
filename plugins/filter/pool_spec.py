# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the storage pool of a declaration to LXD's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: pool_spec
short_description: LXD storage pool for the pool of a site
version_added: 0.1.0
description:
  - Turns C(bcm_pool), as the P(bcm.datacenter.site#inventory) inventory gives it, into an item of the
    O(bcm.datacenter.lxd_fabric#module:pools) option.
  - What a pool is made of is each machine's own. In a cluster it is said member by member.
options:
  _input:
    description: The pool, with C(name), C(driver), C(source) and C(size).
    type: dict
    required: true
  endpoints:
    description: The machines that it is on. Several are a cluster.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts; C(bcm_pool_source) is read.
    type: dict
    required: true
  site:
    description: Name of the site that it belongs to.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: The pool of the site
  bcm.datacenter.lxd_fabric:
    project:
      name: "{{ bcm_project }}"
    pools: ["{{ bcm_pool | bcm.datacenter.pool_spec(groups['endpoints'], hostvars, bcm_site) }}"]
"""

RETURN = r"""
_value:
  description: The pool with C(name), C(driver), C(config), and C(source) and C(size), or C(members) with those of each.
  type: dict
"""


def part(pool: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what POOL is made of on the endpoint that has VARIABLES."""
    found = {"source": variables.get("bcm_pool_source") or pool.get("source"), "size": pool.get("size")}
    return {key: value for key, value in found.items() if value}


def pool_spec(
    pool: Mapping[str, Any], endpoints: list[str], hostvars: Mapping[str, Mapping[str, Any]], site: str
) -> dict[str, Any]:
    """Return LXD's form of POOL on ENDPOINTS."""
    parts = {endpoint: part(pool, hostvars[endpoint]) for endpoint in endpoints}
    spec = {"name": pool["name"], "driver": pool["driver"], "config": {"user.bcm.site": site}}
    return {**spec, "members": parts} if len(parts) > 1 else {**spec, **parts[endpoints[0]]}


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"pool_spec": pool_spec}
