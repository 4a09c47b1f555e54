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
  - Makes, copies, changes, moves, starts, stops, freezes and removes a container or a virtual machine.
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
  source:
    description:
      - Another instance that it is made from as a copy, with its configuration, its devices and its profiles as far as the
        task does not say otherwise. Instead of C(image).
      - Not looked at once the instance exists.
    type: dict
    suboptions:
      instance:
        description: The instance to copy.
        type: str
        required: true
      snapshot:
        description: A snapshot of it, by its name. Without it, the instance as it is now is copied.
        type: str
      project:
        description: The project that it is in, the one of the copy by default.
        type: str
      instance_only:
        description: Whether its snapshots are left out.
        type: bool
        default: false
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
  cloud_init:
    description:
      - What cloud-init is told, the same as the C(cloud-init.*) keys of C(config), but also as dictionaries.
      - cloud-init reads this at the first boot, changes have no effect in an instance that exists.
    type: dict
    suboptions:
      user_data:
        description: C(cloud-init.user-data). A dictionary is written as C(#cloud-config).
        type: raw
      vendor_data:
        description: C(cloud-init.vendor-data). A dictionary is written as C(#cloud-config).
        type: raw
      network_config:
        description: C(cloud-init.network-config), a text or a dictionary.
        type: raw
  devices:
    description:
      - Its own devices by name, beside those of its profiles. Those not mentioned stay, V(null) removes one.
    type: dict
  ephemeral:
    description: Whether it is removed when it stops.
    type: bool
  target:
    description:
      - Member of the cluster that a new instance is made on, or V(@group) for one of a group of members, which LXD chooses.
      - For an instance that exists it counts only with C(move). Otherwise it stays where it is.
    type: str
  move:
    description:
      - Whether an instance that exists elsewhere than on C(target) is moved there. One that runs is stopped for that, and
        started again afterwards.
      - Within a group, the member that answers and has the fewest instances is chosen. One that is on a member of the group
        already stays.
    type: bool
    default: false
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
  wait_interface:
    description:
      - With C(wait_for=address), the network card that is to have the address, by its name in the instance. Any by default.
    type: str
  wait_family:
    description:
      - With C(wait_for=address), the kind of address, V(inet) for IPv4 or V(inet6) for IPv6. Any by default. One that is
        valid on its own link only does not count.
    type: str
    choices: [inet, inet6]
  timeout:
    description:
      - Seconds that each thing that is waited for may take, such as the download of an image, a stop, or cloud-init.
    type: int
    default: 300
seealso:
  - module: bcm.datacenter.lxd_instances
  - module: bcm.datacenter.lxd_instance_snapshot
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

- name: A container that is told by a dictionary what to do at its first boot, waited for until it has an IPv4 address
  bcm.datacenter.lxd_instance:
    name: try-2
    image: debian/13
    cloud_init:
      user_data:
        packages: [nginx]
        runcmd:
          - [systemctl, enable, --now, nginx]
    wait_for: address
    wait_interface: eth0
    wait_family: inet

- name: A copy of another one as it was in a snapshot
  bcm.datacenter.lxd_instance:
    name: try-3
    source:
      instance: try-2
      snapshot: clean
    config:
      limits.memory: 512MiB

- name: On any member of a group of a cluster; moved there if it is elsewhere
  bcm.datacenter.lxd_instance:
    name: bitcoin-1
    project: bcm-home
    image: bcm-golden
    target: "@with-disks"
    move: true
    timeout: 1800

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
location:
  description: The member of the cluster that it is on. V(null) without a cluster, or where only LXD will say.
  returned: always
  type: str
  sample: rack-2
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_instances as instances
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def main() -> None:
    spec: dict[str, t.Any] = {**instances.INSTANCE_SPEC, "timeout": {"type": "int", "default": 300}}
    LXDModule(spec, project=True, mutually_exclusive=[("image", "source")]).run(instances.run_single)


if __name__ == "__main__":
    main()
