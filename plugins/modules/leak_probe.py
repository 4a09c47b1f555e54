#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leak_probe
short_description: Try to get out of a host, and out of the containers on it
version_added: 0.1.0
description:
  - Tries a list of ways out and returns for each what came of it. A way that is open is a result, not a failure of the module.
  - The same is tried in the network of each container that Docker runs on the host. The program is the host's; a container needs
    none, and nothing is put into it.
  - It needs nothing but Python's standard library, writes nothing, and all that it starts ends with it, also if it is killed.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  cells:
    description: What to try, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is, in the words of a person.
        type: str
        required: true
      kind:
        description:
          - V(tcp) - a connection. One that is refused by whoever has the address is answered, too.
          - V(udp) - a packet, with O(cells[].mark) as its text, that something comes back for.
          - V(icmp) - an echo request, of IPv6 where O(cells[].host) is such an address.
          - V(dns), V(dns_tcp) - a question to a name server. Any answer counts, also one that refuses.
          - V(resolve) - whether the name servers that the asker has itself know the address of O(cells[].name_asked).
          - V(connect), V(get) - a tunnel, or a page, through the HTTP proxy at O(cells[].host), O(cells[].port). Silence after the
            question counts as an answer, for a proxy refuses at once.
          - V(socks) - whether the SOCKS proxy there takes the asker.
          - V(socks_connect) - whether it leads to O(cells[].to), O(cells[].to_port).
          - V(open_proxy) - whether what listens there is a proxy of either kind.
        type: str
        required: true
        choices: [connect, dns, dns_tcp, get, icmp, open_proxy, resolve, socks, socks_connect, tcp, udp]
      host:
        description: Address. One of IPv6 that stands for a link alone is tried on each interface.
        type: str
        default: ''
      port:
        description: Port.
        type: int
        default: 0
      to:
        description: Whom a proxy is asked for. Without it, O(cells[].name_asked).
        type: str
        default: ''
      to_port:
        description: The port that a proxy is asked for.
        type: int
        default: 0
      name_asked:
        description: The name that is asked for.
        type: str
        default: example.com
      mark:
        description:
          - A text by which packets of this cell are known again elsewhere; before a name it makes one that nobody has asked for before.
          - A dash and the number of the asker in RV(askers) are added to it, so that containers are told from each other.
        type: str
        default: ''
      timeout:
        description: Seconds that an answer may take.
        type: float
        default: 3
  containers:
    description: Whether the same is tried from containers, one of each Swarm service, and each that belongs to none.
    type: bool
    default: false
  own:
    description: Further addresses that are the host's own.
    type: list
    elements: str
    default: []
  time_limit:
    description: Seconds after which it ends in any case.
    type: int
    default: 300
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Try to get out
  bcm.datacenter.leak_probe:
    containers: true
    cells:
      - {name: "the world, TCP 443", kind: tcp, host: 1.1.1.1, port: 443}
      - {name: "a name of the world", kind: resolve, name_asked: example.com}
  register: result
"""

RETURN = r"""
askers:
  description: The host itself, and containers on it.
  returned: success
  type: list
  elements: dict
  contains:
    task:
      description: Name of the Swarm service or of the container, empty for the host itself.
      type: str
    results:
      description: One entry for each cell, in their order, with C(seen) (V(yes), V(no), V(own), V(untried)) and C(said).
      type: list
      elements: dict
    routes:
      description: Routes to everywhere or through a gateway that the asker has, with C(to), C(via) and C(interface).
      type: list
      elements: dict
    resolvers:
      description: Name servers that it has.
      type: list
      elements: str
    failed:
      description: Why nothing could be tried, empty where it could.
      type: str
