# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How Connect is reached.
    DOCUMENTATION = r"""
options:
  tool:
    description:
      - Program and first arguments that lead to the REST of Connect. C(api METHOD PATH) follows, what is sent comes in on the standard input, and
        the answer is expected as JSON with C(status) and C(body).
      - The P(bcm.datacenter.kafka_connect#role) role puts it on hosts with a worker. It enters the network of the worker's container, for the REST
        is published nowhere, and shows the certificate that it takes.
    type: list
    elements: str
    default: [/usr/local/sbin/kafka-connect]
  timeout:
    description: Seconds until something that was asked for is given up.
    type: int
    default: 60
attributes:
  action_group:
    description: Use C(group/bcm.datacenter.kafka_connect) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - bcm.datacenter.kafka_connect
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""
