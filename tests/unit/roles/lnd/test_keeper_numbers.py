# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A keeper's number never goes down, whatever the site's secrets say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[4] / "roles/lnd"


def lower(known: list[str], told: dict[str, str]) -> list[str]:
    role = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    variables = {
        "inventory_hostname": "manager-1",
        "lnd__known": {"stdout_lines": known},
        "lnd_keeper_numbers": told,
        "lnd__lower": trust_as_template(role["lnd__lower"]),
    }
    found: list[str] = Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ lnd__lower }}"))
    return found


@pytest.mark.parametrize(
    ("known", "told"),
    [
        # A new keeper, or one that is told of another lnd.
        ([], {"lightning-1": "1 5"}),
        (["lightning-2=7 5"], {"lightning-1": "1 5"}),
        # As it was, and after a restore.
        (["lightning-1=1 5"], {"lightning-1": "1 5"}),
        (["lightning-1=9 5"], {"lightning-1": "10 6"}),
        # What is no number is none.
        (["lightning-1=", "lightning-2=x 1"], {"lightning-1": "1 5"}),
        (["lightning-1=2 5"], {}),
    ],
)
def test_what_is_taken(known: list[str], told: dict[str, str]) -> None:
    assert lower(known, told) == []


def test_secrets_of_before_a_restore_are_refused() -> None:
    known = ["lightning-1=10 5", "lightning-2=3 5", "lightning-3=1 5"]
    told = {"lightning-1": "9 4", "lightning-2": "1 0", "lightning-3": "1 5"}
    assert lower(known, told) == [
        "manager-1 knows number 10 of the fence of lightning-1, and is to be told number 9.",
        "manager-1 knows number 3 of the fence of lightning-2, and is to be told number 1.",
    ]


def test_a_number_that_was_made_anew_is_refused() -> None:
    """Its secrets were lost and the count begins again: another lnd would have the number of one that may still be somewhere."""
    assert lower(["lightning-1=1 5", "lightning-2=1 5"], {"lightning-1": "1 77", "lightning-2": "1 5"}) == [
        "manager-1 knows number 1 of the fence of lightning-1, and is to be told another one that is 1, too, made at another time."
    ]


def test_it_is_looked_at_before_anything_is_written() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/keeper.yml").read_text())
    assert [next(key for key in task if key.startswith(("ansible.", "bcm."))) for task in tasks[:3]] == [
        "ansible.builtin.raw",
        "ansible.builtin.assert",
        "bcm.datacenter.files",
    ]
