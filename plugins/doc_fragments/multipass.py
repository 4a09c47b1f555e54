# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How the program is found.
    DOCUMENTATION = r"""
options:
  program:
    description:
      - The C(multipass) program, as a path or as a name that is looked for on the PATH and where packages put it.
    type: str
    default: multipass
attributes:
  action_group:
    description: Use C(group/bcm.datacenter.multipass) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - bcm.datacenter.multipass
requirements:
  - multipass 1.10 or later where the module runs, and a user that its daemon has authenticated
notes:
  - The program is run without a shell, with an input of its own and with a time limit. What only reads is tried again when the
    daemon broke the connection.
  - Names are exact. An instance whose name begins with the name of another is never touched with it.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""
