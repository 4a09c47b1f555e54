#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write many small files in one task
description:
  - Brings a list of files, directories and symbolic links into the stated form, with one connection to the host.
    What M(ansible.builtin.copy) and M(ansible.builtin.file) do with two or three round trips for every file, this
    does with one for all of them.
  - Contents come as text, usually from the P(ansible.builtin.template#lookup) lookup, or as Base64.
  - A file is replaced as a whole or not at all. One that is already as it should be is not written.
  - The whole list is checked before anything is touched, and is then worked off in its order.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
attributes:
  check_mode:
    support: full
    description: Says what would change, without changing it.
  diff_mode:
    support: full
    description: Shows the difference of contents and attributes, except of files that are O(files[].sensitive).
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  files:
    description: What shall stand on the host.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      state:
        description:
          - With V(file), a regular file with the given content. A symbolic link in its place is replaced.
          - Without content, V(file) demands that the file exists and sets its attributes alone.
          - With V(directory), a directory. With V(link), a symbolic link to O(files[].src).
          - With V(absent), nothing. A directory goes with all that is in it.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content:
        description: The text of the file, stored as UTF-8, to the last byte as given.
        type: str
      content_base64:
        description: The content of the file in Base64, for what is not text.
        type: str
      src:
        description: What the link points to.
        type: str
      mode:
        description:
          - Permissions in octal, as a string.
          - What exists keeps its own when this is not given. New files get V(0644), V(0600) if they are
            O(files[].sensitive), and new directories V(0755).
        type: raw
      owner:
        description: Name or number of the owner.
        type: str
      group:
        description: Name or number of the group.
        type: str
      sensitive:
        description: The content is a secret, which appears in no diff, result or log.
        type: bool
        default: false
      stamped:
        description: The entry counts for RV(digest). Say V(false) of one that is in force by being written.
        type: bool
        default: true
  parents:
    description: Create the directories above an entry that do not exist.
    type: bool
    default: false
  directory_mode:
    description: Permissions of directories that O(parents) creates.
    type: raw
    default: "0755"
  stamp:
    description:
      - A file in which RV(digest) is kept by whoever puts the files in force, as the last step of doing so.
      - RV(pending) then tells whether these very files have been put in force. That nothing changed does not tell it,
        where an earlier run was killed in between.
    type: path
notes:
  - An owner, group or parent directory that does not exist is an error, but not in check mode, where an earlier
    task would have made it.
"""

EXAMPLES = r"""
- name: Write the configuration of the proxy
  bcm.datacenter.files:
    parents: true
    files:
      - path: /etc/squid/squid.conf
        content: "{{ lookup('ansible.builtin.template', 'squid.conf.j2') }}"
        mode: "0644"
      - path: /etc/squid/allowed
        content: "{{ egress_proxy_allowed | join('\n') }}\n"
        mode: "0644"
      - path: /etc/squid/password
        content: "{{ egress_proxy_password }}"
        mode: "0640"
        group: proxy
        sensitive: true
      - path: /etc/squid/conf.d/debian.conf
        state: absent
  notify: Reload squid
"""

RETURN = r"""
changed_paths:
  description: Paths of the entries that were changed, or would be in check mode. Handlers and conditions can look here.
  returned: always
  type: list
  elements: str
  sample: [/etc/squid/squid.conf]
digest:
  description: A hash of all that O(files) asks for, except of entries whose O(files[].stamped) is V(false).
  returned: success
  type: str
pending:
  description: Whether O(stamp) holds another digest, or none.
  returned: when O(stamp) is given
  type: bool
"""

import base64
import binascii
import contextlib
import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
import tempfile
import typing as t
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DIFF_LIMIT = 100 * 1024
HIDDEN = "(hidden)"


class EntryError(Exception):
    """An entry that cannot be brought into the stated form."""


@dataclass
class Entry:
    """What shall stand at a path."""

    path: str
    state: str
    content: bytes | None
    src: str | None
    mode: int | None
    owner: str | None
    group: str | None
    sensitive: bool
    stamped: bool = field(default=True, repr=False)


@dataclass
class Found:
    """What stands at a path now."""

    kind: str = "absent"
    content: bytes | None = None
    src: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def parse_mode(value: t.Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"0?o?[0-7]{3,4}", value):
        return int(value.replace("o", ""), 8)
    raise EntryError(f"{where}: mode {value!r} is not an octal number in quotes, such as '0644'.")


def parse_entry(item: dict[str, t.Any]) -> Entry:
    """Check one entry by itself, without looking at the host."""
    path, state = os.path.normpath(item["path"]), item["state"]
    if not path.startswith("/"):
        raise EntryError(f"{path}: the path is not absolute.")
    if path == "/":
        raise EntryError("/: the root directory is no entry.")
    given = [key for key in ("content", "content_base64") if item.get(key) is not None]
    if len(given) > 1:
        raise EntryError(f"{path}: content and content_base64 exclude each other.")
    if given and state != "file":
        raise EntryError(f"{path}: {given[0]} goes with state file, not {state}.")
    if (item.get("src") is not None) != (state == "link"):
        raise EntryError(f"{path}: src is needed for state link, and for that alone.")
    if state in ("link", "absent") and item.get("mode") is not None:
        raise EntryError(f"{path}: state {state} takes no mode.")
    content = None
    if item.get("content") is not None:
        content = item["content"].encode("utf-8", "surrogateescape")
    elif item.get("content_base64") is not None:
        try:
            content = base64.b64decode("".join(item["content_base64"].split()), validate=True)
        except binascii.Error as exc:
            raise EntryError(f"{path}: content_base64 is not Base64 ({exc}).") from exc
    return Entry(
        path,
        state,
        content,
        item.get("src"),
        parse_mode(item.get("mode"), path),
        item.get("owner"),
        item.get("group"),
        bool(item.get("sensitive")),
        bool(item.get("stamped", True)),
    )


def parse_entries(items: list[dict[str, t.Any]]) -> list[Entry]:
    """All entries, or one error that tells everything that is wrong with them."""
    entries, errors, seen = [], [], set()
    for item in items:
        try:
            entry = parse_entry(item)
        except EntryError as exc:
            errors.append(str(exc))
            continue
        if entry.path in seen:
            errors.append(f"{entry.path}: stands in the list twice.")
        seen.add(entry.path)
        entries.append(entry)
    if errors:
        raise EntryError("\n".join(errors))
    return entries


def digest_of(entries: list[Entry]) -> str:
    """A hash of all that the entries ask for which have to be put in force."""
    asked = "\n".join(repr(entry) for entry in entries if entry.stamped)
    return hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()


def is_pending(stamp: str, digest: str) -> bool:
    """Whether the files of this digest have not been put in force."""
    try:
        return Path(stamp).read_text(encoding="utf-8") != digest
    except OSError:
        return True


def look(path: str, with_content: bool) -> Found:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Found()
    except NotADirectoryError as exc:
        raise EntryError(f"{path}: a file stands where one of its directories should be.") from exc
    found = Found("other", None, None, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    if stat.S_ISREG(status.st_mode):
        found.kind = "file"
        if with_content:
            found.content = Path(path).read_bytes()
    elif stat.S_ISDIR(status.st_mode):
        found.kind = "directory"
    elif stat.S_ISLNK(status.st_mode):
        found.kind, found.src = "link", os.readlink(path)  # noqa: PTH115 - Path would rewrite "./x" as "x"
    return found


def number_of(name: str | None, database: str, where: str) -> int | None:
    """The number of a user or group; -1 for one that does not exist."""
    if name is None:
        return None
    if re.fullmatch(r"[0-9]+", name):
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if database == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def describe(kind: str, src: str | None, mode: int | None, owner: t.Any, group: t.Any) -> str:
    """The attributes of an entry as text, for a diff."""
    if kind == "absent":
        return ""
    lines = [f"state: {kind}"]
    if src is not None:
        lines.append(f"src: {src}")
    if mode is not None and kind != "link":
        lines.append(f"mode: '{mode:04o}'")
    if owner is not None:
        lines.append(f"owner: {owner}")
    if group is not None:
        lines.append(f"group: {group}")
    return "\n".join(lines) + "\n"


def text_for_diff(content: bytes | None) -> str:
    if content is None:
        return ""
    if len(content) > DIFF_LIMIT:
        return f"({len(content)} bytes, too long to show)\n"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return f"({len(content)} bytes, not text)\n"
    return f"({len(content)} bytes, not text)\n" if "\0" in text else text


class Files:
    """Compares the entries with the host, and applies the difference."""

    def __init__(self, check_mode: bool, parents: bool, directory_mode: int) -> None:
        self.check_mode = check_mode
        self.parents = parents
        self.directory_mode = directory_mode
        self.changed_paths: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def handle(self, entry: Entry) -> None:
        found = look(entry.path, with_content=entry.content is not None)
        self._refuse(entry, found)
        uid = self._number(entry, "owner")
        gid = self._number(entry, "group")
        mode = entry.mode
        if mode is None and entry.state != found.kind:
            mode = {"file": 0o600 if entry.sensitive else 0o644, "directory": 0o755}.get(entry.state)
        content_differs = entry.content is not None and entry.content != found.content
        attributes_differ = (
            entry.state != found.kind
            or (entry.state == "link" and entry.src != found.src)
            or (
                entry.state != "absent"
                and any(
                    wanted is not None and wanted != actual
                    for wanted, actual in ((mode, found.mode), (uid, found.uid), (gid, found.gid))
                )
            )
        )
        if not content_differs and not attributes_differ:
            return
        if not self.check_mode:
            self._apply(entry, found, mode, uid, gid, content_differs)
        self.changed_paths.append(entry.path)
        self._tell(entry, found, mode, content_differs, attributes_differ)

    def _refuse(self, entry: Entry, found: Found) -> None:
        """What must not be replaced silently."""
        if entry.state == "absent" or found.kind in ("absent", "link", entry.state):
            bare = entry.state == "file" and entry.content is None and found.kind != "file"
            if bare and not self.check_mode:
                raise EntryError(f"{entry.path}: the file does not exist and no content was given.")
            if entry.state == "directory" and found.kind == "link":
                if Path(entry.path).is_dir():
                    raise EntryError(f"{entry.path}: is a symbolic link to a directory. Name the directory itself.")
                raise EntryError(f"{entry.path}: is a symbolic link. Remove it first, with state absent.")
            return
        if entry.state == "link" and found.kind == "file":
            return
        raise EntryError(f"{entry.path}: is a {found.kind}, and shall become a {entry.state}. Remove it first.")

    def _number(self, entry: Entry, database: str) -> int | None:
        name = getattr(entry, database)
        number = number_of(name, database, entry.path)
        if number == -1 and not self.check_mode:
            raise EntryError(f"{entry.path}: the {database} {name!r} does not exist on this host.")
        return number

    def _apply(
        self, entry: Entry, found: Found, mode: int | None, uid: int | None, gid: int | None, content_differs: bool
    ) -> None:
        path = entry.path
        if entry.state == "absent":
            if found.kind == "directory":
                shutil.rmtree(path)
            else:
                Path(path).unlink()
            return
        self._make_parents(path)
        if entry.state == "link":
            if entry.src != found.src:
                self._replace_by_link(path, t.cast(str, entry.src))
            self._own(path, uid, gid)
            return
        if entry.state == "directory":
            if found.kind == "absent":
                Path(path).mkdir(0o700)
            self._own(path, uid, gid)
            if mode is not None:
                Path(path).chmod(mode)
            return
        if content_differs:
            keep = found if found.kind == "file" else Found()
            self._write(
                path,
                t.cast(bytes, entry.content),
                keep.mode if mode is None else mode,
                keep.uid if uid is None else uid,
                keep.gid if gid is None else gid,
            )
            return
        self._own(path, uid, gid)
        if mode is not None:
            # After chown, which drops the set-user-id bits.
            Path(path).chmod(mode)

    def _make_parents(self, path: str) -> None:
        parent = str(Path(path).parent)
        if Path(parent).is_dir():
            return
        if not self.parents:
            raise EntryError(f"{path}: the directory {parent} does not exist. Set parents, or list it first.")
        self._make_parents(parent)
        Path(parent).mkdir(0o700)
        Path(parent).chmod(self.directory_mode)

    @staticmethod
    def _own(path: str, uid: int | None, gid: int | None) -> None:
        if uid is not None or gid is not None:
            os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid, follow_symlinks=False)

    @staticmethod
    def _replace_by_link(path: str, src: str) -> None:
        temporary = Path(path).with_name(f".ansible-{uuid.uuid4().hex}")
        temporary.symlink_to(src)
        temporary.replace(path)

    def _write(self, path: str, content: bytes, mode: int | None, uid: int | None, gid: int | None) -> None:
        """Write beside it, with its attributes from the start, and rename: a reader sees the old or the new file."""
        directory = str(Path(path).parent)
        descriptor, temporary = tempfile.mkstemp(prefix=".ansible-", dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                if uid is not None or gid is not None:
                    os.fchown(descriptor, -1 if uid is None else uid, -1 if gid is None else gid)
                os.fchmod(descriptor, 0o644 if mode is None else mode)
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def _tell(
        self, entry: Entry, found: Found, mode: int | None, content_differs: bool, attributes_differ: bool
    ) -> None:
        if attributes_differ:
            after = describe(entry.state, entry.src, found.mode if mode is None else mode, entry.owner, entry.group)
            before = describe(
                found.kind,
                found.src,
                found.mode,
                _name_of(found.uid, "owner") if entry.owner is not None else None,
                _name_of(found.gid, "group") if entry.group is not None else None,
            )
            self.diffs.append(
                {
                    "before_header": f"{entry.path} (attributes)",
                    "after_header": f"{entry.path} (attributes)",
                    "before": before,
                    "after": after,
                }
            )
        if content_differs:
            before = HIDDEN + " old\n" if entry.sensitive else text_for_diff(found.content)
            after = HIDDEN + " new\n" if entry.sensitive else text_for_diff(entry.content)
            self.diffs.append(
                {"before_header": entry.path, "after_header": entry.path, "before": before, "after": after}
            )


def _name_of(number: int | None, database: str) -> str | None:
    if number is None:
        return None
    try:
        return pwd.getpwuid(number).pw_name if database == "owner" else grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


class QuietModule(AnsibleModule):
    """A module that tells the host's log which files it was called for, and not what is in them."""

    def _log_invocation(self) -> None:
        self.log("Invoked for " + " ".join(str(item["path"]) for item in self.params["files"]))


def hide(module: AnsibleModule) -> None:
    """Keep secret contents out of the result, which repeats the options."""
    for item in module.params["files"]:
        if item["sensitive"]:
            for key in ("content", "content_base64"):
                if item[key]:
                    item[key] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def main() -> None:
    module = QuietModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["file", "directory", "link", "absent"], "default": "file"},
                    "content": {"type": "str"},
                    "content_base64": {"type": "str"},
                    "src": {"type": "str"},
                    "mode": {"type": "raw"},
                    "owner": {"type": "str"},
                    "group": {"type": "str"},
                    "sensitive": {"type": "bool", "default": False},
                    "stamped": {"type": "bool", "default": True},
                },
            },
            "parents": {"type": "bool", "default": False},
            "directory_mode": {"type": "raw", "default": "0755"},
            "stamp": {"type": "path"},
        },
        supports_check_mode=True,
    )
    files = Files(module.check_mode, module.params["parents"], 0)
    try:
        directory_mode = parse_mode(module.params["directory_mode"], "directory_mode")
        files.directory_mode = 0o755 if directory_mode is None else directory_mode
        entries = parse_entries(module.params["files"])
    except EntryError as exc:
        hide(module)
        module.fail_json(msg=str(exc), changed_paths=[])
    hide(module)
    for entry in entries:
        try:
            files.handle(entry)
        except (EntryError, OSError) as exc:
            msg = (
                str(exc)
                if isinstance(exc, EntryError)
                else f"{entry.path}: could not be brought into state {entry.state}: {exc}"
            )
            module.fail_json(msg=msg, changed=bool(files.changed_paths), changed_paths=files.changed_paths)
    result: dict[str, t.Any] = {"changed": bool(files.changed_paths), "changed_paths": files.changed_paths}
    if module._diff:
        result["diff"] = files.diffs
    result["digest"] = digest_of(entries)
    if module.params["stamp"] is not None:
        result["pending"] = is_pending(module.params["stamp"], result["digest"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
