# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""How a connection lets become through: it answers the question for a password once, before the command's own input."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes, to_text


class Dialogue(t.Protocol):
    """A command that runs: what it has said so far, and a way to answer."""

    stdout: bytearray

    @property
    def errors(self) -> bytes: ...

    @property
    def over(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def poll(self, timeout: float) -> t.Any: ...


def pass_become(become: t.Any, play_context: t.Any, process: Dialogue, seconds: float, instance: str) -> None:
    """Wait until become has let the command through. Raises an AnsibleError where it will not."""
    deadline = time.monotonic() + seconds
    asked = False
    while not become.check_success(bytes(process.stdout)):
        output = bytes(process.stdout), process.errors
        if any(become.check_incorrect_password(text) for text in output):
            raise AnsibleError(f"Incorrect {become.name} password")
        if any(become.check_missing_password(text) for text in output):
            raise AnsibleError(f"Missing {become.name} password")
        if process.over:
            # Whatever become had to say is in the output, and its status tells of the failure.
            return
        if not asked and any(become.check_password_prompt(text) for text in output):
            password = become.get_option("become_pass", playcontext=play_context)
            if password is None:
                raise AnsibleError(
                    f"{become.name} asks for a password in instance {instance!r}. Set ansible_become_password."
                )
            process.write(to_bytes(password, errors="surrogate_or_strict") + b"\n")
            asked = True
        left = deadline - time.monotonic()
        if left <= 0:
            raise AnsibleConnectionFailure(
                f"{become.name} in instance {instance!r} has not let the command through within {seconds:g} s: "
                f"{to_text(process.errors or bytes(process.stdout)).strip()}"
            )
        process.poll(left)


def without_become(become: t.Any, stdout: bytes, stderr: bytes) -> tuple[bytes, bytes]:
    """What the command itself said."""
    stdout = become.strip_become_success(become.strip_become_prompt(stdout))
    return stdout, become.strip_become_prompt(stderr)
