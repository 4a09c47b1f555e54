# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What is known of each chain and of each implementation of Bitcoin: the one table of ports and sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

GB = 1000**3


@dataclass(frozen=True)
class Ports:
    """Where a node of a chain listens. ``None``: the implementations that have this chain have no such port."""

    p2p: int
    onion: int | None
    rpc: int
    zmq_hashblock: int | None
    zmq_hashtx: int | None
    zmq_rawblock: int | None
    zmq_rawtx: int | None
    zmq_sequence: int | None


def _core_ports(p2p: int, rpc: int, zmq: int) -> Ports:
    # Bitcoin Core binds its listener for Tor to the port after the one for peers. ZMQ has no assigned ports; 28332 and
    # up is the custom on mainnet, and each chain has ten of its own, so that two chains never answer for each other.
    return Ports(p2p, p2p + 1, rpc, zmq + 2, zmq + 3, zmq, zmq + 1, zmq + 4)


@dataclass(frozen=True)
class Chain:
    """A chain: its ports, whether others share it, and how much room it takes."""

    ports: Ports
    public: bool
    blocks: int  # bytes, when fully stored
    state: int  # bytes of the UTXO set
    default_volume: str


# Sizes: m_assumed_blockchain_size and m_assumed_chain_state_size of src/kernel/chainparams.cpp in Bitcoin Core 31.0
# (February 2026), in GB; they hold about 10 % more than was used then. Ports: the same file and
# src/chainparamsbase.cpp; simnet: chaincfg and params.go of btcd.
CHAINS = {
    "mainnet": Chain(_core_ports(8333, 8332, 28332), True, 856 * GB, 14 * GB, "1200GiB"),
    "testnet4": Chain(_core_ports(48333, 48332, 28342), True, 31 * GB, 2 * GB, "80GiB"),
    "signet": Chain(_core_ports(38333, 38332, 28352), True, 24 * GB, 4 * GB, "80GiB"),
    "regtest": Chain(_core_ports(18444, 18443, 28362), False, 0, 0, "5GiB"),
    "simnet": Chain(Ports(18555, None, 18556, None, None, None, None, None), False, 0, 0, "5GiB"),
}

ZMQ_TOPICS = ("hashblock", "hashtx", "rawblock", "rawtx", "sequence")


@dataclass(frozen=True)
class Implementation:
    """A program that validates the chain."""

    chains: tuple[str, ...]
    role: str | None  # which role runs it; None: to come
    downloads: str | None  # where its maker publishes releases
    signers: int  # of how many of its builders the role knows the keys


IMPLEMENTATIONS = {
    "bitcoin-core": Implementation(
        ("mainnet", "testnet4", "signet", "regtest"), "bitcoin_node", "https://bitcoincore.org/bin", 12
    ),
    "bitcoin-knots": Implementation(
        ("mainnet", "testnet4", "signet", "regtest"), "bitcoin_node", "https://bitcoinknots.org/files", 5
    ),
    "btcd": Implementation(("mainnet", "testnet4", "signet", "regtest", "simnet"), None, None, 0),
}

# Room for indexes on mainnet in 2026, as operators report it, rounded up; scaled to other chains by the size of their
# blocks.
INDEXES = {"txindex": 65 * GB, "blockfilterindex": 14 * GB, "coinstatsindex": 1 * GB}

# Bitcoin Core refuses a smaller prune target (MIN_DISK_SPACE_FOR_BLOCK_FILES in src/validation.h).
PRUNE_MINIMUM_MIB = 550

# Log, mempool, peers, wallets, and the free space that bitcoind wants at all times.
MARGIN = 1 * GB


def chain_ports(chain: str) -> dict[str, int | None]:
    """Return the ports of CHAIN by name."""
    return asdict(CHAINS[chain].ports)


# How much higher the port is at which a node's RPC or ZMQ is reached from another host, by TLS, than the plain one, which its own host has taken.
WAY = 1000


def way_ports(chain: str) -> dict[str, int]:
    """Return the ports at which the RPC and ZMQ of a node on CHAIN are reached from another host, by the names of the plain ones."""
    return {
        name: port + WAY
        for name, port in chain_ports(chain).items()
        if port and (name == "rpc" or name.startswith("zmq_"))
    }


def volume_minimum(chain: str, prune_mib: int | None, indexes: dict[str, bool]) -> int:
    """Return how many bytes the data of a node on CHAIN needs at least."""
    facts = CHAINS[chain]
    mainnet = CHAINS["mainnet"].blocks
    blocks = facts.blocks if prune_mib is None else min(facts.blocks or prune_mib * 1024**2, prune_mib * 1024**2)
    extra = sum(size * facts.blocks // mainnet for name, size in INDEXES.items() if indexes.get(name))
    return blocks + facts.state + extra + MARGIN
