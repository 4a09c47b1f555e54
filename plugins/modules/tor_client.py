#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tor_client
short_description: A tor process of one's own
version_added: 0.1.0
description:
  - Has a tor run that belongs to the user who asks for it, with its configuration and data in one private directory. It needs no
    root, no service manager, and does not touch the system's tor, so it does on a person's laptop and in a container alike.
  - It runs until the machine or container ends. A run that finds it gone starts it again.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - tor >= 0.4.3, where the module runs
attributes:
  check_mode:
    support: full
    description: Says whether it would be started, stopped or told of a new configuration.
  diff_mode:
    support: none
    description: What it reads is written by others.
  idempotent:
    support: partial
    description: A second run changes nothing, unless O(reload) is set.
options:
  directory:
    description:
      - The directory, which holds C(torrc). Nobody but the user may enter it, and it becomes the place of the control socket
        C(control), which C(torrc) has to name.
    type: path
    required: true
  state:
    description: Whether it shall run.
    type: str
    choices: [started, stopped]
    default: started
  reload:
    description: Have one that runs read its configuration and client keys anew.
    type: bool
    default: false
  forget:
    description:
      - Have one that runs forget what it knows of onions, and ask anew. Otherwise it may look for a server that was made anew where the
        old one was, for a quarter of an hour. Connections that stand are kept, and it is no change.
    type: bool
    default: false
  tor:
    description: The program.
    type: str
    default: tor
  timeout:
    description: Seconds that it may take to come into the Tor network.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: A tor for the way to our servers
  bcm.datacenter.tor_client:
    directory: "{{ lookup('ansible.builtin.env', 'HOME') }}/.config/bcm/home/onion"
    reload: "{{ configuration is changed }}"
"""

RETURN = r"""
bootstrapped:
  description: How far it has come into the network, in per cent.
  returned: success
  type: int
  sample: 100
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import (
    TorError,
    check_socket_path,
    open_control,
    start,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "reload": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "tor": {"type": "str", "default": "tor"},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    options = module.params
    directory = Path(options["directory"])
    control_path = directory / "control"
    deadline = time.monotonic() + options["timeout"]
    wanted = options["state"] == "started"
    control, changed, percent = None, False, 0
    try:
        check_socket_path(control_path)
        control = open_control(control_path)
        changed = bool(control) != wanted or (wanted and options["reload"])
        if not module.check_mode:
            if wanted and control is None:
                control = start(options["tor"], directory / "torrc", control_path, deadline)
            elif wanted and options["reload"] and control:
                control.ask("SIGNAL RELOAD")
            elif control and not wanted:
                control.halt()
        if wanted and control:
            if not module.check_mode:
                if options["forget"]:
                    control.ask("SIGNAL NEWNYM")
                control.wait_bootstrapped(deadline)
            percent = control.bootstrap()[0]
    except (TorError, OSError) as exc:
        module.fail_json(msg=f"{directory}: {exc}", changed=False)
    finally:
        if control:
            control.close()
    module.exit_json(changed=changed, bootstrapped=percent)


if __name__ == "__main__":
    main()
