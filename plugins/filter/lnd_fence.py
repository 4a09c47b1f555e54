# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the lnd of a volume may run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: lnd_fence
short_description: Why the volume of an lnd must not be used
version_added: 0.1.0
description:
  - Compares what is on the volume with what the site's secrets say of it. Two lnd with one seed lose money, and so does a new seed in the place of one that has
    money - each doubt is a reason.
options:
  _input:
    description: >-
      What the look at the volume has found, as text - C(number), C(wallet), C(awaited) and C(used), each empty if there is none.
    type: dict
    required: true
  node:
    description: Name of the node.
    type: str
    required: true
  site:
    description: Name of the site.
    type: str
    required: true
  fence:
    description: The site's secret C(lnd-NODE-fence), the number and since when it is the current one; empty if there is none.
    type: str
    required: true
  seed_made:
    description: Whether the site knows of a seed of this node.
    type: bool
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say whether the volume may be used
  ansible.builtin.debug:
    msg: "{{ my_look | bcm.datacenter.lnd_fence('lightning-1', 'home', my_fence, true) or 'it may' }}"
"""

RETURN = r"""
_value:
  description: The reason in words, with what to do; empty if it may be used.
  type: str
"""

HINT = (
    "If the volume can be brought back as it was when lnd last ran, and not as it was at any time before, bring that back. Otherwise the money comes back from "
    "the seed and the channel backup: playbooks/lightning_restore.yml (docs/lightning.md). Nothing was changed."
)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and int(text) > 0 else None


def lnd_fence(found: Mapping[str, str], node: str, site: str, fence: str, seed_made: bool) -> str:
    """Return why the lnd of the volume must not run; nothing if it may."""
    volume_text, wallet = found.get("number", ""), bool(found.get("wallet"))
    words = fence.split()
    stored = _number(words[0]) if words else None
    if words and (stored is None or len(words) != 2 or not words[1].isdigit()):
        raise AnsibleFilterError(
            f"The secret lnd-{node}-fence of site {site} cannot be read: it is no number and a time."
        )
    volume = _number(volume_text)
    if volume_text and volume is None:
        return f"The number on the volume of {node} cannot be read. {HINT}"
    if stored is None and (volume is not None or seed_made):
        return (
            f"The secret lnd-{node}-fence of site {site} is missing, and there was an lnd: the secrets were lost, or are looked for in the wrong place. "
            "Bring them back. Nothing was changed."
        )
    if volume is None and wallet:
        return f"There is a wallet on the volume of {node}, and no number: it was not made by this site, or was put there by hand. {HINT}"
    if volume is None and seed_made:
        return (
            f"{node} has had a wallet, and its volume is empty. A new wallet would have another seed, and what belongs to the old one would be left behind. "
            f"{HINT}"
        )
    if volume is not None and volume != stored:
        said = (
            "its lnd was restored elsewhere, and this one never starts again"
            if volume < (stored or 0)
            else "the secrets are older than the volume"
        )
        return f"The volume of {node} has number {volume}, and {stored} is the current one: {said}. {HINT}"
    if volume is not None and seed_made and not wallet and found.get("used") and not found.get("awaited"):
        return f"{node} has had a wallet, and there is none on its volume any more. {HINT}"
    return ""


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"lnd_fence": lnd_fence}
