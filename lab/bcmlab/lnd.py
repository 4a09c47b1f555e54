# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lnd as its makers publish it, and an lnd that belongs to somebody else, which is reached by onion alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import builder, downloads, node, peers
from .cache import Cache, content_key, file_sha256
from .config import Config, LabError
from .host import extra_certificates, install_packages
from .lxc import Lxc
from .proc import locked, run, write_atomic
from .signing import Signers
from .sitevars import as_yaml

HEAD = """\
# Written by lab/lab; do not edit. Where this lab's lnd is to be had and who signs it, in the keys of a site's declaration.
"""
P2P = 9735
# What it has to spend, in coins.
FUNDS = 5
CLIENT = ("/opt/lnd/lncli", "--lnddir=/var/lib/lnd", "--network=regtest")


def variables(config: Config) -> Path:
    """What a site has to know to have lnd from here."""
    return config.directory / "lnd-vars.yml"


def build(lxc: Lxc) -> str:
    """Have lnd on the download server. What is long about it is done once for each machine: it lies in the cache afterwards."""
    peers.require_lab(lxc)
    config = lxc.config
    signers = Signers(config.directory / "signers")
    if not signers.index.exists():
        raise LabError("the lab has no signers. `lab/lab up` makes them.")
    with locked(config.directory / ".lnd-build.lock", "lnd's release"):
        builder.clear_away(lxc, builder.LND_PREFIX)
        built, made = builder.lnd(Cache(config.cache), lxc, extra_certificates())
        known, did = downloads.offer_lnd(built, config.www, signers)
        owner = ensure_owner(config)
        file = config.directory / peers.FRIEND_STATE
        friend = json.loads(file.read_text()) if file.exists() else None
        found = facts(config, known, owner, friend)
        text = HEAD + as_yaml(found) + "\n"
        if not variables(config).exists() or variables(config).read_text() != text:
            write_atomic(variables(config), text)
    return "; ".join(part for part in ("compiled in a builder" if made else "", did) if part)


def facts(config: Config, known: dict[str, Any], owner: str, friend: dict[str, str] | None) -> dict[str, Any]:
    """In the declaration's own keys: what a site of this lab is told, and that it has an lnd, as long as the lab has one to give.

    A friend keeps a copy of the channel backup: the site's own all lie on this one machine.
    """
    places = [{"name": "friend", "url": f"{friend['url']}/lightning-1.backup", "ca": friend["ca"]}] if friend else []
    return {
        "mirrors": {"downloads": {"lnd": f"{config.downloads_url}/lnd"}},
        "versions": {"lnd": known["version"]},
        "tiers": {"lightning": {"count": 1, "size": {"cpu": 2, "memory": "2GiB", "disk": "10GiB"}}},
        "stacks": {
            "lightning": {
                "signers": known["signers"],
                "signatures": 2,
                "owner_key": owner,
                "volume_size": "2GiB",
                # A lab's tests do not wait for a quarter of an hour.
                "fence_lease": 60,
                "backup_places": places,
            }
        },
    }


def ensure_owner(config: Config) -> str:
    """The public key of the person whose money it is. Only tests have use for the private one, which lies beside it."""
    folder = config.directory / "owner"
    key, public = folder / "age.key", folder / "age.pub"
    install_packages("owner")
    folder.mkdir(mode=0o700, exist_ok=True)
    if not key.exists():
        fresh = folder / ".age.key.new"
        fresh.unlink(missing_ok=True)
        run(["age-keygen", "--output", fresh])
        fresh.rename(key)
    if not public.exists():
        write_atomic(public, run(["age-keygen", "-y", key]).stdout)
    return public.read_text().strip()


def lnd_conf(onion: str, password: str) -> str:
    """Of the lnd that belongs to somebody else. It takes what comes by its onion, and goes out by Tor."""
    lines = [
        "[Application Options]",
        "alias=somebody-else",
        f"listen=127.0.0.1:{P2P}",
        "rpclisten=127.0.0.1:10009",
        "restlisten=127.0.0.1:8080",
        f"externalip={onion}:{P2P}",
        "nobootstrap=true",
        # Its coins are the lab's: nobody has to type a password after a restart.
        "noseedbackup=true",
        "maxpendingchannels=10",
        "[Bitcoin]",
        "bitcoin.regtest=true",
        "bitcoin.node=bitcoind",
        "[Bitcoind]",
        f"bitcoind.rpchost=127.0.0.1:{peers.RPC['two']}",
        "bitcoind.rpcuser=lnd",
        f"bitcoind.rpcpass={password}",
        *(f"bitcoind.zmqpub{topic}=tcp://127.0.0.1:{port}" for topic, port in peers.ZMQ.items()),
        "[tor]",
        "tor.active=true",
        f"tor.socks={peers.SOCKS}",
        "tor.streamisolation=true",
    ]
    return "\n".join(lines) + "\n"


