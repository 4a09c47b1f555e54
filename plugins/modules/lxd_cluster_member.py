#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster_member
short_description: Look after a member of an LXD cluster
version_added: 0.1.0
description:
  - Makes tokens for servers that are to join, has servers join, sets what a member is for, evacuates, restores and removes.
  - A server joins where the module is run against itself. All else can be done through any member of the cluster.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: The name of the member.
    type: str
    required: true
  state:
    description:
      - V(present) has the server join if it is in no cluster, with a O(token), and sets what is mentioned.
      - V(token) gives a token by which one server can join under this O(name), once. For a server that is a member already,
        none is made. One that was made before and can still be used is given again.
      - V(evacuated) moves the instances of the member to other ones, or stops those that cannot be moved, and has LXD put no new
        ones there. V(restored) brings them back.
      - V(absent) removes the member, and makes a token for it void. It is refused as long as instances or volumes are on it, or if
        it is the last member. The server that was removed starts anew, with nothing in it.
    type: str
    choices: [present, token, evacuated, restored, absent]
    default: present
  token:
    description:
      - The token that a member of the cluster made for this O(name). Needed where the server is in no cluster yet.
      - A server that is in another cluster than the one that made the token is refused.
    type: str
  server_address:
    description:
      - The address, V(HOST) or V(HOST:PORT), at which other members reach the server that joins. The port is 8443 if none is
        given.
      - By default it is the server's C(cluster.https_address), or else its C(core.https_address), which must not be one that
        stands for all addresses, such as V([::]).
      - It becomes C(cluster.https_address), and C(core.https_address) too if that is not set. Used for joining only.
    type: str
  member_config:
    description:
      - The values of its own that the server has for pools and networks of the cluster. Used for joining only.
      - RV(bcm.datacenter.lxd_cluster_info#module:member_config) lists the keys. One that is not given is empty.
    type: list
    elements: dict
    suboptions:
      entity:
        description: The kind of object.
        type: str
        choices: [storage-pool, network]
        required: true
      name:
        description: The name of the pool or network.
        type: str
        required: true
      key:
        description: The key of its configuration, such as V(source).
        type: str
        required: true
      value:
        description: The value on this server.
        type: str
        default: ''
  roles:
    description:
      - The roles that the member is given by hand, all of them, such as V(event-hub) or V(ovn-chassis).
      - Those that LXD gives by itself (C(database), C(database-leader), C(database-standby)) stay as they are, and are refused here.
    type: list
    elements: str
  failure_domain:
    description: The failure domain. LXD spreads its database over different ones. It is V(default) for a new member.
    type: str
  groups:
    description:
      - The groups of the cluster that the member is in, all of them, at least one. A new member is in V(default).
      - M(bcm.datacenter.lxd_cluster_group) makes groups.
    type: list
    elements: str
  description:
    description: A description.
    type: str
  config:
    description: Its configuration as a member, in LXD's own keys, such as C(scheduler.instance).
    type: dict
  mode:
    description:
      - How instances are evacuated. V(stop) only stops them, V(migrate) and V(live-migrate) move them.
      - By default each instance's C(cluster.evacuate) says how. It needs a server that knows C(clustering_evacuation_mode).
    type: str
    choices: [auto, stop, migrate, live-migrate]
  force:
    description:
      - With O(state=absent), whether a member that does not answer any more is removed, with all that is on it. It must never
        come back as it was.
      - A member that answers leaves the ordinary way, whatever this says.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds LXD's work may take, and afterwards the member to become what it should be.
    type: int
    default: 300
notes:
  - A server that joins loses all that LXD knows in it. The module refuses to have one join that has a pool, a network, a project,
    an image, a volume or an instance.
  - Tokens are secrets. Put C(no_log) on a task with O(state=token). They are valid as long as C(cluster.join_token_expiry) says.
  - A token is void once a join with it has begun, also if that fails. Make a new one with O(state=token) then.
seealso:
  - module: bcm.datacenter.lxd_cluster_member_info
  - module: bcm.datacenter.lxd_cluster
  - module: bcm.datacenter.lxd_cluster_group
"""

EXAMPLES = r"""
- name: A token for each server that is no member yet
  bcm.datacenter.lxd_cluster_member:
    name: "{{ inventory_hostname }}"
    state: token
  delegate_to: rack-1
  register: join
  no_log: true

- name: Join, one after the other
  bcm.datacenter.lxd_cluster_member:
    name: "{{ inventory_hostname }}"
    token: "{{ join.token }}"
    server_address: "{{ ansible_host }}"
    member_config:
      - {entity: storage-pool, name: local, key: source, value: /dev/sdb}
    failure_domain: "{{ rack }}"
  throttle: 1

- name: Before maintenance
  bcm.datacenter.lxd_cluster_member:
    name: rack-2
    state: evacuated

- name: After it
  bcm.datacenter.lxd_cluster_member:
    name: rack-2
    state: restored

- name: Take one out of service
  bcm.datacenter.lxd_cluster_member:
    name: rack-3
    state: absent
  delegate_to: rack-1
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode. Of V(token), V(join), V(update), V(evacuate), V(restore), V(delete), V(revoke).
  returned: success
  type: list
  elements: str
  sample: [join, update]
lxd_cluster_member:
  description: The member now, or as it would be, as LXD describes it. V(null) if there is none.
  returned: success
  type: dict
  sample: {server_name: rack-2, status: Online, roles: [database], failure_domain: default, groups: [default], config: {}}
token:
  description: The token. V(null) if none is needed, and in check mode if it would be a new one.
  returned: O(state=token)
  type: str
token_refused:
  description: That it was the token for which the server could not join. It had been used, was out of date, or is of another cluster.
  returned: failure, because of the O(token)
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import attempt
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["present", "token", "evacuated", "restored", "absent"],
        "default": "present",
    },
    "token": {"type": "str", "no_log": True},
    "server_address": {"type": "str"},
    "member_config": {
        "type": "list",
        "elements": "dict",
        "options": {
            "entity": {"type": "str", "choices": ["storage-pool", "network"], "required": True},
            "name": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "value": {"type": "str", "default": ""},
        },
    },
    "roles": {"type": "list", "elements": "str"},
    "failure_domain": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "config": {"type": "dict"},
    "mode": {"type": "str", "choices": ["auto", "stop", "migrate", "live-migrate"]},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
}
# What a member is at first.
FRESH: Object = {"roles": [], "failure_domain": "default", "description": "", "config": {}, "groups": ["default"]}


