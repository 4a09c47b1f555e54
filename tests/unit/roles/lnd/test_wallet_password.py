# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No other password is made for a wallet that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[4] / "roles/lnd"
WALLET = "wallet=data/data/chain/bitcoin/mainnet/wallet.db"


@pytest.mark.parametrize(
    ("found", "stored", "passes"),
    [
        (["wallet="], [], True),
        ([WALLET], ["lnd-lightning-1-wallet-password"], True),
        ([WALLET], ["lnd-lightning-1-fence", "lnd-lightning-1-wallet"], False),
    ],
)
def test_a_wallet_keeps_its_password(found: list[str], stored: list[str], passes: bool) -> None:
    role = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    look = yaml.safe_load((ROLE / "tasks/look.yml").read_text())
    (that,) = [task["ansible.builtin.assert"]["that"] for task in look if "password" in task["name"]]
    variables = {
        "lnd_name": "lightning-1",
        "lnd__look": {"stdout_lines": found},
        "lnd__read": {"secrets": dict.fromkeys(stored, "x")},
    }
    for name in ("seen", "has_wallet", "password_secret", "stored"):
        variables[f"lnd__{name}"] = trust_as_template(role[f"lnd__{name}"])
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template("{{ " + that + " }}")) is passes


def test_it_is_looked_at_before_any_is_made() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/main.yml").read_text())
    names = [task["name"] for task in tasks]
    assert names.index("Look whether the volume may be used") < names.index("Have its passwords")
    (asked,) = [
        task["bcm.datacenter.site_secret"]
        for task in yaml.safe_load((ROLE / "tasks/look.yml").read_text())
        if "bcm.datacenter.site_secret" in task
    ]
    assert {"name": "{{ lnd__password_secret }}", "kind": "password"} in asked["secrets"]
    assert asked["state"] == "found"
