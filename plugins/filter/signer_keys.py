# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signers of releases, with their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: signer_keys
short_description: Signers with their keys, for release_verify
version_added: 0.1.0
description:
  - Completes a list of signers for M(bcm.datacenter.release_verify). A key that is a path on the controller is read, and one
    that is missing is taken from the signers that are known already, by its fingerprint.
options:
  _input:
    description: The signers.
    type: list
    elements: dict
    required: true
  known:
    description: Signers whose keys are known.
    type: list
    elements: dict
    default: []
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show the signers
  ansible.builtin.debug:
    msg: "{{ my_signers | bcm.datacenter.signer_keys(known_signers) }}"
"""

RETURN = r"""
_value:
  description: The signers with C(name), C(fingerprint), and with C(key) as text or URL where there is one.
  type: list
  elements: dict
"""


def signer_keys(signers: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return SIGNERS with keys."""
    by_fingerprint = {signer["fingerprint"]: signer.get("key") for signer in known}
    result = []
    for signer in signers:
        entry = {name: value for name, value in signer.items() if value is not None}
        key = entry.get("key") or by_fingerprint.get(entry["fingerprint"])
        if key and str(key).startswith("/"):
            try:
                key = Path(key).read_text(encoding="ascii")
            except (OSError, ValueError) as exc:
                raise AnsibleFilterError(f"The key of the signer {entry['name']} must be armoured text: {exc}") from exc
        if key:
            entry["key"] = str(key)
        result.append(entry)
    return result


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"signer_keys": signer_keys}
