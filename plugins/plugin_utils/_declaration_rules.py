# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What the values of a declaration must be to each other. A rule looks only at values that are sound by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from . import (
    _addresses,
    _alerts,
    _bitcoin_network,
    _bitcoin_nodes,
    _chains,
    _declaration_beside_kafka,
    _declaration_lightning,
    _declaration_tor,
    _kafka,
    _kafka_stacks,
    _wireguard,
)
from ._declaration_file import KeyPath
from ._declaration_kinds import Check, suggestion

Data = dict[str, Any]

# The one that the registry for what the site builds has, on the first manager.
REGISTRY_VOLUME = {"name": "registry", "path": "/srv/registry"}

# More of them are of no use, for one is at work.
PROXYHOST_LIMIT = 25

# Shortest and longest prefix of each network: what holds the blocks of the tiers.
NETWORK_SIZES = {"outside": (16, 24), "gateway": (12, 20), "cluster": (12, 20)}

_RESERVED = (
    *("all", "ungrouped", "localhost", "endpoints", "instances", "app_hosts", "swarm_nodes", "kafka_nodes"),
    *("connect_nodes", "kafka_door_nodes", "lightning_nodes"),
    *("lxd_leader", "lxd_candidates", "lxd_leading", "lxd_led", "lxd_silent"),
)


def judge(data: Data, check: Check) -> None:
    """Apply all rules to DATA."""
    for rule in (
        _proxyhost,
        _managers,
        _endpoints,
        _onions,
        _cluster,
        _encryption,
        _targets,
        _networks,
        _lan,
        _blocks,
        _stack_places,
        _chain,
        _bitcoin,
        _declaration_lightning.judge,
        _lightning_signatures,
        _kafka_places,
        _kafka_stack,
        _alert_rules,
        _declaration_beside_kafka.places,
        _declaration_beside_kafka.connectors,
        _declaration_beside_kafka.doors,
        _volumes,
        _pool,
        _certificates,
        _mirrors,
        _egress,
        _declaration_tor.judge,
    ):
        rule(data, check)


def _proxyhost(data: Data, check: Check) -> None:
    path = ("tiers", "proxyhost", "count")
    count = data["tiers"].get("proxyhost", {}).get("count")
    if count is not None and check.sound(path) and not 1 <= count <= PROXYHOST_LIMIT:
        problem = (
            "one of them is the way out at a time, and each of the others is told of it every second"
            if count
            else "the proxyhost is the only way out, and what is installed comes that way"
        )
        check.refuse(
            path, count, problem, f"from 1 to {PROXYHOST_LIMIT}; one on each endpoint survives the loss of any"
        )


def _managers(data: Data, check: Check) -> None:
    path = ("tiers", "manager", "count")
    count = data["tiers"].get("manager", {}).get("count")
    if count is not None and check.sound(path) and count % 2 == 0:
        check.refuse(
            path,
            count,
            f"of {count} managers a majority is {count // 2 + 1}: no more may fail than of {count - 1}",
            "an odd number; 3 survives the loss of one, 1 of none",
        )


def _endpoints(data: Data, check: Check) -> None:
    where: dict[str, int] = {}
    for position, endpoint in enumerate(data["endpoints"]):
        path = ("endpoints", position)
        if not endpoint or not check.sound(path):
            continue
        ways = [way for way in ("ssh", "connection") if endpoint[way]]
        by_onion = goes_by_onion(data, endpoint)
        if len(ways) > 1 or not (ways or by_onion):
            check.refuse(
                path,
                endpoint["name"],
                "has no way to be reached" if not ways else "has two ways to be reached",
                "either ssh: user@host or connection: local" + ("" if ways else "; or via: onion"),
            )
            continue
        # Of an onion that is the only way, what the controller knows of it tells.
        way = endpoint["ssh"] or ("local" if ways else None)
        if way in where:
            check.refuse((*path, ways[0]), way, f"is the same machine as endpoints[{where[way]}]", "each machine once")
        if way:
            where[way] = position
        name = endpoint["name"]
        tier, _dash, index = name.rpartition("-")
        if name in _RESERVED or (index.isdigit() and tier in {*data["tiers"], "proxyhost", "manager"}):
            check.refuse((*path, "name"), name, "is what a group or an instance of the site is called", "another name")


def goes_by_onion(data: Data, endpoint: Data) -> bool:
    """Return whether ENDPOINT is to be reached through the onion of its sshd."""
    return (endpoint["via"] or data["via"]) == "onion"


def has_onion(data: Data, endpoint: Data) -> bool:
    """Return whether site.yml sees to it that ENDPOINT has an onion for its sshd."""
    if endpoint["connection"]:
        return False
    if endpoint["onion"] is None:
        return bool(data["onions"]["ssh"]) or goes_by_onion(data, endpoint)
    return bool(endpoint["onion"])


