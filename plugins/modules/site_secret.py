#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site_secret
short_description: Make the secrets of a site once, and read them ever after
description:
  - Keeps the secrets of a site in a store on the host that it runs on, which is the site's leader. Whoever operates
    the site gets the same ones, without a file on the controller. An Ansible vault on the controller can take its place.
  - Of a site on several endpoints each has a copy of all secrets (O(endpoints)), so that none of them is needed. A secret counts as
    made when it is on more than half of them. One that was away gets what it missed by the next run.
  - A secret is made when it is asked for the first time. Two runs at once make one secret, and a run that is killed
    leaves a whole secret or none.
  - The store remembers which secrets were made in it. One that was made and is gone is an error, never made anew.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
attributes:
  check_mode:
    support: full
    description: Makes nothing. For a secret that would be made, a value is returned that says so.
  diff_mode:
    support: none
    description: Secrets are not shown.
  idempotent:
    support: full
    description: A secret that exists is returned as it is.
options:
  site:
    description: Name of the site.
    type: str
    required: true
  secrets:
    description:
      - The secrets that are wanted.
      - With O(state=absent) and without this, all secrets of the site are removed.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the secret, of small letters, digits, dots, dashes and underscores.
        type: str
        required: true
      kind:
        description:
          - V(hex) and V(base64) are random bytes in that form, V(password) is letters and digits.
          - V(text) is a secret that comes from elsewhere, given in O(secrets[].value).
          - V(rpcauth) is the line for bitcoind's C(rpcauth) option, with the hash of another secret. What is stored is
            its salt, so that the line stays the same.
        type: str
        choices: [hex, base64, password, text, rpcauth]
        default: password
      length:
        description: Number of random bytes, of a V(password) the number of its characters.
        type: int
        default: 32
      value:
        description: The value of a V(text), stored unless there is one already.
        type: str
      update:
        description: Replace a V(text) that is stored by the O(secrets[].value) given.
        type: bool
        default: false
      replaces:
        description:
          - With O(secrets[].update), the value that the new one was made from, empty where there was none. If another run has
            written something else meanwhile, that is an error, and nothing is written.
        type: str
      user:
        description: User of the V(rpcauth) line.
        type: str
      password:
        description: Name of the secret, in this list or in the store, that is the password of the V(rpcauth) line.
        type: str
  state:
    description:
      - V(present) makes what is missing and returns all. V(read) returns all and fails if one is missing.
      - V(found) returns those that exist.
      - V(copied) returns none. It has all O(endpoints) that answer have a copy of each secret of the site.
      - V(absent) removes them, and needs O(confirm).
    type: str
    choices: [present, read, found, copied, absent]
    default: present
  may_create:
    description:
      - Say V(false) when the site exists already. Then a store without any secret is an error, because it was lost or
        is looked for in the wrong place, and new secrets would not fit the site's data.
      - A secret that the store never had, of a part that was added to the site, is made all the same.
    type: bool
    default: true
  confirm:
    description: The name of the site once more, for O(state=absent).
    type: str
  backend:
    description:
      - V(directory) is files of root on this host. V(pass) is the password manager of the user that runs this.
      - V(vault) is one file on the controller, encrypted as a whole by Ansible Vault with the password that Ansible was
        given (C(--vault-id), E(ANSIBLE_VAULT_PASSWORD_FILE)). It can be read and edited with C(ansible-vault), and
        every operator of the site needs it. The host of the task plays no part.
    type: str
    choices: [directory, pass, vault]
    default: directory
  directory:
    description: Where V(directory) keeps the sites, each in a directory of its name with its C(secrets) in it.
    type: path
    default: /var/lib/bcm/sites
  endpoints:
    description:
      - Hosts of the inventory, each of which has a V(directory) with a copy of all secrets. All of them are asked, and the host of the
        task plays no part.
      - Where two have different values for the same secret, and neither has only missed what became of it, nothing is changed, and the
        error names both.
      - What is missing is not made anew while one of them does not answer and may have it.
    type: list
    elements: str
  leaving:
    description:
      - With O(state=copied), one of O(endpoints) that is about to leave the site. The others get what it alone has, and then its own
        copies are removed. All have to answer.
    type: str
  prefix:
    description: Folder in the password store of V(pass).
    type: str
    default: bcm
  vault:
    description:
      - The file of V(vault), on the controller. It is made if it is not there, and belongs to one site.
    type: path
  vault_id:
    description: The vault identity whose password encrypts. By default Ansible's own choice.
    type: str
  _copy:
    description: What the module's own action plugin asks of one endpoint. Nobody else can make use of it.
    type: dict
