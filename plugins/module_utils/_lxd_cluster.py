# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Clusters: becoming one, joining one, and looking after members and groups. Planning is done without I/O."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from urllib.parse import urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_server as servers
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import attempt, until
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDUnreachable,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, update

# LXD gives and takes these roles by itself.
AUTOMATIC_ROLES = ("database", "database-leader", "database-standby")
EVACUATED, OFFLINE, ONLINE = "Evacuated", "Offline", "Online"

# A server that leaves a cluster starts anew, at times in the middle of its answer. What became of it is asked afterwards.
_LEAVING = contextlib.suppress(LXDUnreachable)
_SETTINGS = ("roles", "failure_domain", "description", "config", "groups")


def cluster_of(client: LXDClient) -> Object:
    """What a server says of its cluster: whether it is in one, and under which name."""
    return client.get("/1.0/cluster") or {}


def members_of(client: LXDClient) -> list[Object]:
    """The members of the server's cluster, sorted by name; none where it is in no cluster."""
    if not cluster_of(client).get("enabled"):
        return []
    members = client.get("/1.0/cluster/members", recursion=1) or []
    return sorted(members, key=lambda member: member["server_name"])


def member_of(client: LXDClient, name: str) -> Object | None:
    return client.find(api_path("cluster", "members", name))


def contents(client: LXDClient) -> list[str]:
    """What is in an LXD, apart from what a fresh one has. It would be lost with LXD's database."""
    found = [f"storage pool {pool['name']}" for pool in client.get("/1.0/storage-pools", recursion=1) or []]
    for project in client.get("/1.0/projects", recursion=1) or []:
        if project["name"] != "default":
            found.append(f"project {project['name']}")
        for url in project.get("used_by") or []:
            path = urlsplit(url).path
            if path != "/1.0/profiles/default":
                found.append(path.removeprefix("/1.0/"))
    return found


def stands_on(client: LXDClient, member: str) -> list[str]:
    """The instances and the volumes that lie on a member of the cluster."""
    instances = client.get("/1.0/instances", recursion=1, **{"all-projects": "true"}) or []
    found = [f"instance {_in(item)}" for item in instances if item.get("location") == member]
    pools = [item["name"] for item in client.get("/1.0/storage-pools", recursion=1) or []]
    return found + [
        f"volume {item['pool']}/{_in(item)}" for item in volumes_of(client, pools) if item.get("location") == member
    ]


def volumes_of(client: LXDClient, pools: t.Iterable[str]) -> list[Object]:
    """The custom volumes of all projects, each with its pool and project, in a cluster also with its location."""
    found = []
    for project in client.get("/1.0/projects", recursion=1) or []:
        for pool in pools if (project.get("config") or {}).get("features.storage.volumes") != "false" else []:
            volumes = client.get(
                api_path("storage-pools", pool, "volumes", "custom"), recursion=1, project=project["name"]
            )
            # Some versions list snapshots too, as VOLUME/SNAPSHOT.
            found += [
                {**item, "pool": pool, "project": project["name"]} for item in volumes or [] if "/" not in item["name"]
            ]
    return found


def _in(item: Object) -> str:
    project = item.get("project") or "default"
    return item["name"] if project == "default" else f"{item['name']} of project {project}"


def capacity(client: LXDClient) -> list[Object]:
    """What each member has and what is on it; a server that is in no cluster is its own only member."""
    name = str((client.server().get("environment") or {}).get("server_name") or "")
    alone: Object = {"server_name": name, "status": ONLINE, "message": "Stands by itself"}
    members = members_of(client)
    pools = [item["name"] for item in client.get("/1.0/storage-pools", recursion=1) or []]
    instances = client.get("/1.0/instances", recursion=1, **{"all-projects": "true"}) or []
    volumes = volumes_of(client, pools)
    return [
        {
            "name": member["server_name"],
            "url": member.get("url"),
            "status": member.get("status"),
            "message": member.get("message") or "",
            "roles": sorted(member.get("roles") or []),
            "failure_domain": member.get("failure_domain"),
            **_resources(client, member, pools, bool(members)),
            "instances": sorted(
                (
                    {"project": item.get("project") or "default", "name": item["name"], "status": item.get("status")}
                    for item in instances
                    if not members or item.get("location") == member["server_name"]
                ),
                key=lambda item: (item["project"], item["name"]),
            ),
            "volumes": sorted(
                (
                    {"project": item["project"], "pool": item["pool"], "name": item["name"]}
                    for item in volumes
                    if not members or item.get("location") == member["server_name"]
                ),
                key=lambda item: (item["project"], item["pool"], item["name"]),
            ),
        }
        for member in members or [alone]
    ]