def _onions(data: Data, check: Check) -> None:
    for position, endpoint in enumerate(data["endpoints"]):
        path = ("endpoints", position)
        if not endpoint or not check.sound(path, ("via",), ("onions",)):
            continue
        by_onion = goes_by_onion(data, endpoint)
        if endpoint["connection"]:
            problem = "is of no use: no SSH leads to the machine that Ansible runs on"
            if by_onion:
                check.refuse((*path, "via"), "onion", problem, "direct, for this endpoint")
            if endpoint["onion"]:
                check.refuse((*path, "onion"), True, problem, "false, or a machine that is reached by SSH")
            continue
        if by_onion and endpoint["onion"] is False:
            check.refuse((*path, "onion"), False, "takes away the way that via names", "true, or via: direct")
        if by_onion and endpoint["lxd_url"]:
            check.refuse(
                (*path, "lxd_url"),
                endpoint["lxd_url"],
                "leads past the onion",
                "null, for LXD's socket through SSH; or via: direct",
            )


def _cluster(data: Data, check: Check) -> None:
    """Several endpoints reach each other by address, and decide by majority."""
    endpoints = data["endpoints"]
    if len(endpoints) < 2 or not check.sound(("endpoints",)):
        return
    owners: dict[Any, str] = {}
    for position, endpoint in enumerate(endpoints):
        path = ("endpoints", position, "address")
        text = endpoint["address"] or _addresses.ssh_host(endpoint["ssh"])
        address = _addresses.parse_address(text or "")
        allowed = "an IP address that the other endpoints reach it at"
        if address is None:
            problem = f"is missing, and {text} in ssh is a name" if text else "is missing"
            if endpoint["address"]:
                problem = "is not an address"
            check.refuse(path, endpoint["address"], problem, allowed, shows_value=bool(endpoint["address"]))
        elif address.is_loopback():
            check.refuse(path, text, "is this machine for whoever reads it", allowed)
        elif address in owners:
            check.refuse(path, text, f"is the address of {owners[address]} too", allowed)
        owners.setdefault(address, endpoint["name"])
    if len(endpoints) == 2 and check.sound(("cluster",)) and not data["cluster"]["without_majority"]:
        check.refuse(
            ("endpoints",),
            None,
            "are two: LXD's cluster goes on while more than half of it is there, so the loss of either would stop it",
            "one, three or more; or cluster: {without_majority: true}",
            shows_value=False,
        )


def _encryption(data: Data, check: Check) -> None:
    """WireGuard is between endpoints, and its addresses are nobody else's."""
    encryption, endpoints = data["cluster"]["encryption"], data["endpoints"]
    path: tuple[str, ...] = ("cluster", "encryption")
    if not check.sound(("cluster",), ("endpoints",), ("network",), ("networks",)) or encryption == "none":
        return
    if len(endpoints) < 2:
        problem = "there is one endpoint, so that nothing goes from one to another"
        check.refuse(path, encryption, problem, "none, or several endpoints")
        return
    kinds = {endpoint["name"]: ":" in address_of(endpoint) for endpoint in endpoints}
    if len(set(kinds.values())) > 1:
        others = ", ".join(name for name, kind in kinds.items() if kind != kinds[endpoints[0]["name"]])
        problem = f"{others} is reached by another version of IP than {endpoints[0]['name']}, and packets would differ in size"
        check.refuse(path, encryption, problem, "none, or addresses of one version for all endpoints")
    path = ("cluster", "tunnel", "subnet")
    subnet = data["cluster"]["tunnel"]["subnet"]
    if subnet:
        kind = int(subnet.rsplit("/", 1)[1])
        if not 8 <= kind <= 28:
            check.refuse(path, subnet, f"a /{kind} does not fit", "from /8 to /28")
            return
        _private_network(subnet, path, check)
    if not check.sound(path):
        return
    subnet = subnet or _addresses.subnet("tunnel", site_base(data))
    for name in _addresses.NETWORKS:
        other = data["networks"][name]["subnet"] or _addresses.subnet(name, site_base(data))
        if _addresses.overlap(_addresses.network_of(subnet), _addresses.network_of(other)):
            check.refuse(
                path, subnet, f"overlaps the network {name}, {other}", "a subnet that shares no address with it"
            )
    owners: dict[str, str] = {}
    for endpoint in endpoints:
        name = endpoint["name"]
        first = owners.setdefault(_wireguard.tunnel_address(subnet, name), name)
        if first != name:
            problem = f"gives {first} and {name} the same address, by chance: addresses follow from names"
            check.refuse(path, subnet, problem, "another subnet, better a larger one")


def address_of(endpoint: Data) -> str:
    """Return where the other endpoints reach ENDPOINT."""
    return str(endpoint["address"] or _addresses.ssh_host(endpoint["ssh"]))


def site_base(data: Data) -> str:
    """Return the addresses of the site."""
    return str(data["network"] or _addresses.site_network(data["name"]))


def _targets(data: Data, check: Check) -> None:
    names = [endpoint["name"] for endpoint in data["endpoints"] if endpoint]
    if not check.sound(("endpoints",)):
        return
    for tier, settings in data["tiers"].items():
        path = ("tiers", tier, "target")
        target = settings.get("target")
        if target is None or not check.sound(path):
            continue
        for at, name in enumerate(target if isinstance(target, list) else [target]):
            if name not in names:
                check.refuse(
                    (*path, at) if isinstance(target, list) else path,
                    name,
                    f"is no endpoint of this site{suggestion(name, names)}",
                    ", ".join(names),
                )