def up(lxc: Lxc) -> str:
    """Have it run beside the second node, in step with the chain, and with coins to spend."""
    told = [peers.up(lxc), build(lxc)]
    built, _ = builder.lnd(Cache(lxc.config.cache), lxc, extra_certificates())
    (tarball,) = built.glob("*.tar.gz")
    onion = peers.onions(lxc)["lnd"]
    wanted = content_key("lnd 1", file_sha256(tarball), lnd_conf(onion, ""))
    instance = lxc.instance(peers.NAME) or {"config": {}}
    if instance["config"].get("user.bcm.lab.lnd") != wanted:
        _provision(lxc, tarball, onion)
        lxc("config", "set", peers.NAME, f"user.bcm.lab.lnd={wanted}")
        told.append("somebody else's lnd set up")
    elif _info(lxc) is None:
        lxc.exec(peers.NAME, "systemctl", "start", "lnd", timeout=300)
        told.append("started")
    info = peers.wait(lambda: _synced(lxc), 180, "somebody else's lnd is not in step with the chain")
    told.append(_fund(lxc))
    told.append(_write(lxc.config, info["identity_pubkey"], onion))
    return "; ".join(part for part in told if part)


def _provision(lxc: Lxc, tarball: Path, onion: str) -> None:
    """The program and its configuration."""
    unpack = "rm -rf /opt/lnd; mkdir /opt/lnd; tar -xzf - --strip-components=1 -C /opt/lnd"
    lxc.exec(peers.NAME, "sh", "-ec", unpack, stdin=tarball.read_bytes())
    password = lxc.read(peers.NAME, "cat", peers.CALLER).strip()
    lxc.push_tree(peers.NAME, {"/etc/peers/lnd.conf": (lnd_conf(onion, password).encode(), 0o600)})
    lxc.exec(peers.NAME, "chown", "lnd:", "/etc/peers/lnd.conf")
    lxc.exec(peers.NAME, "systemctl", "enable", "-q", "lnd")
    lxc.exec(peers.NAME, "systemctl", "restart", "lnd", timeout=320)


def cli(lxc: Lxc, *arguments: str) -> str:
    """`lncli` of somebody else's lnd."""
    return lxc.hear(peers.NAME, *CLIENT, *arguments, timeout=300)


def _info(lxc: Lxc) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(cli(lxc, "getinfo"))
    except (LabError, ValueError):
        return None
    return found


def _synced(lxc: Lxc) -> dict[str, Any] | None:
    found = _info(lxc)
    return found if found and found["synced_to_chain"] and found["block_height"] >= (node.height(lxc) or 0) else None


def balance(lxc: Lxc) -> int:
    """What it can spend, in sat."""
    return int(json.loads(cli(lxc, "walletbalance"))["confirmed_balance"])


def _fund(lxc: Lxc) -> str:
    """Coins from the lab's wallet, where it has none."""
    if balance(lxc) >= FUNDS * 10**8 // 10:
        return ""
    address = json.loads(cli(lxc, "newaddress", "p2wkh"))["address"]
    peers.world(lxc, f"-rpcwallet={node.WALLET}", "sendtoaddress", address, str(FUNDS))
    peers.world(lxc, "generatetodescriptor", "1", "raw(51)")
    peers.wait(
        lambda: balance(lxc) >= FUNDS * 10**8 // 10, 120, "somebody else's lnd does not see the coins that it was sent"
    )
    return f"has {FUNDS} coins"


def _write(config: Config, key: str, onion: str) -> str:
    """Who it is, for whoever would connect to it."""
    text = json.dumps({"pubkey": key, "address": f"{onion}:{P2P}", "uri": f"{key}@{onion}:{P2P}"}, indent=2) + "\n"
    file = config.directory / peers.LND_STATE
    if file.exists() and file.read_text() == text:
        return ""
    write_atomic(file, text)
    return f"wrote {file}"


def down(lxc: Lxc) -> str:
    """Stop it in good order; its node and its channels stay."""
    instance = lxc.instance(peers.NAME)
    if instance is None or instance["status"] != "Running" or "user.bcm.lab.lnd" not in instance["config"]:
        return ""
    lxc.exec(peers.NAME, "systemctl", "stop", "lnd", timeout=320)
    return "stopped"


def status(lxc: Lxc) -> dict[str, Any]:
    """What stands, asked and not remembered."""
    config = lxc.config
    instance = lxc.instance(peers.NAME)
    running = instance is not None and instance["status"] == "Running"
    info = _info(lxc) if running else None
    file = config.directory / peers.LND_STATE
    release = variables(config)
    return {
        "release": str(release) if release.exists() else None,
        "known": json.loads(file.read_text()) if file.exists() else None,
        "height": info["block_height"] if info else None,
        "channels": info["num_active_channels"] if info else None,
        "up": bool(info and info["synced_to_chain"]),
    }


def tell(answer: dict[str, Any]) -> str:
    """The same in words."""
    lines = [
        f"lnd's release is {'offered, see ' + answer['release'] if answer['release'] else 'not built: `lab/lab lnd build`'}"
    ]
    if answer["known"] is None:
        lines.append("There is no lnd of somebody else. `lab/lab lnd up` makes it.")
    elif answer["height"] is None:
        lines.append("Somebody else's lnd does not answer. `lab/lab lnd up` goes on from here.")
    else:
        step = "in step with the chain" if answer["up"] else "not in step with the chain"
        lines.append(f"Somebody else's lnd: {answer['known']['uri']}")
        lines.append(f"  {answer['height']} blocks, {step}, {answer['channels']} active channels")
    return "\n".join(lines)
