#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_topic_info
short_description: Read topics of Kafka
version_added: 0.1.0
description:
  - Gives the topics of a Kafka, those that it has for itself too.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
"""

EXAMPLES = r"""
- name: Read all topics
  bcm.datacenter.kafka_topic_info:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
  register: found

- name: Show which have fewer than three replicas
  ansible.builtin.debug:
    msg: "{{ found.topics | selectattr('replication_factor', 'lt', 3) | map(attribute='name') }}"
"""

RETURN = r"""
topics:
  description: The topics, sorted by name. A partition without a leader has -1 for it.
  returned: success
  type: list
  elements: dict
  sample:
    - name: audit
      internal: false
      partitions: 1
      replication_factor: 3
      config: {min.insync.replicas: "2"}
      places: [{partition: 0, leader: 1001, replicas: [1001, 1002, 1003], in_sync: [1001, 1002, 1003]}]
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
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import Topic


def shown(topic: Topic) -> dict[str, t.Any]:
    places = [
        {"partition": one.number, "leader": one.leader, "replicas": list(one.replicas), "in_sync": list(one.in_sync)}
        for one in topic.partitions
    ]
    return {"name": topic.name, "internal": topic.name.startswith("__"), **topic.described(), "places": places}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, "name": {"type": "str"}},
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    name = module.params["name"]
    try:
        cluster = Cluster(module.params)
        topics = [one for one in cluster.read()[1] if name in (None, one.name)]
        settings = cluster.topic_settings([one.name for one in topics])
    except KafkaError as exc:
        module.fail_json(msg=f"The topics of Kafka: {exc}")
    for topic in topics:
        topic.settings = settings[topic.name]
    module.exit_json(changed=False, topics=[shown(topic) for topic in topics])


if __name__ == "__main__":
    main()
