# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""--check after a setting was changed says what the real run then changes, no more and no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from standing import Run, Site, declaration, lxc, play


def compare(site: Site, inventory: Path, back: tuple[str, ...]) -> Run:
    """Rehearse, run, compare; then put the site back to what it was with the stages that it takes."""
    rehearsed = play("playbooks/site.yml", "--check", inventory=inventory)
    try:
        real = play("playbooks/site.yml", inventory=inventory)
    finally:
        restored = [site.play(playbook).status for playbook in back]
    assert (rehearsed.status, real.status, *restored) == (0, 0, *(0 for _ in back)), (
        rehearsed.text[-2000:] + real.text[-2000:]
    )
    assert rehearsed.changed == real.changed
    return real


def settings(inventory: Path, group: str, **variables: Any) -> None:
    """Variables of roles, as a person writes them beside the declaration."""
    (inventory / f"group_vars/{group}.yml").write_text(yaml.safe_dump(variables))


def test_settings_of_the_node_and_of_the_gateway(site: Site, tmp_path: Path) -> None:
    inventory = declaration(tmp_path, chain="chain: regtest\negress: {allowed_domains: [example.org]}")
    settings(inventory, "tier_bitcoin", bitcoin_node_maxmempool=77)
    settings(inventory, "tier_proxyhost", registry_cache_max_mib=3072)
    real = compare(site, inventory, back=("playbooks/image.yml", "playbooks/gateway.yml", "playbooks/bitcoin.yml"))
    changed = {host for host, _ in real.changed}
    assert {"proxyhost-1", "bitcoin-1"} <= changed <= {"proxyhost-1", "bitcoin-1", "manager-1"}


@pytest.mark.parametrize("answers", [False, True], ids=["no-lxd", "lxd-without-a-site"])
def test_on_nothing_it_says_what_would_be_created(site: Site, tmp_path: Path, answers: bool) -> None:
    """Without an LXD it is to be installed: none is named, and none is found where it is looked for."""
    replaced = {} if answers else {"    lxd_socket": "    lxd_socket: null"}
    inventory = declaration(tmp_path, name="name: e2e-nothing", **replaced)
    run = play("playbooks/site.yml", "--check", inventory=inventory, env={} if answers else {"LXD_DIR": str(tmp_path)})
    assert run.status == 0, run.text[-3000:]
    nothing = Site.read(inventory)
    named = [nothing.project, "bcm-golden", "bitcoin-1-bitcoin", "manager-1-registry"]
    bridges = [nothing.network(name)["bridge"] for name in ("outside", "gateway", "cluster")]
    for name in [*named, *bridges]:
        assert name in run.text, f"{name} is not named"
    for name in nothing.instances:
        assert f"{name} would be created, then configured by" in run.text
    assert nothing.project not in lxc("project", "list", "--format", "csv")
    assert all(bridge not in lxc("network", "list", "--format", "csv") for bridge in bridges)
    assert not nothing.store.parent.exists()
