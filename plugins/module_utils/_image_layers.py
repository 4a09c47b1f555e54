# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image layers and configurations that come out the same, to the last byte, whenever they are made from the same."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import json
import posixpath
import tarfile
import typing as t
from dataclasses import dataclass

BLOCK = 1 << 20


class LayerError(Exception):
    """A layer cannot be made of what was given."""


@dataclass
class Entry:
    """A file, link or directory of the layer, at an absolute path."""

    path: str
    kind: str = "file"  # or "directory", "link"
    executable: bool = False
    content: bytes = b""
    target: str = ""


def _relative(name: str, strip: int) -> str | None:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LayerError(f"the archive holds '{name}', which leads out of it")
    return "/".join(parts[strip:]) or None


def archive_entries(path: str, strip: int, take: list[str], dest: str) -> list[Entry]:
    """What the patterns `take` choose from a tarball, as entries below `dest`. A plain name must be there."""
    found: dict[str, Entry] = {}
    unused = {pattern for pattern in take if not any(sign in pattern for sign in "*?[")}
    with tarfile.open(path) as archive:
        for member in archive:
            name = _relative(member.name, strip)
            if name is None:
                continue
            matching = [pattern for pattern in take if fnmatch.fnmatchcase(name, pattern)]
            if not matching or member.isdir():
                continue
            unused.difference_update(matching)
            place = posixpath.join(dest, name)
            if member.issym():
                found[place] = Entry(place, "link", target=member.linkname)
            elif member.isreg():
                stream = archive.extractfile(member)
                content = stream.read() if stream else b""
                found[place] = Entry(place, "file", bool(member.mode & 0o100), content)
            else:
                raise LayerError(f"'{member.name}' in the archive is neither a file nor a symbolic link")
    if unused:
        raise LayerError(f"the archive holds nothing that is called {', '.join(sorted(unused))}")
    folders = {dest}
    for place in found:
        folder = posixpath.dirname(place)
        while len(folder) > len(dest):
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return [Entry(folder, "directory") for folder in folders] + list(found.values())


def write_layer(entries: t.Iterable[Entry], path: str) -> tuple[str, str, int]:
    """Write a compressed layer; returns the digest of its content, that of the file, and the file's size."""
    inner = hashlib.sha256()
    # Neither a name nor a time in gzip's header, nor an owner or a time in tar's: nothing that differs next time.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:  # noqa: PTH123
        tap = t.cast("t.IO[bytes]", _Tap(packed, inner))
        with tarfile.open(fileobj=tap, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry in sorted(entries, key=lambda e: e.path):
                _add(archive, entry)
    outer, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:  # noqa: PTH123
        while block := stream.read(BLOCK):
            outer.update(block)
            size += len(block)
    return f"sha256:{inner.hexdigest()}", f"sha256:{outer.hexdigest()}", size


class _Tap:
    """Passes on what is written, and takes its digest on the way."""

    def __init__(self, sink: t.Any, digest: t.Any) -> None:
        self.sink = sink
        self.digest = digest
        self.position = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.sink.write(data)
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mtime = 0
    if entry.kind == "directory":
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif entry.kind == "link":
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
        archive.addfile(info)
    else:
        info.mode, info.size = (0o755 if entry.executable else 0o644), len(entry.content)
        archive.addfile(info, io.BytesIO(entry.content))


def canonical(value: t.Any) -> bytes:
    """JSON with one possible form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def recipe_hash(recipe: t.Any) -> str:
    """The short name of a recipe: it changes when anything does that the image is made of."""
    return hashlib.sha256(canonical(recipe)).hexdigest()[:12]


# Settings of an image, as the caller names them and as an image's configuration does.
SETTINGS = {
    "user": "User",
    "entrypoint": "Entrypoint",
    "command": "Cmd",
    "environment": "Env",
    "working_dir": "WorkingDir",
    "stop_signal": "StopSignal",
}


def image_config(base: dict[str, t.Any], diff_id: str | None, settings: dict[str, t.Any]) -> dict[str, t.Any]:
    """The configuration of an image that adds one layer and some settings to its base."""
    config = dict(base.get("config") or {})
    for name, key in SETTINGS.items():
        value = settings.get(name)
        if value is None:
            continue
        if name == "environment":
            mine = [f"{variable}={content}" for variable, content in sorted(value.items())]
            kept = [line for line in config.get(key) or [] if line.split("=", 1)[0] not in value]
            value = kept + mine
        config[key] = value
    if settings.get("entrypoint") is not None and settings.get("command") is None:
        # The base's command was meant for the base's entrypoint.
        config.pop("Cmd", None)
    config["Labels"] = {**(config.get("Labels") or {}), **(settings.get("labels") or {})}
    rootfs = base.get("rootfs") or {"type": "layers", "diff_ids": []}
    history = list(base.get("history") or [])
    image = {
        "architecture": base["architecture"],
        "os": base.get("os", "linux"),
        # The base's own date: an image of the same parts is the same image.
        "created": base.get("created") or "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [*rootfs["diff_ids"], *([diff_id] if diff_id else [])]},
        "history": history,
    }
    if base.get("variant"):
        image["variant"] = base["variant"]
    if diff_id:
        image["history"] = [*history, {"created": image["created"], "created_by": "bcm.datacenter.registry_image"}]
    return image