"""

import signal
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_probe

SERVICE = "com.docker.swarm.service.name"


def containers(module: AnsibleModule) -> tuple[list[dict[str, t.Any]], str]:
    """One container of each service, and each that belongs to none; those in the host's own network are the host. And why not."""
    docker = module.get_bin_path("docker")
    if not docker:
        return [], ""
    code, out, err = module.run_command([docker, "ps", "--quiet", "--no-trunc"])
    if code:
        return [], f"Docker does not say which containers run: {err.strip()}"
    identities = out.split()
    if not identities:
        return [], ""
    form = f'{{{{.State.Pid}}}} {{{{.HostConfig.NetworkMode}}}} {{{{.Name}}}} {{{{index .Config.Labels "{SERVICE}"}}}}'
    # One that ends in between is an error of the whole command, and its lines come all the same.
    _code, out, _err = module.run_command([docker, "inspect", "--format", form, *identities])
    found: dict[str, dict[str, t.Any]] = {}
    for line in out.splitlines():
        words = line.split(" ")
        if len(words) < 3 or not words[0].isdigit() or words[0] == "0" or words[1] == "host":
            continue
        name = words[3] if len(words) > 3 and words[3] not in ("", "<no") else words[2].lstrip("/")
        found.setdefault(name, {"task": name, "pid": int(words[0])})
    return [found[name] for name in sorted(found)], ""


def marked(cells: list[dict[str, t.Any]], number: int) -> list[dict[str, t.Any]]:
    """The cells with marks that tell of whom of the host they are: of itself, or of a container."""
    return [{**cell, "mark": f"{cell['mark']}-{number:x}"} if cell["mark"] else cell for cell in cells]


def try_all(cells: list[dict[str, t.Any]], resolv_conf: Path, own: t.Collection[str]) -> dict[str, t.Any]:
    """What comes of all cells where this process is."""
    asker = _leak_probe.Asker(resolv_conf, own)
    return {"results": _leak_probe.ask_all(cells, asker), **asker.told()}


def main() -> None:
    """Run the module."""
    texts = ("host", "to", "mark")
    module = AnsibleModule(
        argument_spec={
            "cells": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "kind": {"type": "str", "required": True, "choices": sorted(_leak_probe.KINDS)},
                    **{text: {"type": "str", "default": ""} for text in texts},
                    "port": {"type": "int", "default": 0},
                    "to_port": {"type": "int", "default": 0},
                    "name_asked": {"type": "str", "default": "example.com"},
                    "timeout": {"type": "float", "default": 3},
                },
            },
            "containers": {"type": "bool", "default": False},
            "own": {"type": "list", "elements": "str", "default": []},
            "time_limit": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    # Whatever hangs: the signal ends the process, and with it those in other networks.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(module.params["time_limit"])
    deadline = time.monotonic() + module.params["time_limit"] - 5
    cells = [{**cell, "name": cell["name_asked"]} for cell in module.params["cells"]]
    own = {*module.params["own"], *_leak_probe.own_addresses()}
    begun: list[tuple[str, int, int]] = []
    inside, trouble = containers(module) if module.params["containers"] else ([], "")
    for container in inside:
        resolv_conf = Path(f"/proc/{container['pid']}/root/etc/resolv.conf")

        def work(path: Path = resolv_conf, number: int = len(begun) + 1) -> dict[str, t.Any]:
            return try_all(marked(cells, number), path, own)

        begun.append((container["task"], *_leak_probe.begin_in_network_of(container["pid"], work)))
    askers = [{"task": "", "failed": "", **try_all(marked(cells, 0), Path("/etc/resolv.conf"), own)}]
    empty: dict[str, t.Any] = {"results": [], "routes": [], "resolvers": [], "interfaces": []}
    for task, child, reader in begun:
        try:
            askers.append({"task": task, "failed": "", **_leak_probe.end_in_network(child, reader, deadline)})
        except _leak_probe.ElsewhereError as error:
            askers.append({"task": task, "failed": str(error), **empty})
    if trouble:
        askers.append({"task": "containers", "failed": trouble, **empty})
    module.exit_json(changed=False, askers=askers)


if __name__ == "__main__":
    main()
