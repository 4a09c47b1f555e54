# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes as numbers."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _sizes

DOCUMENTATION = r"""
name: size_bytes
short_description: Bytes of a size as LXD and declarations write it
version_added: 0.1.0
description:
  - Reads C(512MiB), C(4GiB), C(1.5TiB), C(80GB). A bare number is bytes already.
  - Unlike P(ansible.builtin.human_to_bytes#filter) it keeps powers of 1000 and of 1024 apart.
options:
  _input:
    description: The size.
    type: raw
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show the memory of an instance in MiB
  ansible.builtin.debug:
    msg: "{{ (bcm_size.memory | bcm.datacenter.size_bytes) // 1048576 }}"
"""

RETURN = r"""
_value:
  description: The number of bytes.
  type: int
"""


def size_bytes(value: str | int) -> int:
    """Return how many bytes VALUE stands for."""
    try:
        return _sizes.to_bytes(value)
    except (AttributeError, ValueError) as error:
        raise AnsibleFilterError(f"size_bytes: {value!r} is not a size: {_sizes.EXAMPLES}") from error


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"size_bytes": size_bytes}
