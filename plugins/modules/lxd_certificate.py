#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_certificate
short_description: Look after the trust store of an LXD server
version_added: 0.1.0
description:
  - Adds, changes and removes certificates of clients that may use LXD's API over the network, and makes tokens by which a
    client adds its own certificate.
  - With O(trust_token) or O(trust_password) it is the other side, a client that has itself trusted by a server.
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
  state:
    description:
      - V(present) adds the certificate, or changes what is mentioned of one that is there.
      - V(absent) removes it, and makes tokens of that O(name) void.
      - V(token) gives a token by which one client can have itself trusted, once. If a certificate of type V(client) and of
        that O(name) is trusted already, no token is made. One that was made before, gives the same and can still be used
        is given again.
    type: str
    choices: [present, absent, token]
    default: present
  name:
    description:
      - Its name. By default it is the common name in the certificate.
      - LXD allows several certificates of one name. V(absent) then asks for a O(fingerprint).
      - Necessary for V(token).
    type: str
  certificate:
    description:
      - The certificate, as PEM text or as the path of a file where the module runs.
      - Certificates are told apart by their fingerprint, so that a renewed one is another one.
    type: str
  fingerprint:
    description: The fingerprint (SHA-256, hexadecimal) of a certificate in the trust store, or at least its first 12 digits.
    type: str
  type:
    description:
      - What it is good for. V(metrics) may only read C(/1.0/metrics).
      - Used when it is added (V(client) by default), and kept if it is not mentioned.
    type: str
    choices: [client, metrics]
  restricted:
    description: Whether the client may only see the O(projects). By default it may do everything.
    type: bool
  projects:
    description: The projects that a restricted client may use, all of them.
    type: list
    elements: str
  trust_token:
    description:
      - A token that the server made, by which the client O(client_cert) has itself trusted. The name, and what the client may
        do, come with the token.
      - The token also brings the server's addresses and the fingerprint of its certificate, so that neither O(url) nor
        O(server_cert) have to be given.
      - Nothing is done, and the token is kept, if the server trusts the client already.
    type: str
  trust_password:
    description:
      - The C(core.trust_password) of the server at O(url), by which the client O(client_cert) has itself trusted. LXD 6 and
        Incus have none any more.
    type: str
notes:
  - Tokens are secrets. Put C(no_log) on a task with O(state=token), and on what uses its result.
  - The server has to listen on the network (C(core.https_address)) to make tokens. They are valid as long as
    C(core.remote_token_expiry) says.
seealso:
  - module: bcm.datacenter.lxd_certificate_info
"""

EXAMPLES = r"""
- name: Trust an operator, for one project
  bcm.datacenter.lxd_certificate:
    name: alice
    certificate: "{{ lookup('ansible.builtin.file', 'alice.crt') }}"
    restricted: true
    projects: [bcm-home]

- name: A token for a machine
  bcm.datacenter.lxd_certificate:
    name: monitor
    state: token
  register: trust
  no_log: true

- name: With which it has itself trusted
  bcm.datacenter.lxd_certificate:
    client_cert: /etc/monitor/client.crt
    client_key: /etc/monitor/client.key
    trust_token: "{{ trust.token }}"
  delegate_to: monitor
  no_log: true

- name: Trust nobody of that name any more
  bcm.datacenter.lxd_certificate:
    name: monitor
    state: absent
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete), V(token).
  returned: success
  type: str
  sample: create
lxd_certificate:
  description: The certificate in the trust store now, or as it would be. V(null) if there is none.
  returned: success
  type: dict
  sample: {name: alice, type: client, restricted: true, projects: [bcm-home], fingerprint: 57bb0ff4340b}
token:
  description: The token. V(null) if none is needed, and in check mode if it would be a new one.
  returned: O(state=token)
  type: str
url:
  description: Where the server was reached.
  returned: with O(trust_token) or O(trust_password)
  type: str
  sample: https://203.0.113.10:8443
server_cert:
  description: The certificate of the server (PEM), to give as O(server_cert) from now on. V(null) if none was given or found.
  returned: with O(trust_token) or O(trust_password)
  type: str
