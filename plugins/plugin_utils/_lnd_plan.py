# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From the settings of an lnd to its configuration file, and what must not be set together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from . import _lnd_versions
from ._bitcoin_plan import Checker, PlanError

# Our names of chains → lnd's switch for each, which is what it calls its folders too.
NETWORKS = {"mainnet": "mainnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
# Coins of these are worth nothing.
PLAY_MONEY = ("testnet4", "signet", "regtest")

# Ports inside the container.
PORTS = {"p2p": 9735, "grpc": 10009, "rest": 8080}

ONION = re.compile(r"^[a-z2-7]{56}\.onion$")
ALIAS = re.compile(r"^[ -~]{1,32}$")
COLOR = re.compile(r"^#[0-9A-Fa-f]{6}$")
OPTION = re.compile(r"^[a-z][a-z0-9.-]*$")
TOWER = re.compile(r"^0[23][0-9a-f]{64}@[a-z2-7]{56}\.onion(:[0-9]{1,5})?$")
HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")
AGE = re.compile(r"^age1[a-z0-9]{58}$")
SSH = re.compile(r"^ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( [^\n]*)?$")
PGP = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
PGP_PRIVATE = ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "AGE-SECRET-KEY-", "-----BEGIN OPENSSH PRIVATE KEY-----")

# What would open a door, put away a lock, or keep a person's money where it is not looked for.
FORBIDDEN = {
    "noseedbackup": "makes a wallet that nobody can restore",
    "no-macaroons": "lets everybody in who reaches its port",
    "wallet-unlock-allow-create": "lets whoever reaches its port make a wallet",
    "wallet-unlock-password-file": "is how its wallet is opened, once there is one",
    "rpclisten": "would open a door before there is a wallet, when lnd gives a seed to whoever asks",
    "restlisten": "would open a door before there is a wallet, when lnd gives a seed to whoever asks",
    "profile": "shows lnd's memory, keys and all, to whoever reaches a port",
    "pprof.profile": "shows lnd's memory, keys and all, to whoever reaches a port",
    "bitcoind.rpcuser": "is rpc_user, and comes from the site's secrets",
    "bitcoind.rpcpass": "is a secret, and this file is shown when it changes; it comes from the site's secrets",
    "tor.password": "is a secret, and would have it change the proxyhost's Tor",
    "nat": "asks a router to open a port",
    "no-rest-tls": "sends macaroons in clear",
    "tor.skip-proxy-for-clearnet-targets": "tells everybody where this lnd is",
    "tor.control": "would have it change the proxyhost's Tor",
    "tor.v2": "is gone from Tor",
    "tor.v3": "would have it change the proxyhost's Tor; the onion service is made by the role onion_service",
    "norest": "is how it is asked",
    "rpcmiddleware.enable": "lets programs change what others are told",
    "cluster.enable-leader-election": "would have a second lnd with the same seed; the fence allows one",
    "db.backend": "is fixed: what has been opened with one database does not go into another",
    "reset-wallet-transactions": "would do it at each start; bcm-lnd has no need of it",
    "letsencryptdomain": "asks outside for a certificate, which names this lnd in public logs",
    "debuglevel": "is log_level",
    "lnddir": "would have lnd make a certificate of its own",
}


def key_kind(text: str) -> str | None:
    """What kind of public key TEXT is: age, ssh (which age takes too) or gpg; None if it is none of them."""
    words = text.strip()
    if AGE.match(words):
        return "age"
    if SSH.match(words):
        return "ssh"
    return "gpg" if words.startswith(PGP) else None


def _check_owner_key(settings: Mapping[str, Any], check: Checker) -> None:
    key = str(settings.get("owner_key") or "")
    allowed = "a public key of age (age1…) or of SSH (ssh-ed25519 …, ssh-rsa …), or one of GPG in ASCII armour"
    if any(mark in key for mark in PGP_PRIVATE):
        check.refuse("owner_key", "(hidden)", "is a private key, which must never leave its owner", allowed)
    elif not key:
        check.refuse("owner_key", None, "is missing: the seed is sealed to it before the wallet is made", allowed)
    elif key_kind(key) is None:
        check.refuse("owner_key", key[:40], "is not a public key that something can be sealed to", allowed)


def _check_version(settings: Mapping[str, Any], check: Checker) -> None:
    version = str(settings["version"])
    try:
        _lnd_versions.release(version)
        error = _lnd_versions.rollback_error(settings.get("stands"), version)
    except _lnd_versions.UnknownReleaseError as exc:
        error = str(exc)
    if error:
        check.errors.append(error)


