# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From a declaration to the hosts, groups and variables of a site. Knows nothing of Ansible."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from . import (
    _addresses,
    _alerts,
    _bitcoin_nodes,
    _chains,
    _declaration_lightning,
    _declaration_rules,
    _declaration_tor,
    _floating,
    _kafka,
    _kafka_stacks,
    _onion_ways,
    _vxlan,
    _wireguard,
)
from ._declaration_file import DeclarationError, Document, Finding, expand_variables, overlay, read
from ._declaration_kinds import Check
from ._declaration_schema import SCHEMA, alert_rule, tier, topic

__all__ = ["DeclarationError", "Finding", "Site", "check", "expand", "load", "load_site"]

# Keys that say what a file is; a file that is laid over a declaration cannot change them.
_OWN_KEYS = ("plugin", "name", "overrides")

# Registries send pulls on to other hosts. Docker Hub: docs.docker.com, "Allowlist for Docker Desktop" (2026). GitHub's:
# docs.github.com, "About self-hosted runners", accessing GitHub Packages.
_COMPANIONS = {
    "registry-1.docker.io": (
        "auth.docker.io",
        "production.cloudflare.docker.com",
        "production.cloudfront.docker.com",
        "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
    ),
    "ghcr.io": ("pkg-containers.githubusercontent.com",),
    # Releases, which it hands on, and the keys of those who sign lnd's, which are in its repository.
    "github.com": (
        "objects.githubusercontent.com",
        "release-assets.githubusercontent.com",
        "raw.githubusercontent.com",
    ),
}
DOCKER_HUB = "https://registry-1.docker.io"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Site:
    """A site as an inventory shows it."""

    variables: dict[str, Any]
    groups: dict[str, list[str]]
    hosts: dict[str, dict[str, Any]]


def load(file: str | os.PathLike[str], environment: Mapping[str, str]) -> tuple[Document, list[Finding]]:
    """Return FILE with what it names as ``overrides`` laid over it, and what is wrong with those.

    :raises DeclarationError: FILE cannot be read.
    """
    document = read(file)
    findings: list[Finding] = []
    entries = document.data.get("overrides")
    for position, entry in enumerate(entries if isinstance(entries, list) else []):
        path = ("overrides", position, "path")
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            continue
        try:
            other = Path(file).parent / expand_variables(entry["path"], environment)
        except KeyError:
            continue
        if not other.exists():
            if entry.get("optional") is not True:
                findings.append(
                    Finding(
                        path,
                        f"there is no file {other}",
                        "a file that exists, or optional: true",
                        entry["path"],
                        place=document.place(path),
                    )
                )
            continue
        try:
            above = read(other)
        except DeclarationError as error:
            findings += error.findings
            continue
        for key in _OWN_KEYS:
            if key in above.data:
                findings.append(
                    Finding(
                        (key,),
                        "belongs into the declaration itself",
                        "all other keys of a declaration",
                        above.data.pop(key),
                        True,
                        above.place((key,)),
                    )
                )
        document = overlay(document, above)
    return document, findings


def check(document: Document, environment: Mapping[str, str], findings: list[Finding] | None = None) -> dict[str, Any]:
    """Return the normal form of DOCUMENT: each key with a value.

    :raises DeclarationError: something is wrong with it; it carries all that is.
    """
    walk = Check(document, environment, list(findings or []))
    data: dict[str, Any] = SCHEMA.check(document.data, (), walk)
    for name in ("proxyhost", "manager"):
        data["tiers"].setdefault(name, tier(_addresses.facts_of(name)).check({}, ("tiers", name), walk))
    # First, wherever a person wrote it: an engine asks one mirror for what is the Hub's, and that is the first cache.
    data["mirrors"]["registries"] = {"docker.io": DOCKER_HUB} | data["mirrors"]["registries"]
    for name, facts in _kafka.TOPICS.items():
        path = ("stacks", "kafka", "topics", name)
        data["stacks"]["kafka"]["topics"].setdefault(name, topic(facts).check({}, path, walk))
    for name, rule in _alerts.RULES.items():
        at = ("stacks", "kafka", "alerts", "rules", name)
        data["stacks"]["kafka"]["alerts"]["rules"].setdefault(name, alert_rule(rule).check({}, at, walk))
    _declaration_rules.judge(data, walk)
    _onion_ways.find(data, walk)
    if walk.findings:
        raise DeclarationError(
            sorted(walk.findings, key=lambda one: (one.place.file, one.place.line) if one.place else ("", 0))
        )
    return data


