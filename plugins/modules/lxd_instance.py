#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance
short_description: Look after an LXD instance
version_added: 0.1.0
description:
  - Makes, changes, starts, stops, freezes and removes a container or a virtual machine.
  - For many instances M(bcm.datacenter.lxd_instances) is faster.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - In a project that does not exist yet, all instances are reported as to be created.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Not with O(state=restarted).
options:
  name:
    description: Its name.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that it exists, and leaves running or stopped as it is.
      - V(restarted) restarts it each time.
      - V(absent) stops it and removes it with its root disk. Volumes that are attached to it stay.
    type: str
    choices: [started, stopped, restarted, frozen, present, absent]
    default: started
  image:
    description:
      - What it is made from. A text is an alias or a fingerprint of an image in the project.
      - A dictionary with C(server), C(protocol) (V(simplestreams) or V(lxd)) and C(alias) or C(fingerprint) is an image
        of another server. With C(alias) or C(fingerprint) alone it is one of the project.
      - Not looked at once the instance exists.
    type: raw
  type:
    description: The kind of instance. Used when it is made (V(container) by default), and checked afterwards.
    type: str
    choices: [container, virtual-machine]
  description:
    description: A description.
    type: str
  profiles:
    description:
      - Its profiles, in this order and no others. Without them a new instance gets V(default).
    type: list
    elements: str
  config:
    description:
      - Its configuration, in LXD's own keys, such as C(limits.memory) or C(cloud-init.user-data).
      - cloud-init reads its keys at the first boot, changes have no effect in an instance that exists.
    type: dict
  devices:
    description:
      - Its own devices by name, beside those of its profiles. Those not mentioned stay, V(null) removes one.
    type: dict
  ephemeral:
    description: Whether it is removed when it stops.
    type: bool
  target:
    description: Member of the cluster that a new instance is made on.
    type: str
  force:
    description:
      - Whether an instance that has not stopped by itself within O(timeout) is killed. Otherwise the module fails then, and
        the instance goes on running.
    type: bool
    default: false
  wait_for:
    description:
      - What to wait for where the instance is to be running, also where it runs already.
      - V(address) is an address on one of its network cards, V(cloud-init) is the end of cloud-init (that it ended with
        errors fails the module), V(agent) is for virtual machines.
    type: str
    choices: [none, address, cloud-init, agent]
    default: none
  timeout:
    description:
      - Seconds that each thing that is waited for may take, such as the download of an image, a stop, or cloud-init.
    type: int
    default: 300
seealso:
  - module: bcm.datacenter.lxd_instances
  - module: bcm.datacenter.lxd_instance_info
"""

EXAMPLES = r"""
- name: A container from an image of the project, ready to be worked in
  bcm.datacenter.lxd_instance:
    name: proxyhost-1
    project: bcm-home
    image: debian/13
    config:
      limits.memory: 1GiB
      cloud-init.user-data: |
        #cloud-config
        packages: [squid]
    devices:
      outside:
        type: nic
        network: bcm1a2b-outside
        name: outside
    wait_for: cloud-init

- name: A container from an image server
  bcm.datacenter.lxd_instance:
    name: try-1
    image:
      server: https://images.lxd.canonical.com
      alias: debian/13/cloud

- name: Stop it, and wait up to half an hour for it to finish what it is at
  bcm.datacenter.lxd_instance:
    name: bitcoin-1
    project: bcm-home
    state: stopped
    timeout: 1800

- name: Remove it
  bcm.datacenter.lxd_instance:
    name: try-1
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, in this order.
  returned: always
  type: list
  elements: str
  sample: [create, start]
exists:
  description: Whether it exists. In check mode, whether it exists already.
  returned: always
  type: bool
status:
  description: V(Running), V(Stopped), V(Frozen) or V(absent).
  returned: always
  type: str
  sample: Running
addresses:
  description: Its addresses by the name of the interface in it.
  returned: always
  type: dict
  sample: {eth0: [10.80.0.11]}
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_instances as instances
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def main() -> None:
    spec: dict[str, t.Any] = {**instances.INSTANCE_SPEC, "timeout": {"type": "int", "default": 300}}
    LXDModule(spec, project=True).run(instances.run_single)


if __name__ == "__main__":
    main()
