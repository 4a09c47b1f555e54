#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_certificate_info
short_description: Read the trust store of an LXD server
version_added: 0.1.0
description:
  - Gives the certificates that the server trusts, those of the members of its cluster among them, and the tokens that can
    still be used, without what makes them secret.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only those of this name. That there is none is no error.
    type: str
seealso:
  - module: bcm.datacenter.lxd_certificate
"""

EXAMPLES = r"""
- name: Read whom the server trusts
  bcm.datacenter.lxd_certificate_info:
  register: result

- name: Show who may do everything
  ansible.builtin.debug:
    msg: "{{ result.certificates | rejectattr('restricted') | map(attribute='name') }}"
"""

RETURN = r"""
certificates:
  description: What there is, one item each, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: alice, type: client, restricted: false, projects: [], fingerprint: 57bb0ff4340b}]
tokens:
  description: The tokens that can still be used.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name under which a client will be trusted.
      type: str
    expires_at:
      description: Until when. V(null) if there is no end.
      type: str
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_certificate as trust
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def run(lxd: LXDModule) -> dict[str, t.Any]:
    name = lxd.params["name"]
    made = [operation["metadata"] for operation in tokens.trust_tokens(lxd.client, name)]
    return {
        "changed": False,
        "certificates": [item for item in trust.listed(lxd.client) if name in (None, item["name"])],
        "tokens": sorted(
            ({"name": fields["request"]["name"], "expires_at": fields.get("expiresAt")} for fields in made),
            key=lambda item: item["name"],
        ),
    }


def main() -> None:
    LXDModule({"name": {"type": "str"}}).run(run)


if __name__ == "__main__":
    main()
