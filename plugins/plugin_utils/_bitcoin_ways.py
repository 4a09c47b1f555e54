# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""By which way those who use a node's RPC and ZMQ reach it: on the same host at once, from another one by mutual TLS alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

# Where containers of a host come from when they ask the host itself.
LOCAL_INTERFACES = ["lo", "docker0", "docker_gwbridge"]


def service_ports(node: Mapping[str, Any]) -> list[str]:
    """Return the names of the ports that a user of NODE needs."""
    return ["rpc", *(f"zmq_{topic}" for topic in node["zmq"])]


def node_name(node: Mapping[str, Any], host: str) -> str:
    """Return the name of NODE on HOST, as the role bitcoin_node has it."""
    return f"{host}-{node['instance']}" if node["instance"] else host


def ways(
    nodes: Sequence[Mapping[str, Any]],
    tiers: Mapping[str, Sequence[str]],
    addresses: Mapping[str, str],
    domain: str,
    pools: Sequence[str],
) -> Object:
    """Return for each host what listens on it and where it leads, whom its published ports are for, and who has which certificate.

    NODES are those of the site, TIERS the hosts of each tier, ADDRESSES where hosts reach each other, POOLS the networks of containers.
    """
    hosts: dict[str, Object] = {}
    identities: dict[str, Object] = {}
    backends: dict[str, dict[str, Object]] = {}

    def of(host: str) -> Object:
        return hosts.setdefault(host, {"exits": [], "entries": [], "published": [], "publish": {}})

    for node in nodes:
        servers = list(tiers.get(node["tier"], []))
        names = service_ports(node)
        clients: dict[str, list[tuple[str, str]]] = {}
        for consumer in node["consumers"]:
            for host in tiers.get(consumer["tier"], []):
                # Whoever is where a node is uses that one, others the first: so more of either move nobody to another.
                server = host if host in servers else next(iter(servers), None)
                if server is None or host not in addresses or server not in addresses:
                    continue
                # Both find it at an address of their own host, as containers reach it.
                backends.setdefault(host, {})[f"{consumer['name']}_{node['chain']}"] = {
                    "consumer": consumer["name"],
                    "chain": node["chain"],
                    "node": node_name(node, server),
                    "node_host": server,
                    "direct": host == server,
                    "address": addresses[host],
                    "ports": {name: node["ports"][name] for name in names},
                }
                if host == server:
                    _publish(of(host), node, names, pools)
                # Several consumers of one host share its entry, and the certificate of the first: whoever is on that host reaches it.
                elif not any(other == host for _name, other in clients.get(server, [])):
                    clients.setdefault(server, []).append((consumer["name"], host))
        for server, using in clients.items():
            _publish(of(server), node, names, [])
            _exits(of(server), node, names, server, using, addresses)
            identities[f"bitcoin-way-{server}"] = {
                "name": f"bitcoin-way-{server}",
                "dns": [f"{server}.{domain}"],
                "usage": ["server"],
            }
            for name, host in using:
                identity = client_name(name, host)
                identities[f"bitcoin-way-{identity}"] = {
                    "name": f"bitcoin-way-{identity}",
                    "usage": ["client"],
                    "common_name": identity,
                }
                _entries(of(host), node, names, server, (name, host), addresses, domain)
    return {
        "hosts": {host: _merged(found) for host, found in hosts.items()},
        "identities": [identities[name] for name in sorted(identities)],
        "backends": backends,
    }


def client_name(consumer: str, host: str) -> str:
    """Return the name in the certificate of CONSUMER on HOST. It has no dot, so that nobody takes it for that of a server."""
    return f"{consumer}-{host}"


def onions(
    nodes: Sequence[Mapping[str, Any]],
    tiers: Mapping[str, Sequence[str]],
    addresses: Mapping[str, Mapping[str, str]],
    proxyhosts: Sequence[str],
) -> Object:
    """Return the onions by which peers come to NODES, and for each host whom its ports for that are for.

    ADDRESSES are those of hosts by network. Where a host has no network in common with the proxyhosts there is no way to it.
    """
    services: list[Object] = []
    published: dict[str, list[Object]] = {}
    for node in nodes:
        if node["network"] == "clear" or not node["inbound"]:
            continue
        for host in tiers.get(node["tier"], []):
            own = addresses.get(host) or {}
            network = next(
                (name for name in own if all(name in (addresses.get(one) or {}) for one in proxyhosts)), None
            )
            if network is None or not proxyhosts:
                continue
            services.append(
                {
                    "name": f"bitcoin-{node_name(node, host)}",
                    "ports": [
                        {
                            "virtual": node["ports"]["p2p"],
                            "target_host": own[network],
                            "target_port": node["ports"]["onion"],
                        }
                    ],
                    # Peers are strangers, and are meant to come.
                    "client_authorisation": False,
                    "public": True,
                    "clients": [],
                }
            )
            published.setdefault(host, []).append(
                {"port": node["ports"]["onion"], "sources": [addresses[one][network] for one in proxyhosts]}
            )
    return {"services": services, "published": published}


def _publish(found: Object, node: Mapping[str, Any], names: Sequence[str], sources: Sequence[str]) -> None:
    """The node's ports on its own host: for that host, and for SOURCES."""
    found["publish"].setdefault(node["instance"], names)
    for name in names:
        port = node["ports"][name]
        for published in found["published"]:
            if published["port"] == port:
                published["sources"] = list(dict.fromkeys([*published["sources"], *sources]))
                break
        else:
            found["published"].append({"port": port, "sources": list(sources)})


def _exits(
    found: Object,
    node: Mapping[str, Any],
    names: Sequence[str],
    server: str,
    using: Sequence[tuple[str, str]],
    addresses: Mapping[str, str],
) -> None:
    for name in names:
        found["exits"].append(
            {
                "name": f"{node['chain']}-{name.replace('_', '-')}",
                "address": addresses[server],
                "port": node["way_ports"][name],
                "target": f"127.0.0.1:{node['ports'][name]}",
                "identity": f"bitcoin-way-{server}",
                "clients": sorted({client_name(*client) for client in using}),
                "sources": sorted({addresses[host] for _name, host in using}),
            }
        )


def _entries(
    found: Object,
    node: Mapping[str, Any],
    names: Sequence[str],
    server: str,
    client: tuple[str, str],
    addresses: Mapping[str, str],
    domain: str,
) -> None:
    host = client[1]
    for name in names:
        entry = {
            "name": f"{node['chain']}-{name.replace('_', '-')}",
            "address": addresses[host],
            "port": node["ports"][name],
            "interfaces": LOCAL_INTERFACES,
            "target": f"{addresses[server]}:{node['way_ports'][name]}",
            "server": f"{server}.{domain}",
            "identity": f"bitcoin-way-{client_name(*client)}",
        }
        found["entries"].append(entry)


def _merged(found: Object) -> Object:
    """In an order of their own, so that it is no change where they are declared in another. What has no sources is for its host alone."""
    return {
        "exits": sorted(found["exits"], key=lambda one: int(one["port"])),
        "entries": sorted(found["entries"], key=lambda one: int(one["port"])),
        "published": [one for one in sorted(found["published"], key=lambda one: int(one["port"])) if one["sources"]],
        "publish": found["publish"],
    }