def _networks(data: Data, check: Check) -> None:
    base = data["network"] or (_addresses.site_network(data["name"]) if data["name"] else None)
    if data["network"]:
        base = _private_network(data["network"], ("network",), check)
    subnets: dict[str, Any] = {}
    bridges: dict[str | None, str] = {}
    for name in _addresses.NETWORKS:
        settings = data["networks"][name]
        path = ("networks", name, "subnet")
        if settings["subnet"]:
            least, most = NETWORK_SIZES[name]
            kind = settings["subnet"].rsplit("/", 1)[1]
            if int(kind) in range(least, most + 1):
                subnets[name] = _private_network(settings["subnet"], path, check)
            else:
                problem = f"a /{kind} does not fit the blocks of the tiers"
                check.refuse(path, settings["subnet"], problem, f"from /{least} to /{most}")
        elif base and check.sound(path):
            subnets[name] = _addresses.network_of(_addresses.subnet(name, base))
        bridge = settings["bridge"] or (_addresses.bridge(name, data["name"]) if data["name"] else None)
        if bridge and bridge in bridges:
            check.refuse(
                ("networks", name, "bridge"), bridge, f"is the bridge of {bridges[bridge]} too", "a name of its own"
            )
        bridges[bridge] = name
    for one, other in combinations([name for name in subnets if subnets[name]], 2):
        if _addresses.overlap(subnets[one], subnets[other]):
            declared = other if data["networks"][other]["subnet"] is not None else one
            rest = one if declared == other else other
            check.refuse(
                ("networks", declared, "subnet"),
                data["networks"][declared]["subnet"],
                f"overlaps the network {rest}, {subnets[rest]}",
                "a subnet that shares no address with another of the site",
            )


def _lan(data: Data, check: Check) -> None:
    """Legs in the LAN have addresses there, each one of its own."""
    lan = data["networks"]["lan"]
    network = None
    if lan and check.sound(("networks", "lan")):
        network = _lan_network(data, lan, check)
    taken = {lan["gateway"]: "the router"} if lan and lan["gateway"] else {}
    taken |= {address_of(endpoint): endpoint["name"] for endpoint in data["endpoints"] if endpoint}
    for tier, settings in data["tiers"].items():
        path = ("tiers", tier, "lan")
        leg = settings.get("lan")
        if not leg or not check.sound(path, ("tiers", tier, "count"), ("networks", "lan")):
            continue
        if network is None:
            check.refuse(
                path,
                None,
                "there is no LAN to have a leg in",
                "none; or networks: {lan: {parent: INTERFACE, subnet: NETWORK}}",
                shows_value=False,
            )
            continue
        _leg(tier, settings, lan, check)
        if len(leg["addresses"]) < settings["count"]:
            problem = f"are {len(leg['addresses'])}, and the tier has {settings['count']} instances"
            check.refuse((*path, "addresses"), leg["addresses"], problem, "one for each of them")
        for position, text in enumerate(leg["addresses"]):
            address = _addresses.parse_address(text)
            at = (*path, "addresses", position)
            if address is None or address not in network or address in (network.network, network.broadcast):
                check.refuse(at, text, f"is no address of a host in {network}", f"an address in {network}")
            elif text in taken:
                check.refuse(at, text, f"is that of {taken[text]}", "an address that nobody else has")
            taken.setdefault(text, f"another one in tiers.{tier}.lan.addresses")


def _lan_network(data: Data, lan: Data, check: Check) -> Any | None:
    path = ("networks", "lan", "subnet")
    network = _addresses.parse_network(lan["subnet"])
    if network is None or network.ip != network.network or network.prefixlen > 30:
        problem = "is not a network" if network is None else "is not the address of a network with room for hosts"
        check.refuse(path, lan["subnet"], problem, "an IPv4 network, such as 192.168.1.0/24")
        return None
    if data["name"] and check.sound(("network",), *(("networks", name) for name in _addresses.NETWORKS)):
        for name in _addresses.NETWORKS:
            other = data["networks"][name]["subnet"] or _addresses.subnet(name, site_base(data))
            if _addresses.overlap(network, _addresses.network_of(other)):
                problem = f"overlaps the network {name} of the site, {other}"
                check.refuse(path, lan["subnet"], problem, "another network for the site")
    for key in ("gateway", "nameserver"):
        address = _addresses.parse_address(lan[key] or "")
        if lan[key] and (address is None or (key == "gateway" and address not in network)):
            allowed = f"an address in {network}" if key == "gateway" else "an IPv4 address"
            check.refuse(("networks", "lan", key), lan[key], "is not an address there", allowed)
    return network


