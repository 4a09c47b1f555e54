# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Where lnd is, and how it is known to be the right one.
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where lnd's REST is. It is HTTPS only, for what is sent there opens a wallet.
      - Neither a proxy of the environment nor a redirection is followed.
    type: str
    default: https://127.0.0.1:8080
  ca_path:
    description: File with the certificate of the authority that signed lnd's, or with lnd's own where it signed itself.
    type: path
    required: true
  server_name:
    description: Name that lnd's certificate has to carry, where that is not the host of O(url).
    type: str
  timeout:
    description: Seconds until an answer is given up.
    type: int
    default: 60
attributes:
  action_group:
    description: Use C(group/bcm.datacenter.lnd) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - bcm.datacenter.lnd
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

    # With which rights lnd is asked.
    MACAROON = r"""
options:
  macaroon_path:
    description: File with the macaroon that is shown to lnd, on the host where the module runs.
    type: path
  macaroon:
    description:
      - The macaroon itself, in hexadecimal or Base64, where there is no file.
      - One of O(macaroon_path) and O(macaroon) is needed.
    type: str
"""