def _resources(client: LXDClient, member: Object, pools: list[str], clustered: bool) -> Object:
    """What a member tells of itself. That it does not answer may not have been noticed by the others yet."""
    told: Object = {"answers": False, "version": None, "cpus": None, "memory": None, "pools": None}
    if member.get("status") == OFFLINE:
        return told
    target = member["server_name"] if clustered else None
    try:
        server = client.get("/1.0", target=target)
        machine = client.get("/1.0/resources", target=target) or {}
        space = {name: client.get(api_path("storage-pools", name, "resources"), target=target) for name in pools}
    except LXDError as exc:
        return {**told, "message": str(exc)}
    memory = machine.get("memory") or {}
    return {
        "answers": True,
        "version": (server.get("environment") or {}).get("server_version"),
        "cpus": (machine.get("cpu") or {}).get("total"),
        "memory": {key: memory.get(key) for key in ("total", "used")},
        "pools": {name: ((found or {}).get("space") or {}) for name, found in space.items()},
    }


# -- the server itself ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Place:
    """Where a server listens for its cluster."""

    address: str
    # What has to be written into the server's configuration for that.
    config: dict[str, str]


def place(config: t.Mapping[str, t.Any], wanted: str | None, errors: list[str]) -> Place:
    """The address of a server within its cluster: the one asked for, or the one that it has."""
    address = wanted or config.get("cluster.https_address") or config.get("core.https_address") or ""
    try:
        wild = not address or tokens.is_wildcard(address)
    except ValueError as exc:
        errors.append(f"server_address: {exc}")
        return Place("", {})
    if wild:
        errors.append(
            "server_address is needed: the address at which the other members of the cluster reach this server"
            + (f" (it listens at {address}, which is no such address)" if address else "")
        )
        return Place("", {})
    address = tokens.full_address(address)
    needed = {}
    if config.get("cluster.https_address") != address:
        needed["cluster.https_address"] = address
    if not config.get("core.https_address"):
        needed["core.https_address"] = address
    return Place(address, needed)


def bootstrapped_errors(cluster: Object, config: t.Mapping[str, t.Any], name: str, address: str | None) -> list[str]:
    """Why a server that is in a cluster is not what is asked for."""
    errors = []
    if cluster.get("server_name") != name:
        errors.append(
            f"the server is a member of a cluster already, as {cluster.get('server_name')!r}, and cannot become the first "
            f"member of another one as {name!r}"
        )
    elif address:
        have = str(config.get("cluster.https_address") or "")
        if have != tokens.full_address(address):
            errors.append(f"member {name} listens at {have} for its cluster, and LXD cannot change that to {address}")
    return errors


def bootstrap(client: LXDClient, name: str, where: Place, timeout: float) -> None:
    """Make a server the first member of a cluster."""
    with attempt(f"make the server the first member {name!r} of a cluster"):
        if where.config:
            servers.change(client, where.config)
        client.put("/1.0/cluster", {"server_name": name, "enabled": True}, timeout=timeout)
    wait_online(client, name, timeout)


def disband(client: LXDClient, timeout: float) -> None:
    """Make the last member of a cluster a server by itself. LXD forgets all that it knew, and starts anew."""
    with attempt("end the cluster"), _LEAVING:
        client.put("/1.0/cluster", {"enabled": False})
    wait_alone(client, timeout)


