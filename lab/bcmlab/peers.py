# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's Bitcoin nodes: two that are reached by onion alone, in the lab's private Tor network."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import builder, node, tornet
from .cache import Cache, content_key, file_sha256
from .config import IMAGE_ALIAS, RECIPES, WORLD, Config, LabError
from .host import machine_mirrors, package_list
from .lxc import Lxc, overlay
from .proc import write_atomic
from .sitevars import as_yaml

Seen = TypeVar("Seen")

NAME = "peers"
OVERLAY = RECIPES / "peers"
NODES = ("one", "two")
# The port of the chain is that of the onion; behind it each node has its own, on loopback.
P2P = 18444
LOCAL_P2P = {"one": 18501, "two": 18502}
RPC = {"one": 18601, "two": 18602}
ZMQ = {"rawblock": 28332, "rawtx": 28333}
STATE = "peers-vars.yml"
HEAD = """\
# Written by lab/lab; do not edit. Other people's nodes on this lab's chain, in the keys of a site's declaration.
"""
LND_STATE = "lnd.json"
FRIEND_STATE = "friend.json"
FRIEND_CA = "friend-ca.pem"
CALLER = "/etc/peers/lnd-password"
SOCKS = "127.0.0.1:9050"
BLOCKS = 300
# Who starts with a tip older than a day takes itself to be behind, and lnd does so after two hours.
FRESH = 3600


def address_of(config: Config) -> str:
    """Where the container is on the lab's bridge. Nothing answers there."""
    return str(config.subnet[9])


def torrc() -> str:
    """Onions of both nodes, of the lnd that stands beside the second one, and of a friend who keeps copies of channel backups."""
    onions = {f"bitcoin-{name}": (P2P, LOCAL_P2P[name]) for name in NODES} | {
        "lnd": (9735, 9735),
        "friend": (443, 8443),
    }
    lines = [
        "DataDirectory /var/lib/peers-tor",
        f"SocksPort {SOCKS} IsolateSOCKSAuth",
        "Log notice stdout",
    ]
    for name, (virtual, port) in onions.items():
        lines += [f"HiddenServiceDir /var/lib/peers-tor/{name}", f"HiddenServicePort {virtual} 127.0.0.1:{port}"]
    return "\n".join(lines) + "\n"


def rpcauth(password: str) -> str:
    """What bitcoind is told of the password that lnd calls it with."""
    salt = secrets.token_hex(16)
    return f"lnd:{salt}${hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()}"


def bitcoin_conf(config: Config, name: str, onions: dict[str, str], auth: str) -> str:
    """Of one node. Others reach it by its onion; blocks it has from the lab's own node too, which stands for all the others."""
    others = [onions[f"bitcoin-{other}"] for other in NODES if other != name]
    lines = [
        "regtest=1",
        "[regtest]",
        "server=1",
        "listen=1",
        f"bind=127.0.0.1:{LOCAL_P2P[name]}=onion",
        f"externalip={onions[f'bitcoin-{name}']}:{P2P}",
        f"onion={SOCKS}",
        "listenonion=0",
        "discover=0",
        "dnsseed=0",
        "natpmp=0",
        f"rpcport={RPC[name]}",
        "rpcbind=127.0.0.1",
        "rpcallowip=127.0.0.1",
        f"rpcauth={auth}",
        "txindex=1",
        "fallbackfee=0.0001",
        "dbcache=32",
        "maxmempool=50",
        *(f"addnode={onion}:{P2P}" for onion in others),
        f"addnode={config.world}:{P2P}",
        *(f"zmqpub{topic}=tcp://127.0.0.1:{port}" for topic, port in ZMQ.items() if name == "two"),
    ]
    return "\n".join(lines) + "\n"


def recipe(config: Config, tarball: Path, network: Sequence[str]) -> str:
    """A hash of all that makes them."""
    files = {name: (content.decode(), mode) for name, (content, mode) in overlay(OVERLAY).items()}
    conf = [bitcoin_conf(config, name, dict.fromkeys(("bitcoin-one", "bitcoin-two"), ""), "") for name in NODES]
    return content_key("peers 1", package_list(NAME), files, torrc(), conf, list(network), file_sha256(tarball))


def require_lab(lxc: Lxc) -> None:
    """They stand beside the world, on its image."""
    if lxc.query(f"/1.0/images/aliases/{IMAGE_ALIAS.replace('/', '%2F')}?project=lab") is None:
        raise LabError("there is no lab to put other people's nodes into. `lab/lab up` makes one.")


