#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_client_bundle
short_description: What a client needs to come to an onion, as files and QR codes
version_added: 0.1.0
description:
  - Writes what a client of an onion needs into files of mode V(0600) on the controller. What is secret goes from the site's store of
    secrets into these files, and is in no result, no log and no variable of a play.
  - The files are named C(SERVICE.CLIENT) with these endings. C(.txt) is all of it, C(.qr) and C(.png) the same as a QR code, for a
    terminal (C(cat)) and as a picture. C(.auth_private) is the client key as tor reads it, C(.key.qr) and C(.key.png) are its line.
    For lnd, C(.lndconnect.qr) and C(.lndconnect.png) are what wallets read, C(.macaroon) and C(.ca.pem) what programs read.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - cryptography >= 2.0 on the controller
  - segno >= 1.6 on the controller
attributes:
  check_mode:
    support: full
    description: Says which files would change.
  diff_mode:
    support: none
    description: They are secrets.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  site:
    description: Name of the site.
    type: str
    required: true
  service:
    description: Name of the onion service.
    type: str
    required: true
  client:
    description: Name of the client, whom M(bcm.datacenter.onion_clients) has let in.
    type: str
    required: true
  directory:
    description: Directory on the controller, which gets the mode V(0700).
    type: path
    required: true
  state:
    description: With V(absent), all files of the client's bundle are removed.
    type: str
    choices: [present, absent]
    default: present
  ports:
    description: Ports of the onion. Needed with O(state=present).
    type: list
    elements: int
  client_authorisation:
    description: Whether the onion asks for a client key. Otherwise the bundle has none.
    type: bool
    default: true
  lndconnect:
    description: For the onion of an lnd, what goes into an lndconnect URI. The task needs C(no_log) then.
    type: dict
    suboptions:
      port:
        description: Port of the onion that the wallet speaks to.
        type: int
        required: true
      macaroon:
        description: The client's own macaroon, in hexadecimal.
        type: str
        required: true
      certificate:
        description: Certificate that the wallet has to trust, in PEM, which is that of the site's authority.
        type: str
notes:
  - The store is the one of M(bcm.datacenter.site_secret), with what the variable C(bcm_secrets) says of it. If it is a directory on one
    host, the task is delegated to that.
seealso:
  - module: bcm.datacenter.onion_clients
"""

EXAMPLES = r"""
- name: What Alice needs
  bcm.datacenter.onion_client_bundle:
    site: home
    service: lnd-app-1
    client: alice
    directory: ~/.config/bcm/home/onions
    ports: [8080]
    lndconnect:
      port: 8080
      macaroon: "{{ macaroon.hex }}"
      certificate: "{{ site_ca_certificate }}"
  delegate_to: "{{ groups['lxd_leader'] | first }}"
  no_log: true
"""

RETURN = r"""
changed_paths:
  description: The files that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/home/ops/.config/bcm/home/onions/lnd-app-1.alice.txt]
files:
  description: The files of the bundle by their endings.
  returned: success
  type: dict
  sample: {txt: /home/ops/.config/bcm/home/onions/lnd-app-1.alice.txt}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_specs import BUNDLE_REQUIRED_IF, BUNDLE_SPEC


def main() -> None:
    """All of it is done by the action plugin of the same name, on the controller."""
    module = AnsibleModule(argument_spec=BUNDLE_SPEC, required_if=BUNDLE_REQUIRED_IF, supports_check_mode=True)
    module.fail_json(
        msg="The action plugin onion_client_bundle of this collection was not found, and does all of this."
    )


if __name__ == "__main__":
    main()
