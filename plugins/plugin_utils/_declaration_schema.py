# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The keys of a declaration."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import GIB, MIB

from . import _alerts, _bitcoin_network, _chains, _kafka, _kafka_stacks, _lightning_keys, _tor_keys
from ._declaration_file import KeyPath
from ._declaration_kinds import Bool, Check, Choice, Int, Keys, Kind, ListOf, MapOf, Size, Text, Url

NAME = r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?"
NAME_ALLOWS = "a small letter, then at most 19 small letters, digits or dashes, no dash at the end"
TIER = r"[a-z][a-z0-9]{0,15}"
TIER_ALLOWS = "a small letter, then at most 15 small letters or digits"
ENDPOINT = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
ABSOLUTE = r"/[^\x00\n]*"
VIA = ("direct", "onion")
ENCRYPTIONS = ("none", "wireguard", "wireguard-go")
INTERFACE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}"
INTERFACE_ALLOWS = "the name of an interface, such as eno1"

COUNT_LIMIT = 250


@dataclass(frozen=True)
class TierFacts:
    """What is fixed of a tier that the collection knows, and its defaults."""

    block: int | None
    networks: tuple[str, ...]
    image: str
    count: int
    cpu: int
    memory: str
    disk: str
    memory_minimum: int
    count_minimum: int = 0


APP = TierFacts(None, ("cluster",), "golden", 1, 2, "2GiB", "20GiB", 512 * MIB)
TIERS = {
    "proxyhost": TierFacts(0, ("outside", "gateway"), "base", 1, 2, "1GiB", "40GiB", 512 * MIB),
    "manager": TierFacts(1, ("gateway", "cluster"), "golden", 3, 2, "2GiB", "40GiB", 512 * MIB, 1),
    "bitcoin": TierFacts(2, ("cluster",), "golden", 1, 4, "8GiB", "20GiB", 1 * GIB),
    "lightning": TierFacts(3, ("cluster",), "golden", 1, 2, "4GiB", "20GiB", 1 * GIB),
    "kafka": TierFacts(4, ("cluster",), "golden", 3, 2, "2GiB", "20GiB", 1 * GIB),
}
DISK_MINIMUM = 4 * GIB

VOLUME = Keys(
    fields={
        "name": Text(
            about="Name of the volume; with the instance's name before it, its name in the pool.",
            required=True,
            pattern=r"[a-z][a-z0-9-]{0,29}",
            allows="a small letter, then at most 29 small letters, digits or dashes",
        ),
        "size": Size(about="How much it may hold.", required=True, low=64 * MIB),
        "path": Text(
            about="Where it is mounted in the instance.",
            required=True,
            pattern=r"(/[A-Za-z0-9._-]+)+",
            allows="an absolute path",
        ),
        "options": MapOf(
            about="LXD's own settings of the volume, as they are.",
            keys=r"[a-z][a-z0-9._-]*",
            key_allows="a setting of LXD",
            item=Text(),
        ),
    }
)


