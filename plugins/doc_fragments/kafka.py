# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How brokers are reached.
    DOCUMENTATION = r"""
options:
  bootstrap_servers:
    description: Brokers to ask first, as C(HOST:PORT). One that answers is enough.
    type: list
    elements: str
    required: true
  ca_path:
    description: File with the certificate of the authority that brokers' certificates come from. Without it, there is no TLS.
    type: path
  certificate_path:
    description: File with the client's certificate, by which brokers know who asks.
    type: path
  key_path:
    description: File with the key of O(certificate_path).
    type: path
  timeout:
    description: Seconds until an answer is given up.
    type: int
    default: 30
attributes:
  action_group:
    description: Use C(group/bcm.datacenter.kafka) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - bcm.datacenter.kafka
requirements:
  - confluent-kafka 2.3 or later where the module runs
notes:
  - Debian's package of confluent-kafka is too old. The P(bcm.datacenter.kafka#role) role puts a newer one into an environment of its own, whose
    Python is to be named as C(ansible_python_interpreter) of the task.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

    # For what the client's library cannot do.
    TOOL = r"""
options:
  tool:
    description:
      - Program and first arguments that run one of Kafka's own tools, whose name and arguments follow, for what the library cannot do.
      - The P(bcm.datacenter.kafka#role) role puts it on hosts with a broker.
    type: list
    elements: str
    default: [/usr/local/sbin/kafka]
"""
