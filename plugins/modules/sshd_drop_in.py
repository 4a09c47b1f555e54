#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_drop_in
short_description: Write a drop-in of sshd that is known to be valid
version_added: 0.1.0
description:
  - Writes one file of C(/etc/ssh/sshd_config.d). Before it is in its place, sshd itself checks the whole configuration as it would
    be with it, in a copy. What sshd would not start with is refused, and nothing is touched.
  - The main configuration is never written. Where it does not include the directory, that is an error.
  - What sshd would do is told by RV(effective), and which of the drop-in's settings are overruled from elsewhere by RV(overruled).
  - A running sshd is left alone. It takes the file when it is reloaded.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
attributes:
  check_mode:
    support: full
    description: Checks the configuration and says what would change, without changing it.
  diff_mode:
    support: full
    description: Shows the difference of the file.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  path:
    description:
      - The file. Sshd takes the first value that it reads of a setting, and reads the files in the order of their names.
    type: path
    required: true
  content:
    description: What stands in it. Needed with O(state=present).
    type: str
  state:
    description: Whether the file is there.
    type: str
    choices: [present, absent]
    default: present
  config:
    description: The main configuration, which has to include O(path).
    type: path
    default: /etc/ssh/sshd_config
notes:
  - In check mode, on a machine without sshd, nothing can be checked; RV(effective) is empty then.
"""

EXAMPLES = r"""
- name: No passwords
  bcm.datacenter.sshd_drop_in:
    path: /etc/ssh/sshd_config.d/00-keys-only.conf
    content: |
      PasswordAuthentication no
      KbdInteractiveAuthentication no
  register: result

- name: Have sshd read it
  ansible.builtin.systemd_service:
    name: ssh.service
    state: reloaded
  when: result is changed
"""

RETURN = r"""
differs:
  description: Whether the file was, or is, not as asked for. The same as RV(ignore:changed), for tasks that say C(changed_when).
  returned: success
  type: bool
effective:
  description: What sshd says of the whole configuration, with the drop-in as asked for. Each setting has a list of values.
  returned: success
  type: dict
  sample: {port: ["22"], passwordauthentication: ["no"]}
overruled:
  description: Settings of the drop-in that do not count, because something that is read before says otherwise, in words.
  returned: success
  type: list
  elements: str
"""

import contextlib
import fnmatch
import shlex
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file

PROGRAM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin"
# Without it sshd checks nothing. Where systemd starts sshd for each connection it may not be there yet.
RUN_DIRECTORY = Path("/run/sshd")
# What is written and printed in the same words. Times, sizes and lists of algorithms are not.
PLAIN = {"yes": "yes", "no": "no", "prohibit-password": "without-password", "without-password": "without-password"}


class DropInError(Exception):
    """A drop-in that cannot be."""


def words(line: str) -> list[str]:
    """Keyword and arguments of a line, the keyword in small letters."""
    try:
        found = shlex.split(line.replace("=", " ", 1) if "=" in line.split('"')[0] else line, comments=True)
    except ValueError:
        found = line.split()
    return [found[0].lower(), *found[1:]] if found else []


def redirected(text: str, path: Path, copy: Path, config: Path) -> str:
    """The main configuration with the includes of the drop-in's directory led to its copy."""
    lines, included, matched = [], False, False
    for line in text.splitlines():
        word = words(line)
        matched = matched or word[:1] == ["match"]
        if word[:1] == ["include"]:
            patterns = []
            for pattern in word[1:]:
                whole = Path(config.parent, pattern)
                if whole.parent == path.parent:
                    included = included or (not matched and fnmatch.fnmatch(path.name, whole.name))
                    whole = copy / whole.name
                patterns.append(str(whole))
            lines.append("Include " + " ".join(f'"{pattern}"' for pattern in patterns))
        else:
            lines.append(line)
    if not included:
        raise DropInError(
            f"{config} does not include {path}, so nothing that stands there would count. It is not ours to change: put the line "
            f"'Include {path.parent}/*.conf' at its top, then run this again. Nothing was touched."
        )
    return "\n".join(lines) + "\n"


def settings(text: str) -> dict[str, list[str]]:
    """What `sshd -T` prints."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _blank, value = line.partition(" ")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def overruled(content: str, effective: dict[str, list[str]]) -> list[str]:
    """Settings of the drop-in, as far as they can be compared, that are not what sshd would do."""
    told, seen = [], set()
    for line in content.splitlines():
        word = words(line)
        if word[:1] == ["match"]:
            break
        if len(word) != 2 or word[0] in seen or word[0] not in effective or word[1].lower() not in PLAIN:
            continue
        seen.add(word[0])
        now = effective[word[0]][0].lower()
        if PLAIN.get(now, now) != PLAIN[word[1].lower()]:
            told.append(f"{line.strip()} does not count: something that sshd reads before says {now}")
    return told


class Sshd:
    """The program that decides."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with contextlib.suppress(OSError):
            RUN_DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def effective(self, config: Path, path: Path, content: str | None) -> dict[str, list[str]]:
        """What it would do with the drop-in, and DropInError where it would do nothing."""
        with tempfile.TemporaryDirectory(prefix="ansible-sshd-") as temporary:
            copy, main = Path(temporary, "d"), Path(temporary, "sshd_config")
            main.write_text(redirected(config.read_text(), path, copy, config))
            if path.parent.is_dir():
                shutil.copytree(path.parent, copy, ignore_dangling_symlinks=True)
            copy.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                Path(copy, path.name).unlink()
            if content is not None:
                Path(copy, path.name).write_text(content)
            for mode in ("-t", "-T"):
                status, out, err = self.run(mode, "-f", str(main))
                if status:
                    said = err.strip().replace(str(copy), str(path.parent)).replace(str(main), str(config))
                    raise DropInError(f"sshd would not start with {path} as asked for: {said} Nothing was touched.")
        return settings(out)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "config": {"type": "path", "default": "/etc/ssh/sshd_config"},
        },
        required_if=[("state", "present", ["content"])],
        supports_check_mode=True,
    )
    path, config = Path(module.params["path"]), Path(module.params["config"])
    content: str | None = module.params["content"] if module.params["state"] == "present" else None
    effective: dict[str, list[str]] = {}
    program = shutil.which("sshd", path=PROGRAM_PATH)
    try:
        if program and config.is_file():
            effective = Sshd(program).effective(config, path, content)
        elif content is not None and not module.check_mode:
            raise DropInError(f"There is no sshd with a {config} on this machine. Install openssh-server first.")
        before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        differs = before != content
        if differs and not module.check_mode:
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(exist_ok=True)
                whole_file.write(path, content, 0o644)
    except (DropInError, OSError, subprocess.TimeoutExpired) as exc:
        module.fail_json(msg=str(exc))
    result: dict[str, t.Any] = {
        "changed": differs,
        "differs": differs,
        "effective": effective,
        "overruled": overruled(content or "", effective),
    }
    if module._diff:
        result["diff"] = {
            "before": before or "",
            "after": content or "",
            "before_header": str(path),
            "after_header": str(path),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
