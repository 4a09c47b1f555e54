#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_service_info
short_description: The onions of a host's tor, and how they are
version_added: 0.1.0
description:
  - Looks what M(bcm.datacenter.onion_service) has set up on a host, in its files and at the tor that runs there. It returns public keys
    and addresses, and no secret.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  name:
    description: Name of one service. Left out, all of them are returned.
    type: str
  onions:
    description: Directory of the onions' directories.
    type: path
    default: /var/lib/tor/onions
  drop_ins:
    description: Directory of files that tor's configuration includes.
    type: path
    default: /etc/tor/torrc.d
  definitions:
    description: Directory in which M(bcm.datacenter.onion_service) remembers what services are.
    type: path
    default: /var/lib/bcm/onions
  torrc:
    description: Tor's configuration.
    type: path
    default: /etc/tor/torrc
  control:
    description: Tor's control socket.
    type: path
    default: /run/tor/control
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Which onions are there
  bcm.datacenter.onion_service_info:
  register: onions
"""

RETURN = r"""
running:
  description: Whether tor runs.
  returned: always
  type: bool
standby:
  description: Whether this tor publishes no onion now, as on a host that waits for its turn.
  returned: always
  type: bool
services:
  description: The services by their names, in this order.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str}
    address: {description: "Its address, empty where it has no key.", type: str}
    client_authorisation: {description: Whether only clients find it., type: bool}
    clients: {description: Public keys by the names of clients. One that cannot be read is empty., type: dict}
    ports: {description: "What can be reached: C(virtual), C(target_host), C(target_port).", type: list, elements: dict}
    closed: {description: Whether it is closed until it has a client., type: bool}
    in_force: {description: Whether what lies in the files is what tor was told last., type: bool}
    loaded: {description: "Whether tor has it, with these ports.", type: bool}
    described: {description: Whether tor has made its descriptor., type: bool}
    introductions: {description: How many relays introduce guests., type: int}
    guests: {description: How many circuits to guests are open., type: int}
  sample:
    - name: lnd-app-1
      address: pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion
      client_authorisation: true
      clients: {alice: N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ}
      ports: [{virtual: 8080, target_host: 10.10.2.11, target_port: 8080}]
      closed: false
      in_force: true
      loaded: true
      described: true
      introductions: 3
      guests: 1
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import (
    OnionError,
    Places,
    look_at_all,
    standby,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._tor import TorError
from ansible_collections.bcm.datacenter.plugins.module_utils._tor_system import connect


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "onions": {"type": "path", "default": "/var/lib/tor/onions"},
            "drop_ins": {"type": "path", "default": "/etc/tor/torrc.d"},
            "definitions": {"type": "path", "default": "/var/lib/bcm/onions"},
            "torrc": {"type": "path", "default": "/etc/tor/torrc"},
            "control": {"type": "path", "default": "/run/tor/control"},
        },
        supports_check_mode=True,
    )
    options = module.params
    base = Places("", **{key: Path(options[key]) for key in ("onions", "drop_ins", "definitions", "torrc")})
    control = None
    try:
        control = connect(Path(options["control"]), time.monotonic())
        services = look_at_all(base, control)
        waits = standby(base, control) if control else False
    except (OnionError, TorError, OSError) as exc:
        module.fail_json(msg=str(exc))
    finally:
        if control:
            control.close()
    wanted = [one for one in services if options["name"] in (None, one["name"])]
    module.exit_json(changed=False, running=control is not None, standby=waits, services=wanted)


if __name__ == "__main__":
    main()
