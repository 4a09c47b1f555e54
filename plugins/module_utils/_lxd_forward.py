# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Forwards of a network: from an address, and from its ports, to addresses of instances."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_objects as objects
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

TARGET_KEY = "target_address"


def address(text: t.Any) -> str:
    """An address as LXD writes it. What is none stays as it is: the check of it says so."""
    try:
        return str(ipaddress.ip_address(str(text).strip()))
    except ValueError:
        return str(text).strip()


def expand(ports: t.Any) -> list[int]:
    """Port numbers of LXD's lists and ranges, such as 80,443,8000-8010, in the order in which they stand."""
    found: list[int] = []
    for item in str(ports).split(","):
        first, dash, last = item.strip().partition("-")
        if not first.strip().isdigit() or (dash and not last.strip().isdigit()):
            raise ValueError(f"{item.strip()!r} is neither a port nor a range of ports")
        low, high = int(first), int(last) if dash else int(first)
        if not 0 < low <= high <= 65535:
            raise ValueError(f"{item.strip()!r} is not within 1-65535")
        found += range(low, high + 1)
    return found


@dataclasses.dataclass(frozen=True, order=True)
class Rule:
    """What one item of the list does: which port leads where. Equal ones do the same, in whatever words."""

    protocol: str
    pairs: tuple[tuple[int, int], ...]
    target_address: str
    description: str


def _pairs(port: t.Mapping[str, t.Any]) -> tuple[tuple[int, int], ...]:
    listen = expand(port["listen_port"])
    target = expand(port["target_port"]) if resource.to_lxd(port.get("target_port")) is not None else listen
    if len(target) == 1:
        target = target * len(listen)
    if len(target) != len(listen):
        raise ValueError(
            f"{len(listen)} ports ({port['listen_port']}) cannot lead to {len(target)} ({port['target_port']}): "
            "as many are needed, or one"
        )
    return tuple(sorted(zip(listen, target)))  # noqa: B905 - strict= is not known to Python 3.9; they are equally long


def rule(port: t.Mapping[str, t.Any]) -> Rule:
    return Rule(
        port.get("protocol") or "tcp",
        _pairs(port),
        address(port.get("target_address") or ""),
        (port.get("description") or "").strip(),
    )


def same_rules(one: t.Sequence[t.Mapping[str, t.Any]], other: t.Sequence[t.Mapping[str, t.Any]]) -> bool:
    return sorted(map(rule, one)) == sorted(map(rule, other))


def as_lxd_writes(port: t.Mapping[str, t.Any]) -> dict[str, str]:
    def plain(key: str) -> str:
        return ",".join(item.strip() for item in (resource.to_lxd(port.get(key)) or "").split(","))

    return {
        "description": (port.get("description") or "").strip(),
        "protocol": port.get("protocol") or "tcp",
        "listen_port": plain("listen_port"),
        "target_port": plain("target_port"),
        "target_address": address(port.get("target_address") or ""),
    }


