#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: multipass_instance
short_description: Look after a multipass instance
version_added: 0.1.0
description:
  - Launches, resizes, starts, stops, suspends and removes one virtual machine of multipass, on the machine that the module runs on.
  - An instance that was deleted and not purged is recovered where it shall exist.
extends_documentation_fragment:
  - bcm.datacenter.multipass
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Its name, of letters, digits and hyphens, beginning with a letter and not ending with a hyphen.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that it exists, and leaves running or stopped as it is. What does not exist is launched, and runs then.
      - V(absent) deletes and purges it, and only it, whether it runs or not.
    type: str
    choices: [started, stopped, suspended, present, absent]
    default: started
  image:
    description:
      - What it is launched from, as C(multipass launch) takes it, such as V(24.04), V(noble), V(daily:26.04) or a URL. Without it,
        the latest Ubuntu with long-term support.
      - An instance that exists is not made from another one. If O(image) is a version of Ubuntu and the instance is of another, the
        module fails.
    type: str
  cpus:
    description: Number of processors. A new instance has 1 without it.
    type: int
  memory:
    description:
      - Memory, in bytes or with K, M or G (powers of 1024), such as V(2G). A new instance has 1G without it.
      - multipass tells sizes rounded to a tenth of their unit, so that a smaller difference is not seen.
    type: str
  disk:
    description:
      - Disk, in bytes or with K, M or G (powers of 1024). A new instance has 5G without it. It can be made larger later, not smaller.
    type: str
  cloud_init:
    description:
      - User data of cloud-init, as a text that begins with C(#cloud-config) or as a dictionary. It goes in through standard input, so
        that it need not lie where multipass can read it.
      - Looked at when the instance is launched, and never again.
      - Keep it small. multipass waits for all of it, for as long as O(timeout) says.
    type: raw
  networks:
    description:
      - Networks that it is connected to beside its own. Looked at when the instance is launched, and never again.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the network, as C(multipass networks) lists it, or V(bridged).
        type: str
        required: true
      mode:
        description: Whether the instance configures it by itself.
        type: str
        choices: [auto, manual]
      mac:
        description: Hardware address of its card.
        type: str
  restart:
    description:
      - Whether an instance that runs is stopped, and started again, where its O(cpus), O(memory) or O(disk) are to be changed.
        Without it that fails, and nothing is touched.
    type: bool
    default: false
  wait_for:
    description:
      - What to wait for where the instance is to be running, also where it runs already. With V(cloud-init), the module fails if
        cloud-init ended with errors.
    type: str
    choices: [none, cloud-init]
    default: none
  timeout:
    description: Seconds that each thing that is waited for may take, such as the launch with its download, or a stop.
    type: int
    default: 600
seealso:
  - module: bcm.datacenter.multipass_instance_info
  - plugin: bcm.datacenter.multipass
    plugin_type: inventory
  - plugin: bcm.datacenter.multipass
    plugin_type: connection
"""

EXAMPLES = r"""
- name: A virtual machine that one can log in to
  bcm.datacenter.multipass_instance:
    name: try-1
    image: "24.04"
    cpus: 2
    memory: 2G
    disk: 20G
    cloud_init:
      ssh_authorized_keys:
        - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"

- name: More memory, now
  bcm.datacenter.multipass_instance:
    name: try-1
    memory: 4G
    restart: true

- name: Remove it, and no other one
  bcm.datacenter.multipass_instance:
    name: try-1
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, in this order.
  returned: always
  type: list
  elements: str
  sample: [stop, set memory, start]
exists:
  description: Whether it exists. In check mode, whether it exists already.
  returned: always
  type: bool
instance:
  description:
    - What C(multipass list) tells of it, and its C(sizes) as C(multipass get) tells them. V(null) if it does not exist.
  returned: always
  type: dict
  sample:
    name: try-1
    state: Running
    ipv4: [10.97.0.76]
    release: Ubuntu 24.04 LTS
    sizes: {cpus: "2", memory: 2.0GiB, disk: 20.0GiB}
errors:
  description: What is wrong with the options or cannot be changed.
  returned: when nothing was touched because of it
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _multipass_instance as instances
from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import RUNNING, Multipass, MultipassError

ARGUMENT_SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped", "suspended", "present", "absent"], "default": "started"},
    "image": {"type": "str"},
    "cpus": {"type": "int"},
    "memory": {"type": "str"},
    "disk": {"type": "str"},
    "cloud_init": {"type": "raw"},
    "networks": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "mode": {"type": "str", "choices": ["auto", "manual"]},
            "mac": {"type": "str"},
        },
    },
    "restart": {"type": "bool", "default": False},
    "wait_for": {"type": "str", "choices": ["none", "cloud-init"], "default": "none"},
    "program": {"type": "str", "default": "multipass"},
    "timeout": {"type": "int", "default": 600},
}


def run(module: AnsibleModule, instance: instances.Instance) -> dict[str, t.Any]:
    params = module.params
    actual = instance.settled()
    steps = instances.plan(params, actual)
    expected = instances.after(params, actual, steps)
    diff = {
        "before": instances.view(actual),
        "after": expected,
        "before_header": params["name"],
        "after_header": params["name"],
    }
    result: dict[str, t.Any] = {"changed": bool(steps), "actions": steps}
    if module._diff:
        result["diff"] = diff
    if module.check_mode:
        return {**result, "exists": actual is not None, "instance": instance.read(addresses=True) if actual else None}
    for done, step in enumerate(steps):
        try:
            instance.do(step)
        except MultipassError as exc:
            so_far = f" Done before: {', '.join(steps[:done])}." if done else ""
            raise MultipassError(f"{step}: {exc}{so_far}", exc.argv, exc.rc, exc.stderr) from exc
    if params["wait_for"] == "cloud-init" and expected.get("state") == RUNNING:
        instance.wait_for_cloud_init()
    found = instance.read(addresses=True)
    return {**result, "exists": found is not None, "instance": found}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    multipass = Multipass(params["program"])
    try:
        if errors := instances.check(params):
            raise instances.ImpossibleError(errors)
        result = run(module, instances.Instance(multipass, params))
    except instances.ImpossibleError as exc:
        details = exc.errors[0] if len(exc.errors) == 1 else "".join(f"\n- {error}" for error in exc.errors)
        module.fail_json(
            msg=f"Nothing was touched, because what is asked for cannot be had: {details}", errors=exc.errors
        )
    except MultipassError as exc:
        module.fail_json(
            msg=f"Instance {params['name']!r} could not be made {params['state']}: {exc}",
            rc=exc.rc,
            cmd=exc.argv,
            stderr=exc.stderr,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
