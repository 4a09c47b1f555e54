# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The configuration of an LXD server: which keys are to be changed, and to what."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import attempt
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDPreconditionFailed,
    LXDUnreachable,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_token import full_address

Config = dict[str, t.Any]

# LXD does not show a key that has its default value, so that these are needed to see that nothing would change.
# They are those of LXD 5.0 to 6 (lxd/cluster/config), without the few that are not the same in all of them.
DEFAULTS = {
    "acme.agree_tos": "false",
    "backups.compression_algorithm": "gzip",
    "candid.expiry": "3600",
    "cluster.healing_threshold": "0",
    "cluster.images_minimal_replica": "3",
    "cluster.join_token_expiry": "3H",
    "cluster.max_standby": "2",
    "cluster.max_voters": "3",
    "cluster.offline_threshold": "20",
    "core.auth_secret_expiry": "1m",
    "core.bgp_asn": "0",
    "core.https_allowed_credentials": "false",
    "core.metrics_authentication": "true",
    "core.shutdown_timeout": "5",
    "core.trust_ca_certificates": "false",
    "images.auto_update_cached": "true",
    "images.auto_update_interval": "6",
    "images.compression_algorithm": "gzip",
    "images.remote_cache_expiry": "10",
    "instances.migration.stateful": "false",
    "loki.loglevel": "info",
    "network.ovn.integration_bridge": "br-int",
    "rbac.api.expiry": "3600",
    "rbac.expiry": "3600",
}

_SECRET = re.compile(r"(^|[._])(password|secret|private_key|client_key)$|\.api\.key$")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

SET, SET_ANEW = "(set, not shown)", "(set anew, not shown)"


def is_secret(key: str) -> bool:
    """Whether the value of a key is nobody's business. Those that a user makes up are told by the user."""
    return not key.startswith("user.") and bool(_SECRET.search(key))


def shown(config: t.Mapping[str, t.Any] | None, secrets: t.Collection[str] = ()) -> Config:
    """A configuration as a person may see it. LXD itself says true instead of some of the secrets."""
    return {key: SET if key in secrets or is_secret(key) else value for key, value in sorted((config or {}).items())}


def same(key: str, wanted: str | None, actual: t.Any) -> bool:
    """Whether a key has the value that is wanted, its default being a value like any other."""
    if wanted is None or wanted == actual:
        return wanted == actual
    if key.startswith("user."):
        return False
    current = DEFAULTS.get(key) if actual is None else str(actual)
    if current is None or wanted == current:
        return wanted == current
    if DEFAULTS.get(key) in ("true", "false"):
        return any(wanted.lower() in words and current.lower() in words for words in (_TRUE, _FALSE))
    if key in ("core.https_address", "cluster.https_address"):
        try:
            return full_address(wanted) == full_address(current)
        except ValueError:
            return False
    return False


@dataclasses.dataclass
class Plan:
    """What is to be sent (an empty value removes a key), and how the configuration looks before and after."""

    changes: dict[str, str]
    before: Config
    after: Config
    errors: list[str]


def plan(
    config: t.Mapping[str, t.Any] | None,
    secrets: t.Mapping[str, t.Any] | None,
    actual: t.Mapping[str, t.Any] | None,
    *,
    always: bool = False,
) -> Plan:
    """Compare. A secret that LXD does not show is written if it is not set, or always."""
    config, secrets, actual = config or {}, secrets or {}, actual or {}
    errors = resource.config_errors(dict(config), "config") + resource.config_errors(dict(secrets), "secrets")
    for key in config:
        if is_secret(str(key)):
            errors.append(f"config, key {key}: it is a secret. Give it under secrets, which are kept out of logs")
    errors += [f"key {key} is given under config and under secrets" for key in sorted(set(config) & set(secrets))]
    before = shown(actual, secrets)
    result = Plan({}, before, dict(before), errors)
    if errors:
        return result
    for key, raw in sorted({**config, **secrets}.items()):
        wanted, current = resource.to_lxd(raw), actual.get(key)
        hidden = current is True and wanted is not None
        if (hidden and not always) or (not hidden and same(key, wanted, current)):
            continue
        result.changes[key] = wanted or ""
        if wanted is None or wanted == DEFAULTS.get(key):
            result.after.pop(key, None)
        elif key in secrets:
            result.after[key] = SET if current is None else SET_ANEW
        else:
            result.after[key] = wanted
    result.after = dict(sorted(result.after.items()))
    return result


def read(client: LXDClient, target: str | None = None) -> Config:
    """The configuration of a server, or of another member of its cluster."""
    return client.get("/1.0", target=target).get("config") or {}


def _along(server: t.Mapping[str, t.Any]) -> Config:
    """What is sent with a change though it stays as it is.

    Where Incus (6.0) refuses a change it undoes it for those of the member's own keys that came with it, and forgets all others,
    core.https_address among them: it answers nobody from outside any more once it is started again. Keys of all members are not lost.
    """
    if not flavours.of(server).incus:
        return {}
    return {
        key: value
        for key, value in (server.get("config") or {}).items()
        if isinstance(value, str) and not is_secret(key) and not key.startswith("user.")
    }


def _send(client: LXDClient, server: Config, etag: str | None, changes: Config, target: str | None = None) -> None:
    """Change a configuration that has just been read."""
    client.patch("/1.0", {"config": {**_along(server), **changes}}, query={"target": target}, etag=etag)


def change(client: LXDClient, changes: Config) -> None:
    """Change keys of a server, whatever they are now."""
    _send(client, *client.get_with_etag("/1.0"), changes)


def write(
    client: LXDClient,
    target: str | None,
    compute: t.Callable[[Config], Plan],
) -> Plan:
    """Read, compare, and send what differs, once more if somebody else wrote in between."""
    what = f"change the configuration of {f'member {target}' if target else 'the server'}"
    for last in (False, True):
        server, etag = client.get_with_etag("/1.0", target=target)
        planned = compute(server.get("config") or {})
        if planned.errors or not planned.changes:
            return planned
        try:
            with attempt(f"{what} ({', '.join(sorted(planned.changes))})"):
                _send(client, server, etag, planned.changes, target)
        except LXDPreconditionFailed:
            if last:
                raise
        else:
            return planned
    raise AssertionError("unreachable")


def read_again(client: LXDClient, target: str | None, planned: Plan, secrets: t.Collection[str]) -> Config:
    """What the server says now. One that listens elsewhere now cannot be asked: it is what was planned."""
    try:
        return shown(read(client, target), secrets)
    except LXDUnreachable:
        if "core.https_address" not in planned.changes or client.socket_path is not None:
            raise
        return planned.after