def up(lxc: Lxc) -> str:
    """Have both run, with 300 blocks, each with the other among its peers by its onion."""
    require_lab(lxc)
    config = lxc.config
    if node.height(lxc) is None:
        raise LabError("the lab's own node does not answer. `lab/lab up` goes on from there.")
    told = [tornet.up(lxc)]
    built, _ = builder.bitcoin(Cache(config.cache), lxc, machine_mirrors())
    (tarball,) = built.glob("*.tar.gz")
    wanted = recipe(config, tarball, tornet.options(lxc))
    instance = lxc.instance(NAME)
    if instance is None:
        eth0 = {"type": "nic", "name": "eth0", "network": config.bridge, "ipv4.address": address_of(config)}
        lxc.launch(NAME, IMAGE_ALIAS, {}, {"eth0": eth0})
        told.append("made")
    elif instance["status"] != "Running":
        lxc("start", NAME)
        told.append("started")
    if instance is None or instance["config"].get("user.bcm.lab.recipe") != wanted:
        lxc.wait_booted(NAME)
        _provision(lxc, tarball)
        lxc("config", "set", NAME, f"user.bcm.lab.recipe={wanted}")
        told.append("set up")
    told += [mine(lxc), _wait_whole(lxc), write(lxc)]
    return "; ".join(part for part in told if part)


def _provision(lxc: Lxc, tarball: Path) -> None:
    install = (
        "export DEBIAN_FRONTEND=noninteractive; "
        # The package's own service would look for the public network.
        "systemctl mask -q tor.service tor@default.service; "
        # An installation that was killed half-way is finished first.
        "dpkg --configure -a; apt-get -q update; apt-get -q install -y --no-install-recommends "
        '-o Dpkg::Options::=--force-confold "$@"'
    )
    lxc.exec(NAME, "sh", "-ec", install, "sh", *package_list(NAME))
    network = "\n".join(tornet.options(lxc)) + "\n"
    lxc.push_tree(
        NAME,
        {
            **overlay(OVERLAY),
            "/etc/peers/tor-network": (network.encode(), 0o644),
            "/etc/peers/torrc": (torrc().encode(), 0o644),
        },
    )
    unpack = (
        "systemd-sysusers; rm -rf /opt/bitcoin; mkdir /opt/bitcoin; tar -xzf - --strip-components=1 -C /opt/bitcoin; "
        "systemctl daemon-reload; systemctl enable -q peers-tor; systemctl restart peers-tor"
    )
    lxc.exec(NAME, "sh", "-ec", unpack, stdin=tarball.read_bytes())
    onions = wait(lambda: _onions(lxc), 60, "their Tor has not made its onions")
    # What lnd calls the second one with; made once.
    once = f"umask 077; test -s {CALLER} || echo {secrets.token_hex(24)} > {CALLER}"
    lxc.exec(NAME, "sh", "-ec", once)
    auth = rpcauth(lxc.read(NAME, "cat", CALLER).strip())
    conf = {f"/etc/peers/{name}.conf": (bitcoin_conf(lxc.config, name, onions, auth).encode(), 0o644) for name in NODES}
    lxc.push_tree(NAME, conf)
    lxc.exec(NAME, "/usr/local/lib/peers/make-friend", onions["friend"])
    lxc.exec(NAME, "systemctl", "enable", "-q", "peers-friend", *(f"bitcoind@{name}" for name in NODES))
    lxc.exec(NAME, "systemctl", "restart", "peers-friend")
    lxc.exec(NAME, "systemctl", "restart", *(f"bitcoind@{name}" for name in NODES), timeout=180)


def _onions(lxc: Lxc) -> dict[str, str]:
    """Their addresses; none before all are there."""
    names = [*(f"bitcoin-{name}" for name in NODES), "lnd", "friend"]
    try:
        said = lxc.read(NAME, "cat", *(f"/var/lib/peers-tor/{name}/hostname" for name in names)).split()
    except LabError:
        return {}
    return dict(zip(names, said, strict=True)) if len(said) == len(names) else {}


def onions(lxc: Lxc) -> dict[str, str]:
    """The onion of each node and of lnd."""
    found = _onions(lxc)
    if not found:
        raise LabError(f"{NAME} has no onions. `lab/lab peers up` makes them.")
    return found


def cli(lxc: Lxc, name: str, *arguments: str) -> str:
    """`bitcoin-cli` of one of the two."""
    conf = (f"-conf=/etc/peers/{name}.conf", f"-datadir=/var/lib/bitcoin/{name}")
    return lxc.hear(NAME, "/opt/bitcoin/bin/bitcoin-cli", *conf, *arguments, timeout=120)


