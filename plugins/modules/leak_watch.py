#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leak_watch
short_description: See where the packets of a machine go, for a while
version_added: 0.1.0
description:
  - With O(state=begun) a process begins to watch interfaces of the machine. With O(state=collected) it tells what it has seen, and ends.
  - Of each packet no more is kept than who sent it where, by which protocol and to which port, and that in memory. Nothing is installed
    and nothing is written; when the time is over, or the process is killed, nothing is left of it, promiscuous mode included.
  - It needs root, and Linux.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  state:
    description: Whether a watch is begun, or what it has seen is collected.
    type: str
    required: true
    choices: [begun, collected]
  token:
    description:
      - Name of the watch, and the begin of the marks by which packets of M(bcm.datacenter.leak_probe) are known again. Each run
        takes one that nobody else has, so that two do not get into each other's way.
    type: str
    required: true
  points:
    description: Interfaces to watch. One that is not there is an error where it is O(points[].required).
    type: list
    elements: dict
    default: []
    suboptions:
      interface:
        description: Its name.
        type: str
        required: true
      kind:
        description:
          - V(foreign) - of an inner bridge, what does not stay among the addresses of O(points[].inside).
          - V(enters) - of a bridge that instances go out by, what comes from them.
          - V(leaves) - of an uplink, or of the outer leg of an instance, what goes out; of each destination also which program of the machine has
            sent it, or whose address it had before the machine put its own in its place.
        type: str
        required: true
        choices: [enters, foreign, leaves]
      inside:
        description: IPv4 network of an inner bridge, as CIDR.
        type: str
      required:
        description: Whether it has to be there.
        type: bool
        default: true
  uplinks:
    description: Whether the interfaces that routes to everywhere lead by are watched too, as V(leaves).
    type: bool
    default: false
  seconds:
    description: Seconds after which the watch ends in any case, also if nobody collects what it has seen.
    type: int
    default: 900
  at_least:
    description: With O(state=collected), how many seconds the watch has to have lasted. What is missing is waited for.
    type: int
    default: 0
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Watch what leaves this machine
  bcm.datacenter.leak_watch:
    state: begun
    token: example-4711
    uplinks: true

- name: See where it went, a minute later
  bcm.datacenter.leak_watch:
    state: collected
    token: example-4711
    at_least: 60
  register: result
"""

RETURN = r"""
watched:
  description: Interfaces that are watched.
  returned: O(state=begun)
  type: list
  elements: str
addresses:
  description: Addresses of the machine, but for those of the loopback interface, with C(interface) and C(address).
  returned: O(state=begun)
  type: list
  elements: dict
listening:
  description: Ports that take what comes, with C(protocol), C(address) and C(port).
  returned: O(state=begun)
  type: list
  elements: dict
seen:
  description:
    - What was seen. C(flows) has an entry for each destination, with C(interface), C(kind), C(protocol), C(source), C(destination), C(port) (of ICMP its
      type), C(answers) (the port of this machine that it answers from, or 0), C(mark), C(owner), C(origin), C(packets) and C(after) (seconds).
    - C(names) has the addresses that name servers have given, C(lost) the number of packets that were not seen, by interface, C(beyond) those for which there
      was no room, C(seconds) how long it took.
  returned: O(state=collected)
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_watch

PATIENCE = 60


def points_of(module: AnsibleModule) -> list[_leak_watch.Point]:
    """What is watched, each interface once; an uplink that is also asked for by name is taken as that says."""
    there = {one for _index, one in _leak_watch.socket.if_nameindex()}
    found: dict[str, _leak_watch.Point] = {}
    for wanted in module.params["points"]:
        if wanted["interface"] in there:
            point = _leak_watch.Point(wanted["interface"], wanted["kind"], wanted["inside"])
            found[point.interface] = point
        elif wanted["required"]:
            module.fail_json(msg=f"There is no interface {wanted['interface']} to watch.")
    for name in _leak_watch.uplinks() if module.params["uplinks"] else []:
        found.setdefault(name, _leak_watch.Point(name, _leak_watch.LEAVES))
    return [found[name] for name in sorted(found)]


def begun(module: AnsibleModule) -> dict[str, t.Any]:
    points = points_of(module)
    watch = _leak_watch.Watch(points, module.params["token"])
    try:
        _leak_watch.begin(watch, module.params["seconds"])
    except PermissionError as error:
        module.fail_json(msg=f"Packets cannot be watched: {error.strerror}. It takes root.")
    except OSError as error:
        module.fail_json(msg=f"Packets cannot be watched: {error.strerror}.")
    return {
        "watched": [point.interface for point in points],
        "addresses": _leak_watch.addresses(),
        "listening": watch.sockets.listening(),
    }


def collected(module: AnsibleModule) -> dict[str, t.Any]:
    at_least = module.params["at_least"]
    try:
        seen = _leak_watch.collect(module.params["token"], at_least, at_least + PATIENCE)
    except ConnectionRefusedError:
        module.fail_json(msg="The watch has ended: its time was over before anybody collected what it had seen.")
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"The watch does not tell what it has seen: {error}.")
    return {"seen": seen}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["begun", "collected"]},
            "token": {"type": "str", "required": True, "no_log": False},
            "points": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "interface": {"type": "str", "required": True},
                    "kind": {"type": "str", "required": True, "choices": sorted(_leak_watch.KINDS)},
                    "inside": {"type": "str"},
                    "required": {"type": "bool", "default": True},
                },
            },
            "uplinks": {"type": "bool", "default": False},
            "seconds": {"type": "int", "default": 900},
            "at_least": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    found = begun(module) if module.params["state"] == "begun" else collected(module)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