def expand(data: Mapping[str, Any], controller_python: str, folder: str = "") -> Site:
    """Return the site that DATA, in normal form, declares in FOLDER."""
    networks = _networks(data)
    groups: dict[str, list[str]] = {
        "endpoints": [],
        "lxd_leader": [],
        "lxd_candidates": [],
        # Who leads a run is found out by the run, and who is silent.
        "lxd_leading": [],
        "lxd_led": [],
        "lxd_silent": [],
        "instances": [],
        "app_hosts": [],
        "swarm_nodes": [],
        "kafka_nodes": [],
        "connect_nodes": [],
        "kafka_door_nodes": [],
        "lightning_nodes": [],
    }
    hosts: dict[str, dict[str, Any]] = {}
    for endpoint in data["endpoints"]:
        hosts[endpoint["name"]] = _endpoint(data, endpoint, controller_python)
        groups["endpoints"].append(endpoint["name"])
    groups["lxd_leader"].append(groups["endpoints"][0])
    if len(groups["endpoints"]) > 1:
        groups["lxd_candidates"] += groups["endpoints"]
    for name in sorted(data["tiers"], key=lambda name: _addresses.block(name, data["tiers"][name]["block"])):
        group = groups.setdefault(f"tier_{name}", [])
        for index in range(1, data["tiers"][name]["count"] + 1):
            host = f"{name}-{index}"
            hosts[host] = _instance(data, networks, name, index)
            group.append(host)
        groups["instances"] += group
        if name != "proxyhost":
            groups["swarm_nodes"] += group
        if name not in ("proxyhost", "manager"):
            groups["app_hosts"] += group
        groups["kafka_nodes"] += _declaration_rules.kafka_hosts(data, name, group)
        groups["connect_nodes"] += group[: len(_kafka_stacks.worker_indexes(data["stacks"], name))]
        groups["lightning_nodes"] += _declaration_lightning.hosts(data, name, group)
        if any((data["stacks"][stack] or {}).get("tier") == name for stack in _kafka_stacks.DOORS):
            groups["kafka_door_nodes"].append(group[0])
    return Site(_site_variables(data, networks, folder), groups, hosts)


def load_site(file: str | os.PathLike[str], environment: Mapping[str, str], controller_python: str) -> Site:
    """Return the site that FILE declares.

    :raises DeclarationError: it cannot be read, or something is wrong with it.
    """
    document, findings = load(file, environment)
    folder = str(Path(file).absolute().parent)
    return expand(check(document, environment, findings), controller_python, folder)


def _inner_mtu(data: Mapping[str, Any]) -> int:
    """The largest packet of inner networks, between endpoints whose network carries what Ethernet does."""
    if not _encrypted(data):
        return _vxlan.INNER_MTU
    # All endpoints are of its version.
    first = _declaration_rules.address_of(data["endpoints"][0])
    return _wireguard.inner_mtu(1500, _vxlan.version_of(first))


def _encrypted(data: Mapping[str, Any]) -> bool:
    return bool(data["cluster"]["encryption"] != "none")