def _check_address(settings: Mapping[str, Any], check: Checker) -> None:
    onion, chain = settings.get("onion"), settings["chain"]
    if onion and not ONION.match(str(onion)):
        check.refuse("onion", onion, "is no onion address of version 3", "56 letters and digits, and .onion")
    tor = settings.get("tor") or {}
    if not tor:
        if chain not in ("regtest",):
            check.refuse("tor", None, f"on {chain} everything goes through Tor", "host and port of a SOCKS proxy")
        return
    try:
        ipaddress.IPv4Address(str(tor.get("host")))
    except ValueError:
        check.refuse(
            "tor.host", tor.get("host"), "is no address", "an IPv4 address: a name would be asked for outside of Tor"
        )
    if not 1 <= int(tor.get("port") or 0) <= 65535:
        check.refuse("tor.port", tor.get("port"), "is no port", "1 to 65535")


def _check_backend(settings: Mapping[str, Any], check: Checker) -> None:
    bitcoind = settings["bitcoind"]
    if not HOST.match(str(bitcoind.get("host"))):
        check.refuse("bitcoind.host", bitcoind.get("host"), "is no host", "a name or an address")
    ports = [bitcoind.get(name) for name in ("rpc", "zmq_rawblock", "zmq_rawtx")]
    for name, port in zip(("rpc", "zmq_rawblock", "zmq_rawtx"), ports, strict=True):
        if not isinstance(port, int) or not 1 <= port <= 65535:
            check.refuse(f"bitcoind.{name}", port, "is no port", "1 to 65535")
    if len(set(ports)) < len(ports):
        check.refuse(
            "bitcoind",
            ports,
            "two of its ports are the same, and lnd would hear nothing of one of them",
            "three different ports",
        )


def _check_words(settings: Mapping[str, Any], check: Checker) -> None:
    alias, color = settings.get("alias"), settings.get("color")
    if alias is not None and not ALIAS.match(str(alias)):
        check.refuse("alias", alias, "cannot be announced", "1 to 32 characters of ASCII")
    if color is not None and not COLOR.match(str(color)):
        check.refuse("color", color, "is no colour", "# and six hexadecimal digits")
    for tower in (settings.get("watchtowers") or {}).get("towers") or []:
        if not TOWER.match(str(tower)):
            check.refuse(
                "watchtowers.towers",
                tower,
                "is no watchtower that is reached through Tor alone",
                "PUBKEY@ADDRESS.onion:PORT",
            )
    free = settings.get("free_space_min")
    volume = settings.get("volume_size")
    if free and volume and _sizes.to_bytes(free) * 2 > _sizes.to_bytes(volume):
        check.refuse("free_space_min", free, "leaves no room on the volume", "less than half of it")


