#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tor_info
short_description: Look how far a tor is in its network, and what stands in its way
version_added: 0.1.0
description:
  - Asks the system's tor by its control socket, and where it is not in its network says why, in plain words, and what to do - the
    clock, the network, a bridge, the program of a transport.
  - A tor that does not run is a result, not a failure.
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
options:
  control:
    description: Its control socket. Where it asks for a cookie, that is read.
    type: path
    default: /run/tor/control
  socks:
    description: Where its SOCKS port has to answer this host, C(ADDRESS:PORT). By default that is not looked at.
    type: str
    default: ''
  timeout:
    description: Seconds that it is given to come into its network. By default it is asked once.
    type: int
    default: 0
  unit:
    description: The systemd unit whose journal is read where tor itself does not say enough.
    type: str
    default: tor@default.service
"""

EXAMPLES = r"""
- name: Wait until tor is in its network
  bcm.datacenter.tor_info:
    timeout: 180
  register: tor
  failed_when: tor.cause | length > 0
"""

RETURN = r"""
ready:
  description: Whether it is in its network, and all that was asked for answers.
  returned: success
  type: bool
running:
  description: Whether it answers on its control socket.
  returned: success
  type: bool
version:
  description: Its version.
  returned: success
  type: str
  sample: 0.4.9.11
bootstrapped:
  description: How far it has come, in per cent.
  returned: success
  type: int
  sample: 100
phase:
  description: The same in its own words.
  returned: success
  type: str
  sample: Done
circuits:
  description: Whether circuits stand.
  returned: success
  type: bool
live:
  description: Whether it has heard of the network lately.
  returned: success
  type: bool
cause:
  description: Why it is not ready, in plain words; empty if it is.
  returned: success
  type: str
  sample: the clock of this host is 2 hours behind the time that the Tor network has
hint:
  description: What a person can do.
  returned: success
  type: str
note:
  description: All of it in one line.
  returned: success
  type: str
  sample: tor 0.4.9.11, 100 %
"""

import subprocess
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._tor_state import await_tor, greets

LINES = "400"


def journal(unit: str) -> list[str]:
    """What the process that runs now, or ran last, has said."""

    def run(*argv: str) -> str:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    try:
        since = run(
            "systemctl", "show", "--property=ExecMainStartTimestamp", "--timestamp=unix", "--value", unit
        ).strip()
        asked = ["journalctl", f"--unit={unit}", "--output=cat", "--quiet", f"--lines={LINES}"]
        if since.startswith("@"):
            asked.append(f"--since={since}")
        return run(*asked).splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return []


def look(control: Path, socks: str, timeout: int, unit: str) -> dict[str, t.Any]:
    """All of it."""
    found = await_tor(control, timeout, lambda: journal(unit))
    if socks and not found["cause"]:
        host, _colon, port = socks.rpartition(":")
        found["cause"] = greets(host, int(port))
        if found["cause"]:
            found["hint"] = (
                "Somebody else may have the port, or SocksPolicy does not know this host. journalctl -u tor@default says more."
            )
    far = f"{found['bootstrapped']} %" + (f", {found['phase']}" if found["bootstrapped"] < 100 else "")
    note = f"tor {found['version']}, {far}" if found["running"] else "tor does not run"
    return {**found, "ready": not found["cause"], "note": note}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "control": {"type": "path", "default": "/run/tor/control"},
            "socks": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 0},
            "unit": {"type": "str", "default": "tor@default.service"},
        },
        supports_check_mode=True,
    )
    options = module.params
    host, _colon, port = options["socks"].rpartition(":")
    if options["socks"] and not (host and port.isdigit() and 0 < int(port) < 65536):
        module.fail_json(msg=f"socks is {options['socks']!r}. Allowed is ADDRESS:PORT, such as 127.0.0.1:9050.")
    found = look(Path(options["control"]), options["socks"], options["timeout"], options["unit"])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
