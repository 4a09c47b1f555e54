# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How LXD is reached.
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where LXD's API is, as V(unix:///path/of/the/socket) or V(https://host:8443).
      - By default the socket of the machine that the module runs on is looked for at E(LXD_SOCKET), in E(LXD_DIR) and
        at the usual places of the snap and of packages.
    type: str
  client_cert:
    description:
      - File with the client certificate (PEM) that the server trusts. For V(https) only.
    type: path
  client_key:
    description:
      - File with the key of O(client_cert).
    type: path
  server_cert:
    description:
      - The server's own certificate, as PEM text or as a file. The server has to show exactly this one.
      - Without it, the server's certificate is checked against the machine's certificate authorities and its name.
    type: str
requirements:
  - LXD 5.0 or later, or Incus
notes:
  - Only Python's standard library is needed where the module runs.
  - Keys of C(config) that are not mentioned stay as they are, those set to V(null) are removed, and those that belong
    to LXD itself (C(volatile.*), C(image.*)) are never compared.
  - Where the desired C(config) carries C(user.bcm.site) and the object exists with another value, or with none, the
    module fails and leaves it alone.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

    # For what lives within a project.
    PROJECT = r"""
options:
  project:
    description:
      - The LXD project that the object belongs to.
    type: str
    default: default
"""
