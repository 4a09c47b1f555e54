#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_defaults
short_description: Have settings in force on all brokers of a Kafka
version_added: 0.1.0
description:
  - Sets what the cluster has as its default for settings that may change while it runs, and reads the values back from every broker.
  - Formatting a volume stores some of them, such as C(min.insync.replicas), and what is stored counts more than a broker's own file.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.kafka.tool
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  config:
    description: Settings with their values.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Two replicas must have what is acknowledged
  bcm.datacenter.kafka_defaults:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
    config:
      min.insync.replicas: 2
  vars:
    ansible_python_interpreter: /opt/bcm/kafka-client/bin/python
"""

RETURN = r"""
config:
  description: By broker, the values that are in force afterwards, or would be in check mode.
  returned: success
  type: dict
  sample: {"1001": {min.insync.replicas: "2"}}
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    TOOL_SPEC,
    Cluster,
    KafkaError,
    require_library,
)


def in_force(cluster: Cluster, keys: t.Sequence[str]) -> dict[int, dict[str, str]]:
    return cluster.broker_settings(sorted(cluster.read()[0]), keys)


def lacking(found: t.Mapping[int, t.Mapping[str, str]], wanted: t.Mapping[str, str]) -> dict[str, str]:
    """Those of WANTED that are not in force on every broker."""
    return {
        key: value
        for key, value in sorted(wanted.items())
        if any(settings.get(key) != value for settings in found.values())
    }


def alter(module: AnsibleModule, cluster: Cluster, settings: t.Mapping[str, str]) -> None:
    """The library can name one broker or another, but not all of them."""
    pairs = ",".join(f"{key}=[{value}]" if "," in value else f"{key}={value}" for key, value in settings.items())
    argv = ["configs", "--entity-type", "brokers", "--entity-default", "--alter", "--add-config", pairs]
    code, out, err = module.run_command([*module.params["tool"], *argv])
    if code:
        raise KafkaError(f"{pairs} could not be set: {(err or out).strip()[-500:]}")
    deadline = time.monotonic() + module.params["timeout"]
    while left := lacking(in_force(cluster, list(settings)), settings):
        if time.monotonic() > deadline:
            raise KafkaError(
                f"{', '.join(left)} was set and is not in force on every broker: a value of its own may be set on one of them"
            )
        time.sleep(0.5)


def shown(found: t.Mapping[int, t.Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {str(number): dict(settings) for number, settings in sorted(found.items())}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, **TOOL_SPEC, "config": {"type": "dict", "required": True}},
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    wanted = {key: str(value) for key, value in module.params["config"].items()}
    try:
        cluster = Cluster(module.params)
        before = in_force(cluster, list(wanted))
        due = lacking(before, wanted)
        if due and not module.check_mode:
            alter(module, cluster, due)
    except KafkaError as exc:
        module.fail_json(msg=f"Settings of Kafka: {exc}")
    after = {number: {**settings, **due} for number, settings in before.items()}
    module.exit_json(changed=bool(due), config=shown(after), diff={"before": shown(before), "after": shown(after)})


if __name__ == "__main__":
    main()
