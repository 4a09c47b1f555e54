# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused, and in which words."""

from __future__ import annotations

import pytest

MANAGERS = "an odd number; 3 survives the loss of one, 1 of none"
NODE = {"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {}}}


RACK = [{"name": f"rack-{n}", "ssh": f"ops@10.9.0.{n}"} for n in (1, 2, 3)]


LAN = {"lan": {"parent": "eno1", "subnet": "192.168.1.0/24", "gateway": "192.168.1.1"}}


def web(count, addresses, ports=(443,), **settings):
    leg = {"addresses": addresses, "ports": list(ports)}
    return {"networks": LAN, "tiers": {"web": {"count": count, "lan": leg, **settings}}}


def node(**settings):
    return {"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": settings}}


# Each: a declaration (plugin and name are added), and the end of line 1 of what is said, from the key on.
CASES = {
    "unknown key": (
        {"netwrk": 1},
        "netwrk: is not a key that is known here (did you mean network?); allowed: plugin, ",
    ),
    "unknown key below": (
        {"tiers": {"manager": {"size": {"ram": "1GiB"}}}},
        "tiers.manager.size.ram: is not a key that is known here; allowed: cpu, memory, disk",
    ),
    "name": ({"name": "My Site"}, "name = My Site: has the wrong form; allowed: a small letter, then at most 19 "),
    "name with a dash at its end": ({"name": "a-"}, "name = a-: has the wrong form"),
    "name too long": ({"name": "a" * 21}, f"name = {'a' * 21}: has the wrong form"),
    "name is a number": ({"name": 7}, 'name = 7: is a number, not text; put it in quotes ("7"); allowed: '),
    "plugin": ({"plugin": "other"}, "plugin = other: is not known; allowed: bcm.datacenter.site"),
    "null": ({"chain": None}, "chain = null: has no value; allowed: mainnet, "),
    "chain that does not exist": (
        {"chain": "tesnet4"},
        "chain = tesnet4: is not known (did you mean testnet4?); allowed: mainnet, testnet4, signet, regtest, simnet",
    ),
    "chain that is a list": (
        {"chain": ["regtest"]},
        "chain = [regtest]: is not known (did you mean regtest?); allowed: ",
    ),
    "no Tor for a stack that goes by it": (
        {"tor": {"enabled": False}, **NODE},
        "tor.enabled = false: tiers.bitcoin goes out by it; allowed: true, or nothing that goes through Tor",
    ),
    "no Tor for packages that go by it": (
        {"tor": {"enabled": False}, "egress": {"through_tor": ["apt"]}},
        "tor.enabled = false: egress.through_tor goes out by it; allowed: true, or nothing that goes through Tor",
    ),
    "a tier of Tor": (
        {"tor": {"tiers": ["bitcon"]}, **NODE},
        "tor.tiers[0] = bitcon: is no tier of this site (did you mean bitcoin?); allowed: bitcoin",
    ),
    "the proxyhost as a tier of Tor": (
        {"tor": {"tiers": ["proxyhost"]}, **NODE},
        "tor.tiers[0] = proxyhost: has the way out itself; allowed: bitcoin",
    ),
    "a bridge without a fingerprint": (
        {"tor": {"bridges": ["192.0.2.1:443"]}},
        "tor.bridges[0]: has no fingerprint (40 hexadecimal digits) after its address, so that anybody could answer there; allowed: "
        "a line as https://bridges.torproject.org gives it: [TRANSPORT] ADDRESS:PORT FINGERPRINT [NAME=VALUE ...]",
    ),
    "another SOCKS port": (
        {"tor": {"config": [{"name": "20-mine", "lines": ["SocksPort 0.0.0.0:9051"]}]}},
        "tor.config[0].lines[0] = SocksPort 0.0.0.0:9051: SocksPort is not to be said here: who may use SOCKS says tor_socks_clients; "
        "allowed: a line of a torrc, but of none that the role tor answers for",
    ),
    "a name of Tor's configuration": (
        {"tor": {"config": [{"name": "99-late", "lines": []}]}},
        "tor.config[0].name = 99-late: has the wrong form; allowed: two digits from 11 to 49, a dash, then small letters, digits and "
        "dashes, such as 20-network",
    ),
    "a public address that Tor reaches anyway": (
        {"tor": {"allowed_private": ["8.8.8.8"]}},
        "tor.allowed_private[0] = 8.8.8.8: is not private; allowed: a private address; tor reaches all others anyway",
    ),
    "what goes through Tor": (
        {"egress": {"through_tor": ["dns"]}},
        "egress.through_tor[0] = dns: is not known; allowed: apt, pulls",
    ),
    "chain in clear": (
        {"chain": "signet", **node(network="clear")},
        "stacks.bitcoin.network = clear: signet is shared with others, and no way leads to them from the site's hosts but Tor's; allowed: onion or "
        "onion_and_clear_through_tor",
    ),
    "simnet": (
        {"chain": "simnet", **NODE},
        "chain = simnet: bitcoin-core does not have it; allowed: mainnet, testnet4, signet, regtest, or one of btcd as "
        "stacks.bitcoin.implementation",
    ),
    "btcd": (
        {"chain": "simnet", **node(implementation="btcd")},
        "stacks.bitcoin.implementation = btcd: there is no role for it yet; allowed: bitcoin-core, bitcoin-knots",
    ),
    "two managers": (
        {"tiers": {"manager": {"count": 2}}},
        f"tiers.manager.count = 2: of 2 managers a majority is 2: no more may fail than of 1; allowed: {MANAGERS}",
    ),
    "no manager": (
        {"tiers": {"manager": {"count": 0}}},
        "tiers.manager.count = 0: is too small; allowed: a whole number from 1 ",
    ),
    "too many proxyhosts": (
        {"tiers": {"proxyhost": {"count": 26}}},
        "tiers.proxyhost.count = 26: one of them is the way out at a time, and each of the others is told of it every second; "
        "allowed: from 1 to 25; one on each endpoint survives the loss of any",
    ),
    "no proxyhost": (
        {"tiers": {"proxyhost": {"count": 0}}},
        "tiers.proxyhost.count = 0: the proxyhost is the only way out, and what is installed comes that way; allowed: from 1 to 25; ",
    ),
    "too many": (
        {"tiers": {"bitcoin": {"count": 251}}},
        "tiers.bitcoin.count = 251: is too large; allowed: a whole number from 0 to 250",
    ),
    "count as text": ({"tiers": {"x": {"count": "3"}}}, "tiers.x.count = '3': is text, not a whole number; allowed: "),
    "count as boolean": (
        {"tiers": {"x": {"count": True}}},
        "tiers.x.count = true: is a boolean, not a whole number; allowed: ",
    ),
    "tier with a dash": (
        {"tiers": {"a-b": {}}},
        "tiers.a-b: the name has the wrong form; allowed: a small letter, then at most 15 small letters or digits",
    ),
    "tier as list": ({"tiers": []}, "tiers = []: is a list, not a mapping; allowed: "),
    "size without unit": (
        {"tiers": {"x": {"size": {"memory": 4096}}}},
        "tiers.x.size.memory = 4096: is a number without a unit; allowed: a number with a unit, such as 512MiB, 4GiB or 1.5TiB, at least 512MiB",
    ),
    "size of another kind": (
        {"tiers": {"x": {"size": {"memory": "4gb"}}}},
        "tiers.x.size.memory = 4gb: is not a size; allowed: ",
    ),
    "little memory": (
        {"tiers": {"bitcoin": {"size": {"memory": "512MiB"}}}},
        "tiers.bitcoin.size.memory = 512MiB: is too small; allowed: a number with a unit, such as 512MiB, 4GiB or 1.5TiB, at least 1GiB",
    ),
    "block taken": (
        {"tiers": {"one": {"block": 7}, "two": {"block": 7}}},
        "tiers.two.block = 7: is the block of the tier one too; allowed: one that is free, declared as tiers.two.block: 5, 6, 8, 9, 10, 11, 12, 13, 14",
    ),
    "block of a known tier": (
        {"tiers": {"bitcoin": {"block": 9}}},
        "tiers.bitcoin.block = 9: the tier bitcoin has block 2, for ever; allowed: no block for tiers that the collection knows",
    ),
    "target": (
        {"endpoints": [{"name": "rack-1", "connection": "local"}], "tiers": {"x": {"target": ["rack-1", "rak-1"]}}},
        "tiers.x.target[1] = rak-1: is no endpoint of this site (did you mean rack-1?); allowed: rack-1",
    ),
    "no endpoint": ({"endpoints": []}, "endpoints = []: is too short; allowed: at least 1"),
    "endpoint without a way": (
        {"endpoints": [{"name": "a"}]},
        "endpoints[0] = a: has no way to be reached; allowed: either ssh: user@host or connection: local",
    ),
    "endpoint with two ways": (
        {"endpoints": [{"name": "a", "ssh": "b", "connection": "local"}]},
        "endpoints[0] = a: has two ways to be reached; allowed: ",
    ),
    "endpoint of a cluster by name": (
        {"endpoints": [{"name": "a", "ssh": "root@b"}, *RACK[1:]]},
        "endpoints[0].address: is missing, and b in ssh is a name; allowed: an IP address that the other endpoints reach it at",
    ),
    "endpoint of a cluster without an address": (
        {"endpoints": [{"name": "a", "connection": "local"}, *RACK[1:]]},
        "endpoints[0].address: is missing; allowed: an IP address",
    ),
    "endpoint of a cluster with something else": (
        {"endpoints": [{"name": "a", "connection": "local", "address": "10.9.0.300"}, *RACK[1:]]},
        "endpoints[0].address = 10.9.0.300: is not an address; allowed: an IP address",
    ),
    "endpoint of a cluster on loopback": (
        {"endpoints": [{"name": "a", "connection": "local", "address": "127.0.0.1"}, *RACK[1:]]},
        "endpoints[0].address = 127.0.0.1: is this machine for whoever reads it; allowed: an IP address",
    ),
    "address of two endpoints": (
        {"endpoints": [{"name": "a", "ssh": "root@a", "address": "10.9.0.2"}, *RACK[1:]]},
        "endpoints[1].address = 10.9.0.2: is the address of a too; allowed: an IP address",
    ),
    "endpoints of a cluster, two and declared so, of which one has no address": (
        {"endpoints": [*RACK[:1], {"name": "b", "ssh": "b"}], "cluster": {"without_majority": True}},
        "endpoints[1].address: is missing, and b in ssh is a name",
    ),
    "two endpoints": (
        {"endpoints": RACK[:2]},
        "endpoints: are two: LXD's cluster goes on while more than half of it is there, so the loss of either would stop it; "
        "allowed: one, three or more; or cluster: {without_majority: true}",
    ),
    "encryption with one endpoint": (
        {"cluster": {"encryption": "wireguard"}},
        "cluster.encryption = wireguard: there is one endpoint, so that nothing goes from one to another; allowed: none, or several endpoints",
    ),
    "encryption of another kind": (
        {"endpoints": RACK, "cluster": {"encryption": "wiregard"}},
        "cluster.encryption = wiregard: is not known (did you mean wireguard?); allowed: none, wireguard, wireguard-go",
    ),
    "encryption between IPv4 and IPv6": (
        {"endpoints": [*RACK[:2], {**RACK[2], "address": "2001:db8::3"}], "cluster": {"encryption": "wireguard"}},
        "cluster.encryption = wireguard: rack-3 is reached by another version of IP than rack-1, and packets would differ in size; "
        "allowed: none, or addresses of one version for all endpoints",
    ),
    "tunnel in a network of the site": (
        {
            "endpoints": RACK,
            "network": "10.77.0.0/16",
            "cluster": {"encryption": "wireguard", "tunnel": {"subnet": "10.77.33.0/24"}},
        },
        "cluster.tunnel.subnet = 10.77.33.0/24: overlaps the network cluster, 10.77.32.0/20; allowed: a subnet that shares no address with it",
    ),
    "tunnel too small": (
        {"endpoints": RACK, "cluster": {"encryption": "wireguard", "tunnel": {"subnet": "10.5.0.0/30"}}},
        "cluster.tunnel.subnet = 10.5.0.0/30: a /30 does not fit; allowed: from /8 to /28",
    ),
    "tunnel that is public": (
        {"endpoints": RACK, "cluster": {"encryption": "wireguard", "tunnel": {"subnet": "8.8.0.0/24"}}},
        "cluster.tunnel.subnet = 8.8.0.0/24: is not private; allowed: a network within ",
    ),
    "tunnel in which two endpoints meet": (
        {
            "endpoints": [*RACK, {"name": "rack-16", "ssh": "ops@10.9.0.16"}],
            "cluster": {"encryption": "wireguard", "tunnel": {"subnet": "10.5.0.0/28"}},
        },
        "cluster.tunnel.subnet = 10.5.0.0/28: gives rack-2 and rack-16 the same address, by chance: addresses follow from names; "
        "allowed: another subnet, better a larger one",
    ),
    "leg without a LAN": (
        {"tiers": {"web": {"lan": {"addresses": ["192.168.1.9"], "ports": [443]}}}},
        "tiers.web.lan: there is no LAN to have a leg in; allowed: none; or networks: {lan: {parent: INTERFACE, subnet: NETWORK}}",
    ),
    "legs without enough addresses": (
        web(2, ["192.168.1.9"]),
        "tiers.web.lan.addresses = [192.168.1.9]: are 1, and the tier has 2 instances; allowed: one for each of them",
    ),
    "leg elsewhere": (
        web(1, ["192.168.2.9"]),
        "tiers.web.lan.addresses[0] = 192.168.2.9: is no address of a host in 192.168.1.0/24; allowed: an address in 192.168.1.0/24",
    ),
    "leg at the router's": (
        web(1, ["192.168.1.1"]),
        "tiers.web.lan.addresses[0] = 192.168.1.1: is that of the router; allowed: an address that nobody else has",
    ),
    "leg at an endpoint's": (
        {**web(1, ["192.168.1.7"]), "endpoints": [{"name": "a", "connection": "local", "address": "192.168.1.7"}]},
        "tiers.web.lan.addresses[0] = 192.168.1.7: is that of a; allowed: an address that nobody else has",
    ),
    "leg that answers nothing": (
        web(1, ["192.168.1.9"], []),
        "tiers.web.lan.ports: are none, so that nothing would answer there; allowed: at least one port, such as 443",
    ),
    "port that is none": (
        web(1, ["192.168.1.9"], ["443/sctp"]),
        "tiers.web.lan.ports[0] = 443/sctp: is not a port; allowed: a number from 1 to 65535, and /udp after it if it is not TCP",
    ),
    "proxyhost that answers outside": (
        {"networks": LAN, "tiers": {"proxyhost": {"lan": {"addresses": ["192.168.1.9"], "ports": [80]}}}},
        "tiers.proxyhost.lan.ports: nothing answers outside at a proxyhost; allowed: none, for this tier",
    ),
    "proxyhost without a router": (
        {
            "networks": {"lan": {"parent": "eno1", "subnet": "192.168.1.0/24"}},
            "tiers": {"proxyhost": {"lan": {"addresses": ["192.168.1.9"]}}},
        },
        "networks.lan.gateway: is missing, and the proxyhost is to go out by it; allowed: an IPv4 address",
    ),
    "router elsewhere": (
        {"networks": {"lan": {**LAN["lan"], "gateway": "192.168.2.1"}}},
        "networks.lan.gateway = 192.168.2.1: is not an address there; allowed: an address in 192.168.1.0/24",
    ),
    "LAN that is the site's": (
        {"network": "10.77.0.0/16", "networks": {"lan": {"parent": "eno1", "subnet": "10.77.32.0/24"}}},
        "networks.lan.subnet = 10.77.32.0/24: overlaps the network cluster of the site, 10.77.32.0/20; allowed: another network for the site",
    ),
    "LAN that is an address": (
        {"networks": {"lan": {"parent": "eno1", "subnet": "192.168.1.5/24"}}},
        "networks.lan.subnet = 192.168.1.5/24: is not the address of a network with room for hosts; allowed: an IPv4 network",
    ),
    "parent that is no name": (
        {"networks": {"lan": {"parent": "eno1 up", "subnet": "192.168.1.0/24"}}},
        "networks.lan.parent = eno1 up: has the wrong form; allowed: the name of an interface, such as eno1",
    ),
    "volume in the place of a leg": (
        {**web(1, ["192.168.1.9"], volumes=[{"name": "lan", "size": "1GiB", "path": "/a"}])},
        "tiers.web.volumes[0].name = lan: is what the leg in the LAN is called; allowed: another name",
    ),
    "failure domain": (
        {"endpoints": [{**RACK[0], "failure_domain": "the cellar"}, *RACK[1:]]},
        "endpoints[0].failure_domain = the cellar: has the wrong form; allowed: letters, digits",
    ),
    "endpoint without a name": (
        {"endpoints": [{"ssh": "a"}]},
        "endpoints[0].name: is missing; allowed: a small letter, ",
    ),
    "endpoint twice": (
        {"endpoints": [{"name": "a", "ssh": "root@h"}, {"name": "b", "ssh": "root@h"}]},
        "endpoints[1].ssh = root@h: is the same machine as endpoints[0]; allowed: each machine once",
    ),
    "endpoint's name twice": (
        {"endpoints": [{"name": "a", "ssh": "g"}, {"name": "a", "ssh": "h"}]},
        "endpoints[1].name = a: stands in the list twice; allowed: each once",
    ),
    "endpoint called like an instance": (
        {"endpoints": [{"name": "manager-9", "ssh": "a"}]},
        "endpoints[0].name = manager-9: is what a group or an instance of the site is called; allowed: another name",
    ),
    "network that is public": (
        {"network": "8.8.0.0/16"},
        "network = 8.8.0.0/16: is not private; allowed: a network within 10.0.0.0/8, ",
    ),
    "network of another size": (
        {"network": "10.0.0.0/8"},
        "network = 10.0.0.0/8: has the wrong form; allowed: a private IPv4 network of /16",
    ),
    "network that is none": ({"network": "10.300.0.0/16"}, "network = 10.300.0.0/16: is not a network; allowed: "),
    "network that is an address": (
        {"network": "10.77.1.0/16"},
        "network = 10.77.1.0/16: is an address in a network, not a network; allowed: 10.77.0.0/16",
    ),
    "network of Swarm": (
        {"network": "10.0.0.0/16"},
        "network = 10.0.0.0/16: overlaps 10.0.0.0/16: Swarm takes it for overlay networks; allowed: a network outside 10.0.0.0/16",
    ),
    "network of Docker": (
        {"network": "172.17.0.0/16"},
        "network = 172.17.0.0/16: overlaps 172.17.0.0/16: Docker takes it for its own bridge; allowed: ",
    ),
    "subnets that overlap": (
        {"networks": {"gateway": {"subnet": "10.99.0.0/20"}, "cluster": {"subnet": "10.99.0.0/16"}}},
        "networks.cluster.subnet = 10.99.0.0/16: overlaps the network gateway, 10.99.0.0/20; allowed: a subnet that shares no address with another of the site",
    ),
    "subnet that overlaps what follows from the name": (
        {"network": "10.99.0.0/16", "networks": {"gateway": {"subnet": "10.99.32.0/20"}}},
        "networks.gateway.subnet = 10.99.32.0/20: overlaps the network cluster, 10.99.32.0/20; allowed: ",
    ),
    "subnet too small": (
        {"networks": {"gateway": {"subnet": "10.99.0.0/24"}}},
        "networks.gateway.subnet = 10.99.0.0/24: a /24 does not fit the blocks of the tiers; allowed: from /12 to /20",
    ),
    "bridge too long": (
        {"networks": {"cluster": {"bridge": "b" * 16}}},
        f"networks.cluster.bridge = {'b' * 16}: has the wrong form; allowed: a small letter, then small letters, digits or dashes, at most 15 ",
    ),
    "bridge twice": (
        {"networks": {"cluster": {"bridge": "inner"}, "gateway": {"bridge": "inner"}}},
        "networks.cluster.bridge = inner: is the bridge of gateway too; allowed: a name of its own",
    ),
    "stack without its tier": (
        {"tiers": {"bitcoinx": {}}, "stacks": {"bitcoin": {}}},
        "stacks.bitcoin.tier = bitcoin: is no tier of this site (did you mean bitcoinx?); allowed: bitcoinx; to declare it: tiers: {bitcoin: {count: 1}}",
    ),
    "stack without instances": (
        {"tiers": {"bitcoin": {"count": 0}}, "stacks": {"bitcoin": {}}},
        "tiers.bitcoin.count = 0: the stack bitcoin has nowhere to run; allowed: at least 1",
    ),
    "stack on the managers": (node(tier="manager"), "stacks.bitcoin.tier = manager: is not for apps; allowed: bitcoin"),
    "version as number": (
        node(version=30.2),
        'stacks.bitcoin.version = 30.2: is a number, not text; put it in quotes ("30.2"); allowed: a version, such as 30.2',
    ),
    "version of nothing": (
        {"versions": {"bitcoincore": "1.0"}},
        "versions.bitcoincore: is not known (did you mean bitcoin-core?); allowed: bitcoin-core, bitcoin-knots, btcd",
    ),
    "short fingerprint": (
        node(signers=[{"name": "a", "fingerprint": "150389BCBE4C3C0B"}]),
        "stacks.bitcoin.signers[0].fingerprint = 150389BCBE4C3C0B: has 16 digits; allowed: all 40 hexadecimal digits",
    ),
    "signer twice": (
        node(signers=[{"name": "a", "fingerprint": "A" * 40}, {"name": "b", "fingerprint": "a" * 40}]),
        f"stacks.bitcoin.signers[1].fingerprint = {'A' * 40}: stands in the list twice; allowed: each once",
    ),
    "more signatures than builders that are known": (
        node(signatures=6, implementation="bitcoin-knots"),
        "stacks.bitcoin.signatures = 6: the role knows 5 of its makers by their keys; allowed: at most 5, or more in signers",
    ),
    "more signatures than signers": (
        node(signers=[{"name": "a", "fingerprint": "A" * 40}], signatures=2),
        "stacks.bitcoin.signatures = 2: there are 1 signers; allowed: at most 1",
    ),
    "little pruning": (
        node(prune="549MiB"),
        "stacks.bitcoin.prune = 549MiB: is too small; allowed: a number with a unit, such as 512MiB, 4GiB or 1.5TiB, at least 550MiB",
    ),
    "prune and txindex": (
        node(prune="10GiB", indexes={"txindex": True}),
        "stacks.bitcoin.prune = 10GiB: an index of all transactions needs all blocks; allowed: either prune or indexes.txindex, not both",
    ),
    "prune and volume": (
        node(prune="10GiB", volume_size="8GiB"),
        "stacks.bitcoin.volume_size = 8GiB: is smaller than what prune keeps, 10GiB; allowed: a volume larger than prune, or a smaller prune",
    ),
    "volume and chain": (
        {"chain": "mainnet", **node(volume_size="500GiB")},
        "stacks.bitcoin.volume_size = 500GiB: mainnet in full with what is declared beside it needs about 812GiB; allowed: at least 812GiB, "
        "or null for 1200GiB",
    ),
    "volume and indexes": (
        {"chain": "mainnet", **node(volume_size="820GiB", indexes={"txindex": True, "blockfilterindex": True})},
        "stacks.bitcoin.volume_size = 820GiB: mainnet in full with what is declared beside it needs about 885GiB; allowed: ",
    ),
    "volume and pruned chain": (
        {"chain": "mainnet", **node(volume_size="20GiB", prune="10GiB")},
        "stacks.bitcoin.volume_size = 20GiB: mainnet pruned to 10GiB with what is declared beside it needs about 24GiB; allowed: at least 24GiB, "
        "or null for 36GiB",
    ),
    "dbcache": (
        node(dbcache=7000),
        "stacks.bitcoin.dbcache = 7000: an instance of its tier has 8192 MiB of memory, and the node needs some beside its cache; "
        "allowed: at most 6144, or more memory in tiers.bitcoin.size",
    ),
    "topic": (
        node(zmq=["rawblok"]),
        "stacks.bitcoin.zmq[0] = rawblok: is not known (did you mean rawblock?); allowed: hashblock, hashtx, rawblock, rawtx, sequence",
    ),
    "user twice": (
        node(rpc_users=[{"name": "a"}, {"name": "a"}]),
        "stacks.bitcoin.rpc_users[1].name = a: stands in the list twice; allowed: each once",
    ),
    "volumes with one path": (
        {
            "tiers": {
                "x": {
                    "volumes": [
                        {"name": "a", "size": "1GiB", "path": "/a"},
                        {"name": "b", "size": "1GiB", "path": "/a"},
                    ]
                }
            }
        },
        "tiers.x.volumes[1].path = /a: belongs to volumes[0]; allowed: another path",
    ),
    "volume in the place of a stack's": (
        {
            "tiers": {"bitcoin": {"volumes": [{"name": "a", "size": "1GiB", "path": "/srv/bitcoin"}]}},
            "stacks": {"bitcoin": {}},
        },
        "tiers.bitcoin.volumes[0].path = /srv/bitcoin: belongs to the stack bitcoin; allowed: another path",
    ),
    "volume in the place of the registry's": (
        {"tiers": {"manager": {"volumes": [{"name": "registry", "size": "1GiB", "path": "/srv/a"}]}}},
        "tiers.manager.volumes[0].name = registry: belongs to the registry; allowed: another name",
    ),
    "pool and volumes": (
        {"pool": {"size": "20GiB"}, "tiers": {"bitcoin": {"count": 5}}, "stacks": {"bitcoin": {}}},
        "pool.size = 20GiB: all volumes hold 60GiB when full, 30GiB of it Kafka's; allowed: at least 60GiB, or smaller volumes",
    ),
    "pool with source and size": (
        {"pool": {"source": "/dev/sdb", "size": "20GiB"}},
        "pool.size = 20GiB: /dev/sdb has the size it has; allowed: either source or size",
    ),
    "pool of another kind": ({"pool": {"driver": "zfs"}}, "pool.driver = zfs: is not known; allowed: btrfs"),
    "mirror that is no URL": (
        {"mirrors": {"apt": {"debian": "mirror.example/debian"}}},
        "mirrors.apt.debian = mirror.example/debian: is not a URL that can be used; allowed: an http:// or https:// URL",
    ),
    "mirror with a password": (
        {"mirrors": {"downloads": {"bitcoin": "https://a:b@c/"}}},
        "mirrors.downloads.bitcoin = https://***@c/: is not a URL that can be used",
    ),
    "mirror on the machine itself": (
        {"mirrors": {"registries": {"docker.io": "http://127.0.0.1:5000"}}},
        "mirrors.registries.docker.io = http://127.0.0.1:5000: is this machine for whoever reads it, and instances read it too; "
        "allowed: an address that instances can reach",
    ),
    "certificate": (
        {"extra_ca_certificates": ["ca.crt"]},
        "extra_ca_certificates[0] = ca.crt: has the wrong form; allowed: an absolute path",
    ),
    "certificates of one name": (
        {"extra_ca_certificates": ["/a/ca.crt", "/b/ca.crt"]},
        "extra_ca_certificates[1] = /b/ca.crt: has the name of extra_ca_certificates[0]; allowed: files of different names",
    ),
    "private address that is public": (
        {"egress": {"allowed_private": [{"host": "8.8.8.8", "port": 53}]}},
        "egress.allowed_private[0].host = 8.8.8.8: is not private; allowed: ",
    ),
    "private address that is none": (
        {"egress": {"allowed_private": [{"host": "10.0.0.300", "port": 53}]}},
        "egress.allowed_private[0].host = 10.0.0.300: is not an address; allowed: ",
    ),
    "port": (
        {"egress": {"allowed_ports": [0]}},
        "egress.allowed_ports[0] = 0: is too small; allowed: a whole number from 1 to 65535",
    ),
    "boolean as text": (
        {"swarm": {"autolock": "no"}},
        "swarm.autolock = 'no': is text, not a boolean; allowed: true or false",
    ),
    "variable that is not set": (
        {"pool": {"source": "${NONE}/x"}},
        "pool.source = ${NONE}/x: the variable NONE is not set; allowed: a variable that is set, or ${NAME:-default}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(wrong, case):
    content, expected = CASES[case]
    said = [line.split(": ", 1) for line in wrong(content)]
    assert all(place.startswith("site.bcm.yml:") for place, _what in said)
    assert any(what.startswith(expected) for _place, what in said), said


def test_what_is_missing_altogether(wrong):
    assert wrong("chain: regtest\n") == [
        "site.bcm.yml:1: plugin: is missing; allowed: bcm.datacenter.site",
        "site.bcm.yml:1: name: is missing; allowed: a small letter, then at most 19 small letters, digits or dashes, no dash at the end",
    ]


def test_all_at_once_in_the_order_of_the_file(wrong):
    text = """\
plugin: bcm.datacenter.site
name: lab
chain: mainnet4
network: 10.77.0.0/16
networks:
  cluster: {subnet: 10.77.16.0/20}
tiers:
  manager: {count: 2}
unknown: 1
"""
    assert [line.split(": ")[:2] for line in wrong(text)] == [
        ["site.bcm.yml:3", "chain = mainnet4"],
        ["site.bcm.yml:6", "networks.cluster.subnet = 10.77.16.0/20"],
        ["site.bcm.yml:8", "tiers.manager.count = 2"],
        ["site.bcm.yml:9", "unknown"],
    ]


def test_a_mistake_does_not_hide_others_in_the_same_mapping(wrong):
    said = wrong({"tiers": {"manager": {"count": "x", "size": {"cpu": 0, "disk": "1GiB"}}}})
    assert [line.split(" = ")[0].split(": ")[1] for line in said] == [
        "tiers.manager.count",
        "tiers.manager.size.cpu",
        "tiers.manager.size.disk",
    ]


OVERRIDES = "plugin: bcm.datacenter.site\nname: lab\noverrides:\n  - path: place.yml\n"


def test_what_is_wrong_beside_the_declaration_is_named_with_its_file(wrong):
    assert wrong(OVERRIDES, place="pool:\n  driver: dir\nname: other\n") == [
        "place.yml:2: pool.driver = dir: is not known; allowed: btrfs",
        "place.yml:3: name = other: belongs into the declaration itself; allowed: all other keys of a declaration",
    ]


def test_what_lies_beside_and_is_no_yaml(wrong):
    assert wrong(OVERRIDES, place="a: [\n") == [
        "place.yml:2: the file: is not YAML (expected the node content, but found '<stream end>'); allowed: YAML"
    ]


def test_a_file_that_must_be_there(wrong):
    assert wrong(OVERRIDES) == [
        "site.bcm.yml:4: overrides[0].path = place.yml: there is no file place.yml; allowed: a file that exists, or optional: true"
    ]


def test_a_folder_with_a_variable_that_is_not_set(wrong):
    assert wrong(OVERRIDES.replace("place.yml", "${PLACE}/x.yml")) == [
        "site.bcm.yml:4: overrides[0].path = ${PLACE}/x.yml: the variable PLACE is not set; allowed: a variable that is set, or ${NAME:-default}"
    ]
