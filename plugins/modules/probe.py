#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Look whether parts of a host work, and say why where they do not
version_added: 0.1.0
description:
  - Runs a list of probes on a host and returns for each whether the thing works, with the cause in plain words where
    it does not. A thing that does not work is a result, not a failure of the module.
  - It changes nothing, needs nothing but Python's standard library, and openssl for a certificate in a file, and takes at most a
    minute for each probe.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  probes:
    description: What to look at, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      part:
        description: What is looked at, in the words of a person.
        type: str
        required: true
      kind:
        description:
          - V(unit) - the systemd unit C(unit) is active.
          - V(port) - a TCP connection to C(address), C(port) is accepted (refused where C(open) is false).
          - V(http) - C(url) answers with one of C(status) (default V([200])), through C(proxy), trusting the file C(ca).
          - V(certificate) - the certificate that C(name), C(port) shows is trusted by the file C(ca), is for C(name), and has at least
            C(days) (default V(14)) left. With C(file) instead, that in this file has them.
          - V(onions) - each onion that M(bcm.datacenter.onion_service) has set up here is loaded, described and introduced, as far as it is
            this host's turn. C(control) is tor's control socket (default V(/run/tor/control)). Addresses and numbers of clients are
            added to the part.
          - V(space) - a share of at least C(minimum) (default V(0.1)) of the file system at C(path) is free. With C(size), such as
            V(5GiB), what is below C(path) is also held against that, for a file system does not tell of a quota.
          - V(swarm) - C(managers) and C(workers) are ready members of the Swarm.
          - V(service) - the Swarm service C(service) runs as many tasks as it should.
          - V(report) - the program C(argv) prints JSON with C(ready) and, where that is false, C(reason). Where it is true, a C(note)
            that it prints is added to the part.
          - V(routes) - no route leads out of the host's own networks, but by the interfaces in C(allowed).
        type: str
        required: true
        choices: [certificate, http, onions, port, report, routes, service, space, swarm, unit]
      with:
        description: Parameters of the probe, as O(probes[].kind) names them.
        type: dict
        default: {}
      hint:
        description: What a person can do where it does not work.
        type: str
        default: ''
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Look at the proxy
  bcm.datacenter.probe:
    probes:
      - part: The HTTP proxy
        kind: unit
        with:
          unit: squid.service
        hint: Read journalctl -u squid on this host.
  register: result
"""

RETURN = r"""
results:
  description: One entry for each probe, in their order.
  returned: always
  type: list
  elements: dict
  sample:
    - part: The HTTP proxy
      works: false
      cause: squid.service is inactive (dead, result success)
      hint: Read journalctl -u squid on this host.
works:
  description: Whether everything works.
  returned: always
  type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._probes import PROBES, Noted


def look(probe: dict[str, t.Any]) -> dict[str, t.Any]:
    """Run one probe and return its result."""
    part = probe["part"]
    try:
        cause = PROBES[probe["kind"]](probe["with"] or {})
    except KeyError as missing:
        cause = f"the probe {probe['kind']} needs the parameter {missing}"
    if isinstance(cause, Noted):
        part, cause = f"{part} ({cause.note})", None
    return {
        "part": part,
        "works": cause is None,
        "cause": cause or "",
        "hint": "" if cause is None else probe["hint"],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "probes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "part": {"type": "str", "required": True},
                    "kind": {"type": "str", "required": True, "choices": sorted(PROBES)},
                    "with": {"type": "dict", "default": {}},
                    "hint": {"type": "str", "default": ""},
                },
            }
        },
        supports_check_mode=True,
    )
    results = [look(probe) for probe in module.params["probes"]]
    module.exit_json(changed=False, results=results, works=all(result["works"] for result in results))


if __name__ == "__main__":
    main()
