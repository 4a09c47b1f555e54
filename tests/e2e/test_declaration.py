# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration that cannot be: all that is wrong is said at once, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

from standing import Site, declaration, lxd_state, play

WRONG = """
chain: bitcoin-gold
tiers:
  proxyhost: {count: 1, size: {memory: 1GiB}}
  manager: {count: 2}
networks:
  gateway: {subnet: 10.77.16.0/20}
  cluster: {subnet: 10.77.16.0/20}
mirror: {}
"""


def test_all_errors_at_once_and_nothing_touched(site: Site, tmp_path: Path) -> None:
    inventory = declaration(tmp_path)
    head = "plugin: bcm.datacenter.site\nname: wrong\nendpoints:\n  - name: standalone\n    connection: local\n"
    (inventory / "site.bcm.yml").write_text(
        f"{head}    lxd_socket: {site.hostvars['standalone']['bcm_lxd_socket']}\n{WRONG}"
    )
    before = lxd_state()
    run = play("playbooks/site.yml", inventory=inventory)
    assert run.status != 0
    assert not run.changed
    assert not run.stats, "a play has begun"
    said = " ".join(run.text.split())
    for key, reason in {
        "chain": "bitcoin-gold",
        "tiers.manager.count": "odd",
        "mirror": "mirrors",
        "networks.": "overlap",
    }.items():
        assert key in said, f"{key} is not named in: {said[-1500:]}"
        assert reason in said, f"{reason} is not said in: {said[-1500:]}"
    assert lxd_state() == before
