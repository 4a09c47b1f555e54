#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leak_destinations
short_description: Say what destinations are, as a gateway's own Tor and Squid tell
version_added: 0.1.0
description:
  - Returns those of a list of destinations that are accounted for - relays of the consensus that the system's tor has, its bridges and authorities, what Squid
    has let through as its own log says, and addresses of names that are declared.
  - It runs on the gateway, and needs the right to control its tor and to read its journal.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  destinations:
    description: What was seen.
    type: list
    elements: dict
    required: true
    suboptions:
      protocol:
        description: C(tcp), C(udp) or another one.
        type: str
        required: true
      address:
        description: IP address.
        type: str
        required: true
      port:
        description: Port.
        type: int
        required: true
  tor_control:
    description: The socket by which the system's tor is controlled. Left empty, there is no Tor on this machine.
    type: str
    default: ''
  squid_unit:
    description: The systemd unit whose journal is Squid's log. Left empty, there is none.
    type: str
    default: squid.service
  squid_since:
    description: How far back Squid's log is read, as C(journalctl --since) takes it. A connection that is kept open was logged when it was first used.
    type: str
    default: 1 day ago
  names:
    description: Names that may be gone to. One that begins with a dot stands for all below it.
    type: list
    elements: str
    default: []
  package_sources:
    description: Whether the hosts of the machine's own package sources are names that may be gone to.
    type: bool
    default: true
  ports:
    description: Ports of these names.
    type: list
    elements: int
    default: [80, 443]
  addresses:
    description: Names by address, as name servers have given them meanwhile. What is not among O(names) does not count.
    type: dict
    default: {}
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Ask the gateway what its packets were for
  bcm.datacenter.leak_destinations:
    tor_control: /run/tor/control
    names: [packages.example.org]
    destinations:
      - {protocol: tcp, address: 203.0.113.7, port: 9001}
  register: result
"""

RETURN = r"""
explained:
  description: Those that are accounted for, with C(protocol), C(address), C(port) and C(by), what it is.
  returned: success
  type: list
  elements: dict
  sample: [{protocol: tcp, address: 203.0.113.7, port: 9001, by: a relay of Tor's consensus (example)}]
relays:
  description: How many addresses of relays, bridges and authorities are known.
  returned: success
  type: int
troubles:
  description: What could not be asked, in a sentence each.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_destinations as known


def squid_log(module: AnsibleModule) -> tuple[list[str], str]:
    """The lines of Squid's log, and why there are none."""
    unit = module.params["squid_unit"]
    if not unit:
        return [], ""
    journalctl = module.get_bin_path("journalctl")
    if not journalctl:
        return [], "there is no journalctl, so Squid's log cannot be read"
    argv = [
        journalctl,
        "--quiet",
        "--no-pager",
        "--output=cat",
        f"--unit={unit}",
        f"--since={module.params['squid_since']}",
    ]
    code, out, err = module.run_command(argv)
    if code:
        return [], f"Squid's log cannot be read: {err.strip()}"
    return out.splitlines(), ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "destinations": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "protocol": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "tor_control": {"type": "str", "default": ""},
            "squid_unit": {"type": "str", "default": "squid.service"},
            "squid_since": {"type": "str", "default": "1 day ago"},
            "names": {"type": "list", "elements": "str", "default": []},
            "package_sources": {"type": "bool", "default": True},
            "ports": {"type": "list", "elements": "int", "default": [80, 443]},
            "addresses": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    troubles = []
    tor = known.Tor({}, 0, "")
    if params["tor_control"]:
        tor = known.ask_tor(Path(params["tor_control"]))
        troubles.append(tor.trouble)
    lines, trouble = squid_log(module)
    troubles.append(trouble)
    names = {*params["names"], *(known.package_hosts() if params["package_sources"] else ())}
    given = {str(address): str(name) for address, name in params["addresses"].items() if known.allows(names, str(name))}
    addresses = {**known.resolved(sorted(names)), **given}
    explained = known.explain(params["destinations"], tor.places, known.squid_places(lines), addresses, params["ports"])
    module.exit_json(
        changed=False, explained=explained, relays=len(tor.places), troubles=[one for one in troubles if one]
    )


if __name__ == "__main__":
    main()