def wait_alone(client: LXDClient, timeout: float) -> None:
    """LXD starts anew when it has left a cluster."""

    def alone() -> bool:
        client.close()
        return not cluster_of(client).get("enabled")

    until(alone, "That LXD answers as a server outside of any cluster", timeout)


def wait_online(client: LXDClient, name: str, timeout: float) -> None:
    def online() -> bool:
        member = member_of(client, name)
        return member is not None and member.get("status") == ONLINE

    until(online, f"That member {name} of the cluster is online", timeout)


def out_of_date(token: str | None, name: str) -> bool:
    """Whether a token was one by which a server could join under a name, and is not any more."""
    try:
        fields = tokens.decode(token or "", "server_name")
    except ValueError:
        return False
    return fields["server_name"] == name and tokens.expired(fields.get("expires_at"))


def join_errors(token: str | None, name: str) -> list[str]:
    """Why a token is not one by which a server can join under a name."""
    if not token:
        return [
            f"the server is in no cluster, and to join one as {name!r} it needs a token: make one on a member, with state "
            "token"
        ]
    try:
        fields = tokens.decode(token, "server_name")
    except ValueError as exc:
        return [f"token: {exc}"]
    if fields["server_name"] != name:
        return [f"token: it was made for a member {fields['server_name']!r}, not for {name!r}"]
    if out_of_date(token, name):
        return [f"token: it was valid until {fields['expires_at']}. Make another one, with state token"]
    return []


def token_refusal(exc: LXDError) -> str:
    """Why the cluster refuses a token, if that is what went wrong."""
    if "No matching cluster join operation" in str(exc):
        return "the cluster does not know it: it was used already, was made void, or is of another cluster. Make another one, with state token"
    if "Token has expired" in str(exc):
        return "it is out of date. Make another one, with state token"
    return ""


def other_cluster_errors(token: str | None, name: str, server: Object) -> list[str]:
    """Why a server that is in a cluster already is not in the one that a token was made for."""
    if not token:
        return []
    try:
        fields = tokens.decode(token, "server_name")
    except ValueError as exc:
        return [f"token: {exc}"]
    have = (server.get("environment") or {}).get("certificate_fingerprint")
    if have and fields["fingerprint"] != have:
        return [
            f"the server is in a cluster already, and the token for {name!r} was made by another one: "
            "their certificates differ"
        ]
    return []


def join(client: LXDClient, name: str, token: str, where: Place, member_config: list[Object], timeout: float) -> None:
    """Have a server join the cluster that made the token."""
    fields = tokens.decode(token, "server_name")
    with attempt(f"join the cluster as {name!r}"):
        address, certificate = tokens.first_at(fields["addresses"], fields["fingerprint"])
        body: Object = {
            "server_name": name,
            "enabled": True,
            "server_address": where.address,
            "cluster_address": address,
            "cluster_certificate": certificate,
            "member_config": [{"description": "", "value": "", **item} for item in member_config],
        }
        body[_token_key(client)] = token
        try:
            client.put("/1.0/cluster", body, timeout=timeout)
        except LXDError as exc:
            # LXD 5.0.2 takes "all addresses", if it listens at them, for the member's own one, and refuses that.
            if "Wildcard addresses" not in str(exc):
                raise
            with _listening_at(client, where.address):
                client.put("/1.0/cluster", body, timeout=timeout)
    wait_online(client, name, timeout)


@contextlib.contextmanager
def _listening_at(client: LXDClient, address: str) -> t.Iterator[None]:
    """Have a server listen at one address only meanwhile."""
    key = "core.https_address"
    usual = servers.read(client)[key]
    servers.change(client, {key: address})
    try:
        yield
    finally:
        servers.change(client, {key: usual})


def _token_key(client: LXDClient) -> str:
    return "cluster_token" if client.has_extension("explicit_trust_token") else "cluster_password"


# -- members --------------------------------------------------------------------------------------------------------