def _tunnel(data: Mapping[str, Any], networks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """WireGuard between the endpoints, which carries the largest of the inner networks in VXLAN."""
    if not _encrypted(data):
        return None
    declared = data["cluster"]["tunnel"]
    return {
        "interface": _wireguard.wireguard_interface(data["name"]),
        "port": declared["port"] or _wireguard.wireguard_port(data["name"]),
        "subnet": _tunnel_subnet(data),
        "mtu": max(network["mtu"] for network in networks if not network["nat"]) + _vxlan.overhead(4),
    }


def _tunnel_subnet(data: Mapping[str, Any]) -> str:
    base = _declaration_rules.site_base(dict(data))
    return str(data["cluster"]["tunnel"]["subnet"] or _addresses.subnet("tunnel", base))


def _lan(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The network of LXD's by which instances have a leg in the LAN, if there is one."""
    declared = data["networks"]["lan"]
    if not declared:
        return None
    return {
        "network": _addresses.bridge("lan", data["name"]),
        **declared,
        "nameserver": declared["nameserver"] or declared["gateway"],
    }


def _outside(data: Mapping[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    """The way out of a site: behind the NAT of each endpoint, or a leg of the proxyhost's in the LAN."""
    lan = _lan(data)
    if not lan or not data["tiers"]["proxyhost"]["lan"]:
        return network
    of_lan = {"bridge": lan["network"], "subnet": lan["subnet"], "host_address": lan["gateway"]}
    return {**network, **of_lan, "mtu": None, "nameserver": lan["nameserver"], "lan": True}


def _networks(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    base = data["network"] or _addresses.site_network(data["name"])
    result = []
    for name in _addresses.NETWORKS:
        settings = data["networks"][name]
        subnet = settings["subnet"] or _addresses.subnet(name, base)
        nat = name == "outside"
        result.append(
            {
                "name": name,
                "bridge": settings["bridge"] or _addresses.bridge(name, data["name"]),
                "subnet": subnet,
                "nat": nat,
                "host_address": str(_addresses.network_of(subnet).network + 1) if nat else None,
                "mtu": settings["mtu"] or (None if nat else _inner_mtu(data)),
                # How it gets from endpoint to endpoint. Each has a way outside of its own.
                "interface": None if nat else _vxlan.vxlan_interface(name, data["name"]),
                "vni": None if nat else _vxlan.vni(data["name"], name),
            }
        )
    return [_outside(data, network) if network["nat"] else network for network in result]


def _site_variables(data: Mapping[str, Any], networks: list[dict[str, Any]], folder: str) -> dict[str, Any]:
    name = data["name"]
    leader = data["endpoints"][0]
    gateway = next(network for network in networks if network["name"] == "gateway")
    return {
        "bcm_site": name,
        "bcm_site_id": _addresses.site_id(name),
        "bcm_project": f"bcm-{name}",
        "bcm_domain": f"{name}.bcm.internal",
        "bcm_chain": data["chain"],
        "bcm_chain_ports": _chains.chain_ports(data["chain"]),
        "bcm_pool": {"name": f"bcm-{name}", **data["pool"]},
        "bcm_cluster": data["cluster"],
        "bcm_networks": networks,
        "bcm_tunnel": _tunnel(data, networks),
        "bcm_lan": _lan(data),
        "bcm_image_builder": {
            "name": "image-builder",
            "addresses": {"gateway": _addresses.address("gateway", gateway["subnet"], _addresses.BUILDER_BLOCK, 1)},
        },
        "bcm_way_out": _way_out(name, networks),
        "bcm_tor": _declaration_tor.variable(data, _way_out(name, networks), gateway["subnet"]),
        "bcm_lxd_socket": leader["lxd_socket"],
        "bcm_lxd_url": _lxd_url(leader),
        "bcm_stacks": _stacks(data),
        "bcm_versions": data["versions"],
        "bcm_mirrors": _mirrors(data),
        "bcm_extra_ca_certificates": data["extra_ca_certificates"],
        "bcm_swarm": data["swarm"],
        "bcm_registry_volume": _registry_volume(data),
        "bcm_secrets": _secrets(data["secrets"], folder),
        **_egress(data),
        **_by_onion(leader),
    }


def _way_out(site: str, networks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Where the way out is on each inner network, whichever proxyhost holds the address, and however many there are."""
    facts = _addresses.facts_of("proxyhost")
    block = _addresses.block("proxyhost", None)
    result = {}
    for network in networks:
        name = network["name"]
        if name in facts.networks and not network["nat"]:
            result[name] = {
                "address": _addresses.address(name, network["subnet"], block, _addresses.FLOATING),
                # Whom each of them looks out for, whether they are there yet or not.
                "first": [
                    _addresses.address(name, network["subnet"], block, index)
                    for index in range(1, _floating.EXPECTED + 1)
                ],
                "router_id": _floating.router_id(site, name),
            }
    return result


def _by_onion(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What the connection plugin lxd is told beside the URL. Its arguments of this name come before all others."""
    if not endpoint.get("way"):
        return {}
    return {
        "bcm_lxd_ssh_args": endpoint["way"]["ansible_ssh_common_args"],
        "bcm_lxd_timeout": _onion_ways.SECONDS,
    }


def _secrets(declared: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """What the module site_secret is told; of the vault only where there is one."""
    if declared["backend"] != "vault":
        return {"backend": declared["backend"]}
    return {**declared, "vault": str(Path(folder, declared["vault"]))}


def _lxd_url(endpoint: Mapping[str, Any]) -> str | None:
    """Return LXD's API as the controller reaches it."""
    if endpoint["lxd_url"]:
        return str(endpoint["lxd_url"])
    if endpoint.get("way"):
        way, user = endpoint["way"], _user(endpoint)
        return f"ssh://{user}@{way['ansible_host']}:{way['ansible_port']}{endpoint['lxd_socket'] or ''}"
    if endpoint["ssh"]:
        return f"ssh://{endpoint['ssh']}{endpoint['lxd_socket'] or ''}"
    return f"unix://{endpoint['lxd_socket']}" if endpoint["lxd_socket"] else None


def _own_lxd_url(endpoint: Mapping[str, Any]) -> str | None:
    """Return LXD's API as those reach it who run on the endpoint itself."""
    if not endpoint["connection"]:
        return f"unix://{endpoint['lxd_socket']}" if endpoint["lxd_socket"] else None
    return _lxd_url(endpoint)


def _user(endpoint: Mapping[str, Any]) -> str:
    """Whom SSH logs in as, if the declaration or the way says so."""
    declared = (endpoint["ssh"] or "").rpartition("@")[0]
    return str(declared or endpoint.get("way", {}).get("ansible_user", ""))


def _endpoint(data: Mapping[str, Any], endpoint: Mapping[str, Any], controller_python: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "bcm_lxd_socket": endpoint["lxd_socket"],
        "bcm_own_lxd_url": _own_lxd_url(endpoint),
        # As the controller reaches it: the way to the instances where this endpoint leads.
        "bcm_lxd_way": {"bcm_lxd_url": _lxd_url(endpoint), **_by_onion(endpoint)},
        "bcm_cluster_address": endpoint["address"] or _addresses.ssh_host(endpoint["ssh"]),
        "bcm_failure_domain": endpoint["failure_domain"],
        "bcm_pool_source": endpoint["pool_source"],
        "bcm_prepare": not endpoint["connection"] if endpoint["prepare"] is None else endpoint["prepare"],
    }
    if _declaration_rules.has_onion(dict(data), dict(endpoint)):
        result["bcm_ssh_onion"] = True
    if _encrypted(data):
        result["bcm_tunnel_address"] = _wireguard.tunnel_address(_tunnel_subnet(data), endpoint["name"])
    if data["networks"]["lan"]:
        result["bcm_lan_parent"] = endpoint["lan_parent"] or data["networks"]["lan"]["parent"]
    interpreter = endpoint["python_interpreter"]
    user = _user(endpoint)
    if user:
        result |= {"ansible_user": user, "ansible_become": user != "root"}
    if endpoint.get("way"):
        result |= {"ansible_connection": "ssh", **_onion_ways.variables(endpoint["way"])}
    elif endpoint["ssh"]:
        host, _colon, port = endpoint["ssh"].rpartition("@")[2].partition(":")
        result |= {"ansible_connection": "ssh", "ansible_host": host}
        if port:
            result["ansible_port"] = int(port)
    else:
        result["ansible_connection"] = "local"
        interpreter = interpreter or controller_python
    if interpreter:
        result["ansible_python_interpreter"] = interpreter
    return result


def _instance(data: Mapping[str, Any], networks: list[dict[str, Any]], tier_name: str, index: int) -> dict[str, Any]:
    settings = data["tiers"][tier_name]
    facts = _addresses.facts_of(tier_name)
    block = _addresses.block(tier_name, settings["block"])
    joined = [network for network in networks if network["name"] in facts.networks]
    name = f"{tier_name}-{index}"
    # A leg that is there for Tor alone is none by which neighbours are known.
    legs = _declaration_tor.networks_of(data, tier_name, facts.networks)
    addresses = {
        network["name"]: _addresses.address(network["name"], network["subnet"], block, index)
        for network in networks
        if network["name"] in legs
    }
    leg = settings["lan"]
    if leg and tier_name == "proxyhost":
        addresses["outside"] = leg["addresses"][index - 1]
    return {
        "ansible_connection": "bcm.datacenter.lxd",
        "ansible_host": name,
        "ansible_python_interpreter": "/usr/bin/python3",
        "bcm_lxd_project": f"bcm-{data['name']}",
        "bcm_tier": tier_name,
        "bcm_index": index,
        # Of all instances of the site, for ever.
        "bcm_number": block * 1000 + index,
        "bcm_endpoint": _target(settings["target"], index),
        "bcm_networks_joined": [network["name"] for network in joined],
        "bcm_addresses": addresses,
        **({"bcm_lan_leg": {"address": leg["addresses"][index - 1], "ports": leg["ports"]}} if leg else {}),
        "bcm_image": facts.image,
        "bcm_size": dict(settings["size"]),
        "bcm_volumes": _volumes(data, tier_name, index),
        "bcm_engine_labels": {} if tier_name == "proxyhost" else {"bcm.tier": tier_name, **settings["labels"]},
    }


def _target(target: str | list[str] | None, index: int) -> str | None:
    """Where a new instance goes. Without a target that is decided when it is made: what exists stays where it is."""
    if isinstance(target, list):
        return target[index - 1] if index <= len(target) else None
    return target


def _volumes(data: Mapping[str, Any], tier_name: str, index: int) -> list[dict[str, Any]]:
    volumes = [dict(volume) for volume in data["tiers"][tier_name]["volumes"]]
    for node in _bitcoin_nodes.of_tier(data, tier_name):
        volumes.append({**node.volume, "size": node.volume_size(), "options": {}})
    if _declaration_lightning.hosts(data, tier_name, [tier_name]):
        size = data["stacks"]["lightning"]["volume_size"]
        mark = dict(_declaration_lightning.MARK)
        volumes.append({**_declaration_lightning.VOLUME, "size": size, "options": {}, "marks": mark})
    if (tier_name, index) == ("manager", 1):
        volumes.append({**_registry_volume(data), "options": {}})
    if _declaration_rules.kafka_hosts(data, tier_name, [index]):
        volumes.append({**_kafka.VOLUME, "size": data["stacks"]["kafka"]["volume_size"], "options": {}})
    if index in _kafka_stacks.worker_indexes(data["stacks"], tier_name):
        size = data["stacks"]["connect"]["volume_size"]
        volumes.append({**_kafka_stacks.CONNECT_VOLUME, "size": size, "options": {}})
    return volumes


def _registry_volume(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**_declaration_rules.REGISTRY_VOLUME, "size": data["registry"]["volume_size"]}


def _stacks(data: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    bitcoin, kafka = data["stacks"]["bitcoin"], data["stacks"]["kafka"]
    if bitcoin:
        nodes = _bitcoin_nodes.expand(data)
        first = _bitcoin_nodes.nodes(data)[0]
        # Of the site's own chain here, too, where it always was; nodes has those of all chains.
        result["bitcoin"] = {
            **bitcoin,
            "version": bitcoin["version"] or data["versions"].get(bitcoin["implementation"]),
            "prune": first.prune_mib,
            "volume_size": first.volume_size(),
            "volume": first.volume,
            "chains": [node["chain"] for node in nodes],
            "nodes": nodes,
        }
    if kafka["enabled"]:
        result["kafka"] = {
            **kafka,
            "version": kafka["version"] or data["versions"].get("kafka"),
            "memory": kafka["memory"] or _kafka_memory(data),
            "volume": dict(_kafka.VOLUME),
        }
        result |= _stacks_beside_kafka(data["stacks"])
    return _declaration_lightning.stacks(data, result)


def _stacks_beside_kafka(stacks: Mapping[str, Any]) -> dict[str, Any]:
    """What is declared beside Kafka, with what it needs there."""
    result: dict[str, Any] = {}
    connect = stacks["connect"]
    if connect:
        result["connect"] = {
            **connect,
            "volume": dict(_kafka_stacks.CONNECT_VOLUME),
            "connectors": _kafka_stacks.connectors(connect),
        }
    doors = {stack: stacks[stack] for stack in _kafka_stacks.DOORS if stacks[stack]}
    if doors:
        result["kafka_doors"] = [
            {
                "stack": stack,
                "name": facts.name,
                "registry": facts.registry,
                "port": facts.port,
                **{key: declared[key] for key in ("tier", "image", "digest", "memory", "clients")},
            }
            for stack, declared in doors.items()
            for facts in (_kafka_stacks.DOORS[stack],)
        ]
    if result:
        result["beside_kafka"] = {"topics": _kafka_stacks.topics(stacks), "clients": _kafka_stacks.rights(stacks)}
    return result


def _kafka_memory(data: Mapping[str, Any]) -> str:
    """Half of the memory of the smallest instance, for all processes of Kafka on it."""
    kafka = data["stacks"]["kafka"]
    tiers = [name for name in (kafka["tier"], kafka["controllers"]) if name]
    least = min(_sizes.to_bytes(data["tiers"][name]["size"]["memory"]) for name in tiers)
    processes = 2 if kafka["tier"] == kafka["controllers"] else 1
    return _sizes.to_text(least // (2 * processes) // _sizes.MIB * _sizes.MIB)


def _mirrors(data: Mapping[str, Any]) -> dict[str, Any]:
    mirrors = data["mirrors"]
    bitcoin = data["stacks"]["bitcoin"]
    makers = _chains.IMPLEMENTATIONS[bitcoin["implementation"]].downloads if bitcoin else None
    return {
        "apt": dict(mirrors["apt"]),
        "images": dict(mirrors["images"]),
        "registries": dict(mirrors["registries"]),
        "docker_hub": mirrors["registries"]["docker.io"],
        "downloads": {
            "bitcoin": mirrors["downloads"]["bitcoin"] or makers,
            **_kafka_downloads(data),
            **_lightning_downloads(data),
        },
    }


def _kafka_downloads(data: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing where there is no Kafka, so that nobody inside reaches its makers then."""
    if not data["stacks"]["kafka"]["enabled"]:
        return {}
    return {"kafka": data["mirrors"]["downloads"]["kafka"] or _kafka.DOWNLOADS}


def _lightning_downloads(data: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing where there is no lnd."""
    if not data["stacks"]["lightning"]:
        return {}
    return {"lnd": data["mirrors"]["downloads"]["lnd"] or _declaration_lightning.DOWNLOADS}


def _egress(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the proxyhost lets through: what is declared, and where the mirrors are."""
    declared = data["egress"]
    domains, ports = set(declared["allowed_domains"]), set(declared["allowed_ports"])
    private = {(item["host"], item["port"]) for item in declared["allowed_private"]}
    mirrors = _mirrors(data)
    for url in (*mirrors["apt"].values(), *mirrors["registries"].values(), *mirrors["downloads"].values()):
        if not url:
            continue
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        address = _addresses.parse_address(host)
        if address is not None and _addresses.is_private(address):
            private.add((host, port))
            continue
        domains |= {host, *_COMPANIONS.get(host, ())}
        ports.add(port)
    return {
        "bcm_egress_package_mirrors": _declaration_tor.package_mirrors(mirrors),
        "bcm_egress_allowed_domains": sorted(domains),
        "bcm_egress_allowed_ports": sorted(ports),
        "bcm_egress_allowed_private": [{"host": host, "port": port} for host, port in sorted(private)],
    }
