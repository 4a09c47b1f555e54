# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site comes into being on three fresh servers whose only way in is their onions."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import LAB_DIR, lab, play
from test_onion import CLOSED, Controller, logins, on
from test_site import SERVERS


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    """One that has prepared fresh servers by the direct way, which is closed since. It leaves none of them behind."""
    lab("tor", "up")
    lab("rack", "remove", *SERVERS)
    lab("rack", "up", *SERVERS)
    options = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
    # A short name, for sockets lie below it.
    home = Path(tempfile.mkdtemp(prefix="cold", dir="/tmp"))
    one = Controller(home, options)
    try:
        run = play("playbooks/endpoints.yml", inventory=one.direct, env=one.env, timeout=1800)
        assert run.status == 0, run.failures or run.text[-3000:]
        for server in SERVERS:
            on(server, "nft", CLOSED)
        yield one
    finally:
        one.halt()
        lab("rack", "remove", *SERVERS)
        shutil.rmtree(home)


def test_a_site_is_made_by_onions_alone(controller: Controller) -> None:
    controller.halt()
    begun = time.time()
    assert on("rack-1", "sh", "-c", "command -v lxc || echo none") == "none\n"
    run = controller.play("site")
    assert run.status == 0, run.failures or run.text[-5000:]
    assert set().union(*(logins(server, begun) for server in SERVERS)) == {"127.0.0.1"}
    verified = controller.play("verify")
    assert verified.status == 0, verified.failures or verified.text[-5000:]


def test_again_it_changes_nothing(controller: Controller) -> None:
    again = controller.play("site")
    assert (again.status, again.changed) == (0, set()), again.failures or again.changed
