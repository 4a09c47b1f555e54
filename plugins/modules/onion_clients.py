#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_clients
short_description: Who may find an onion of the site
version_added: 0.1.0
description:
  - Keeps the keys of an onion's clients in the site's store of secrets, beside the onion's own. So each operator has the same ones,
    they are copied as all secrets are, and a proxyhost that is made anew is given them again.
  - Keys are made on the controller. Private ones are in no result and no variable of a play;
    M(bcm.datacenter.onion_client_bundle) writes them into a client's bundle.
  - A key that was revoked never comes back. A name comes back only where O(readmit) says so.
  - What tor goes by changes with M(bcm.datacenter.onion_service), which takes RV(clients).
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - cryptography >= 2.0 on the controller
attributes:
  check_mode:
    support: full
    description: Says what would change. The keys that it names would be others.
  diff_mode:
    support: full
    description: Shows names and public keys.
  idempotent:
    support: partial
    description: A second run changes nothing, unless O(rotate) is set.
options:
  site:
    description: Name of the site.
    type: str
    required: true
  service:
    description: Name of the onion service.
    type: str
    required: true
  clients:
    description: Who may find it. Others stay, unless O(exclusive) is set.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: "Name of the client: letters, digits, - and _."
        type: str
        required: true
      public_key:
        description:
          - Public x25519 key in Base32, of a client who keeps the private one. Left out, a key is made.
          - Another one than before takes its place, and that one is revoked.
        type: str
  exclusive:
    description: Whether those who are not in O(clients) lose their access.
    type: bool
    default: false
  readmit:
    description: Whether a name that was revoked may be given a new key.
    type: bool
    default: false
  revoke:
    description: Names whose access is taken away. One that has none any more is no error, so that a run can be finished by another one.
    type: list
    elements: str
    default: []
  rotate:
    description: Names that get a new key in place of their old one.
    type: list
    elements: str
    default: []
  state:
    description: With V(read), what is there is returned, and nothing is changed.
    type: str
    choices: [present, read]
    default: present
notes:
  - The store is the one of M(bcm.datacenter.site_secret), with what the variable C(bcm_secrets) says of it. If it is a directory on one
    host, the task is delegated to that.
  - Where two people change the same onion's clients at the same time, one of them is told to do it again.
seealso:
  - module: bcm.datacenter.onion_service
  - module: bcm.datacenter.onion_client_bundle
  - module: bcm.datacenter.site_secret
"""

EXAMPLES = r"""
- name: Let Alice in
  bcm.datacenter.onion_clients:
    site: home
    service: lnd-app-1
    clients: [{name: alice}]
  delegate_to: "{{ groups['lxd_leader'] | first }}"
  register: clients

- name: Her telephone was stolen
  bcm.datacenter.onion_clients:
    site: home
    service: lnd-app-1
    revoke: [alice]
  delegate_to: "{{ groups['lxd_leader'] | first }}"
"""

RETURN = r"""
clients:
  description: Public keys in Base32 by the names of those who may find it.
  returned: success
  type: dict
  sample: {alice: N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ}
own_keys:
  description: The names of those who have made their keys themselves. There are no bundles for them.
  returned: success
  type: list
  elements: str
  sample: []
added:
  description: The names whose key is new.
  returned: success
  type: list
  elements: str
  sample: [alice]
lost:
  description: The names that have lost a key.
  returned: success
  type: list
  elements: str
  sample: []
root_keys:
  description:
    - By the names of those who may find it, the number of a root key of lnd's that no other key of a client has. A macaroon that is baked with it
      for a client can be revoked together with the key.
  returned: success
  type: dict
  sample: {alice: 2623535298741512192}
revoked:
  description: All keys that are never let in again, with their root keys, the names that had them, and whether these names were let in again.
  returned: success
  type: list
  elements: dict
  sample:
    - name: mallory
      public_key: DKWDGVZHN5UZ2YKBKT7MKQNVLVQNZRTKMGCXI5ENOBZNOBNGKMQA
      root_key: 2623535298741512193
      readmitted: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_specs import CLIENTS_SPEC


def main() -> None:
    """All of it is done by the action plugin of the same name, on the controller."""
    module = AnsibleModule(argument_spec=CLIENTS_SPEC, supports_check_mode=True)
    module.fail_json(msg="The action plugin onion_clients of this collection was not found, and does all of this.")


if __name__ == "__main__":
    main()