class Member:
    """One member, as it is seen from the server that is asked."""

    def __init__(self, lxd: LXDModule) -> None:
        self.lxd, self.params, self.client = lxd, lxd.params, lxd.client
        self.name: str = lxd.params["name"]
        self.what = f"member {self.name}"
        self.cluster = clusters.cluster_of(self.client)
        self.clustered = bool(self.cluster.get("enabled"))
        self.before = clusters.member_of(self.client, self.name) if self.clustered else None

    def result(self, actions: list[str], after: Object | None, **more: t.Any) -> Object:
        """after: the settings and the status that are planned."""
        real = after
        if not self.lxd.check_mode and after is not None:
            real = clusters.member_of(self.client, self.name) or after
        elif after is not None:
            real = {**(self.before or {"server_name": self.name}), **after}
            if self.before:
                automatic = [role for role in self.before.get("roles") or [] if role in clusters.AUTOMATIC_ROLES]
                real["roles"] = automatic + after["roles"]
        diff = resource.diff(self.plain(self.before), after, self.what)
        return {"changed": bool(actions), "actions": actions, "lxd_cluster_member": real, "diff": diff, **more}

    @staticmethod
    def plain(member: Object | None) -> Object | None:
        return {**clusters.settings(member), "status": member.get("status")} if member else None

    def groups(self) -> set[str] | None:
        """The groups that there are. In a rehearsal earlier tasks would have made those that are missing."""
        if self.lxd.check_mode or not self.params["groups"]:
            return None
        return {group["name"] for group in self.client.get("/1.0/cluster/groups", recursion=1) or []}

    def token(self) -> Object:
        if self.before:
            return self.result([], self.plain(self.before), token=None)
        if not self.clustered:
            if self.lxd.check_mode:  # An earlier task would have made it one.
                return self.result(["token"], None, token=None)
            raise PlanError(
                [f"{self.what}: the server is in no cluster that another one could join. Use lxd_cluster first"]
            )
        have = tokens.join_tokens(self.client, self.name)
        if have:
            return self.result([], None, token=tokens.join_token(have[-1]))
        if self.lxd.check_mode:
            return self.result(["token"], None, token=None)
        with attempt(f"make a token for {self.name!r}"):
            made = self.client.post("/1.0/cluster/members", {"server_name": self.name}, wait=False)
        return self.result(["token"], None, token=tokens.join_token(made))

    def present(self) -> Object:
        if self.clustered and self.before is None:
            return self.missing()
        if self.before is None:
            return self.join()
        errors = clusters.other_cluster_errors(self.params["token"], self.name, self.client.server())
        errors += clusters.member_errors(self.params, self.groups())
        if errors:
            raise PlanError(errors)
        return self.settle([])

    def missing(self) -> Object:
        """The server is in a cluster that has no member of this name."""
        own = self.cluster.get("server_name")
        if self.params["token"]:
            raise PlanError([f"the server is in a cluster already, as {own!r}, and cannot join one as {self.name!r}"])
        if self.lxd.check_mode:  # An earlier task would have had it join.
            errors = clusters.member_errors(self.params, None)
            if errors:
                raise PlanError(errors)
            return self.settle(["join"])
        raise PlanError(
            [
                f"{self.what}: the cluster of {own!r} has no such member. A server joins by this module on itself, with a token"
            ]
        )

    def join(self) -> Object:
        params, token = self.params, self.params["token"]
        errors = clusters.member_errors(params, None)
        where = clusters.place(self.client.server().get("config") or {}, params["server_address"], errors)
        if token or not self.lxd.check_mode:  # In a rehearsal there may be none yet.
            errors += clusters.join_errors(token, self.name)
        errors += [f"the server would lose what is in it: {what}" for what in clusters.contents(self.client)]
        if errors:
            raise PlanError(errors, **({"token_refused": True} if clusters.out_of_date(token, self.name) else {}))
        if not self.lxd.check_mode:
            try:
                clusters.join(self.client, self.name, token, where, params["member_config"] or [], params["timeout"])
            except LXDError as exc:
                why = clusters.token_refusal(exc)
                if not why:
                    raise
                self.lxd.fail_list(
                    f"Could not join the cluster as {self.name!r}", [f"token: {why}"], token_refused=True
                )
            # It is a member now, whatever its settings will be.
            errors = clusters.member_errors(params, self.groups())
            if errors:
                self.lxd.fail_list("The server has joined; its settings cannot be had", errors, changed=True)
        return self.settle(["join"])

    def settle(self, actions: list[str], status: str | None = None) -> Object:
        """Set what is mentioned, after what was done."""
        have = self.before or {**FRESH, "status": clusters.ONLINE}
        wanted = clusters.merged(have, self.params)
        if wanted != clusters.settings(have):
            actions = [*actions, "update"]
            if not self.lxd.check_mode:
                clusters.set_member(self.client, self.params)
        return self.result(actions, {**wanted, "status": status or have.get("status")})

    def moved(self) -> Object:
        state, mode = self.params["state"], self.params["mode"]
        action = "evacuate" if state == "evacuated" else "restore"
        errors = clusters.member_errors(self.params, self.groups())
        if self.before is None:
            errors.append(
                f"{self.what}: the server's cluster has no such member"
                if self.clustered
                else f"{self.what}: the server is in no cluster"
            )
            raise PlanError(errors)
        status = self.before.get("status")
        there = (status == clusters.EVACUATED) == (state == "evacuated")
        if not there and status == clusters.OFFLINE:
            errors.append(f"{self.what} does not answer ({self.before.get('message')}), so that LXD cannot {action} it")
        if mode and not self.client.has_extension("clustering_evacuation_mode"):
            errors.append("mode: this version of LXD does not know it. Set cluster.evacuate of the instances instead")
        if errors:
            raise PlanError(errors)
        if there:
            return self.settle([])
        if not self.lxd.check_mode:
            clusters.move_instances(self.client, self.name, action, mode, self.params["timeout"])
        return self.settle([action], clusters.EVACUATED if state == "evacuated" else clusters.ONLINE)

    def absent(self) -> Object:
        actions = []
        void = tokens.join_tokens(self.client, self.name) if self.clustered else []
        if self.before is not None:
            gone = self.before.get("status") == clusters.OFFLINE
            self.check_removal(gone)
            actions.append("delete")
        if void:
            actions.append("revoke")
        if not self.lxd.check_mode:
            for operation in void:
                tokens.revoke(self.client, operation)
            if self.before is not None:
                own = self.cluster.get("server_name") == self.name
                clusters.remove_member(self.client, self.name, own, gone, self.params["timeout"])
        return self.result(actions, None)

    def check_removal(self, gone: bool) -> None:
        if len(clusters.members_of(self.client)) == 1:
            raise PlanError([f"{self.what} is the only one of its cluster. Use lxd_cluster with state absent"])
        if gone and not self.params["force"]:
            message = (self.before or {}).get("message")
            raise PlanError(
                [
                    f"{self.what} does not answer ({message}). Start it, or, if it never comes back, remove it with "
                    "force, and with all that is on it"
                ]
            )
        standing = [] if gone else clusters.stands_on(self.client, self.name)
        if standing:
            raise PlanError(
                [
                    f"{self.what} cannot be removed, there is something on it: {', '.join(standing)}. Evacuate it, or move that"
                ]
            )


def run(lxd: LXDModule) -> Object:
    member = Member(lxd)
    work = {
        "present": member.present,
        "token": member.token,
        "evacuated": member.moved,
        "restored": member.moved,
        "absent": member.absent,
    }
    return work[lxd.params["state"]]()


def main() -> None:
    LXDModule(SPEC).run(run)


if __name__ == "__main__":
    main()
