#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Raise the kernel's limits where they fall short
version_added: 0.1.0
description:
  - Raises settings of the kernel that are smaller than asked for, now and at each start of the machine. One that is as large
    or larger is left alone, and is not written down, so that whoever set it stays in charge of it.
  - What this machine must not change, such as a container its host's kernel, is told by RV(findings), and is no error.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
attributes:
  check_mode:
    support: full
    description: Says what would be raised, without raising it.
  diff_mode:
    support: full
    description: Shows the settings that are raised, with both values.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  least:
    description: The least value of each setting, a number, by the name that C(sysctl) knows it by.
    type: dict
    required: true
  path:
    description: The file in C(/etc/sysctl.d) that raises them at each start. It holds nothing else, and goes when it is not needed.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Room for many containers
  bcm.datacenter.kernel_settings:
    path: /etc/sysctl.d/99-containers.conf
    least:
      fs.inotify.max_user_instances: 8192
      kernel.keys.maxkeys: 2000
  register: result

- name: Say what has to be raised elsewhere
  ansible.builtin.debug:
    msg: "{{ result.findings }}"
"""

RETURN = r"""
raised:
  description: Settings that were raised, with their old values, or would be in check mode.
  returned: success
  type: dict
  sample: {fs.inotify.max_user_instances: 128}
findings:
  description: What falls short and cannot be changed from here, in words.
  returned: success
  type: list
  elements: str
"""

import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file

HEAD = "# Written by Ansible; what you change here is lost with the next run.\n"


class SettingError(Exception):
    """A setting that is not a number, or is none at all."""


def wanted(least: dict[str, t.Any]) -> dict[str, int]:
    """What was asked for, as numbers."""
    numbers = {}
    for name, value in least.items():
        if isinstance(value, bool) or not str(value).isdecimal():
            raise SettingError(f"{name}: {value!r} is not a number.")
        numbers[name] = int(value)
    return numbers


class Kernel:
    """Settings below a directory such as /proc/sys."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _file(self, name: str) -> Path:
        return self.root / name.replace(".", "/")

    def value(self, name: str) -> int | None:
        """The value that it has, None for a setting that this kernel does not have."""
        try:
            text = self._file(name).read_text().strip()
        except OSError:
            return None
        if not text.isdecimal():
            raise SettingError(f"{name}: its value {text!r} is not one number.")
        return int(text)

    def may_set(self, name: str) -> bool:
        return os.access(self._file(name), os.W_OK)

    def set(self, name: str, value: int) -> None:
        self._file(name).write_text(f"{value}\n")


class Plan:
    """What there is to raise, and what cannot be raised."""

    def __init__(self, kernel: Kernel, least: dict[str, int], kept: set[str]) -> None:
        self.raised: dict[str, int] = {}
        self.findings: list[str] = []
        lines = []
        for name, value in sorted(least.items()):
            now = kernel.value(name)
            short = now is not None and now < value
            if now is None:
                self.findings.append(f"{name} should be at least {value}, and this kernel has no such setting")
            elif short and not kernel.may_set(name):
                self.findings.append(f"{name} is {now}, should be at least {value}, and cannot be changed from here")
            elif short:
                self.raised[name] = now
            # One that was raised before would fall short again at the next start.
            if name in self.raised or (name in kept and kernel.may_set(name)):
                lines.append(f"{name} = {value}\n")
        self.text = HEAD + "".join(lines) if lines else ""


def kept_in(text: str) -> set[str]:
    """Names of the settings in a file of this module."""
    return {line.partition("=")[0].strip() for line in text.splitlines() if "=" in line and not line.startswith("#")}


def write(path: Path, text: str) -> None:
    """The file, and none without a setting."""
    if not text:
        path.unlink()
        return
    path.parent.mkdir(exist_ok=True)
    whole_file.write(path, text, 0o644)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"least": {"type": "dict", "required": True}, "path": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    kernel, path = Kernel(Path("/proc/sys")), Path(module.params["path"])
    try:
        least = wanted(module.params["least"])
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        plan = Plan(kernel, least, kept_in(before))
    except SettingError as exc:
        module.fail_json(msg=str(exc))
    if not module.check_mode:
        # The file first: a run that is killed between the two is made good by the next start, or by the next run.
        if plan.text != before:
            write(path, plan.text)
        for name in plan.raised:
            try:
                kernel.set(name, least[name])
            except OSError as exc:
                module.fail_json(msg=f"{name} could not be set to {least[name]}: {exc}")
    result: dict[str, t.Any] = {
        "changed": bool(plan.raised) or plan.text != before,
        "raised": plan.raised,
        "findings": plan.findings,
    }
    if module._diff:
        result["diff"] = {
            "before": {name: plan.raised[name] for name in plan.raised},
            "after": {name: least[name] for name in plan.raised},
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