def _leg(tier: str, settings: Data, lan: Data, check: Check) -> None:
    path = ("tiers", tier, "lan")
    if tier == "proxyhost":
        if settings["lan"]["ports"]:
            problem = "nothing answers outside at a proxyhost"
            check.refuse((*path, "ports"), None, problem, "none, for this tier", shows_value=False)
        if not lan["gateway"]:
            problem = "is missing, and the proxyhost is to go out by it"
            check.refuse(("networks", "lan", "gateway"), None, problem, "an IPv4 address", shows_value=False)
    elif not settings["lan"]["ports"]:
        problem = "are none, so that nothing would answer there"
        check.refuse((*path, "ports"), None, problem, "at least one port, such as 443", shows_value=False)
    for position, volume in enumerate(settings["volumes"]):
        if volume and volume["name"] == "lan":
            at = ("tiers", tier, "volumes", position, "name")
            check.refuse(at, "lan", "is what the leg in the LAN is called", "another name")


def _private_network(text: str, path: tuple[str | int, ...], check: Check) -> Any | None:
    """Return the network that TEXT means, if it means one, and note what is wrong with it."""
    network = _addresses.parse_network(text)
    if network is None:
        check.refuse(path, text, "is not a network", "an IPv4 network, such as 10.77.0.0/16")
    elif network.ip != network.network:
        check.refuse(path, text, "is an address in a network, not a network", str(network.cidr))
    elif not _addresses.within(network, _addresses.SITE_RANGES):
        check.refuse(path, text, "is not private", f"a network within {', '.join(_addresses.SITE_RANGES)}")
    else:
        for taken, reason in _addresses.TAKEN.items():
            if _addresses.overlap(network, _addresses.parse_network(taken)):
                check.refuse(path, text, f"overlaps {taken}: {reason}", f"a network outside {taken}")
    return network.cidr if network is not None else None


def _blocks(data: Data, check: Check) -> None:
    owners: dict[int, str] = {}
    for tier, settings in data["tiers"].items():
        path = ("tiers", tier, "block")
        if not check.sound(path):
            continue
        fixed = _addresses.facts_of(tier).block
        if settings["block"] is not None and fixed is not None:
            check.refuse(
                path,
                settings["block"],
                f"the tier {tier} has block {fixed}, for ever",
                "no block for tiers that the collection knows",
            )
            continue
        block = _addresses.block(tier, settings["block"])
        if block in owners:
            free = [str(one) for one in _addresses.FREE_BLOCKS if one not in _taken_blocks(data)]
            check.refuse(
                path,
                block,
                f"is the block of the tier {owners[block]} too",
                f"one that is free, declared as tiers.{tier}.block: {', '.join(free) or 'none is left'}",
            )
        owners.setdefault(block, tier)


def _taken_blocks(data: Data) -> set[int]:
    return {_addresses.block(tier, settings["block"]) for tier, settings in data["tiers"].items()}


def _stack_places(data: Data, check: Check) -> None:
    for stack, settings in data["stacks"].items():
        path = ("stacks", stack, "tier")
        # Kafka and what stands beside it may be on the managers.
        if (
            stack == "kafka"
            or stack in _declaration_beside_kafka.STACKS
            or not settings
            or not check.sound(path, ("tiers",))
            or settings["tier"] is None
        ):
            continue
        tier = settings["tier"]
        apps = [name for name in data["tiers"] if name not in ("proxyhost", "manager")]
        if tier in ("proxyhost", "manager"):
            check.refuse(path, tier, "is not for apps", ", ".join(apps) or "a tier of its own, declared under tiers")
        elif tier not in data["tiers"]:
            check.refuse(
                path,
                tier,
                f"is no tier of this site{suggestion(tier, apps)}",
                f"{', '.join(apps) or 'a tier that is declared'}; to declare it: tiers: {{{tier}: {{count: 1}}}}",
            )
        elif data["tiers"][tier]["count"] == 0:
            check.refuse(("tiers", tier, "count"), 0, f"the stack {stack} has nowhere to run", "at least 1")


def _chain(data: Data, check: Check) -> None:
    chain, bitcoin = data["chain"], data["stacks"]["bitcoin"]
    if not check.sound(("chain",)) or not bitcoin:
        return
    path = ("stacks", "bitcoin", "implementation")
    further = [(other, ("stacks", "bitcoin", "chains", other)) for other in bitcoin["chains"] or {}]
    if chain in bitcoin["chains"]:
        problem = "is the site's own chain, and what is said of its node stands beside chains"
        check.refuse(("stacks", "bitcoin", "chains", chain), None, problem, "other chains", shows_value=False)
    if not check.sound(path):
        return
    implementation = bitcoin["implementation"]
    facts = _chains.IMPLEMENTATIONS[implementation]
    for one, at in [(chain, ("chain",)), *further]:
        if one not in facts.chains:
            able = [name for name, others in _chains.IMPLEMENTATIONS.items() if one in others.chains]
            check.refuse(
                at,
                one,
                f"{implementation} does not have it",
                f"{', '.join(facts.chains)}, or one of {', '.join(able)} as stacks.bitcoin.implementation",
                shows_value=at == ("chain",),
            )
    if facts.role is None:
        ready = [name for name, others in _chains.IMPLEMENTATIONS.items() if others.role]
        check.refuse(path, implementation, "there is no role for it yet", ", ".join(ready))


