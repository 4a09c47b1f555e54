# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The keys of a declaration about Lightning."""

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import GIB

from . import _lightning_channels, _lnd_versions
from ._declaration_kinds import Bool, Int, Keys, Kind, ListOf, MapOf, Size, Text, Url

_NAME: dict[str, Any] = {
    "pattern": r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?",
    "allows": "a small letter, then at most 39 small letters, digits or dashes",
}

PLACE = Keys(
    fields={
        "name": Text(about="What it is called.", required=True, **_NAME),
        "url": Url(
            about="Where it takes the copy by PUT and gives it back by GET: `https://HOST/PATH`, an onion too.",
            required=True,
        ),
        "ca": Text(
            about="The authority that has signed its certificate, PEM, as a path on the controller; `null`: those that the system trusts.",
            nullable=True,
            pattern=r"/[^\x00\n]*",
            allows="an absolute path",
            expands=True,
        ),
        "secret": Text(
            about="The site's secret that is `USER:PASSWORD` for it. It is put into the store by hand.",
            nullable=True,
            pattern=r"[a-z0-9][a-z0-9._-]*",
            allows="the name of a secret",
        ),
        "through_tor": Bool(about="Whether it is reached through Tor.", default=True),
    }
)

CONSUMER = Keys(
    fields={
        "permissions": ListOf(
            about="What it may do.",
            default=[],
            item=Text(pattern=r"[a-z]+:[a-z]+", allows="a permission of lnd's, such as info:read"),
        ),
        "root_key_id": Int(
            about="Number of its root key, its own, by which it alone is revoked.", required=True, low=1, high=2**31 - 1
        ),
    }
)


def lightning(tier: Kind, signer: Keys) -> Keys:
    """Return the keys of the stack, with those that others have too."""
    return Keys(
        nullable=True,
        fields={
            "tier": tier,
            "version": Text(
                about=f"Which release of lnd; `null`: that of `versions`, and then {_lnd_versions.DEFAULT}.",
                nullable=True,
                pattern=r"[0-9]+(\.[0-9]+)+([a-z0-9.-]*)",
                allows="a version, such as 0.20.1-beta",
            ),
            "signers": ListOf(
                about="Whose signatures count, called as the files of their signatures are; empty: the makers', whose keys the role knows.",
                item=signer,
                unique="fingerprint",
            ),
            "signatures": Int(
                about="How many of them must have signed; `null`: five of the makers, as they demand themselves, or two of your own.",
                nullable=True,
                low=1,
                high=50,
            ),
            "owner_key": Text(
                about="Your public key, to which the seed is sealed: of age (`age1…`), SSH (`ssh-ed25519 …`) or GPG (in ASCII armour), or the path of a file "
                "on the controller with one. Nobody but who has the private one reads the seed.",
                required=True,
                pattern=r"/[^\x00\n]*|age1[a-z0-9]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( [^\n]*)?|-----BEGIN PGP PUBLIC KEY BLOCK-----.+",
                allows="a public key of age, SSH or GPG, or an absolute path",
                expands=True,
            ),
            "volume_size": Size(about="Size of the volume for its data.", default="10GiB", low=2 * GIB),
            "alias": Text(
                about="Name that is announced to all; `null`: lnd's own choice.",
                nullable=True,
                pattern=r"[ -~]{1,32}",
                allows="1 to 32 characters of ASCII",
            ),
            "color": Text(
                about="Colour that is announced to all.",
                nullable=True,
                pattern=r"#[0-9A-Fa-f]{6}",
                allows="such as #3399ff",
            ),
            "min_channel_size": Int(
                about="Least size of a channel that others may open, in satoshi; `null`: lnd's own.",
                nullable=True,
                low=20_000,
            ),
            "watchtowers": Keys(
                about="Watchtowers, which punish a peer that cheats while lnd is away.",
                fields={
                    "enabled": Bool(about="Whether they are told what they need.", default=False),
                    "towers": ListOf(
                        about="Which.",
                        item=Text(
                            pattern=r"0[23][0-9a-f]{64}@[a-z2-7]{56}\.onion(:[0-9]{1,5})?",
                            allows="PUBKEY@ADDRESS.onion:PORT",
                        ),
                    ),
                    "sweep_fee_rate": Int(
                        about="What they may pay for that, in sat/vB; `null`: lnd's own.",
                        nullable=True,
                        low=1,
                        high=10_000,
                    ),
                },
            ),
            "backup_places": ListOf(
                about="Where copies of the channel backup go beside the managers. One has to be off the machine that lnd is on.",
                item=PLACE,
                unique="name",
            ),
            "fence_lease": Int(
                about="Seconds that lnd runs on when no manager confirms its fence any more. A restore waits as long.",
                default=900,
                low=60,
                high=86_400,
            ),
            "consumers": MapOf(
                about="Who else uses lnd, each with a macaroon of its own.",
                keys=_NAME["pattern"],
                key_allows=_NAME["allows"],
                item=CONSUMER,
            ),
            "channels": _lightning_channels.CHANNELS,
            "channel_limits": _lightning_channels.LIMITS,
        },
    )