notes:
  - What the task does not say of O(backend), O(directory), O(endpoints), O(prefix), O(vault) and O(vault_id) is taken from the
    variable C(bcm_secrets), which the inventory plugin P(bcm.datacenter.site#inventory) sets from the declaration. Where that says
    V(directory), O(endpoints) are the hosts of the group C(lxd_candidates), which are all endpoints of a site that has several.
  - The result holds the secrets. The task must have C(no_log), or the module refuses to return them.
"""

EXAMPLES = r"""
- name: Have the secrets of the node
  bcm.datacenter.site_secret:
    site: home
    may_create: "{{ not site_exists }}"
    secrets:
      - name: bitcoin-rpc-lnd
        kind: password
      - name: bitcoin-rpc-lnd-auth
        kind: rpcauth
        user: lnd
        password: bitcoin-rpc-lnd
  register: node_secrets
  delegate_to: "{{ groups['lxd_leader'] | first }}"
  no_log: true

- name: Keep the key that unlocks the Swarm
  bcm.datacenter.site_secret:
    site: home
    secrets:
      - name: swarm-unlock-key
        kind: text
        value: "{{ swarm.swarm_facts.UnlockKey }}"
        update: true
  no_log: true

- name: Have a secret in an Ansible vault beside the declaration
  bcm.datacenter.site_secret:
    site: home
    backend: vault
    vault: "{{ inventory_dir }}/.secrets.vault"
    secrets:
      - name: bitcoin-rpc-lnd
  no_log: true

- name: Have a copy of each secret on every endpoint
  bcm.datacenter.site_secret:
    site: home
    state: copied
    endpoints: [server-1, server-2, server-3]

- name: Forget all secrets of the site
  bcm.datacenter.site_secret:
    site: home
    state: absent
    confirm: home
"""

RETURN = r"""
secrets:
  description: The secrets by name. In check mode, one that would be made has a value that says so.
  returned: when O(state) is V(present), V(read) or V(found)
  type: dict
  sample: {}
made:
  description: Names of the secrets that were made or updated, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [bitcoin-rpc-lnd]
copied:
  description: By the endpoints that lacked something, the names of the secrets that they were given, or would be in check mode.
  returned: with O(endpoints)
  type: dict
  sample: {server-2: [bitcoin-rpc-lnd]}
silent:
  description: The endpoints that do not answer, each with the reason.
  returned: with O(endpoints)
  type: dict
  sample: {server-3: "Failed to connect to the host via ssh: No route to host"}
removed:
  description: Names of the secrets that were removed, or would be in check mode. With O(leaving), those that were removed there.
  returned: always
  type: list
  elements: str
  sample: []
store:
  description: Where the secrets lie.
  returned: always
  type: str
  sample: /var/lib/bcm/sites/home/secrets
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_copy import CopyStore, serve
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import (
    DirectoryStore,
    PassStore,
    Store,
    StoreError,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import ARGUMENT_SPEC, REQUIRED_IF, work


def answer_controller(module: AnsibleModule) -> None:
    """The action plugin asks each endpoint by itself, and decides."""
    options = module.params
    if not module.no_log or (module.check_mode and options["_copy"]["do"] != "look"):
        module.fail_json(msg="This is asked by the action plugin alone: call the module by its full name, in a task.")
    try:
        answer = serve(CopyStore(options["directory"], options["site"]), options["_copy"])
    except (StoreError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=options["_copy"]["do"] != "look", **answer)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True)
    options = module.params
    if options["_copy"]:
        answer_controller(module)
        return

    def open_store() -> Store:
        if options["backend"] == "vault":
            raise StoreError("A vault is opened on the controller: call the module by its full name, in a task.")
        if options["backend"] == "pass":
            return PassStore(options["prefix"], options["site"])
        return DirectoryStore(options["directory"], options["site"])

    if options["endpoints"]:
        module.fail_json(msg="Endpoints are asked by the controller: call the module by its full name, in a task.")
    try:
        result = work(options, open_store, module.check_mode, module.no_log)
    except (StoreError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
