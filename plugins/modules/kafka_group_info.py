#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_group_info
short_description: Ask how far consumer groups of Kafka are behind
version_added: 0.1.0
description:
  - Says of consumer groups how many lines of a topic there are that they have not read yet. It changes nothing.
  - A group that has never said how far it has read is behind by all lines that are there.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  groups:
    description: The groups by name, each with the topic that it reads.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See whether the archive keeps up
  bcm.datacenter.kafka_group_info:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
    groups: {connect-audit-files: audit}
  register: found

- name: Show it
  ansible.builtin.debug:
    msg: "{{ found.groups | items2dict(key_name='name', value_name='behind') }}"
"""

RETURN = r"""
groups:
  description: The groups, sorted by name, with C(behind), a number of lines, as a whole and by partition.
  returned: success
  type: list
  elements: dict
  sample: [{name: connect-audit-files, topic: audit, behind: 3, partitions: {"0": 3, "1": 0}}]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    Cluster,
    KafkaError,
    require_library,
)


def behind(first: t.Mapping[int, int], last: t.Mapping[int, int], read: t.Mapping[int, int]) -> dict[str, int]:
    """By partition, how many lines are there that were not READ. Those that are gone already nobody can read."""
    return {str(number): max(0, end - max(read.get(number, 0), first.get(number, 0))) for number, end in last.items()}


def look(cluster: Cluster, groups: t.Mapping[str, str]) -> list[dict[str, t.Any]]:
    topics = {topic.name: topic for topic in cluster.read()[1]}
    found = []
    for name, topic in sorted(groups.items()):
        if topic not in topics:
            raise KafkaError(f"there is no topic {topic}, which {name} is to read")
        read = cluster.committed(name).get(topic, {})
        partitions = behind(*cluster.ends(topics[topic]), read)
        found.append({"name": name, "topic": topic, "behind": sum(partitions.values()), "partitions": partitions})
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, "groups": {"type": "dict", "required": True}},
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    try:
        groups = look(Cluster(module.params), {name: str(topic) for name, topic in module.params["groups"].items()})
    except KafkaError as exc:
        module.fail_json(msg=f"Consumer groups: {exc}")
    module.exit_json(changed=False, groups=groups)


if __name__ == "__main__":
    main()
