#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bitcoin_rpc
short_description: Call a method of bitcoind's RPC
version_added: 0.1.0
description:
  - Calls one method of bitcoind's JSON-RPC, by the node's own client, or over HTTP with the credentials of one of its users.
  - Methods that only read are called in check mode, too, and never count as a change. Methods that change something are not called in check mode, and
    count as a change. The module knows which do what, for Bitcoin Core 28 to 31 and Bitcoin Knots 29. Of a method that it does not know,
    O(changed) has to say so.
  - It is called once. Nothing is repeated by itself.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
extends_documentation_fragment:
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - A method that changes something is not called, so RV(result) is null.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - A method that changes something is called each time. Use C(when) with what a method that reads has said.
options:
  method:
    description: Name of the method.
    type: str
    required: true
  params:
    description:
      - Its parameters, a list, or a mapping by their names.
      - Keys and passphrases are refused here; they belong into O(secret_params).
    type: raw
    default: []
  secret_params:
    description:
      - Parameters that nobody may see, by their names. They come to those of O(params), which has to be a mapping then, or empty.
      - They do not appear in any log or result of this module. So that Ansible does not show them before it is called, set C(no_log) on the task.
    type: dict
  changed:
    description:
      - Whether it changes something. Needed for a method that the module does not know.
      - Of one that it knows, V(false) is taken only where that only reads.
    type: bool
  wallet:
    description: Name of the wallet that is meant, where the node has several.
    type: str
  return_secret:
    description:
      - Return an answer that holds private keys, such as that of C(listdescriptors) with C(private). Without it, such a call is refused. Set C(no_log)
        on the task.
    type: bool
    default: false
  tool:
    description:
      - Program and first arguments that lead to the node, where O(url) does not say where it is. All goes in by its standard input.
      - The P(bcm.datacenter.bitcoin_node#role) role puts it on the host of a node. It has all rights.
    type: list
    elements: str
    default: [/usr/local/bin/bitcoin-cli]
  url:
    description:
      - Where the RPC is, C(https://HOST:PORT), or C(http://HOST:PORT) on the loopback of the host where the module runs. In clear, it goes to no
        other host.
    type: str
  username:
    description: User of the RPC.
    type: str
  password:
    description: Password of the user, the site's secret C(bitcoin-rpc-NAME).
    type: str
  password_path:
    description: File with the password.
    type: path
  cookie_path:
    description: File with the node's cookie, in place of user and password.
    type: path
  ca_path:
    description: File with the certificate of the authority that signed that of O(url). Needed for HTTPS.
    type: path
  certificate_path:
    description: File with a certificate to show, where O(url) asks for one.
    type: path
  key_path:
    description: File with the key of O(certificate_path).
    type: path
  timeout:
    description: Seconds until an answer is given up. The node may still do what it was told.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: See how the chain is
  bcm.datacenter.bitcoin_rpc:
    method: getblockchaininfo
  register: chain

- name: Connect to a friend's node
  bcm.datacenter.bitcoin_rpc:
    method: addnode
    params:
      node: pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333
      command: add

- name: Ask it from another host, by one of its users
  bcm.datacenter.bitcoin_rpc:
    url: https://bitcoin-1.home.bcm.internal:8332
    ca_path: /etc/bcm/ca.pem
    certificate_path: /etc/bcm/monitor.pem
    key_path: /etc/bcm/monitor.pem
    username: monitor
    password_path: /etc/bcm/monitor.password
    method: getblockhash
    params: [100]

- name: Unlock a wallet for a minute
  bcm.datacenter.bitcoin_rpc:
    wallet: savings
    method: walletpassphrase
    params:
      timeout: 60
    secret_params:
      passphrase: "{{ savings_passphrase }}"
  no_log: true
"""

RETURN = r"""
result:
  description: What the method returned. Null in check mode where it was not called.
  returned: success
  type: raw
  sample: 0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206
called:
  description: Whether it was called.
  returned: success
  type: bool
  sample: true
"""

import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _bitcoin_methods as methods
from ansible_collections.bcm.datacenter.plugins.module_utils._bitcoin_rpc import (
    METHOD_NOT_FOUND,
    CliWay,
    HttpWay,
    Params,
    RpcError,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
WALLET = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


def params_of(params: t.Mapping[str, t.Any]) -> Params:
    """The parameters, with those that nobody may see."""
    given, secret = params["params"], params["secret_params"]
    if given in (None, ""):
        given = []
    if not isinstance(given, list | dict):
        raise RpcError(
            f"params: {type(given).__name__} is nothing that a method takes; allowed: a list, or a mapping by names"
        )
    open_ones = methods.secret_parameters(params["method"], given)
    if open_ones:
        raise RpcError(
            f"params: {', '.join(open_ones)} must not be seen; allowed: in secret_params, with no_log on the task"
        )
    if not secret:
        return given
    if isinstance(given, list):
        if given:
            raise RpcError("params: a list cannot go with secret_params, which has names; allowed: a mapping by names")
        given = {}
    twice = sorted(set(given) & set(secret))
    if twice:
        raise RpcError(f"secret_params: {', '.join(twice)} is in params, too; allowed: in one of them")
    return {**given, **secret}


def changes(method: str, said: bool | None) -> bool:
    """Whether a method changes something."""
    known = methods.METHODS.get(method)
    if known is None:
        if said is None:
            raise RpcError(
                f"changed: {method} is not known here, so it has to be said whether it changes something; allowed: true or false"
            )
        return said
    if said is False and known.changes:
        raise RpcError(f"changed: {method} changes something ({known.source}); allowed: true, or nothing")
    return known.changes or bool(said)


def checked(params: dict[str, t.Any]) -> None:
    """Refuse what cannot be meant, before anybody is asked."""
    method = params["method"]
    if not NAME.fullmatch(method):
        raise RpcError(f"method: {method!r} is no name of a method; allowed: small letters and digits")
    if params["wallet"] is not None and not WALLET.fullmatch(params["wallet"]):
        raise RpcError(f"wallet: {params['wallet']!r} is no name of a wallet")
    if params["timeout"] < 1:
        raise RpcError(f"timeout: {params['timeout']} is no time to wait; allowed: 1 or more (seconds)")
    if methods.answers_secret(method, params["params"] or []) and not params["return_secret"]:
        raise RpcError(
            f"return_secret: what {method} answers here holds private keys; allowed: true, with no_log on the task, or without private keys"
        )
    if params["url"]:
        if params["url"].startswith("https:") and not params["ca_path"]:
            raise RpcError(
                "ca_path: is missing, and without it nobody knows who answers; allowed: file with a certificate"
            )
        if not params["cookie_path"] and not (params["username"] and (params["password"] or params["password_path"])):
            raise RpcError("url: needs who asks; allowed: username with password or password_path, or cookie_path")


def explained(exc: RpcError, method: str, tool: bool) -> str:
    """What went wrong, with what there is to know about it."""
    text = str(exc)
    known = methods.METHODS.get(method)
    if exc.code == METHOD_NOT_FOUND:
        if known and known.span():
            text += f" ({method} is there in releases {known.span()})"
        elif known and known.source == "src/wallet/rpc":
            text += " (the node may run without wallets)"
    return f"{text} (code {exc.code})" if exc.code is not None and not tool else text


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "method": {"type": "str", "required": True},
            "params": {"type": "raw", "default": []},
            "secret_params": {"type": "dict", "no_log": True},
            "changed": {"type": "bool"},
            "wallet": {"type": "str"},
            "return_secret": {"type": "bool", "default": False, "no_log": False},
            "tool": {"type": "list", "elements": "str", "default": ["/usr/local/bin/bitcoin-cli"]},
            "url": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "password_path": {"type": "path", "no_log": False},
            "cookie_path": {"type": "path", "no_log": False},
            "ca_path": {"type": "path"},
            "certificate_path": {"type": "path"},
            "key_path": {"type": "path", "no_log": False},
            "timeout": {"type": "int", "default": 90},
        },
        mutually_exclusive=[
            ("cookie_path", "username"),
            ("password", "password_path"),
            ("cookie_path", "password", "password_path"),
        ],
        required_together=[("certificate_path", "key_path")],
        supports_check_mode=True,
        # What is given may be seen only after it is known that it holds no secret. Nothing of it goes to syslog.
        no_log=True,
    )
    options = module.params
    method = options["method"]
    hidden = {name: "(not shown)" if name == "params" else value for name, value in options.items()}
    try:
        checked(options)
        params = params_of(options)
        changed = changes(method, options["changed"])
        way = HttpWay(options) if options["url"] else CliWay(options, module.run_command)
        call = not (changed and module.check_mode)
        result = way.call(method, params) if call else None
    except RpcError as exc:
        module.fail_json(
            msg=f"{method}: {explained(exc, method, not options['url'])}",
            code=exc.code,
            invocation={"module_args": hidden},
        )
    # Where there is no secret among them, parameters may be seen.
    shown = {**hidden, "params": options["params"]}
    module.exit_json(changed=changed, result=result, called=call, invocation={"module_args": shown})


if __name__ == "__main__":
    main()
