#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_acl_info
short_description: Read the rights in a Kafka
version_added: 0.1.0
description:
  - Gives what was granted and denied, by principal. Those who may do all without being granted it, the super users, are not among them.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  principal:
    description: Only what this one may do.
    type: str
"""

EXAMPLES = r"""
- name: Read who may do what
  bcm.datacenter.kafka_acl_info:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
  register: found
"""

RETURN = r"""
principals:
  description: The principals by name, each with what it may and must not do, one item for each operation.
  returned: success
  type: dict
  sample:
    User:log-reader: [{resource: topic, name: audit, pattern: literal, operation: read, permission: allow, host: '*'}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_acl import Grant, described
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    Cluster,
    KafkaError,
    require_library,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, "principal": {"type": "str"}},
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    found: dict[str, list[Grant]] = {}
    try:
        for principal, grant in Cluster(module.params).grants(module.params["principal"]):
            found.setdefault(principal, []).append(grant)
    except KafkaError as exc:
        module.fail_json(msg=f"The rights in Kafka: {exc}")
    principals = {principal: described(grants) for principal, grants in sorted(found.items())}
    module.exit_json(changed=False, principals=principals)


if __name__ == "__main__":
    main()
