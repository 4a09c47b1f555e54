# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files by which Debian is told to trust further certificate authorities."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = r"""
name: authority_files
short_description: Files for Debian's list of further certificate authorities
version_added: 0.1.0
description:
  - Turns named certificates into items of M(bcm.datacenter.files), below C(/usr/local/share/ca-certificates),
    where C(update-ca-certificates) looks for them.
options:
  _input:
    description: Certificates, each with C(name) and C(content) (PEM).
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Trust the company's authority
  bcm.datacenter.files:
    files: "{{ authorities | bcm.datacenter.authority_files }}"
  vars:
    authorities:
      - name: company
        content: "{{ lookup('ansible.builtin.file', 'company.pem') }}"
"""

RETURN = r"""
_value:
  description: Items of the O(bcm.datacenter.files#module:files) option.
  type: list
  elements: dict
"""

DIRECTORY = "/usr/local/share/ca-certificates"


def authority_files(certificates: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return one file item for each certificate, ending in a line feed as OpenSSL wants it."""
    return [
        {
            "path": f"{DIRECTORY}/{certificate['name'].removesuffix('.crt').removesuffix('.pem')}.crt",
            "content": certificate["content"].rstrip("\n") + "\n",
            "mode": "0644",
        }
        for certificate in certificates
    ]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"authority_files": authority_files}