def world(lxc: Lxc, *arguments: str) -> str:
    """The same of the lab's own node, where the mining is."""
    return lxc.hear(WORLD, *node.CLIENT, *arguments, timeout=120)


def mine(lxc: Lxc) -> str:
    """Enough blocks, the last of them of this hour."""
    blocks = node.height(lxc) or 0
    missing = max(BLOCKS - blocks, 0)
    if not missing:
        tip = json.loads(world(lxc, "getblockheader", world(lxc, "getbestblockhash").strip()))
        missing = int(time.time() - tip["time"] > FRESH)
    if missing:
        world(lxc, "generatetodescriptor", str(missing), "raw(51)")
    return f"mined {missing} blocks" if missing else ""


def whole(lxc: Lxc) -> bool:
    """Whether both have all blocks, and a way to the other by its onion."""
    try:
        best = world(lxc, "getbestblockhash").strip()
        for name in NODES:
            if cli(lxc, name, "getbestblockhash").strip() != best:
                return False
            peers = json.loads(cli(lxc, name, "getpeerinfo"))
            if not any(peer["network"] == "onion" and not peer["inbound"] and peer["version"] for peer in peers):
                return False
    except (LabError, ValueError):
        return False
    return True


def _wait_whole(lxc: Lxc) -> str:
    wait(lambda: whole(lxc), 240, "the two nodes have not found each other by their onions")
    return ""


def wait(looks: Callable[[], Seen | None], seconds: float, otherwise: str) -> Seen:
    """Until there is something to see, and give that."""
    deadline = time.monotonic() + seconds
    while not (seen := looks()):
        if time.monotonic() > deadline:
            raise LabError(f"{otherwise} within {seconds:.0f} s. `lab/lab peers status` says what stands.")
        time.sleep(1)
    return seen


def write(lxc: Lxc) -> str:
    """Who they are, in the keys of a site's declaration: a chain of one's own has nobody who would name them."""
    addresses = [f"{onions(lxc)[f'bitcoin-{name}']}:{P2P}" for name in NODES]
    text = HEAD + as_yaml({"stacks": {"bitcoin": {"addnode": addresses}}}) + "\n"
    authority = lxc.read(NAME, "cat", "/etc/peers/friend-ca.pem")
    friend = (
        json.dumps({"url": f"https://{onions(lxc)['friend']}", "ca": str(lxc.config.directory / FRIEND_CA)}, indent=2)
        + "\n"
    )
    files = {STATE: text, FRIEND_STATE: friend, FRIEND_CA: authority}
    wrote = []
    for name, content in files.items():
        file = lxc.config.directory / name
        if not file.exists() or file.read_text() != content:
            write_atomic(file, content)
            wrote.append(str(file))
    return f"wrote {', '.join(wrote)}" if wrote else ""


def down(lxc: Lxc) -> str:
    """Stop them in good order; all that is theirs stays."""
    instance = lxc.instance(NAME)
    if instance is None or instance["status"] == "Stopped":
        return ""
    lxc("stop", NAME, "--timeout", "200", timeout=300)
    return "stopped"


def remove(lxc: Lxc) -> str:
    """Remove them with their keys and their coins."""
    for file in (STATE, LND_STATE, FRIEND_STATE, FRIEND_CA):
        (lxc.config.directory / file).unlink(missing_ok=True)
    if lxc.instance(NAME) is None:
        return ""
    lxc("delete", "--force", NAME)
    return "removed"


def status(lxc: Lxc) -> dict[str, Any]:
    """What stands, asked and not remembered."""
    instance = lxc.instance(NAME)
    state = instance["status"] if instance else None
    running = state == "Running"
    nodes = {}
    for name, onion in (_onions(lxc) if running else {}).items():
        if not name.startswith("bitcoin-"):
            continue
        short = name.removeprefix("bitcoin-")
        try:
            height: int | None = int(cli(lxc, short, "getblockcount"))
        except (LabError, ValueError):
            height = None
        nodes[short] = {"address": f"{onion}:{P2P}", "height": height}
    return {"instance": state, "nodes": nodes, "up": running and whole(lxc)}


def tell(answer: dict[str, Any]) -> str:
    """The same in words."""
    if answer["instance"] is None:
        return "There are no nodes of other people. `lab/lab peers up` makes them."
    lines = [f"Other people's nodes: {answer['instance'].lower()}, {'whole' if answer['up'] else 'not whole'}"]
    for name, known in answer["nodes"].items():
        blocks = "does not answer" if known["height"] is None else f"{known['height']} blocks"
        lines.append(f"  {name:<4} {known['address']}  {blocks}")
    return "\n".join(lines)
