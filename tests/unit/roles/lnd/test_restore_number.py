# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore gives no volume a number that another one may have."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[4] / "roles/lnd"


@pytest.mark.parametrize(
    ("found", "goes_on"),
    [
        # Nothing was begun, or it was broken off before the volume had its number.
        (["number=", "awaited="], False),
        (["number=", "awaited=private/seed.awaited"], False),
        # It has the current number.
        (["number=3", "awaited=private/seed.awaited"], True),
        # Another volume was restored since, and has the current one.
        (["number=2", "awaited=private/seed.awaited"], False),
        (["number=3", "awaited="], False),
    ],
)
def test_it_goes_on_with_its_own_number_alone(found: list[str], goes_on: bool) -> None:
    role = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    variables = {
        "lnd_name": "lightning-1",
        "lnd__look": {"stdout_lines": found},
        "lnd__read": {"secrets": {"lnd-lightning-1-fence": "3 5"}},
    }
    for name in ("seen", "volume_number", "fence_secret", "stored", "stored_fence", "stored_number", "goes_on"):
        variables[f"lnd__{name}"] = trust_as_template(role[f"lnd__{name}"])
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template("{{ lnd__goes_on }}")) is goes_on


def test_only_then_it_is_not_raised() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/restore.yml").read_text())
    assert [task["when"] for task in tasks if task["name"] == "Raise the number"] == ["not lnd__goes_on"]


def test_it_is_raised_from_a_number_that_is_known_alone() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/restore.yml").read_text())
    names = [task["name"] for task in tasks]
    raised = tasks[names.index("Raise the number")]["bcm.datacenter.site_secret"]["secrets"][0]
    assert raised["replaces"] == "{{ lnd__stored_fence }}"
    assert names.index("The number of the old one is known") < names.index("Raise the number")
    known = tasks[names.index("The number of the old one is known")]["ansible.builtin.assert"]["that"]
    for number, wallet, passes in (
        ("", True, False),
        ("x", True, False),
        ("0", True, False),
        ("3", True, True),
        ("", False, True),
    ):
        variables = {
            "lnd__stored_number": number,
            "lnd__wallet_secret": "wallet",
            "lnd__stored": {"wallet": "made"} if wallet else {},
        }
        templar = Templar(loader=DataLoader(), variables=variables)
        assert templar.template(trust_as_template("{{ " + known + " }}")) is passes
