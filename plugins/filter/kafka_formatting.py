# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about the volumes of a Kafka's members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_plan import formatting

DOCUMENTATION = r"""
name: kafka_formatting
short_description: Which volumes of a Kafka are to be formatted, and how
version_added: 0.1.0
description:
  - Holds what is known of the members of a cluster against what is on their volumes. A member that never had data is formatted. One that
    had data and has none is a problem, unless it is named as the one that may begin with nothing.
  - A volume of another cluster, of another node or with another directory ID is a problem, whoever is named.
  - So it is where none of the controllers, or none of the brokers, that the cluster began with is a member any more.
options:
  _input:
    description: Members, as of P(bcm.datacenter.kafka_members#filter).
    type: list
    elements: dict
    required: true
  cluster:
    description: The IDs of the cluster, as of P(bcm.datacenter.kafka_birth#filter), read from JSON.
    type: dict
    required: true
  stored:
    description: By member that was formatted, C(directory), its ID, C(roles), and C(rejoining) where it is to have another one soon.
    type: dict
    required: true
  found:
    description: By member, C(meta), the text of its C(meta.properties), and whether its volume is C(empty). One that is missing is left out.
    type: dict
    required: true
  port:
    description: Port of controllers.
    type: int
    required: true
  rejoin:
    description: The member that may begin with nothing.
    type: str
    default: ''
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: See what is to be done
  ansible.builtin.set_fact:
    my_formatting: "{{ my_members | bcm.datacenter.kafka_formatting(my_cluster, known, found, 9093) }}"
"""

RETURN = r"""
_value:
  description:
    - C(problems) in sentences; C(format), by member the further arguments of Kafka's own tool; C(note), those who are formatted and of whom
      that is not known yet.
  type: dict
"""


def kafka_formatting(
    members: list[Mapping[str, Any]],
    cluster: Mapping[str, Any],
    stored: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    port: int,
    rejoin: str = "",
) -> dict[str, Any]:
    """Return what is to be done about the volumes of MEMBERS."""
    return formatting(members, cluster, stored, found, port, rejoin)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"kafka_formatting": kafka_formatting}
