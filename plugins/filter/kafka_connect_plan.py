# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the settings of a Kafka Connect to its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_connect_plan import PlanError, plan

DOCUMENTATION = r"""
name: kafka_connect_plan
short_description: Configuration of a worker of Kafka Connect
version_added: 0.1.0
description:
  - Turns settings into C(worker.properties) of a worker in distributed mode, its connectors and what becomes of the files of its archive, and
    refuses what cannot go together. All that is wrong is said at once, each with its key, its value and what is allowed.
options:
  _input:
    description:
      - The settings. C(name), by which others reach it, C(brokers), C(replication), C(password) of its keystores and C(memory) are needed. The
        others are C(volume_size), C(free_space_min), C(archive) with C(topic), C(file_size) and C(keep), and C(connectors).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show how a worker would be configured
  ansible.builtin.debug:
    msg: "{{ (my_connect | bcm.datacenter.kafka_connect_plan).conf }}"
"""

RETURN = r"""
_value:
  description:
    - C(conf), the text of the file; C(connectors), that of the archive too; C(archive), what the program on the host is told; C(heap_mib);
      C(memory_limit) in bytes; C(free_space_kib) and C(volume_kib).
  type: dict
"""


def kafka_connect_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for SETTINGS."""
    try:
        return plan(settings)
    except PlanError as exc:
        raise AnsibleFilterError("Kafka Connect cannot be set up like this:\n" + "\n".join(exc.errors)) from exc
    except (KeyError, ValueError) as exc:
        raise AnsibleFilterError(f"The settings of Kafka Connect: {exc}") from exc


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"kafka_connect_plan": kafka_connect_plan}