def _subnet(network: Object, version: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network((network.get("config") or {}).get(f"ipv{version}.address") or "", strict=False)
    except ValueError:
        return None  # It has none: instances may have any address.


def errors_of(desired: Object, network: Object | None) -> list[str]:
    """What cannot be a forward, as sentences. LXD would refuse it too, but in a rehearsal it is not asked."""
    what = label(desired)
    try:
        listen = ipaddress.ip_address(desired["listen_address"])
    except ValueError:
        return [f"{what}: the listen address is no address"]
    errors = resource.config_errors(desired["config"], what)
    subnet = _subnet(network or {}, listen.version)

    def check(text: t.Any, where: str) -> None:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            errors.append(f"{where}: {text!r} is no address")
            return
        if found.version != listen.version:
            errors.append(f"{where}: {text} is of another IP version than the listen address")
        elif subnet is not None and found not in subnet:
            errors.append(f"{where}: {text} is not within the network's subnet, {subnet}")

    default = desired["config"].get(TARGET_KEY)
    if resource.to_lxd(default) is not None:
        check(default, f"{what}, target_address")
    seen: set[tuple[str, int]] = set()
    for port in desired["ports"] or []:
        where = f"{what}, {port.get('protocol') or 'tcp'} port {port['listen_port']}"
        check(port["target_address"], where)
        if default is not None and port["target_address"] == default:
            errors.append(f"{where}: it leads to the default target address, where all other ports lead already")
        try:
            listened = {(port.get("protocol") or "tcp", pair[0]) for pair in _pairs(port)}
        except ValueError as exc:
            errors.append(f"{where}: {exc}")
            continue
        errors += [f"{where}: port {number} is there twice" for _protocol, number in sorted(listened & seen)]
        seen |= listened
    return errors


def label(desired: t.Mapping[str, t.Any]) -> str:
    return f"forward {desired['listen_address']} of network {desired['network']}"


@dataclasses.dataclass
class ForwardChange:
    desired: Object
    query: dict[str, str | None]
    action: str
    before: Object | None
    after: Object | None

    @property
    def collection(self) -> str:
        return api_path("networks", self.desired["network"], "forwards")

    @property
    def path(self) -> str:
        return api_path("networks", self.desired["network"], "forwards", self.desired["listen_address"])


def _fields(source: Object) -> Object:
    return {
        "listen_address": source["listen_address"],
        "description": source.get("description") or "",
        "config": resource.visible_config(source.get("config")),
        "ports": [as_lxd_writes(port) for port in source.get("ports") or []],
    }


def _merged(desired: Object, actual: Object) -> Object:
    merged = _fields(actual)
    merged["config"] = resource.merge_config(merged["config"], desired["config"])
    if desired["description"] is not None:
        merged["description"] = desired["description"].strip()
    if desired["ports"] is not None and not same_rules(desired["ports"], merged["ports"]):
        merged["ports"] = [as_lxd_writes(port) for port in desired["ports"]]
    return merged


def desired_of(params: t.Mapping[str, t.Any]) -> Object:
    config = dict(params.get("config") or {})
    if params.get("target_address") is not None:
        config[TARGET_KEY] = params["target_address"]
    if config.get(TARGET_KEY):
        config[TARGET_KEY] = address(config[TARGET_KEY])
    ports = params.get("ports")
    return {
        "network": params["network"],
        "listen_address": address(params["listen_address"]),
        "state": params["state"],
        "description": params.get("description"),
        "config": config,
        "ports": ports
        if ports is None
        else [{**port, "target_address": address(port["target_address"])} for port in ports],
    }


def plan_forward(
    client: LXDClient, params: t.Mapping[str, t.Any], target: str | None, check_mode: bool
) -> ForwardChange:
    """Read what there is, and say what is to be done. Nothing is touched."""
    desired = desired_of(params)
    query = {"project": params.get("project") or "default", "target": target}
    network = client.find(api_path("networks", desired["network"]), project=query["project"])
    if desired["state"] != "absent":
        errors = errors_of(desired, network)
        if errors:
            raise PlanError(errors)
    if network is None or not network.get("managed", True):
        if desired["state"] == "absent" or (check_mode and network is None):
            after = None if desired["state"] == "absent" else _merged(desired, {**desired, "config": {}, "ports": []})
            return ForwardChange(desired, query, "none" if after is None else "create", None, after)
        why = "it does not exist" if network is None else "it is not LXD's"
        raise PlanError([f"{label(desired)}: {why}"])
    change = ForwardChange(desired, query, "none", None, None)
    actual = client.find(change.path, **query)
    if actual is not None:
        change.before = _fields(actual)
        owner = resource.owner_error(label(desired), actual.get("config"), desired["config"])
        if owner:
            raise PlanError([owner])
    if desired["state"] == "absent":
        change.action = "none" if actual is None else "delete"
        return change
    change.after = _merged(desired, actual or {"listen_address": desired["listen_address"]})
    if actual is None:
        change.action = "create"
    elif change.after != change.before:
        change.action = "update"
    return change


def apply_forward(client: LXDClient, change: ForwardChange) -> None:
    try:
        if change.action == "create":
            client.post(change.collection, change.after, query=change.query)
        elif change.action == "delete":
            client.delete(change.path, query=change.query)
        elif change.action == "update":

            def compute(actual: Object) -> Object | None:
                merged = _merged(change.desired, actual)
                if merged == _fields(actual):
                    return None
                return {key: merged[key] for key in ("description", "config", "ports")}

            objects.update(client, change.path, compute, change.query)
    except LXDError as exc:
        raise LXDError(
            f"Could not {change.action} {label(change.desired)}: {exc}", url=exc.url, method=exc.method, code=exc.code
        ) from exc
