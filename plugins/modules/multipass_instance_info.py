#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: multipass_instance_info
short_description: Read multipass instances
version_added: 0.1.0
description:
  - Gives the instances of multipass on the machine that the module runs on, deleted ones that were not purged too.
extends_documentation_fragment:
  - bcm.datacenter.multipass
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
  sizes:
    description: Whether to ask for the processors, memory and disk of each as well, with three more calls for each.
    type: bool
    default: false
  timeout:
    description: Seconds that each call of the program may take.
    type: int
    default: 60
seealso:
  - module: bcm.datacenter.multipass_instance
"""

EXAMPLES = r"""
- name: Read all instances
  bcm.datacenter.multipass_instance_info:
  register: result

- name: Show which of them run
  ansible.builtin.debug:
    msg: "{{ result.instances | selectattr('state', 'eq', 'Running') | map(attribute='name') }}"

- name: Read what one of them was given
  bcm.datacenter.multipass_instance_info:
    name: try-1
    sizes: true
"""

RETURN = r"""
instances:
  description:
    - What C(multipass info) tells, one item each, sorted by name. With O(sizes) each has C(sizes), too.
  returned: success
  type: list
  elements: dict
  sample:
    - name: try-1
      state: Running
      ipv4: [10.97.0.76]
      image_release: 24.04 LTS
      release: Ubuntu 24.04.3 LTS
      cpu_count: "1"
      sizes: {cpus: "1", memory: 1.0GiB, disk: 5.0GiB}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import (
    Multipass,
    MultipassError,
    MultipassNotFoundError,
    name_error,
)


def read(multipass: Multipass, name: str | None, sizes: bool) -> list[dict[str, t.Any]]:
    try:
        found = multipass.info(name)
    except MultipassNotFoundError:
        found = {}
    instances = [{**details, "name": one} for one, details in sorted(found.items())]
    for instance in instances if sizes else []:
        instance["sizes"] = multipass.sizes(instance["name"])
    return instances


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "sizes": {"type": "bool", "default": False},
            "program": {"type": "str", "default": "multipass"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    if name is not None and (error := name_error(name)):
        module.fail_json(msg=error)
    try:
        instances = read(Multipass(module.params["program"], module.params["timeout"]), name, module.params["sizes"])
    except MultipassError as exc:
        module.fail_json(msg=f"The instances of multipass could not be read: {exc}", rc=exc.rc, stderr=exc.stderr)
    module.exit_json(changed=False, instances=instances)


if __name__ == "__main__":
    main()