def _bitcoin(data: Data, check: Check) -> None:
    bitcoin = data["stacks"]["bitcoin"]
    path = ("stacks", "bitcoin")
    if not bitcoin:
        return
    for node in _bitcoin_nodes.nodes(data):
        _bitcoin_place(data, node, check)
        _bitcoin_storage(node, check)
        _bitcoin_memory(data, node, check)
        _bitcoin_peers(data, node, check)
        _bitcoin_consumers(data, node, check)
    if check.sound((*path, "implementation")):
        _signatures(bitcoin, _chains.IMPLEMENTATIONS[bitcoin["implementation"]].signers, path, check)


def _bitcoin_place(data: Data, node: _bitcoin_nodes.Node, check: Check) -> None:
    """A further node may be on instances of another tier. (Of the first one's tier a rule of all stacks says what is wrong.)"""
    path, tier = (*node.path, "tier"), node.tier
    if (
        not node.instance
        or not check.sound(path, ("tiers",), ("stacks", "bitcoin", "tier"))
        or tier == data["stacks"]["bitcoin"]["tier"]
    ):
        return
    apps = [name for name in data["tiers"] if name not in ("proxyhost", "manager")]
    if tier not in apps:
        why = "is not for apps" if tier in data["tiers"] else f"is no tier of this site{suggestion(tier, apps)}"
        check.refuse(path, tier, why, ", ".join(apps) or "a tier of its own, declared under tiers")
    elif data["tiers"][tier]["count"] == 0:
        check.refuse(("tiers", tier, "count"), 0, f"the node of {node.chain} has nowhere to run", "at least 1")


def _bitcoin_storage(node: _bitcoin_nodes.Node, check: Check) -> None:
    path, declared = node.path, node.declared
    if not check.sound((*path, "prune"), (*path, "indexes")):
        return
    if check.sound(("chain",), (*path, "volume_size")):
        _bitcoin_volume(node, check)
    if declared["prune"] and declared["indexes"]["txindex"]:
        check.refuse(
            (*path, "prune"),
            declared["prune"],
            "an index of all transactions needs all blocks",
            "either prune or indexes.txindex, not both",
        )


