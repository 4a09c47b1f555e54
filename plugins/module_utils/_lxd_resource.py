# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Desired against actual, for LXD's objects. Functions without I/O.

What the user did not mention is left alone; scalars are compared the way LXD stores them, as strings; a null removes.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

OWNER_KEY = "user.bcm.site"
# On a volume whose data must be there once, and never as it was before. The value says why.
NEVER_COPIED = "user.bcm.never-copied"
# On a volume that is the copy of one on another member, while its instance moves there.
MOVING_COPY = "user.bcm.copy"
SUBNET_KEY = "user.bcm.subnet"

# Keys that belong to LXD itself: never compared, never shown, always kept.
_OWN_KEYS = ("volatile.", "image.")

Config = dict[str, str]


def to_lxd(value: t.Any) -> str | None:
    """A value as LXD stores it in a configuration. None and the empty string both mean: not set."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"a text, a number or a yes/no is expected, not {type(value).__name__}")


def config_errors(desired: t.Any, where: str) -> list[str]:
    """What cannot be a configuration of LXD, as sentences."""
    if desired is None:
        return []
    if not isinstance(desired, dict):
        return [f"{where}: a dictionary is expected, not {type(desired).__name__}"]
    errors = []
    for key, value in desired.items():
        try:
            to_lxd(value)
        except ValueError as exc:
            errors.append(f"{where}, key {key}: {exc}")
        if str(key).startswith(_OWN_KEYS):
            errors.append(f"{where}, key {key}: belongs to LXD itself and cannot be set")
    return errors


def merge_config(actual: t.Mapping[str, str] | None, desired: t.Mapping[str, t.Any] | None) -> Config:
    """The configuration that results when the desired keys are laid over the actual ones."""
    merged = dict(actual or {})
    for key, raw in (desired or {}).items():
        value = to_lxd(raw)
        if value is None:
            merged.pop(str(key), None)
        else:
            merged[str(key)] = value
    return merged


def merge_devices(
    actual: t.Mapping[str, t.Mapping[str, str]] | None, desired: t.Mapping[str, t.Any] | None
) -> dict[str, Config]:
    """The devices that result: those mentioned are merged key by key, null removes a device or a key."""
    merged = {name: dict(device) for name, device in (actual or {}).items()}
    for name, device in (desired or {}).items():
        if device is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_config(merged.get(name), device)
    return merged


def visible_config(config: t.Mapping[str, str] | None) -> Config:
    """A configuration without the keys that belong to LXD itself, in order."""
    return {key: value for key, value in sorted((config or {}).items()) if not key.startswith(_OWN_KEYS)}


def visible(fields: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """An object as a person should see it in a diff."""
    shown: dict[str, t.Any] = {}
    for key, value in fields.items():
        if key == "config":
            shown[key] = visible_config(value)
        elif key == "devices":
            shown[key] = {name: dict(sorted(device.items())) for name, device in sorted((value or {}).items())}
        else:
            shown[key] = value
    return shown


def diff(
    before: t.Mapping[str, t.Any] | None, after: t.Mapping[str, t.Any] | None, header: str = ""
) -> dict[str, t.Any]:
    """Ansible's diff of two states of an object. None stands for: does not exist."""
    result: dict[str, t.Any] = {"before": visible(before or {}), "after": visible(after or {})}
    if header:
        result["before_header"] = header + ("" if before is not None else " (absent)")
        result["after_header"] = header + ("" if after is not None else " (absent)")
    return result


def owner_error(
    what: str, actual: t.Mapping[str, str] | None, desired: t.Mapping[str, t.Any] | None, key: str = OWNER_KEY
) -> str | None:
    """Why an object that exists may not be touched: it is not that site's whose name the desired state carries."""
    wanted = to_lxd((desired or {}).get(key))
    if wanted is None:
        return None
    owner = (actual or {}).get(key)
    if owner == wanted:
        return None
    if owner is None:
        return (
            f"{what} exists already and carries no {key}: it was not made for site {wanted!r} and is left alone. "
            "Remove or rename it, choose another name, or, if it is meant to be taken over, set that key on it."
        )
    return f"{what} exists already and belongs to {owner!r} ({key}), not to {wanted!r}: it is left alone."


_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "EB": 10**18,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
    "EiB": 2**60,
}


def parse_size(text: t.Any) -> int | None:
    """Bytes of one of LXD's sizes, or None if it is not one that can be told in bytes (such as 50%)."""
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", str(text))
    if not match or match.group(2) not in _UNITS:
        return None
    return int(match.group(1)) * _UNITS[match.group(2)]


def same_size(one: t.Any, other: t.Any) -> bool:
    first = parse_size(one)
    return first is not None and first == parse_size(other)


def subnet_of(config: t.Mapping[str, t.Any] | None, subnet: t.Any = None) -> list[str]:
    """The subnets that a network occupies: the one it is declared with, or those of its own addresses."""
    config = config or {}
    declared = subnet or config.get(SUBNET_KEY)
    if declared:
        return [str(declared)]
    found = []
    for key in ("ipv4.address", "ipv6.address"):
        value = to_lxd(config.get(key))
        if value and "/" in value:
            found.append(value)
    return found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def subnet_errors(
    planned: t.Sequence[tuple[str, str]], taken: t.Sequence[tuple[str, str]], known: t.Collection[str] = ()
) -> list[str]:
    """Subnets that get in each other's way, as sentences.

    planned and taken are pairs of (what, subnet). Those of the planned that are named in known exist already with
    that subnet: they are compared with the other planned ones only.
    """
    errors = []
    parsed = []
    for what, text in planned:
        try:
            parsed.append((what, text, _network(text)))
        except ValueError as exc:
            errors.append(f"{what}: {text!r} is not a subnet ({exc})")
    occupied = []
    for what, text in taken:
        try:
            occupied.append((what, text, _network(text)))
        except ValueError:
            continue
    for index, (what, text, net) in enumerate(parsed):
        others = [other for other in parsed[:index] if other[0] != what]
        if what not in known:
            others += occupied
        for other, other_text, other_net in others:
            if net.version == other_net.version and net.overlaps(other_net):
                errors.append(f"{what}: its subnet {text} overlaps {other_text} of {other}")
    return errors
