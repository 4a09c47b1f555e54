# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the settings of a Kafka to its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_plan import PlanError, plan

DOCUMENTATION = r"""
name: kafka_plan
short_description: Configuration of a Kafka
version_added: 0.1.0
description:
  - Turns settings into C(server.properties) of each member, computes heap and replicas, and refuses what cannot go together. All that is
    wrong is said at once, each with its key, its value and what is allowed.
  - Of a member's memory half is Java's heap, at most 6 GiB. A topic has three replicas, or as many as there are brokers, and all but one of
    them must have what is acknowledged.
options:
  _input:
    description:
      - The settings. C(version), C(members) (see P(bcm.datacenter.kafka_members#filter)), C(ports) (C(client), C(broker), C(controller)) and
        C(memory) are needed. The others are C(volume_size), C(free_space_min), C(options), C(topics), C(clients).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show how a member would be configured
  ansible.builtin.debug:
    msg: "{{ (my_kafka | bcm.datacenter.kafka_plan).conf['manager-1'] }}"
"""

RETURN = r"""
_value:
  description:
    - C(conf) and C(names), the texts of two files by member; C(bootstrap_servers); C(brokers) and C(controllers), their IDs;
      C(replication_factor) and C(min_insync_replicas); C(own_partitions) of the topics that Kafka has for itself; C(topics) and C(rights),
      as the modules take them; C(heap_mib); C(memory_limit) in bytes; C(free_space_kib) and C(volume_kib).
  type: dict
"""


def kafka_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for SETTINGS."""
    try:
        return plan(settings)
    except PlanError as exc:
        raise AnsibleFilterError("Kafka cannot be set up like this:\n" + "\n".join(exc.errors)) from exc
    except (KeyError, ValueError) as exc:
        raise AnsibleFilterError(f"The settings of Kafka: {exc}") from exc


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"kafka_plan": kafka_plan}