def _check_options(settings: Mapping[str, Any], managed: set[str], check: Checker) -> None:
    for option in settings.get("options") or {}:
        if not OPTION.match(str(option)):
            check.refuse(
                "options",
                option,
                "is no name of an option",
                "small letters, digits, dots and dashes, without dashes before it",
            )
        elif option in FORBIDDEN:
            check.refuse("options", option, FORBIDDEN[option], "options that do not")
        elif option in managed:
            check.refuse("options", option, "is set by a variable of its own", "options that have none")
        elif any(char in _flag(one) for one in _values(settings["options"][option]) for char in "\r\n"):
            check.refuse(
                "options",
                option,
                "has a value of several lines, each of which would be an option",
                "one line, or a list",
            )


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _flag(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _application(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    health = settings["health"]
    lines = [
        # Not lnddir: with that one lnd looks there for the certificate, whatever tlscertpath says.
        ("datadir", "/data/data"),
        ("letsencryptdir", "/data/letsencrypt"),
        ("logging.file.disable", "true"),
        ("debuglevel", str(settings.get("log_level") or "info")),
        ("tlscertpath", "/etc/lnd/tls.cert"),
        ("tlskeypath", "/etc/lnd/tls.key"),
        # The certificate comes from the site's authority: lnd must neither add this machine's addresses to it nor make one of its own.
        ("tlsdisableautofill", "true"),
        ("tlsautorefresh", "false"),
        ("listen", f"0.0.0.0:{PORTS['p2p']}"),
        ("nat", "false"),
        # What peers are told of this lnd is its onion address, or nothing.
        ("nobootstrap", _flag(settings["chain"] == "regtest")),
        ("backupfilepath", "/data/channel.backup"),
        ("no-backup-archive", "true"),
        ("accept-keysend", "false"),
        ("healthcheck.chainbackend.attempts", str(health["chain_attempts"])),
        ("healthcheck.chainbackend.timeout", f"{health['chain_timeout']}s"),
        ("healthcheck.chainbackend.backoff", f"{health['chain_backoff']}s"),
        ("healthcheck.chainbackend.interval", f"{health['chain_interval']}s"),
        ("healthcheck.diskspace.attempts", "2"),
        ("healthcheck.diskspace.diskrequired", str(health["disk_required"])),
        ("healthcheck.diskspace.timeout", "15s"),
        ("healthcheck.diskspace.backoff", "60s"),
        ("healthcheck.diskspace.interval", f"{health['disk_interval']}s"),
        # It would take lnd down while its certificate is being changed; verify.yml warns in time.
        ("healthcheck.tls.attempts", "0"),
    ]
    if settings.get("onion"):
        lines.append(("externalip", f"{settings['onion']}:{PORTS['p2p']}"))
    if settings.get("alias"):
        lines.append(("alias", str(settings["alias"])))
    if settings.get("color"):
        lines.append(("color", str(settings["color"])))
    if settings.get("min_channel_size") is not None:
        lines.append(("minchansize", str(settings["min_channel_size"])))
    return lines


def _sections(settings: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    bitcoind, tor = settings["bitcoind"], settings.get("tor") or {}
    towers = settings.get("watchtowers") or {}
    sections = {
        "Application Options": _application(settings),
        "Bitcoin": [(f"bitcoin.{NETWORKS[settings['chain']]}", "true"), ("bitcoin.node", "bitcoind")],
        "Bitcoind": [
            ("bitcoind.rpchost", f"{bitcoind['host']}:{bitcoind['rpc']}"),
            # User and password in a file of their own, so that the rest can be shown when it changes.
            ("bitcoind.rpccookie", "/etc/lnd/rpc"),
            ("bitcoind.zmqpubrawblock", f"tcp://{bitcoind['host']}:{bitcoind['zmq_rawblock']}"),
            ("bitcoind.zmqpubrawtx", f"tcp://{bitcoind['host']}:{bitcoind['zmq_rawtx']}"),
            ("bitcoind.estimatemode", str(settings.get("estimate_mode") or "CONSERVATIVE")),
            ("bitcoind.rpcpolling", "false"),
        ],
        "tor": [("tor.active", _flag(bool(tor)))],
        "wtclient": [("wtclient.active", _flag(bool(towers.get("enabled"))))],
    }
    if tor:
        sections["tor"] += [
            ("tor.socks", f"{tor['host']}:{tor['port']}"),
            # A circuit of its own for each connection, so that what goes to one peer is not seen beside what goes to another.
            ("tor.streamisolation", "true"),
            ("tor.skip-proxy-for-clearnet-targets", "false"),
        ]
    if towers.get("enabled") and towers.get("sweep_fee_rate") is not None:
        sections["wtclient"].append(("wtclient.sweep-fee-rate", str(towers["sweep_fee_rate"])))
    return sections


def plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration file, and what follows from the settings.

    :raises PlanError: with all that is wrong.
    """
    check = Checker()
    if settings["chain"] not in NETWORKS:
        check.refuse("chain", settings["chain"], "lnd does not have it", ", ".join(NETWORKS))
        raise PlanError(check.errors)
    _check_version(settings, check)
    _check_owner_key(settings, check)
    _check_address(settings, check)
    _check_backend(settings, check)
    _check_words(settings, check)
    if check.errors:
        raise PlanError(check.errors)
    sections = _sections(settings)
    _check_options(settings, {name for lines in sections.values() for name, _value in lines}, check)
    if check.errors:
        raise PlanError(check.errors)
    text = ""
    for section, lines in sections.items():
        text += f"[{section}]\n" + "".join(f"{name}={value}\n" for name, value in lines) + "\n"
    extra = []
    for option, value in sorted((settings.get("options") or {}).items()):
        extra += [f"{option}={_flag(one)}\n" for one in _values(value)]
    # go-flags takes an option in whatever section it stands.
    text = text.replace("\n[Bitcoin]\n", "".join(extra) + "\n[Bitcoin]\n", 1)
    return {
        "conf": text,
        "network": NETWORKS[settings["chain"]],
        "real_money": settings["chain"] not in PLAY_MONEY,
        "key_kind": key_kind(str(settings["owner_key"])),
        "methods": list(_lnd_versions.release(str(settings["version"])).methods),
        "free_space_kib": _sizes.to_bytes(settings.get("free_space_min") or 0) // _sizes.KIB,
        "volume_kib": _sizes.to_bytes(settings.get("volume_size") or 0) // _sizes.KIB,
        "memory_limit": _sizes.to_bytes(settings["memory"]) - _sizes.to_bytes(settings.get("memory_reserve") or 0),
    }
