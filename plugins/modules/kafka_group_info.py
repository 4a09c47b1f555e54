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
  - Groups that are behind are asked again until they have read on, or O(wait) has passed. So one that is behind for a moment is told from one
    of which nothing reaches whom it is for.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  groups:
    description: The groups by name, each with the topic that it reads.
    type: dict
    required: true
  wait:
    description:
      - Seconds within which a group that is behind is to say that it has read on. It is to be longer than the time after which whoever
        reads says how far that is, which is 10 seconds for the workers of the P(bcm.datacenter.kafka_connect#role) role. With V(0) nobody
        is asked again.
    type: int
    default: 30
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
  description: >-
    The groups, sorted by name, with C(behind), a number of lines, as a whole and by partition, and C(moved), whether it is behind by nothing or has
    read on meanwhile.
  returned: success
  type: list
  elements: dict
  sample: [{name: connect-audit-files, topic: audit, behind: 3, partitions: {"0": 3, "1": 0}, moved: true}]
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    Cluster,
    KafkaError,
    require_library,
)

# Seconds from one time that a group is asked to the next.
EVERY = 2


def behind(first: t.Mapping[int, int], last: t.Mapping[int, int], read: t.Mapping[int, int]) -> dict[str, int]:
    """By partition, how many lines are there that were not READ. Those that are gone already nobody can read."""
    return {str(number): max(0, end - max(read.get(number, 0), first.get(number, 0))) for number, end in last.items()}


class Group(t.NamedTuple):
    """How far a group has read a topic, by partition."""

    topic: str
    read: dict[int, int]
    behind: dict[str, int]

    def has_read_on(self, before: Group) -> bool:
        return not any(self.behind.values()) or any(
            number > before.read.get(place, 0) for place, number in self.read.items()
        )


def look(cluster: Cluster, groups: t.Mapping[str, str]) -> dict[str, Group]:
    topics = {topic.name: topic for topic in cluster.read()[1]}
    found = {}
    for name, topic in groups.items():
        if topic not in topics:
            raise KafkaError(f"there is no topic {topic}, which {name} is to read")
        read = cluster.committed(name).get(topic, {})
        found[name] = Group(topic, read, behind(*cluster.ends(topics[topic]), read))
    return found


def watch(cluster: Cluster, groups: t.Mapping[str, str], wait: float) -> list[dict[str, t.Any]]:
    """How far they are at last, and whether they have read on."""
    first = look(cluster, groups)
    last, deadline = dict(first), time.monotonic() + wait
    while still := {name: groups[name] for name, group in last.items() if not group.has_read_on(first[name])}:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(EVERY, left))
        last.update(look(cluster, still))
    return [
        {
            "name": name,
            "topic": group.topic,
            "behind": sum(group.behind.values()),
            "partitions": group.behind,
            "moved": name not in still,
        }
        for name, group in sorted(last.items())
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENT_SPEC,
            "groups": {"type": "dict", "required": True},
            "wait": {"type": "int", "default": 30},
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    try:
        wanted = {name: str(topic) for name, topic in module.params["groups"].items()}
        groups = watch(Cluster(module.params), wanted, module.params["wait"])
    except KafkaError as exc:
        module.fail_json(msg=f"Consumer groups: {exc}")
    module.exit_json(changed=False, groups=groups)


if __name__ == "__main__":
    main()
