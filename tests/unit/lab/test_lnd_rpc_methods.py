# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that reads in lnd's source what it asks of bitcoind. It is no part of the collection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_methods_are_found_in_source(tmp_path: Path) -> None:
    """The program by which the lists were made, on source that is as theirs."""
    program = Path(__file__).parents[3] / "scripts/lnd-rpc-methods"
    lnd, wallet, btcd = tmp_path / "lnd", tmp_path / "wallet", tmp_path / "btcd"
    for folder, files in (
        (
            lnd,
            (
                "chainreg/chainregistry.go",
                "chainreg/taproot_check.go",
                "lnwallet/chainfee/estimator.go",
                "lnwallet/chainfee/filtermanager.go",
            ),
        ),
        (
            wallet,
            [
                f"chain/{name}.go"
                for name in (
                    "bitcoind_conn",
                    "bitcoind_events",
                    "bitcoind_rpc_events",
                    "bitcoind_zmq_events",
                    "mempool",
                )
            ],
        ),
    ):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("package x\n")
    (lnd / "chainreg/chainregistry.go").write_text(
        'r := c.RawRequest("getzmqnotifications", nil)\n// c.RawRequest("stop", nil)\nreturn "uptime", info.Version, nil\n'
    )
    (lnd / "lnwallet/chainfee/estimator.go").write_text('x := b.RawRequest(\n\t"estimatesmartfee", nil)\n')
    (wallet / "chain/bitcoind_client.go").write_text(
        "c.chainConn.client.GetBlockHeaderVerbose(h)\nbtcjson.NewJsonSubmitPackageCmd(a)\nGetPeers: client.GetPeerInfo,\n"
    )
    (btcd / "rpcclient").mkdir(parents=True)
    (btcd / "rpcclient/chain.go").write_text("version, err := c.BackendVersion()\n")
    found = subprocess.run(
        [sys.executable, program, lnd, wallet, btcd], capture_output=True, text=True, check=True
    ).stdout.split()
    expected = [
        "estimatesmartfee",
        "getblockheader",
        "getinfo",
        "getnetworkinfo",
        "getpeerinfo",
        "getzmqnotifications",
        "submitpackage",
        "uptime",
    ]
    assert found == expected
