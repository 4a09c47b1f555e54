# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new cluster of Kafka is known by for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_plan import birth

DOCUMENTATION = r"""
name: kafka_birth
short_description: IDs for a new cluster of Kafka
version_added: 0.1.0
description:
  - Makes the ID of a cluster and those of the directories of its first controllers, other ones each time, and names its first brokers. Keep
    the result once, and read it ever after.
options:
  _input:
    description: Members, as of P(bcm.datacenter.kafka_members#filter).
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Have the IDs of the cluster
  bcm.datacenter.site_secret:
    site: home
    secrets:
      - name: kafka-cluster
        kind: text
        value: "{{ my_members | bcm.datacenter.kafka_birth }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: C(id), C(brokers), their names, and C(controllers), by name each with C(id), C(dns) and C(directory), as JSON.
  type: str
"""


def kafka_birth(members: list[Mapping[str, Any]]) -> str:
    """Return the IDs of a cluster that begins with MEMBERS."""
    return birth(members)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"kafka_birth": kafka_birth}
