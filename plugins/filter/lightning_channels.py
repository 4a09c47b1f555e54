# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the channels that are declared to those of each lnd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils._lightning_channels import plan

DOCUMENTATION = r"""
name: lightning_channels
short_description: Channels of each lnd, out of those that are declared
version_added: 0.1.0
description:
  - Checks channels and limits as a declaration does, for a run may be told others than those that are declared, and says which lnd is to have which, in
    the words of M(bcm.datacenter.lnd_channel).
options:
  _input:
    description: The channels, with the keys that C(stacks.lightning.channels) has.
    type: list
    elements: dict
    required: true
  limits:
    description: What they may cost, with the keys that C(stacks.lightning.channel_limits) has.
    type: dict
    required: true
  nodes:
    description: Names of the instances that have an lnd.
    type: list
    elements: str
    required: true
  network:
    description: How the site's bitcoind meets its peers. With V(onion), those of channels have to be onions, too.
    type: str
    choices: [onion, onion_and_clear_through_tor, clear]
    default: onion
seealso:
  - module: bcm.datacenter.lnd_channel
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: (my_channels | bcm.datacenter.lightning_channels(my_limits, groups['lightning_nodes'])).errors == []
"""

RETURN = r"""
_value:
  description:
    - C(errors), all that is wrong, each with its key, its value and what is allowed; C(nodes), the channels by the name of the instance, empty where
      something is wrong; C(limits), with their defaults.
  type: dict
"""


def _plain(value: Any) -> Any:
    """Return VALUE without what Ansible notes on it, which a message could not show."""
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(below) for below in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def lightning_channels(channels: Any, limits: Any, nodes: Sequence[str], network: str = "onion") -> dict[str, Any]:
    """Return what each of NODES is to have, and what is wrong with it."""
    return plan(_plain(channels), _plain(limits), [str(node) for node in nodes], str(network))


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"lightning_channels": lightning_channels}
