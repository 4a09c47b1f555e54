# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give 5 MB to `cat` behind a password of su, and compare what comes back.

piped_become.py INSTANCE PROJECT USER, with the password on standard input
"""

from __future__ import annotations

import os
import sys

from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader, get_shell_plugin, init_plugin_loader


def main() -> str | None:
    instance, project, user = sys.argv[1:]
    init_plugin_loader()
    connection = connection_loader.get("bcm.datacenter.lxd", PlayContext())
    connection.set_options(
        direct={"remote_addr": instance, "project": project, "lxd_timeout": 30, "executable": "/bin/sh"}
    )
    become = become_loader.get("ansible.builtin.su")
    become.set_options(direct={"become_user": user, "become_pass": sys.stdin.read()})
    connection.set_become_plugin(become)
    command = become.build_become_command("cat", get_shell_plugin(shell_type="sh", executable="/bin/sh"))
    # The first byte is none of those that separate what su prints from what the command does.
    given = b"." + os.urandom(5_000_000)
    status, stdout, stderr = connection.exec_command(command, in_data=given)
    connection.close()
    if status or stdout.lstrip(b"\r\n") != given or stderr:
        return f"status {status}, {len(stdout)} bytes of {len(given)}, on stderr: {stderr!r}"
    return None


sys.exit(main())
