# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""What every module that speaks to LXD shares: options, the client, results, errors in words."""

from __future__ import annotations

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDUnreachable,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import (
    NETWORK,
    POOL,
    Change,
    Kind,
    Object,
    PlanError,
    apply,
    conflicts,
    plan,
    with_subnet,
)

if t.TYPE_CHECKING:
    from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions

CONNECTION_SPEC: dict[str, t.Any] = {
    "url": {"type": "str", "fallback": (env_fallback, ["BCM_LXD_URL"])},
    "client_cert": {"type": "str", "fallback": (env_fallback, ["BCM_LXD_CLIENT_CERT"])},
    "client_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["BCM_LXD_CLIENT_KEY"])},
    "server_cert": {"type": "str", "fallback": (env_fallback, ["BCM_LXD_SERVER_CERT"])},
    "ssh_args": {"type": "str", "fallback": (env_fallback, ["BCM_LXD_SSH_ARGS"])},
    "ssh_private_key_file": {
        "type": "path",
        "no_log": False,
        "fallback": (env_fallback, ["BCM_LXD_SSH_PRIVATE_KEY_FILE"]),
    },
}
PROJECT_SPEC: dict[str, t.Any] = {
    "project": {"type": "str", "default": "default", "fallback": (env_fallback, ["BCM_LXD_PROJECT"])}
}


class LXDModule:
    """An AnsibleModule with a client of LXD."""

    def __init__(self, argument_spec: dict[str, t.Any], *, project: bool = False, **options: t.Any) -> None:
        spec = {**argument_spec, **CONNECTION_SPEC, **(PROJECT_SPEC if project else {})}
        together = [*options.pop("required_together", []), ("client_cert", "client_key")]
        self.module = AnsibleModule(argument_spec=spec, supports_check_mode=True, required_together=together, **options)
        self.params: dict[str, t.Any] = self.module.params
        self.check_mode: bool = self.module.check_mode
        self._client: LXDClient | None = None

    @property
    def client(self) -> LXDClient:
        if self._client is None:
            self._client = LXDClient(
                self.params["url"],
                project=self.params["project"] if isinstance(self.params.get("project"), str) else None,
                client_cert=self.params["client_cert"],
                client_key=self.params["client_key"],
                server_cert=self.params["server_cert"],
                ssh=self._ssh(),
            )
        return self._client

    def _ssh(self) -> SSHOptions | None:
        if not (self.params["url"] or "").startswith("ssh://"):
            return None
        # Only where it is needed: it would be compiled each time that a module runs.
        from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions

        return SSHOptions.of(self.params["ssh_args"], private_key_file=self.params["ssh_private_key_file"])

    def run(self, function: t.Callable[[LXDModule], dict[str, t.Any]]) -> None:
        """Call function and end the module with its result, or with its error in words."""
        try:
            if flavours.depends(self.params):
                self.params = self.client.flavour.options(self.params)
            result = function(self)
        except PlanError as exc:
            self.fail_list("Nothing was touched, because what is asked for cannot be had", exc.errors, **exc.result)
        except LXDUnreachable as exc:
            self.module.fail_json(msg=str(exc), exception=traceback.format_exc())
        except LXDError as exc:
            self.module.fail_json(
                msg=str(exc), code=exc.code, method=exc.method, path=exc.url, exception=traceback.format_exc()
            )
        else:
            if not self.module._diff:
                result.pop("diff", None)
            self.module.exit_json(**result)
        finally:
            if self._client is not None:
                self._client.close()

    def fail_list(self, headline: str, errors: list[str], **result: t.Any) -> None:
        """Fail with one message for all errors."""
        details = f" {errors[0]}" if len(errors) == 1 else "".join(f"\n- {error}" for error in errors)
        self.module.fail_json(msg=f"{headline}:{details}", errors=errors, **result)


def object_spec(kind: Kind) -> dict[str, t.Any]:
    """The options that objects of a kind have in a module of their own and in a list."""
    spec: dict[str, t.Any] = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "description": {"type": "str"},
        "config": {"type": "dict"},
    }
    if kind.devices:
        spec["devices"] = {"type": "dict"}
    if kind.name == "storage pool":
        spec["driver"] = {"type": "str"}
        spec["source"] = {"type": "str"}
        spec["size"] = {"type": "str"}
        spec["members"] = {"type": "dict"}
    elif kind.name == "network":
        spec["type"] = {"type": "str"}
        spec["subnet"] = {"type": "str"}
        spec["members"] = {"type": "dict"}
    elif kind.name == "volume":
        spec["pool"] = {"type": "str", "required": True}
        spec["content_type"] = {"type": "str", "choices": ["filesystem", "block"]}
        spec["size"] = {"type": "str"}
        spec["target"] = {"type": "str"}
    return spec


def desired_of(kind: Kind, params: t.Mapping[str, t.Any]) -> Object:
    """Options as an object: those that are a key of LXD's configuration move into it."""
    desired = {key: params.get(key) for key in object_spec(kind)}
    for key in ("source", "size"):
        if desired.get(key) is not None:
            desired["config"] = {**(desired.get("config") or {}), key: desired[key]}
        desired.pop(key, None)
    return with_subnet(desired) if kind is NETWORK else desired


def run_object(lxd: LXDModule, kind: Kind, key: str) -> dict[str, t.Any]:
    """The whole of a module that looks after one object."""
    desired = desired_of(kind, lxd.params)
    project = lxd.params.get("project")
    cluster = None
    errors: list[str] = []
    if kind in (POOL, NETWORK):
        cluster = parts.read_cluster(lxd.client)
        if cluster is None:
            name = (lxd.client.server().get("environment") or {}).get("server_name") or ""
            desired, errors = parts.without_cluster(desired, name)
    try:
        actual = lxd.client.find(kind.path(desired), **kind.query(project))
    except LXDNotFound:
        # What it belongs to is not there. Before a first run that is as it should be.
        if not lxd.check_mode:
            raise
        actual = None
    can_grow = kind is POOL and lxd.client.has_extension("storage_pool_loop_resize")
    change: Change
    if cluster is None:
        change = plan(kind, desired, actual, project=project, can_grow_pools=can_grow)
    else:
        cluster = parts.read_parts(lxd.client, kind, desired, actual, cluster)
        change = parts.plan_in_cluster(kind, desired, actual, cluster, can_grow_pools=can_grow)
    errors += change.errors
    if kind is NETWORK and change.changed and not errors:
        networks = lxd.client.get("/1.0/networks", recursion=1, project="default")
        errors += conflicts(lxd.client, [change], networks)
    if errors:
        raise PlanError(errors)
    after = change.after
    if change.changed and not lxd.check_mode:
        if isinstance(change, parts.ClusterChange):
            parts.apply_in_cluster(lxd.client, change)
        else:
            apply(lxd.client, change)
        if after is not None:
            after = lxd.client.get(kind.path(desired), **kind.query(project))
            if cluster is not None:
                cluster = parts.read_parts(lxd.client, kind, desired, after, cluster)
    elif actual is not None and not change.changed:
        after = actual
    if cluster is not None and after is not None and "members" not in after:
        after["members"] = cluster.own_parts(kind)
    return {
        "changed": change.changed,
        "action": change.action,
        "diff": resource.diff(change.before, change.after, change.label),
        key: resource.visible(after) if after is not None else None,
    }
