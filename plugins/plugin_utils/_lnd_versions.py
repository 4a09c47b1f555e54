# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What is known of each release of lnd: which RPC methods of bitcoind it calls, and which way its database goes."""

from __future__ import annotations

from dataclasses import dataclass

# scripts/lnd-rpc-methods prints these out of the source of lnd, of btcwallet and of btcd in the versions of its go.mod. `getinfo` is gone from bitcoind:
# rpcclient asks for it to learn the version, takes "unknown method" for an answer, and gives up at a refusal.
_CALLS = (
    "estimatesmartfee",
    "getblock",
    "getblockchaininfo",
    "getblockhash",
    "getblockheader",
    "getdeploymentinfo",
    "getinfo",
    "getmempoolinfo",
    "getnetworkinfo",
    "getnodeaddresses",
    "getpeerinfo",
    "getrawmempool",
    "getrawtransaction",
    "gettxout",
    "gettxspendingprevout",
    "getzmqnotifications",
    "sendrawtransaction",
    "testmempoolaccept",
    "uptime",
)


@dataclass(frozen=True)
class Release:
    """A release of lnd."""

    # RPC methods of bitcoind that it calls.
    methods: tuple[str, ...]
    # The last migration of its database (`dbVersions` of channeldb/db.go). An older number does not read a newer database.
    database: int
    # Of btcwallet and btcd in its go.mod, by which the list was made.
    made_of: tuple[str, str]


_BTCD_20, _BTCD_21 = "v0.24.3-0.20250318170759-4f4ea81776d6", "v0.25.1-0.20260310163610-1c55c7c18179"

RELEASES = {
    "0.20.1-beta": Release(_CALLS, 33, ("v0.16.17", _BTCD_20)),
    "0.20.2-beta": Release(_CALLS, 33, ("v0.16.17", _BTCD_20)),
    "0.20.3-beta": Release(_CALLS, 33, ("v0.16.17", _BTCD_20)),
    "0.21.0-beta": Release(_CALLS, 35, ("v0.16.18", _BTCD_21)),
    "0.21.1-beta": Release(_CALLS, 35, ("v0.16.18", _BTCD_21)),
    "0.21.2-beta": Release(tuple(sorted((*_CALLS, "submitpackage"))), 35, ("v0.16.19", _BTCD_21)),
}

# The one that the role was tried with.
DEFAULT = "0.20.1-beta"


class UnknownReleaseError(ValueError):
    """A release whose calls nobody has looked at."""


def release(version: str) -> Release:
    """Return what is known of VERSION.

    :raises UnknownReleaseError: it is not in the table.
    """
    known = RELEASES.get(version.removeprefix("v"))
    if known is None:
        raise UnknownReleaseError(
            f"version: {version!r}: nobody has looked yet which RPC methods of bitcoind it calls, so that its user would have too few or too many; "
            f"allowed: {', '.join(RELEASES)}"
        )
    return known


def rollback_error(stands: str | None, wanted: str) -> str | None:
    """Why lnd cannot go from the version that STANDS on the volume to the one that is WANTED; None if it can."""
    if not stands or stands == wanted:
        return None
    if stands not in RELEASES:
        return f"version: {wanted!r}: the volume was last used by {stands}, which is not known here; allowed: {stands}, or a collection that knows it"
    before, after = RELEASES[stands], release(wanted)
    if after.database >= before.database:
        return None
    newer = [name for name, one in RELEASES.items() if one.database >= before.database]
    return (
        f"version: {wanted!r}: the volume was last used by {stands}, whose database (migration {before.database}) it cannot read ({after.database}), "
        f"and no release goes back; allowed: {', '.join(newer)}"
    )