def tier(facts: TierFacts) -> Keys:
    """Return the keys of a tier."""
    return Keys(
        fields={
            "count": Int(
                about="How many instances. Of `proxyhost`, 1 to 25: one on each endpoint survives the loss of any.",
                default=facts.count,
                low=facts.count_minimum,
                high=COUNT_LIMIT,
            ),
            "size": Keys(
                about="How large each of them is.",
                fields={
                    "cpu": Int(about="Cores.", default=facts.cpu, low=1, high=1024),
                    "memory": Size(about="Memory.", default=facts.memory, low=facts.memory_minimum),
                    "disk": Size(about="Root disk, without the volumes.", default=facts.disk, low=DISK_MINIMUM),
                },
            ),
            "volumes": ListOf(
                about="Storage volumes of their own, which outlive the instance.", item=VOLUME, unique="name"
            ),
            "labels": MapOf(
                about="Labels of the Docker engine, by which services choose their place.",
                keys=r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?",
                key_allows="small letters, digits, dots, dashes",
                item=Text(pattern=r"[^\n]*", allows="text of one line"),
            ),
            "block": Int(
                about="Which block of 256 addresses of each network the tier owns, if the collection does not know the "
                "tier; `null`: it follows from the name.",
                nullable=True,
                low=5,
                high=14,
            ),
            "target": Target(
                about="The endpoint for new instances of the tier, or a list, the first for index 1, and so on.",
                nullable=True,
            ),
            "lan": LEG,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Port(Kind):
    """A port; in normal form a number and a protocol."""

    word = "port"
    allowed = "a number from 1 to 65535, and /udp after it if it is not TCP"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        found = re.fullmatch(r"([0-9]{1,5})(?:/(tcp|udp))?", str(value)) if isinstance(value, (int, str)) else None
        if found is None or isinstance(value, bool) or not 1 <= int(found[1]) <= 65535:
            check.refuse(path, value, "is not a port", self.allowed)
            return value
        return {"port": int(found[1]), "proto": found[2] or "tcp"}


@dataclass(frozen=True, kw_only=True)
class Target(Kind):
    """An endpoint or a list of them; in normal form a list, or text."""

    word = "text or list of text"
    allowed = "the name of an endpoint, or a list of names"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        kind: Kind = Text(pattern=ENDPOINT, allows=self.allowed)
        if isinstance(value, list):
            return [kind.check(item, (*path, position), check) for position, item in enumerate(value)]
        return kind.check(value, path, check)


@dataclass(frozen=True, kw_only=True)
class Tiers(MapOf):
    """Tiers by name; the defaults depend on the name."""

    word = "mapping to tiers"

    def item_for(self, key: str) -> Kind:
        return tier(TIERS.get(key, APP))


def network(least: int, most: int) -> Keys:
    """Return the keys of a network."""
    return Keys(
        fields={
            "subnet": Text(
                about=f"Its addresses, a private IPv4 network of /{least} to /{most}.",
                nullable=True,
                pattern=r"\d+\.\d+\.\d+\.\d+/\d+",
                allows=f"a private IPv4 network from /{least} to /{most}, such as 10.64.0.0/{most}",
            ),
            "bridge": Text(
                about="Name of its bridge on the endpoints.",
                nullable=True,
                pattern=r"[a-z][a-z0-9-]{1,14}",
                allows="a small letter, then small letters, digits or dashes, at most 15 (the kernel's limit)",
            ),
            "mtu": Int(
                about="Largest packet; `null`: 1450 within the site, which a path of 1500 between endpoints can carry, or 1390 through "
                "WireGuard (1370 on IPv6).",
                nullable=True,
                low=1280,
                high=9216,
            ),
        }
    )


IPV4 = r"\d+\.\d+\.\d+\.\d+"
LAN = Keys(
    about="The network that the endpoints themselves are in, for tiers that have a leg there by MACVLAN (`tiers.NAME.lan`).",
    nullable=True,
    fields={
        "parent": Text(
            about="The interface of each endpoint that is in it. Not Wi-Fi, where one card has one address.",
            required=True,
            pattern=INTERFACE,
            allows=INTERFACE_ALLOWS,
        ),
        "subnet": Text(
            about="Its addresses.",
            required=True,
            pattern=IPV4 + r"/\d+",
            allows="an IPv4 network, such as 192.168.1.0/24",
        ),
        "gateway": Text(
            about="Its router, by which the proxyhost goes out if that has a leg there.",
            nullable=True,
            pattern=IPV4,
            allows="an IPv4 address",
        ),
        "nameserver": Text(
            about="Whom the proxyhost asks for names then; `null`: the router.",
            nullable=True,
            pattern=IPV4,
            allows="an IPv4 address",
        ),
    },
)
LEG = Keys(
    about="A leg in `networks.lan`: of the proxyhost, instead of the one behind the endpoint's NAT; of other tiers, beside the inner "
    "networks.",
    nullable=True,
    fields={
        "addresses": ListOf(
            about="One address for each of its instances, the first for index 1. The router has to give them to nobody else.",
            default=[],
            item=Text(pattern=IPV4, allows="an IPv4 address"),
        ),
        "ports": ListOf(
            about="What answers there, as `443` or `443/udp`. Not of the proxyhost, at which nothing answers outside.",
            default=[],
            item=Port(),
        ),
    },
)

RPC_USER = Keys(
    fields={
        "name": Text(
            about="Name of the user.",
            required=True,
            pattern=r"[a-z][a-z0-9_-]{0,31}",
            allows="a small letter, then at most 31 small letters, digits, _ or -",
        ),
        "methods": ListOf(
            about="RPC methods that it may call. `null`: all of them.",
            nullable=True,
            default=None,
            item=Text(pattern=r"[a-z][a-z0-9]*", allows="the name of an RPC method"),
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Fingerprint(Text):
    """A fingerprint of OpenPGP; in normal form capital letters without spaces."""

    word = "fingerprint"
    pattern: str = r"[0-9A-Fa-f ]+"
    allows: str = "all 40 hexadecimal digits"

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        digits = value.replace(" ", "").upper()
        if len(digits) != 40:
            check.refuse(path, value, f"has {len(digits)} digits", self.allowed)
        return digits


SIGNER = Keys(
    fields={
        "name": Text(about="Who it is.", required=True, pattern=r"[^\n]+", allows="text of one line"),
        "fingerprint": Fingerprint(about="Fingerprint of the primary key, in full.", required=True),
        "key": Text(
            about="Its public key: armoured text, a path on the controller, or a URL. It may come from anywhere.",
            nullable=True,
            pattern=r"(https?://|/)\S+|-----BEGIN PGP PUBLIC KEY BLOCK-----.+",
            allows="an absolute path, a URL, or the key in ASCII armour",
            expands=True,
        ),
        "source": Text(
            about="Where the fingerprint comes from.", nullable=True, pattern=r"[^\n]+", allows="text of one line"
        ),
    }
)

CONSUMER = Keys(
    fields={
        "name": Text(
            about="What it is called. Each of its hosts has a certificate of its own with this name.",
            required=True,
            pattern=r"[a-z][a-z0-9]{0,15}",
            allows="a small letter, then at most 15 small letters or digits",
        ),
        "tier": Text(about="Tier on whose instances it runs.", required=True, pattern=TIER, allows=TIER_ALLOWS),
    }
)

_PEER = Text(pattern=r"[A-Za-z0-9.:\[\]-]{1,270}", allows="HOST or HOST:PORT")

# What is said of the node of each chain.
NODE: dict[str, Kind] = {
    "network": Choice(
        about="How it meets its peers: `onion`, onions alone, by Tor; `onion_and_clear_through_tor`, whoever Tor leads to; `clear`, without Tor, "
        "for a chain that the site has to itself.",
        default=_bitcoin_network.ONION,
        choices=_bitcoin_network.NETWORKS,
    ),
    "inbound": Bool(about="Whether peers may come, by an onion of the node's own.", default=True),
    "connect": ListOf(about="The only peers that it connects to.", item=_PEER),
    "addnode": ListOf(about="Peers that it connects to beside those that it finds.", item=_PEER),
    "seednode": ListOf(about="Peers that it asks for others, and leaves.", item=_PEER),
    "private_broadcast": Bool(
        about="Whether its own transactions go out by a connection of Tor's for each (from release 31.1 on; never where lnd relies on it).",
        default=False,
    ),
    "wallet": Bool(about="Whether the node has wallets.", default=False),
    "prune": Size(
        about="How much of the blocks to keep; `null`: all.", nullable=True, low=_chains.PRUNE_MINIMUM_MIB * MIB
    ),
    "indexes": Keys(
        about="Indexes to build.",
        fields={name: Bool(about=f"`{name}` of bitcoind.", default=False) for name in _chains.INDEXES},
    ),
    "volume_size": Size(
        about="Size of the volume for its data; `null`: what suits the chain.", nullable=True, low=1 * GIB
    ),
    "memory": Size(
        about="What it may have of the instance's memory; `null`: what other nodes there leave, and 1GiB for a further one.",
        nullable=True,
        low=512 * MIB,
    ),
    "dbcache": Int(about="Cache in MiB; `null`: from the memory.", nullable=True, low=4),
    "rpc_users": ListOf(about="Users of its RPC beside the site's own.", item=RPC_USER, unique="name"),
    "zmq": ListOf(
        about="What it publishes by ZMQ.", default=list(_chains.ZMQ_TOPICS), item=Choice(choices=_chains.ZMQ_TOPICS)
    ),
    "consumers": ListOf(
        about="Who uses its RPC and ZMQ: on the same host at once, from another one by TLS with a certificate at each end.",
        item=CONSUMER,
        unique="name",
    ),
}

BITCOIN = Keys(
    nullable=True,
    fields={
        "tier": Text(
            about="Tier on whose instances it runs, one node on each.",
            default="bitcoin",
            pattern=TIER,
            allows=TIER_ALLOWS,
        ),
        "implementation": Choice(
            about="Which program.", default="bitcoin-core", choices=tuple(_chains.IMPLEMENTATIONS)
        ),
        "version": Text(
            about="Which release; `null`: that of `versions`, and then the role's own.",
            nullable=True,
            pattern=r"[0-9]+(\.[0-9]+)+([a-z0-9.-]*)",
            allows="a version, such as 30.2",
        ),
        "signers": ListOf(
            about="Whose signatures count; empty: the makers', whose keys the role knows.",
            item=SIGNER,
            unique="fingerprint",
        ),
        "signatures": Int(
            about="How many of them must have signed; `null`: the role's own number.", nullable=True, low=1, high=50
        ),
        **NODE,
        "chains": MapOf(
            about="Further chains beside `chain`, each with a node of its own.",
            keys=tuple(_chains.CHAINS),
            key_allows=", ".join(_chains.CHAINS),
            item=Keys(
                fields={
                    "tier": Text(
                        about="Tier on whose instances it runs; `null`: that of the first node.",
                        nullable=True,
                        pattern=TIER,
                        allows=TIER_ALLOWS,
                    ),
                    **NODE,
                }
            ),
        ),
    },
)

LIGHTNING = _lightning_keys.lightning(
    Text(
        about="Tier on whose instances it runs, one lnd on each.", default="lightning", pattern=TIER, allows=TIER_ALLOWS
    ),
    SIGNER,
)

KAFKA_SIGNATURES = "How many of them must have signed; `null`: one, as its makers do."


def topic(facts: _kafka.TopicFacts) -> Keys:
    """Return the keys of a topic."""
    return Keys(
        fields={
            "class": Choice(
                about="Which lines of the site go there; `state`: of each key the last record is kept; `other`: none, it is for your own use.",
                default=facts.kind,
                choices=_kafka.CLASSES,
            ),
            "partitions": Int(
                about="Into how many parts it is divided. Lines of one source stay in one, in their order. More of them later on break "
                "that, so it is refused then.",
                default=facts.partitions,
                low=1,
                high=100,
            ),
            "retention": Text(
                about="How long a line is kept, in hours or days; of the class `state` for ever.",
                default=facts.retention,
                pattern=_kafka.RETENTION,
                allows="hours or days, such as 36h or 90d",
            ),
            "size": Size(about="How much a part may hold; then the oldest lines go.", default=facts.size, low=4 * MIB),
            "ordered": Bool(about="Whether it matters in which order the lines of one source come.", default=True),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Topics(MapOf):
    """Topics by name; the defaults depend on the name."""

    word = "mapping to topics"

    def item_for(self, key: str) -> Kind:
        return topic(_kafka.TOPICS.get(key, _kafka.OWN_TOPIC))


_GLOB = Text(pattern=r"[A-Za-z0-9*?][A-Za-z0-9@:._*?-]*", allows="a name, in which * and ? may stand for anything")
_SPAN: dict[str, Any] = {"pattern": _alerts.SPAN, "allows": _alerts.SPAN_ALLOWS}
_PATTERN: dict[str, Any] = {
    "pattern": r"[^\n]{1,1000}",
    "allows": "a pattern of Python's re, of one line",
    "nullable": True,
}
_FIGURE: dict[str, Any] = {"nullable": True, "low": -1_000_000_000, "high": 1_000_000_000}


def alert_rule(facts: _alerts.RuleFacts) -> Keys:
    """Return the keys of a rule by which lines become alerts."""
    return Keys(
        fields={
            "enabled": Bool(about="Whether it counts.", default=True),
            "kind": Choice(
                about="`lines`: so many lines; `distinct`: lines with so many different values of a field; `value`: a number in a line that is "
                "too high; `silent`: no line at all.",
                default=facts.kind,
                choices=_alerts.KINDS,
            ),
            "text": Text(
                about="What such an alert says, after whom it is about. A rule of your own needs one.",
                default=facts.text,
                nullable=True,
                pattern=r"[^\n]{1,200}",
                allows="text of one line, at most 200",
            ),
            "severity": Choice(
                about="With an open alert that is `critical`, `verify.yml` says that the site does not work as declared. It tells of others, too.",
                default=facts.severity,
                choices=_alerts.SEVERITIES,
            ),
            "hosts": ListOf(about="Hosts whose lines it looks at; empty: all. * and ? fit.", item=_GLOB),
            "tiers": ListOf(about="Tiers, `endpoint` for the machines; empty: all.", item=_GLOB),
            "classes": ListOf(
                about="Classes of lines; empty: all.", default=list(facts.classes), item=Choice(choices=_alerts.CLASSES)
            ),
            "sources": ListOf(
                about="Services, units with or without their ending, or programs; empty: all. * and ? fit.",
                default=list(facts.sources),
                item=_GLOB,
            ),
            "priority": Choice(
                about="As urgent as this at least; `null`: all.", nullable=True, choices=_alerts.PRIORITIES
            ),
            "pattern": Text(
                about="What is in the message. What it calls `(?P<about>...)` is counted by itself, `(?P<value>...)` is the number of the kind "
                "`value`.",
                default=facts.pattern,
                **_PATTERN,
            ),
            "per": Choice(
                about="What is counted by itself: each host, each source of a host (of a service each of its tasks), or the site as a whole.",
                default=facts.per,
                choices=_alerts.PER,
            ),
            "count": Int(
                about="How many lines, or different values.", default=facts.count, low=1, high=_alerts.COUNT_MOST
            ),
            "within": Text(
                about="In how much time; of the kind `silent`: after how much.", default=facts.within, **_SPAN
            ),
            "quiet": Text(about="After so long without such a line it is over.", default=facts.quiet, **_SPAN),
            "resolved_by": Text(about="A line that says that it is over.", default=facts.resolved_by, **_PATTERN),
            "of": Choice(
                about="The field of the kind `distinct`.", default=facts.of, nullable=True, choices=_alerts.FIELDS
            ),
            "above": Int(
                about="The number of the kind `value` that is not too high yet.", default=facts.above, **_FIGURE
            ),
            "until": Int(
                about="It is over when the number is no higher than this; `null`: than `above`.",
                default=facts.until,
                **_FIGURE,
            ),
        }
    )


@dataclass(frozen=True, kw_only=True)
class AlertRules(MapOf):
    """Rules by name; the defaults depend on the name."""

    word = "mapping to rules"

    def item_for(self, key: str) -> Kind:
        return alert_rule(_alerts.RULES.get(key, _alerts.OWN_RULE))


ALERT_RULES = AlertRules(
    about=f"Rules. {', '.join(f'`{name}`' for name in _alerts.RULES)} are always there, and can be given other values here, or be switched off.",
    keys=_alerts.NAME,
    key_allows=_alerts.NAME_ALLOWS,
)

_RIGHT = Text(
    pattern=rf"{_kafka.TOPIC}|[a-z0-9][a-z0-9._-]{{0,98}}\*",
    allows="the name of a topic, or the beginning of names with a star after it",
)
KAFKA = Keys(
    fields={
        "enabled": Bool(
            about="Whether the site has it. `false` on a site that has had it: services, shippers and keys go, volumes stay.",
            default=True,
        ),
        "tier": Text(
            about="Tier on whose instances it runs, one broker on each.",
            default="manager",
            pattern=TIER,
            allows=TIER_ALLOWS,
        ),
        "controllers": Text(
            about="Tier on whose first three instances controllers run by themselves; `null`: the first three brokers are "
            "controllers too.",
            nullable=True,
            pattern=TIER,
            allows=TIER_ALLOWS,
        ),
        "version": Text(
            about="Which release, 4.2 or later; `null`: that of `versions`, and then the role's own.",
            nullable=True,
            pattern=r"[0-9]+(\.[0-9]+)+",
            allows="a version, such as 4.3.0",
        ),
        "signers": ListOf(
            about="Whose signatures count; empty: its makers', whose keys the role knows.",
            item=SIGNER,
            unique="fingerprint",
        ),
        "signatures": Int(about=KAFKA_SIGNATURES, nullable=True, low=1, high=50),
        "base": Keys(
            about="The image with Java that it stands on, from Docker Hub. It is fetched once and kept in the site's registry.",
            fields={
                "repository": Text(
                    about="Its name, for the Hub's own with `library/`.",
                    default="library/eclipse-temurin",
                    pattern=r"[a-z0-9]+([._/-][a-z0-9]+)*",
                    allows="the name of an image",
                ),
                "reference": Text(
                    about="Its tag or digest.",
                    default="21-jre",
                    pattern=r"[A-Za-z0-9_][A-Za-z0-9._:-]*",
                    allows="a tag or a digest",
                ),
            },
        ),
        "memory": Size(
            about="Memory of each of its processes, half of it for Java's heap; `null`: half of the instance's.",
            nullable=True,
            low=512 * MIB,
        ),
        "volume_size": Size(about="Size of the volume for its data, on each instance.", default="10GiB", low=1 * GIB),
        "topics": Topics(
            about=f"Its topics. {', '.join(f'`{name}`' for name in _kafka.TOPICS)} are always there, and can be given other values here.",
            keys=_kafka.TOPIC,
            key_allows="small letters, digits, dots, dashes and underscores, at most 100",
        ),
        "alerts": Keys(
            about="Alerts out of the lines that go there.",
            fields={
                "enabled": Bool(about="Whether managers look for them.", default=True),
                "rules": ALERT_RULES,
            },
        ),
        "clients": MapOf(
            about="Who may use it beside the site itself. Each gets a certificate, which lies among the site's secrets as "
            "`tls-kafka-client-NAME`.",
            keys=_kafka.CLIENT,
            key_allows="a small letter, then at most 39 small letters, digits or dashes",
            item=Keys(
                fields={
                    "writes": ListOf(about="Topics that it may write to.", item=_RIGHT),
                    "reads": ListOf(
                        about="Topics that it may read, in the consumer group of its name and in those that begin with its name and a dot.",
                        item=_RIGHT,
                    ),
                }
            ),
        ),
    }
)

_WHERE = Text(about="Tier on whose instances it runs.", default="manager", pattern=TIER, allows=TIER_ALLOWS)
CONNECT = Keys(
    about="Kafka Connect; `null`: none. From the same release and image as Kafka.",
    nullable=True,
    fields={
        "tier": _WHERE,
        "workers": Int(
            about="On how many of its first instances there is a worker. What one does another takes over when it is lost; what it has written is on "
            "its volume.",
            default=1,
            low=1,
            high=10,
        ),
        "memory": Size(
            about="Memory of each worker, half of it for Java's heap.",
            default="512MiB",
            low=_kafka_stacks.CONNECT_MEMORY_LEAST,
        ),
        "volume_size": Size(
            about="Size of the volume for what it writes, on each instance.", default="4GiB", low=1 * GIB
        ),
        "archive": Keys(
            about="The topic `audit` as files on that volume, compressed.",
            fields={
                "enabled": Bool(about="Whether it is written.", default=True),
                "file_size": Size(
                    about="At which size another file is begun; so it is each day in any case.",
                    default="64MiB",
                    low=1 * MIB,
                ),
                "keep": Text(
                    about="How long a file is kept; `null`: as long as there is room. The oldest go first.",
                    nullable=True,
                    pattern=_kafka.RETENTION,
                    allows="hours or days, such as 36h or 90d",
                ),
            },
        ),
        "connectors": MapOf(
            about="Further connectors, of what is in Kafka's own release.",
            keys=_kafka_stacks.CONNECTOR,
            key_allows="a small letter, then at most 39 small letters, digits or dashes",
            item=Keys(
                fields={
                    "reads": ListOf(about="Topics that it may read, and as a sink does.", item=_RIGHT),
                    "writes": ListOf(about="Topics that it may write to.", item=_RIGHT),
                    "config": MapOf(
                        about="Its settings, `connector.class` among them. They are no place for secrets.",
                        keys=r"[A-Za-z0-9][A-Za-z0-9._-]*",
                        key_allows="the name of a setting",
                        item=Text(pattern=r"[^\n]*", allows="text of one line"),
                    ),
                }
            ),
        ),
    },
)


def door(stack: str, about: str, **more: Kind) -> Keys:
    """Return the keys of a service that speaks HTTP with those who do not speak Kafka."""
    facts = _kafka_stacks.DOORS[stack]
    return Keys(
        about=about,
        nullable=True,
        fields={
            "tier": replace(_WHERE, about="Tier on whose first instance it runs."),
            "image": Text(
                about=f"The image without tag or digest, at {facts.registry}; that registry must be one of `mirrors.registries`.",
                default=facts.repository,
                pattern=r"[a-z0-9]+([._/-][a-z0-9]+)*",
                allows="the name of an image",
            ),
            "digest": Text(
                about="Digest of the image. A tag can come to mean another image, so that there is no default.",
                required=True,
                pattern=_kafka_stacks.DIGEST,
                allows="sha256: and 64 hexadecimal digits",
            ),
            "memory": Size(about="Its memory.", default=facts.memory, low=facts.memory_minimum),
            "clients": ListOf(
                about=f"Who may come to it. Each gets a certificate, which lies among the site's secrets as `tls-{facts.name}-NAME`.",
                item=Text(
                    pattern=_kafka.CLIENT, allows="a small letter, then at most 39 small letters, digits or dashes"
                ),
            ),
            **more,
        },
    )


_DOOR_READS = ListOf(about="Topics that who comes by it may read.", item=_RIGHT)
SCHEMA_REGISTRY = door("schema_registry", "A registry of schemas, Karapace; `null`: none.")
REST_PROXY = door(
    "rest_proxy",
    "Kafka by HTTP, Karapace; `null`: none.",
    reads=_DOOR_READS,
    writes=ListOf(about="Topics that who comes by it may write to.", item=_RIGHT),
)
KAFKA_UI = door("kafka_ui", "Pages that show Kafka and change nothing, kafbat; `null`: none.", reads=_DOOR_READS)

REGISTRY = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?"

SCHEMA = Keys(
    fields={
        "plugin": Choice(about="Says to Ansible whose file this is.", required=True, choices=("bcm.datacenter.site",)),
        "name": Text(
            about="Name of the site. Names and addresses of all that belongs to it follow from it.",
            required=True,
            pattern=NAME,
            allows=NAME_ALLOWS,
        ),
        "overrides": ListOf(
            about="Further files, laid over this one in this order.",
            item=Keys(
                fields={
                    "path": Text(
                        about="Path of the file, from the folder of this one.",
                        required=True,
                        expands=True,
                        allows="a path",
                    ),
                    "optional": Bool(about="Whether it may be missing.", default=False),
                }
            ),
        ),
        "chain": Choice(
            about="Which chain of Bitcoin the site is on.", default="regtest", choices=tuple(_chains.CHAINS)
        ),
        "endpoints": ListOf(
            about="Machines that run LXD. The first leads, of several the first that answers.",
            unique="name",
            default=[
                {
                    "name": "standalone",
                    "ssh": None,
                    "connection": "local",
                    "lxd_url": None,
                    "lxd_socket": None,
                    "python_interpreter": None,
                    "address": None,
                    "failure_domain": None,
                    "pool_source": None,
                    "lan_parent": None,
                    "prepare": None,
                    "onion": None,
                    "via": None,
                }
            ],
            least=1,
            item=Keys(
                fields={
                    "name": Text(
                        about="Name of the machine in the inventory.",
                        required=True,
                        pattern=ENDPOINT,
                        allows="a small letter, then small letters, digits or dashes, at most 63",
                    ),
                    "ssh": Text(
                        about="How to reach it by SSH.",
                        nullable=True,
                        pattern=rf"([a-z_][a-z0-9_-]*@)?{HOST}(:[0-9]{{1,5}})?",
                        allows="user@host, or user@host:port",
                    ),
                    "connection": Choice(
                        about="`local` for the machine that Ansible runs on.", nullable=True, choices=("local",)
                    ),
                    "lxd_url": Text(
                        about="LXD's API as the controller reaches it; `null`: its socket on the machine, through `ssh` if it is "
                        "reached so.",
                        nullable=True,
                        pattern=r"https://[^/\s]+|unix://(/[^\s]+)",
                        allows="https://HOST:PORT or unix:///PATH",
                        expands=True,
                    ),
                    "lxd_socket": Text(
                        about="LXD's socket on the machine; `null`: where its packages put it.",
                        nullable=True,
                        pattern=ABSOLUTE,
                        allows="an absolute path",
                        expands=True,
                    ),
                    "address": Text(
                        about="Its IP address for the other endpoints; `null`: the one in `ssh`.",
                        nullable=True,
                        pattern=r"[0-9A-Fa-f.:]+",
                        allows="an IP address",
                    ),
                    "failure_domain": Text(
                        about="What fails with it, such as a room or a fuse: a name that those have in common which fail "
                        "together. What is there more than once is spread over these names first.",
                        nullable=True,
                        pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
                        allows="letters, digits, dots, dashes and underscores, at most 63",
                    ),
                    "pool_source": Text(
                        about="`pool.source` on this machine, where it is another one here.",
                        nullable=True,
                        pattern=ABSOLUTE,
                        allows="an absolute path",
                        expands=True,
                    ),
                    "lan_parent": Text(
                        about="`networks.lan.parent` on this machine, where it is another one here.",
                        nullable=True,
                        pattern=INTERFACE,
                        allows=INTERFACE_ALLOWS,
                    ),
                    "prepare": Bool(
                        about="Whether the machine itself is made ready by the role host_prep: packages, sshd, limits, upgrades, "
                        "firewall; `null`: if it is reached by SSH.",
                        nullable=True,
                        default=None,
                    ),
                    "python_interpreter": Text(
                        about="Python on the machine; `null`: the controller's own if local, else what Ansible finds.",
                        nullable=True,
                        pattern=ABSOLUTE,
                        allows="an absolute path",
                    ),
                    "onion": Bool(
                        about="Whether its sshd gets an onion; `null`: as `onions.ssh` says, and always with `via: onion`.",
                        nullable=True,
                        default=None,
                    ),
                    "via": Choice(
                        about="How it is reached; `null`: as the `via` of the site says.", nullable=True, choices=VIA
                    ),
                }
            ),
        ),
        "via": Choice(
            about="How servers are reached: `direct`, at the address in `ssh`, or `onion`, through the onion of their sshd, by what "
            "the role onion_client has written on the controller. All plays go that way, and so does LXD's API.",
            default="direct",
            choices=VIA,
        ),
        "onions": Keys(
            about="Onions of servers.",
            fields={
                "ssh": Bool(
                    about="Whether each server that is reached by SSH gets an onion for its sshd, which only clients with a key "
                    "can find.",
                    default=False,
                )
            },
        ),
        "tor": _tor_keys.TOR,
        "cluster": Keys(
            about="Several endpoints are one cluster of LXD.",
            fields={
                "without_majority": Bool(
                    about="Whether two endpoints will do, although the loss of either stops the cluster: one of two is no "
                    "majority.",
                    default=False,
                ),
                "encryption": Choice(
                    about="Whether what the inner networks carry from endpoint to endpoint is encrypted: `wireguard`, by the kernel, or "
                    "`wireguard-go`, by a program, for kernels without WireGuard. What LXD says to LXD is TLS in any case.",
                    default="none",
                    choices=ENCRYPTIONS,
                ),
                "tunnel": Keys(
                    about="Where what WireGuard takes for itself is taken already.",
                    fields={
                        "port": Int(
                            about="Its UDP port; `null`: 51820 to 52819, by the name of the site.",
                            nullable=True,
                            low=1,
                            high=65535,
                        ),
                        "subnet": Text(
                            about="Its addresses, a private IPv4 network of /8 to /28; `null`: the .48.0/20 of the site.",
                            nullable=True,
                            pattern=r"\d+\.\d+\.\d+\.\d+/\d+",
                            allows="a private IPv4 network from /8 to /28, such as 10.64.48.0/20",
                        ),
                    },
                ),
            },
        ),
        "network": Text(
            about="The addresses of the site, a private /16; `null`: 10.64.0.0/16 to 10.191.0.0/16, by the name.",
            nullable=True,
            pattern=r"\d+\.\d+\.\d+\.\d+/16",
            allows="a private IPv4 network of /16, such as 10.77.0.0/16",
        ),
        "networks": Keys(
            about="Where a network is to differ from what follows from the site's name and `network`.",
            fields={"outside": network(16, 24), "gateway": network(12, 20), "cluster": network(12, 20), "lan": LAN},
        ),
        "tiers": Tiers(
            about="Instances, by what they are for. `proxyhost` and `manager` are always there.",
            keys=TIER,
            key_allows=TIER_ALLOWS,
        ),
        "stacks": Keys(
            about="What runs on them.",
            fields={
                "bitcoin": BITCOIN,
                "lightning": LIGHTNING,
                "kafka": KAFKA,
                "connect": CONNECT,
                "schema_registry": SCHEMA_REGISTRY,
                "rest_proxy": REST_PROXY,
                "kafka_ui": KAFKA_UI,
            },
        ),
        "versions": MapOf(
            about="Releases, by program, where a stack does not say.",
            keys=(*_chains.IMPLEMENTATIONS, "kafka", "lnd"),
            key_allows=", ".join((*_chains.IMPLEMENTATIONS, "kafka", "lnd")),
            item=Text(pattern=r"[0-9]+(\.[0-9]+)+([a-z0-9.-]*)", allows="a version, such as 30.2"),
        ),
        "mirrors": Keys(
            about="Where things come from. One with a private address is let through by the proxyhost.",
            fields={
                "apt": Keys(
                    about="Packages; `null`: what the image has.",
                    fields={
                        "debian": Url(about="Archive of Debian.", nullable=True),
                        "security": Url(about="Its security updates.", nullable=True),
                    },
                ),
                "images": Keys(
                    about="The base image of all instances.",
                    fields={
                        "server": Url(about="Image server.", default="https://images.lxd.canonical.com"),
                        "protocol": Choice(
                            about="What it speaks.", default="simplestreams", choices=("simplestreams", "lxd")
                        ),
                        "alias": Text(
                            about="Name of the image there.",
                            default="debian/13/cloud",
                            pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]*",
                            allows="an alias, such as debian/13/cloud",
                        ),
                    },
                ),
                "registries": MapOf(
                    about="Registries of container images, by the name that they have in images, with the URL for each. "
                    "`docker.io` is always there.",
                    keys=REGISTRY,
                    key_allows="the host name of a registry",
                    item=Url(),
                ),
                "downloads": Keys(
                    about="Releases that come as files.",
                    fields={
                        "bitcoin": Url(about="For the stack `bitcoin`; `null`: its makers' server.", nullable=True),
                        "kafka": Url(about="For the stack `kafka`; `null`: its makers' archive.", nullable=True),
                        "lnd": Url(
                            about="For lnd of the stack `lightning`; `null`: its makers' server.", nullable=True
                        ),
                    },
                ),
            },
        ),
        "extra_ca_certificates": ListOf(
            about="Certificates (PEM) of authorities to trust beside the usual, as paths on the controller.",
            item=Text(pattern=ABSOLUTE, allows="an absolute path", expands=True),
        ),
        "swarm": Keys(
            about="The Swarm.",
            fields={
                "autolock": Bool(
                    about="Whether a manager's keys are locked, so that someone must unlock it after each start.",
                    default=False,
                )
            },
        ),
        "registry": Keys(
            about="The registry for what the site builds. It stands on the first manager.",
            fields={
                "volume_size": Size(
                    about="Size of the volume for its images. That may grow later.", default="5GiB", low=1 * GIB
                )
            },
        ),
        "secrets": Keys(
            about="Where the secrets of the site are kept. They are made once.",
            fields={
                "backend": Choice(
                    about="`directory`: files of root on every endpoint; `pass`: the password manager of root on the first; `vault`: a "
                    "file on the controller, encrypted by Ansible Vault with the password that Ansible is given.",
                    default="directory",
                    choices=("directory", "pass", "vault"),
                ),
                "vault": Text(
                    about="The file of `vault`, from the folder of the declaration. Ansible takes every file in that folder "
                    "for an inventory, unless a dot is before its name.",
                    default=".secrets.vault",
                    pattern=r"[^\x00\n]*[^\x00\n/]",
                    allows="the path of a file",
                    expands=True,
                ),
                "vault_id": Text(
                    about="The vault identity whose password encrypts; `null`: Ansible's own choice.",
                    nullable=True,
                    pattern=r"[^@\s]+",
                    allows="a name, without @",
                ),
            },
        ),
        "pool": Keys(
            about="The storage pool of the site, on each endpoint.",
            fields={
                "driver": Choice(about="What it is made of.", default="btrfs", choices=("btrfs",)),
                "source": Text(
                    about="A block device or a path to use; `null`: a loop file.",
                    nullable=True,
                    pattern=ABSOLUTE,
                    allows="an absolute path",
                    expands=True,
                ),
                "size": Size(about="Size of the loop file; `null`: LXD decides.", nullable=True, low=8 * GIB),
            },
        ),
        "egress": Keys(
            about="What may be reached from inside, beside what the mirrors need.",
            fields={
                "allowed_domains": ListOf(
                    about="Host names; with a dot before it, all below it.",
                    item=Text(pattern=rf"\.?{HOST}", allows="a host name, or .domain for all below it"),
                ),
                "allowed_ports": ListOf(about="Ports.", default=[80, 443], item=Int(low=1, high=65535)),
                "through_tor": ListOf(
                    about="What goes out by Tor that would go out directly: `apt`, packages; `pulls`, images of containers, by the caches. "
                    "Mirrors at private addresses stay what they are.",
                    item=Choice(choices=_tor_keys.THROUGH_TOR),
                ),
                "allowed_private": ListOf(
                    about="Private addresses, which are denied otherwise.",
                    item=Keys(
                        fields={
                            "host": Text(
                                about="An IPv4 address or network.",
                                required=True,
                                pattern=r"\d+\.\d+\.\d+\.\d+(/\d+)?",
                                allows="an IPv4 address or network",
                            ),
                            "port": Int(about="The port there.", required=True, low=1, high=65535),
                        }
                    ),
                ),
            },
        ),
    }
)
