# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.onion_keys import keys
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import onion_keys
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import PLACEHOLDER


def test_the_files_of_a_seed() -> None:
    seed = bytes(range(32))
    found, made = keys(seed.hex()), onion_keys(seed)
    assert found["address"] == made.address
    assert base64.b64decode(found["secret_key"]) == made.secret_file
    assert base64.b64decode(found["public_key"]) == made.public_file


def test_what_would_be_made_has_no_address() -> None:
    assert set(keys(PLACEHOLDER).values()) == {""}


@pytest.mark.parametrize("seed", ["", "x" * 64, "ab" * 31, "ab" * 33])
def test_what_is_no_seed_is_not_repeated(seed: str) -> None:
    with pytest.raises(AnsibleFilterError, match="64 hexadecimal digits") as caught:
        keys(seed)
    assert not seed or seed not in str(caught.value)
