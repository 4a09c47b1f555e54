#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_acl
short_description: Have the rights of a principal of Kafka
version_added: 0.1.0
description:
  - Grants a principal what its rules say, all at once, and takes away what else it has.
  - Where a Kafka allows nothing unless it was granted, a principal without a rule may do nothing.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  principal:
    description: Whose rights they are, such as V(User:log-reader). That is the common name of a client's certificate.
    type: str
    required: true
  rules:
    description: What it may do. With none of them, it may do nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      resource:
        description: What it is about.
        type: str
        choices: [topic, group, cluster, transactional_id]
        required: true
      name:
        description: Its name, or with O(rules[].pattern=prefixed) the beginning of names. A V(cluster) needs none.
        type: str
      pattern:
        description: Whether O(rules[].name) is a whole name.
        type: str
        choices: [literal, prefixed]
        default: literal
      operations:
        description: What is done with it. Who may V(read) or V(write) may V(describe), too.
        type: list
        elements: str
        required: true
        choices:
          - all
          - alter
          - alter_configs
          - cluster_action
          - create
          - delete
          - describe
          - describe_configs
          - idempotent_write
          - read
          - write
      permission:
        description: Whether it may. V(deny) counts more than V(allow).
        type: str
        choices: [allow, deny]
        default: allow
      host:
        description: From which address, V(*) for all.
        type: str
        default: '*'
  exclusive:
    description: Take away what the principal has beyond O(rules).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Let a reader read, and nothing else
  bcm.datacenter.kafka_acl:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
    principal: User:log-reader
    rules:
      - {resource: topic, name: logs., pattern: prefixed, operations: [read]}
      - {resource: group, name: log-reader, operations: [read]}
  vars:
    ansible_python_interpreter: /opt/bcm/kafka-client/bin/python

- name: Take all rights from another
  bcm.datacenter.kafka_acl:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    principal: User:gone
    rules: []
"""

RETURN = r"""
grants:
  description: What the principal has afterwards, or would have in check mode, one item for each operation.
  returned: success
  type: list
  elements: dict
  sample: [{resource: topic, name: audit, pattern: literal, operation: read, permission: allow, host: '*'}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_acl import (
    OPERATIONS,
    PATTERNS,
    PERMISSIONS,
    RESOURCES,
    described,
    difference,
    wanted,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    Cluster,
    KafkaError,
    require_library,
)

RULE = {
    "resource": {"type": "str", "choices": list(RESOURCES), "required": True},
    "name": {"type": "str"},
    "pattern": {"type": "str", "choices": list(PATTERNS), "default": "literal"},
    "operations": {"type": "list", "elements": "str", "choices": list(OPERATIONS), "required": True},
    "permission": {"type": "str", "choices": list(PERMISSIONS), "default": "allow"},
    "host": {"type": "str", "default": "*"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENT_SPEC,
            "principal": {"type": "str", "required": True},
            "rules": {"type": "list", "elements": "dict", "required": True, "options": RULE},
            "exclusive": {"type": "bool", "default": True},
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    principal = module.params["principal"]
    try:
        if ":" not in principal:
            raise ValueError("a principal is a kind and a name, such as User:log-reader")
        shall = wanted(module.params["rules"])
        cluster = Cluster(module.params)
        there = {grant for _principal, grant in cluster.grants(principal)}
        given, taken = difference(there, shall, module.params["exclusive"])
        if not module.check_mode:
            # What is denied is denied before something else is allowed.
            for some in (
                [one for one in given if one.permission == "deny"],
                [one for one in given if one.permission != "deny"],
            ):
                if some:
                    cluster.grant(principal, some)
            if taken:
                cluster.take(principal, taken)
    except (KafkaError, ValueError) as exc:
        module.fail_json(msg=f"Rights of {principal}: {exc}")
    after = (there | set(given)) - set(taken)
    module.exit_json(
        changed=bool(given or taken),
        grants=described(after),
        diff={
            side: "".join(f"{one.sentence()}\n" for one in sorted(grants))
            for side, grants in (("before", there), ("after", after))
        },
    )


if __name__ == "__main__":
    main()
