#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_probe
short_description: Look who reaches an onion, and who does not
version_added: 0.1.0
description:
  - Goes to a port of an onion as each of several clients, with a client key or without one, and returns for each whether it got
    through, was refused for its key, or failed for another reason, in words.
  - Each client is a tor process of its own with an empty memory, which is ended afterwards. A tor that runs is left alone.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - tor >= 0.4.3, where the module runs
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  address:
    description: Address of the onion, with or without C(.onion).
    type: str
    required: true
  port:
    description: Port of the onion.
    type: int
    default: 22
  clients:
    description: Who goes there. They go at the same time.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for the result.
        type: str
        required: true
      private_key:
        description: Private x25519 key in Base32. Left out, the client has none.
        type: str
      expect:
        description:
          - What is waited for until O(timeout). What a service has just changed reaches the network after some seconds.
          - V(any) takes the first answer that is about the key.
        type: str
        choices: [any, reached, refused]
        default: any
  tor:
    description: The program.
    type: str
    default: tor
  tor_options:
    description: Further lines of configuration, such as those that lead into a private Tor network.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that it may take as a whole.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: The key opens, and without it nothing does
  bcm.datacenter.onion_probe:
    address: "{{ onion_address }}"
    clients:
      - {name: alice, private_key: "{{ alice_key }}", expect: reached}
      - {name: a stranger, expect: refused}
  delegate_to: localhost
  register: probe
  failed_when: probe.results | map(attribute='outcome') != ['reached', 'refused']
"""

RETURN = r"""
results:
  description: One entry for each client, in their order.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: alice, outcome: reached, banner: SSH-2.0-OpenSSH_10.0, reason: ''}
    - {name: a stranger, outcome: refused, banner: '', reason: 'the onion asks for a client key, and this client has none'}
"""

import tempfile
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import TorError, Visitor


def go(options: dict[str, t.Any], client: dict[str, t.Any], deadline: float) -> dict[str, t.Any]:
    """One client's visit."""
    address = options["address"].lower().removesuffix(".onion")
    key_line = f"{address}:descriptor:x25519:{client['private_key']}" if client["private_key"] else None
    with tempfile.TemporaryDirectory(prefix="onion-") as directory:
        visitor = Visitor(options["tor"], Path(directory), options["tor_options"], key_line)
        try:
            visitor.start(deadline)
            found = visitor.visit(f"{address}.onion", options["port"], client["expect"], deadline)
        except (TorError, OSError) as exc:
            found = {"outcome": "failed", "banner": "", "reason": str(exc)}
        finally:
            visitor.end()
    return {"name": client["name"], **found}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 22},
            "clients": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "private_key": {"type": "str", "no_log": True},
                    "expect": {"type": "str", "choices": ["any", "reached", "refused"], "default": "any"},
                },
            },
            "tor": {"type": "str", "default": "tor"},
            "tor_options": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    options = module.params
    deadline = time.monotonic() + options["timeout"]
    with ThreadPoolExecutor(max_workers=len(options["clients"]) or 1) as pool:
        results = list(pool.map(lambda client: go(options, client, deadline), options["clients"]))
    module.exit_json(changed=False, results=results)


if __name__ == "__main__":
    main()