def _bitcoin_memory(data: Data, node: _bitcoin_nodes.Node, check: Check) -> None:
    path, declared = node.path, node.declared
    tier = data["tiers"].get(node.tier)
    beside = _bitcoin_nodes.of_tier(data, node.tier)
    sound = check.sound((*path, "memory"), *((*other.path, "memory") for other in beside), ("tiers", node.tier, "size"))
    if not tier or not sound:
        return
    whole = _sizes.to_bytes(tier["size"]["memory"]) // _sizes.MIB
    taken = [_sizes.to_bytes(_bitcoin_nodes.memory(data, other)[0]) // _sizes.MIB for other in beside]
    reserve = _sizes.to_bytes(_bitcoin_nodes.RESERVE) // _sizes.MIB
    lnd = _sizes.to_bytes(_bitcoin_nodes.LIGHTNING_MEMORY) // _sizes.MIB
    lnd *= _bitcoin_nodes.beside_lightning(data, node.tier)
    if len(beside) > 1 or declared["memory"] or lnd:
        least = _bitcoin_nodes.least_memory(data, node)
        mine = taken[beside.index(node)]
        # Where the first one is not told, it has what the others leave, and the system has its part of that.
        beyond = sum(taken) + lnd + (reserve if beside[0].declared["memory"] else 0) > whole
        sharing = [*(other.chain for other in beside), *(["lnd"] if lnd else [])]
        if beyond or mine < least:
            check.refuse(
                (*path, "memory"),
                declared["memory"],
                f"an instance of its tier has {whole} MiB of memory for {' and '.join(sharing)}, and {reserve} MiB are the system's",
                f"as much as leaves {least} MiB or more to each node, or more memory in tiers.{node.tier}.size",
                shows_value=declared["memory"] is not None,
            )
            return
    mine = taken[beside.index(node)]
    if declared["dbcache"] is not None and check.sound((*path, "dbcache")) and declared["dbcache"] > mine * 3 // 4:
        check.refuse(
            (*path, "dbcache"),
            declared["dbcache"],
            f"an instance of its tier has {mine} MiB of memory, and the node needs some beside its cache"
            if mine == whole
            else f"it has {mine} MiB of memory, and needs some beside its cache",
            f"at most {mine * 3 // 4}, or more memory in tiers.{node.tier}.size",
        )


def _bitcoin_peers(data: Data, node: _bitcoin_nodes.Node, check: Check) -> None:
    path, declared = node.path, node.declared
    if not check.sound((*path, "network"), ("chain",)):
        return
    network = declared["network"]
    if network == _bitcoin_network.CLEAR and _chains.CHAINS[node.chain].public:
        check.refuse(
            (*path, "network"),
            network,
            f"{node.chain} is shared with others, and no way leads to them from the site's hosts but Tor's",
            f"{_bitcoin_network.ONION} or {_bitcoin_network.MIXED}",
        )
        return
    for key in ("connect", "addnode", "seednode"):
        for position, peer in enumerate(declared[key]):
            at = (*path, key, position)
            problem = _bitcoin_network.peer_problem(peer, network) if check.sound(at) else None
            if problem:
                check.refuse(at, peer, *problem)
            elif peer in declared[key][:position]:
                check.refuse(at, peer, "stands in the list twice", "each once")
    if declared["connect"] and declared["seednode"]:
        check.refuse(
            (*path, "seednode"), declared["seednode"], "with connect, no others are looked for", "one of the two"
        )
    if declared["private_broadcast"]:
        backs = [one["name"] for one in _bitcoin_nodes.consumers(data, node)]
        if network == _bitcoin_network.CLEAR:
            check.refuse((*path, "private_broadcast"), True, "needs Tor", "false, or another network")
        elif _bitcoin_nodes.LIGHTNING in backs:
            why = "lnd relies on this node, and has to find what it has sent in the node's mempool"
            check.refuse((*path, "private_broadcast"), True, why, "false for a node that lnd relies on")


def _bitcoin_consumers(data: Data, node: _bitcoin_nodes.Node, check: Check) -> None:
    tiers = [name for name in data["tiers"] if name != "proxyhost"]
    for position, one in enumerate(node.declared["consumers"]):
        path = (*node.path, "consumers", position)
        if not one or not check.sound(path, ("tiers",)):
            continue
        if one["tier"] not in tiers:
            why = (
                "leads out, and has no business with a node"
                if one["tier"] == "proxyhost"
                else f"is no tier of this site{suggestion(one['tier'], tiers)}"
            )
            check.refuse((*path, "tier"), one["tier"], why, ", ".join(tiers))
        if one["name"] == _bitcoin_nodes.LIGHTNING and data["stacks"].get("lightning"):
            check.refuse(
                (*path, "name"), one["name"], "is the site's own lnd, which is a consumer by itself", "another name"
            )


def _lightning_signatures(data: Data, check: Check) -> None:
    if data["stacks"]["lightning"]:
        _signatures(data["stacks"]["lightning"], _declaration_lightning.SIGNERS, ("stacks", "lightning"), check)


def _signatures(stack: Data, known: int, path: KeyPath, check: Check) -> None:
    """No more must have signed than there are who can: those that STACK names, or else so many whom its role knows."""
    signers, wanted = stack["signers"], stack["signatures"]
    if not check.sound((*path, "signers"), (*path, "signatures")) or not wanted:
        return
    if signers and wanted > len(signers):
        check.refuse((*path, "signatures"), wanted, f"there are {len(signers)} signers", f"at most {len(signers)}")
    elif not signers and wanted > known:
        problem = f"the role knows {known} of its makers by their keys"
        check.refuse((*path, "signatures"), wanted, problem, f"at most {known}, or more in signers")


def _bitcoin_volume(node: _bitcoin_nodes.Node, check: Check) -> None:
    chain, declared = node.chain, node.declared
    volume, prune = declared["volume_size"], node.prune_mib
    if volume is None:
        return
    path = (*node.path, "volume_size")
    if chain == "mainnet" or prune is None or _sizes.to_bytes(volume) >= prune * _sizes.MIB:
        least = _chains.volume_minimum(chain, prune, declared["indexes"])
        if _sizes.to_bytes(volume) < least:
            kept = f"pruned to {declared['prune']}" if prune else "in full"
            check.refuse(
                path,
                volume,
                f"{chain} {kept} with what is declared beside it needs about {_gib(least)}",
                f"at least {_gib(least)}, or null for {node.default_volume()}",
            )
    else:
        check.refuse(
            path,
            volume,
            f"is smaller than what prune keeps, {declared['prune']}",
            "a volume larger than prune, or a smaller prune",
        )


def _gib(size: int) -> str:
    return f"{-(-size // _sizes.GIB)}GiB"


def kafka_hosts(data: Mapping[str, Any], tier: str, hosts: list[Any]) -> list[Any]:
    """Return which of HOSTS, all instances of TIER or the indexes of some, have a process of Kafka."""
    kafka = data["stacks"]["kafka"]
    if not kafka["enabled"]:
        return []
    if kafka["tier"] == tier:
        return list(hosts)
    if kafka["controllers"] == tier:
        # A count that was refused is none.
        most = _kafka.controllers(data["tiers"][tier]["count"] or 1)
        return [host for position, host in enumerate(hosts, 1) if (host if isinstance(host, int) else position) <= most]
    return []


def _kafka_places(data: Data, check: Check) -> None:
    kafka = data["stacks"]["kafka"]
    for key in ("tier", "controllers"):
        path = ("stacks", "kafka", key)
        if not kafka["enabled"] or not check.sound(path, ("tiers",)) or kafka[key] is None:
            continue
        tier, able = kafka[key], _declaration_beside_kafka.able_tiers(data, check)
        if tier not in able:
            check.refuse(path, tier, _declaration_beside_kafka.unable(data, tier, able), ", ".join(able))
        elif data["tiers"][tier]["count"] == 0:
            check.refuse(("tiers", tier, "count"), 0, "the stack kafka has nowhere to run", "at least 1")


def _kafka_stack(data: Data, check: Check) -> None:
    kafka = data["stacks"]["kafka"]
    path: KeyPath = ("stacks", "kafka")
    if not kafka["enabled"] or not check.sound(path, ("tiers",)):
        return
    for tier in dict.fromkeys(filter(None, (kafka["tier"], kafka["controllers"]))):
        _kafka_memory(data, tier, check)
    versions: dict[KeyPath, str | None] = {
        (*path, "version"): kafka["version"],
        ("versions", "kafka"): data["versions"].get("kafka"),
    }
    for at, version in versions.items():
        if version and check.sound(at) and _kafka.release(version) < _kafka.OLDEST:
            check.refuse(at, version, "is too old: its controllers do not join by themselves", "4.2 or later")
    at = (*path, "version") if kafka["version"] else ("versions", "kafka")
    key = _kafka.STRANGERS.get(versions[at] or "")
    if key and not kafka["signers"]:
        problem = f"is signed by somebody whom the role does not know, with the key {key}"
        check.refuse(at, versions[at], problem, "another release, or that signer in stacks.kafka.signers")
    _signatures(kafka, _kafka.SIGNERS, path, check)
    _topic_names(data, check)
    for name, rights in kafka["clients"].items():
        client = (*path, "clients", name)
        if name in (*_kafka.CLIENTS, _kafka.NODE, _kafka.ADMIN, *_kafka_stacks.PRINCIPALS):
            check.refuse(client, None, "is who the site itself is there", "another name", shows_value=False)
        _declaration_beside_kafka.topics_exist(kafka, rights, client, check)
    brokers = data["tiers"][kafka["tier"]]["count"]
    least = _kafka.volume_minimum(kafka["topics"], brokers)
    if _sizes.to_bytes(kafka["volume_size"]) < least:
        check.refuse(
            (*path, "volume_size"),
            kafka["volume_size"],
            f"the topics hold up to {_gib(_kafka.topics_size(kafka['topics'], brokers))} on one of {brokers} brokers (size and a file more, "
            f"times the partitions of which it has a replica), and Kafka needs some for itself",
            f"at least {_gib(least)}, or smaller topics",
        )


def _topic_names(data: Data, check: Check) -> None:
    topics = data["stacks"]["kafka"]["topics"]
    own = {*_kafka.TOPICS, *_kafka_stacks.topics(data["stacks"])}
    first: dict[str, str] = {}
    # The site's own topics are called what they are called.
    for name in sorted({**topics, **dict.fromkeys(own)}, key=lambda name: name not in own):
        other = first.setdefault(_kafka.plain(name), name)
        if other != name:
            problem = f"is {other} to Kafka, to which dots and underscores are one"
            path: KeyPath = ("stacks", "kafka", "topics", name)
            check.refuse(path, None, problem, "a name that differs in more", shows_value=False)


def _alert_rules(data: Data, check: Check) -> None:
    path: KeyPath = ("stacks", "kafka", "alerts", "rules")
    refuse_rules(data["stacks"]["kafka"]["alerts"]["rules"], path, check)
    names = [*data["tiers"], "endpoint"]
    for name, rule in data["stacks"]["kafka"]["alerts"]["rules"].items():
        for position, tier in enumerate(rule["tiers"]):
            at = (*path, name, "tiers", position)
            if check.sound(at, ("tiers",)) and not any(fnmatchcase(one, tier) for one in names):
                problem = f"is no tier of this site{suggestion(tier, names)}"
                check.refuse(at, tier, problem, ", ".join(names))


def refuse_rules(rules: Mapping[str, Mapping[str, Any]], path: KeyPath, check: Check) -> None:
    """Note what the keys of each of RULES cannot be together."""
    for name, rule in rules.items():
        if check.sound((*path, name)):
            for problem in _alerts.problems(rule):
                at = (*path, name, problem.key)
                check.refuse(at, problem.value, problem.words, problem.allowed, shows_value=problem.value is not None)


def _kafka_memory(data: Data, tier: str, check: Check) -> None:
    kafka, memory = data["stacks"]["kafka"], data["tiers"][tier]["size"]["memory"]
    processes = 2 if kafka["tier"] == kafka["controllers"] else 1
    if kafka["memory"] is None:
        if _sizes.to_bytes(memory) < 1 * _sizes.GIB * processes:
            check.refuse(
                ("tiers", tier, "size", "memory"),
                memory,
                "is too little for Kafka, which takes half of it and at least 512MiB",
                f"at least {processes}GiB, or stacks.kafka.enabled: false",
            )
    elif _sizes.to_bytes(kafka["memory"]) * processes + _declaration_beside_kafka.SYSTEM > _sizes.to_bytes(memory):
        check.refuse(
            ("stacks", "kafka", "memory"),
            kafka["memory"],
            f"an instance of {tier} has {memory}, and needs 512MiB of it beside Kafka",
            f"less, or more memory in tiers.{tier}.size",
        )


def _volumes(data: Data, check: Check) -> None:
    for tier, settings in data["tiers"].items():
        path = ("tiers", tier, "volumes")
        if not check.sound(path):
            continue
        owners = {"path": {"/": "the root disk"}, "name": {}}
        for node in _bitcoin_nodes.of_tier(data, tier):
            owner = f"the node of {node.chain}" if node.instance else "the stack bitcoin"
            owners["path"][node.volume["path"]] = owners["name"][node.volume["name"]] = owner
        if _declaration_lightning.hosts(data, tier, [tier]):
            volume = _declaration_lightning.VOLUME
            owners["path"][volume["path"]] = owners["name"][volume["name"]] = "the stack lightning"
        if kafka_hosts(data, tier, [1]):
            owners["path"][_kafka.VOLUME["path"]] = owners["name"][_kafka.VOLUME["name"]] = "the stack kafka"
        if _kafka_stacks.worker_indexes(data["stacks"], tier):
            volume = _kafka_stacks.CONNECT_VOLUME
            owners["path"][volume["path"]] = owners["name"][volume["name"]] = "the stack connect"
        if tier == "manager":
            owners["path"][REGISTRY_VOLUME["path"]] = owners["name"][REGISTRY_VOLUME["name"]] = "the registry"
        for position, volume in enumerate(settings["volumes"]):
            for key in ("name", "path"):
                if volume[key] in owners[key]:
                    check.refuse(
                        (*path, position, key), volume[key], f"belongs to {owners[key][volume[key]]}", f"another {key}"
                    )
                owners[key].setdefault(volume[key], f"volumes[{position}]")


def _pool(data: Data, check: Check) -> None:
    pool = data["pool"]
    if not check.sound(("pool",)) or pool["size"] is None:
        return
    if pool["source"] is not None:
        check.refuse(("pool", "size"), pool["size"], f"{pool['source']} has the size it has", "either source or size")
        return
    if not check.sound(("tiers",), ("stacks",), ("endpoints",), ("registry",)):
        return
    room = _sizes.to_bytes(pool["size"]) * len(data["endpoints"])
    wanted = _sizes.to_bytes(data["registry"]["volume_size"])
    of_kafka = 0
    for tier, settings in data["tiers"].items():
        wanted += settings["count"] * sum(_sizes.to_bytes(volume["size"]) for volume in settings["volumes"])
        wanted += settings["count"] * sum(
            _sizes.to_bytes(node.volume_size()) for node in _bitcoin_nodes.of_tier(data, tier)
        )
        if _declaration_lightning.hosts(data, tier, [tier]):
            wanted += settings["count"] * _sizes.to_bytes(data["stacks"]["lightning"]["volume_size"])
        kafka = kafka_hosts(data, tier, list(range(1, settings["count"] + 1)))
        of_kafka += len(kafka) * _sizes.to_bytes(data["stacks"]["kafka"]["volume_size"])
        workers = len(_kafka_stacks.worker_indexes(data["stacks"], tier))
        wanted += workers * _sizes.to_bytes(data["stacks"]["connect"]["volume_size"]) if workers else 0
    wanted += of_kafka
    if wanted > room:
        # A site has Kafka without anybody having asked for it.
        share = f", {_gib(of_kafka)} of it Kafka's" if of_kafka else ""
        without = ", or stacks: {kafka: {enabled: false}}" if wanted - of_kafka <= room else ""
        check.refuse(
            ("pool", "size"),
            pool["size"],
            f"all volumes hold {_gib(wanted)} when full{share}",
            f"at least {_gib(-(-wanted // len(data['endpoints'])))}, or smaller volumes{without}",
        )


def _certificates(data: Data, check: Check) -> None:
    # Each becomes a file of the same name on every instance.
    seen: dict[str, int] = {}
    for position, file in enumerate(data["extra_ca_certificates"]):
        if not file:
            continue
        name = PurePosixPath(file).name
        if name in seen:
            path = ("extra_ca_certificates", position)
            check.refuse(path, file, f"has the name of extra_ca_certificates[{seen[name]}]", "files of different names")
        seen.setdefault(name, position)


def _mirrors(data: Data, check: Check) -> None:
    for path, url in mirror_urls(data).items():
        if not check.sound(path):
            continue
        host = urlsplit(url).hostname or ""
        address = _addresses.parse_address(host)
        if host == "localhost" or (address is not None and address.is_loopback()):
            check.refuse(
                path,
                url,
                "is this machine for whoever reads it, and instances read it too",
                "an address that instances can reach",
            )


def mirror_urls(data: Data) -> dict[tuple[str | int, ...], str]:
    """Return the mirrors that instances reach, by where they stand. (Images are fetched by LXD itself.)"""
    mirrors = data["mirrors"]
    urls: dict[tuple[str | int, ...], str] = {}
    for kind in ("apt", "registries", "downloads"):
        for name, url in mirrors[kind].items():
            if isinstance(url, str):
                urls["mirrors", kind, name] = url
    return urls


def _egress(data: Data, check: Check) -> None:
    for position, item in enumerate(data["egress"]["allowed_private"]):
        path = ("egress", "allowed_private", position, "host")
        if not item or not check.sound(path) or item["host"] is None:
            continue
        network = _addresses.parse_network(item["host"])
        if network is None:
            check.refuse(path, item["host"], "is not an address", "an IPv4 address or network")
        elif not _addresses.is_private(network):
            check.refuse(path, item["host"], "is not private", "a private address; for others there is allowed_domains")
