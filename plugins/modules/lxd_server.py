#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_server
short_description: Look after the configuration of an LXD server
version_added: 0.1.0
description:
  - Sets and removes keys of a server's configuration. Those that are not mentioned stay as they are.
  - In a cluster most keys belong to the whole of it; whichever member is asked changes them for all. A few, such as
    C(core.https_address), belong to one member. It is the one that is asked, unless O(target) names another one.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Secrets are told as set or not set.
  idempotent:
    support: partial
    details:
      - Not with O(update_secrets=always).
options:
  config:
    description:
      - Keys and values of the configuration, in LXD's own words. V(null) removes a key, which then has its default.
      - A value that is the key's default is the same as a key that is not set, as LXD shows neither.
      - Keys that are secrets by their name, such as C(core.trust_password), are refused here. They go into O(secrets).
    type: dict
  secrets:
    description:
      - Keys and values that are kept out of logs, results and diffs, such as C(core.trust_password), C(loki.auth.password),
        C(maas.api.key), or a C(core.proxy_https) that carries a password. V(null) removes a key.
      - LXD, unlike Incus, says of C(core.trust_password) and C(loki.auth.password) only whether they are set. See O(update_secrets).
        All others are compared like any value.
    type: dict
  update_secrets:
    description:
      - What is done about a secret that is set and that LXD does not show, so that it cannot be compared.
      - V(on_create) leaves it as it is. V(always) writes it each time, which is a change each time.
    type: str
    choices: [on_create, always]
    default: on_create
  target:
    description: The member of the cluster whose own keys are meant. By default the one that is asked.
    type: str
seealso:
  - module: bcm.datacenter.lxd_server_info
  - module: bcm.datacenter.lxd_cluster
"""

EXAMPLES = r"""
- name: Listen on the network, and look for new images each day
  bcm.datacenter.lxd_server:
    config:
      core.https_address: "[::]:8443"
      images.auto_update_interval: 24

- name: Stop the metrics of another member
  bcm.datacenter.lxd_server:
    target: rack-2
    config:
      core.metrics_address: null

- name: Logs go to Loki
  bcm.datacenter.lxd_server:
    config:
      loki.api.url: https://loki.example.com:3100
      loki.auth.username: lxd
    secrets:
      loki.auth.password: "{{ loki_password }}"
"""

RETURN = r"""
config:
  description: The configuration that the server has now, or would have, without secrets.
  returned: success
  type: dict
  sample: {core.https_address: '[::]:8443'}
changes:
  description: The keys that were changed, or would be.
  returned: success
  type: list
  elements: str
  sample: [core.https_address]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_server as server
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError


def run(lxd: LXDModule) -> dict[str, t.Any]:
    params, target = lxd.params, lxd.params["target"]
    secrets = params["secrets"] or {}

    def compute(actual: t.Mapping[str, t.Any]) -> server.Plan:
        return server.plan(params["config"], secrets, actual, always=params["update_secrets"] == "always")

    # What is wrong by itself is said without asking anybody.
    errors = compute({}).errors
    if not errors and target and not (lxd.client.server().get("environment") or {}).get("server_clustered"):
        errors = [f"target: the server is in no cluster, so that there is no member {target!r}"]
    if errors:
        raise PlanError(errors)
    if lxd.check_mode:
        planned = compute(server.read(lxd.client, target))
        after = planned.after
    else:
        planned = server.write(lxd.client, target, compute)
        after = server.read_again(lxd.client, target, planned, secrets) if planned.changes else planned.before
    # Of a secret the configuration tells nothing; of all else it tells whether the change was one.
    anew = any(key in secrets for key in planned.changes)
    changed = bool(planned.changes) and (anew or after != planned.before)
    diff = resource.diff({"config": planned.before}, {"config": planned.after}, f"server {target or ''}".strip())
    return {"changed": changed, "changes": sorted(planned.changes), "config": after, "diff": diff}


def main() -> None:
    LXDModule(
        {
            "config": {"type": "dict"},
            "secrets": {"type": "dict", "no_log": True},
            "update_secrets": {
                "type": "str",
                "choices": ["on_create", "always"],
                "default": "on_create",
                "no_log": False,
            },
            "target": {"type": "str"},
        },
        required_one_of=[("config", "secrets")],
    ).run(run)


if __name__ == "__main__":
    main()
