# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What every module says about itself; how far it goes is said by the module.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would be changed, without changing it.
  diff_mode:
    description: Returns in diff mode what has been changed, or would be in C(check_mode).
  idempotent:
    description:
      - When run twice in a row outside of check mode with the same arguments, the second run changes nothing.
      - This assumes that nobody else changes what the module looks after in between.
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
"""

    ACTIONGROUP_LXD = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/bcm.datacenter.lxd) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - bcm.datacenter.lxd
"""