def member_errors(desired: Object, groups: t.Collection[str] | None) -> list[str]:
    """What cannot be the settings of a member. groups: those that the cluster has, or None if that does not matter."""
    what = f"member {desired['name']}"
    errors = resource.config_errors(desired.get("config"), what)
    for role in desired.get("roles") or []:
        if role in AUTOMATIC_ROLES:
            errors.append(f"{what}: LXD gives and takes the role {role} by itself. Leave it out of roles")
    if desired.get("groups") is not None:
        if not desired["groups"]:
            errors.append(f"{what}: it has to be in one group at least. LXD puts each member into the group default")
        missing = sorted(set(desired["groups"]) - set(groups)) if groups is not None else []
        errors += [f"{what}: the cluster has no group {name!r}" for name in missing]
    return errors


def settings(member: Object) -> Object:
    """What of a member can be set, in an order that does not depend on LXD's mood."""
    found = {key: member.get(key) for key in _SETTINGS}
    found["roles"] = sorted(role for role in member.get("roles") or [] if role not in AUTOMATIC_ROLES)
    found["groups"] = sorted(member.get("groups") or [])
    found["config"] = dict(member.get("config") or {})
    return found


def merged(member: Object, desired: Object) -> Object:
    """The settings that result: what is not mentioned stays, lists are taken as a whole."""
    result = settings(member)
    for key in ("failure_domain", "description"):
        if desired.get(key) is not None:
            result[key] = desired[key]
    for key in ("roles", "groups"):
        if desired.get(key) is not None:
            result[key] = sorted(set(desired[key]))
    result["config"] = resource.merge_config(result["config"], desired.get("config"))
    return result


def set_member(client: LXDClient, desired: Object) -> None:
    def compute(member: Object) -> Object | None:
        wanted = merged(member, desired)
        if wanted == settings(member):
            return None
        automatic = [role for role in member.get("roles") or [] if role in AUTOMATIC_ROLES]
        return {**wanted, "roles": automatic + wanted["roles"]}

    with attempt(f"change member {desired['name']} of the cluster"):
        update(client, api_path("cluster", "members", desired["name"]), compute, {})


def move_instances(client: LXDClient, name: str, action: str, mode: str | None, timeout: float) -> None:
    """Evacuate or restore a member."""
    body = {"action": action}
    if mode:
        body["mode"] = mode
    with attempt(f"{action} member {name} of the cluster"):
        client.post(api_path("cluster", "members", name, "state"), body, timeout=timeout)


def remove_member(client: LXDClient, name: str, own: bool, force: bool, timeout: float) -> None:
    with attempt(f"remove member {name} from the cluster"), _LEAVING if own else contextlib.nullcontext():
        query = {"force": "1"} if force else {}
        client.delete(api_path("cluster", "members", name), query=query, timeout=timeout)
    if own:
        wait_alone(client, timeout)
    else:
        until(lambda: member_of(client, name) is None, f"That the cluster has no member {name}", timeout)


# -- groups ---------------------------------------------------------------------------------------------------------


def group_fields(group: Object) -> Object:
    return {"description": group.get("description") or "", "members": sorted(group.get("members") or [])}


def merged_group(group: Object, desired: Object) -> Object:
    result = group_fields(group)
    if desired.get("description") is not None:
        result["description"] = desired["description"]
    if desired.get("members") is not None:
        result["members"] = sorted(set(desired["members"]))
    return result


def group_errors(desired: Object, actual: Object | None, members: t.Sequence[Object]) -> list[str]:
    """What cannot be a group of the cluster."""
    what = f"cluster group {desired['name']}"
    if desired["state"] == "absent":
        if desired["name"] == "default":
            return [f"{what}: LXD needs it, it cannot be removed"]
        inside = sorted((actual or {}).get("members") or [])
        return [f"{what} cannot be removed, there are members in it: {', '.join(inside)}"] if inside else []
    if desired.get("members") is None:
        return []
    known = {member["server_name"]: member.get("groups") or [] for member in members}
    errors = [f"{what}: the cluster has no member {name!r}" for name in desired["members"] if name not in known]
    for name in sorted(set((actual or {}).get("members") or []) - set(desired["members"])):
        if known.get(name) == [desired["name"]]:
            errors.append(f"{what}: member {name} is in no other group, and has to be in one")
    return errors
