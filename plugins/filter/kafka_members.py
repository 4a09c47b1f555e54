# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes a Kafka has, and by which names and numbers they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka import members

DOCUMENTATION = r"""
name: kafka_members
short_description: Brokers and controllers of a Kafka
version_added: 0.1.0
description:
  - Lists the processes of a Kafka on some hosts. The first three brokers are controllers too, or the first, where there are fewer than three;
    where controllers are by themselves, so are the first three of their hosts.
  - The number of a member follows from C(bcm_number) of its host, and never changes.
options:
  _input:
    description: Hosts with a broker.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts, of which C(bcm_number) and C(bcm_addresses) are read.
    type: dict
    required: true
  domain:
    description: Domain of the site, in which members are known by the names of their hosts.
    type: str
    required: true
  controllers:
    description: Hosts with a controller of its own. By default brokers are controllers.
    type: list
    elements: str
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show who is a member
  ansible.builtin.debug:
    msg: "{{ groups['tier_manager'] | bcm.datacenter.kafka_members(hostvars, bcm_domain) | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: Members with C(name), C(host), C(id), C(roles), C(dns) and C(address).
  type: list
  elements: dict
"""


def kafka_members(
    brokers: list[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    domain: str,
    controllers: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the members of a Kafka on BROKERS."""
    return members(brokers, controllers, hostvars, domain)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"kafka_members": kafka_members}