"""

import contextlib
import re
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_certificate as trust
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDError, LXDForbidden, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "token"], "default": "present"},
    "name": {"type": "str"},
    "certificate": {"type": "str"},
    "fingerprint": {"type": "str"},
    "type": {"type": "str", "choices": ["client", "metrics"]},
    "restricted": {"type": "bool"},
    "projects": {"type": "list", "elements": "str"},
    "trust_token": {"type": "str", "no_log": True},
    "trust_password": {"type": "str", "no_log": True},
}


def label(params: Object, fingerprint: str | None) -> str:
    return f"certificate {params['name'] or (fingerprint or '')[:12]}".strip()


def fingerprint_of(params: Object) -> str | None:
    """The fingerprint that is asked for, or that of the certificate that is given."""
    errors = []
    given, own = params["fingerprint"], None
    if given and not re.fullmatch("[0-9a-fA-F]{12,64}", given):
        errors.append("fingerprint: 12 to 64 hexadecimal digits are expected")
    if params["certificate"]:
        try:
            own = tokens.fingerprint_of(params["certificate"])
        except (OSError, ValueError) as exc:
            errors.append(f"certificate: neither a PEM certificate nor the path of one ({exc})")
        if own and given and not own.startswith(given.lower()):
            errors.append(f"certificate and fingerprint are not of the same: its fingerprint is {own}")
    if errors:
        raise PlanError(errors)
    return own or given


def shown(item: Object | None) -> Object | None:
    return {**trust.fields(item), "fingerprint": item["fingerprint"]} if item else None


def present(lxd: LXDModule) -> Object:
    params = lxd.params
    fingerprint = fingerprint_of(params)
    if not fingerprint:
        raise PlanError(["certificate is needed, or the fingerprint of one that is trusted already"])
    what = label(params, fingerprint)
    found = trust.chosen(trust.listed(lxd.client), fingerprint, None)
    errors = []
    if len(found) > 1:
        errors.append(f"{what}: {len(found)} certificates have this fingerprint. Give more digits of it")
    elif found and found[0]["type"] == "server":
        errors.append(f"{what}: it belongs to member {found[0]['name']} of the cluster, and is LXD's own affair")
    elif not found and not params["certificate"]:
        errors.append(f"{what}: no certificate of this fingerprint is trusted. Give the certificate")
    if errors:
        raise PlanError(errors)
    before = found[0] if found else None
    after = trust.merged(before, params) if before else trust.new(params)
    errors = trust.errors_of(what, params, after)
    if errors:
        raise PlanError(errors)
    action = "create" if before is None else "none" if trust.fields(before) == after else "update"
    result: Object = {**after, "fingerprint": before["fingerprint"] if before else fingerprint}
    planned = dict(result)
    if action != "none" and not lxd.check_mode:
        if before is None:
            trust.add(lxd.client, params["certificate"], {key: value for key, value in after.items() if value != ""})
        else:
            trust.change(lxd.client, before["fingerprint"], params)
        result = shown(lxd.client.get(api_path("certificates", result["fingerprint"]))) or result
    return {
        "changed": action != "none",
        "action": action,
        "lxd_certificate": result,
        "diff": resource.diff(shown(before), planned, what),
    }


def absent(lxd: LXDModule) -> Object:
    params = lxd.params
    fingerprint = fingerprint_of(params)
    if not fingerprint and not params["name"]:
        raise PlanError(["name, fingerprint or certificate is needed: which one is to be removed"])
    what = label(params, fingerprint)
    found = trust.chosen(trust.listed(lxd.client), fingerprint, params["name"])
    errors = []
    if len(found) > 1:
        several = ", ".join(item["fingerprint"][:12] for item in found)
        errors.append(f"{what}: there are several ({several}). Give the fingerprint of the one to be removed")
    errors += [
        f"{what}: it belongs to member {item['name']} of the cluster, and goes when that does"
        for item in found
        if item["type"] == "server"
    ]
    if errors:
        raise PlanError(errors)
    void = tokens.trust_tokens(lxd.client, params["name"]) if params["name"] else []
    if not lxd.check_mode:
        for item in found:
            trust.remove(lxd.client, item)
        for operation in void:
            tokens.revoke(lxd.client, operation)
    changed = bool(found or void)
    return {
        "changed": changed,
        "action": "delete" if changed else "none",
        "lxd_certificate": None,
        "diff": resource.diff(shown(found[0]) if found else None, None, what),
    }


def token(lxd: LXDModule) -> Object:
    params = lxd.params
    if not params["name"]:
        raise PlanError(["name is needed: the one under which the client will be trusted"])
    what = f"token of {params['name']}"
    errors = trust.errors_of(what, params, trust.new(params))
    if params["certificate"] or params["fingerprint"]:
        errors.append(f"{what}: the certificate comes from the client that uses the token. Leave it out")
    if params["type"] == "metrics":
        errors.append(f"{what}: LXD makes tokens for certificates of type client only")
    if errors:
        raise PlanError(errors)
    trusted = [
        item for item in trust.chosen(trust.listed(lxd.client), None, params["name"]) if item["type"] == "client"
    ]
    result: Object = {
        "changed": False,
        "action": "none",
        "token": None,
        "lxd_certificate": shown(trusted[0]) if trusted else None,
    }
    if trusted:
        return result
    have = tokens.trust_tokens(lxd.client, params["name"])
    fitting = [operation for operation in have if trust.fits(operation, params)]
    if fitting:
        return {**result, "token": tokens.trust_token(fitting[-1])}
    result.update(changed=True, action="token")
    if not lxd.check_mode:
        for operation in have:
            tokens.revoke(lxd.client, operation)
        result["token"] = tokens.trust_token(trust.make_token(lxd.client, params))
    return result


def find_server(lxd: LXDModule) -> None:
    """Where the server is and what it shows, as the token says, unless the play does."""
    params = lxd.params
    errors = []
    if not params["client_cert"]:
        errors.append("client_cert and client_key are needed: the client that is to be trusted")
    for key in ("certificate", "fingerprint"):
        if params[key]:
            errors.append(f"{key}: the certificate that is trusted is client_cert. Leave it out")
    fields: Object = {}
    if params["trust_token"]:
        try:
            fields = tokens.decode(params["trust_token"], "client_name")
        except ValueError as exc:
            errors.append(f"trust_token: {exc}")
    elif not (params["url"] or "").startswith("https://"):
        errors.append("url is needed: the https:// address of the server whose trust_password this is")
    if params["url"] and not params["url"].startswith("https://"):
        errors.append("url: a token or a password is for https:// only. Who is at the socket is trusted")
    if errors:
        raise PlanError(errors)
    if fields and not (params["url"] and params["server_cert"]):
        at = [params["url"][len("https://") :].rstrip("/")] if params["url"] else fields["addresses"]
        address, certificate = tokens.first_at(at, fields["fingerprint"])
        params["url"] = params["url"] or f"https://{address}"
        params["server_cert"] = params["server_cert"] or certificate


def introduce(lxd: LXDModule) -> Object:
    params = lxd.params
    find_server(lxd)
    client = lxd.client
    fingerprint = fingerprint_of({**params, "certificate": params["client_cert"], "fingerprint": None}) or ""
    trusted = client.server().get("auth") == "trusted"
    after: Object = {"fingerprint": fingerprint}
    if params["trust_password"] and not trusted and client.flavour.incus:
        raise PlanError(["trust_password: Incus has no passwords. Make a token, with state token"])
    if not trusted and not lxd.check_mode:
        if params["trust_token"] and tokens.expired(
            tokens.decode(params["trust_token"], "client_name").get("expires_at")
        ):
            raise PlanError(["trust_token: it is not valid any more. Make another one, with state token"])
        # What a token gives, the server knows.
        asked = {} if params["trust_token"] else trust.new(params)
        body = {key: value for key, value in asked.items() if value not in (None, "")}
        trust.introduce(client, {"type": "client", **body}, params["trust_token"], params["trust_password"])
        if client.get("/1.0").get("auth") != "trusted":
            raise LXDError(f"LXD at {client.url} took the certificate of the client, and does not trust it.")
    if trusted or not lxd.check_mode:
        # One that is restricted may not read the trust store.
        with contextlib.suppress(LXDForbidden):
            after = shown(client.find(api_path("certificates", fingerprint))) or after
    return {
        "changed": not trusted,
        "action": "none" if trusted else "create",
        "lxd_certificate": after,
        "url": client.url,
        "server_cert": params["server_cert"],
        "diff": resource.diff(after if trusted else None, after, f"certificate {fingerprint[:12]}"),
    }


def run(lxd: LXDModule) -> Object:
    if lxd.params["trust_token"] or lxd.params["trust_password"]:
        if lxd.params["state"] != "present":
            raise PlanError(["trust_token and trust_password go with state present"])
        return introduce(lxd)
    return {"present": present, "absent": absent, "token": token}[lxd.params["state"]](lxd)


def main() -> None:
    LXDModule(SPEC, mutually_exclusive=[("trust_token", "trust_password")]).run(run)


if __name__ == "__main__":
    main()
