#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_image
short_description: Put an image into a registry, made of a base image and one layer of files
description:
  - Makes an image of a base image, files out of tarballs, files given as text, and settings, and puts it into a
    registry. It takes neither Docker nor a build container, since nothing is run; an image for another architecture is
    made as well as one for the host's own.
  - The image is known by its recipe. Its tag is C(VERSION-RECIPEHASH), so that a registry that has the tag has the image;
    that is found out with one request.
  - An image of the same base and files is the same to the last byte, so that its digest is too.
  - The base is asked for once, by its tag, and kept in the same registry under its own name, as C(REFERENCE-ARCHITECTURE). From
    then on it is the digest of what is kept there that the recipe names. So a tag that moves changes nothing, and a new image
    on the same base does not need the world. Another O(base.reference) brings another base.
  - M(community.docker.docker_image_build) needs C(docker buildx), which Debian's Docker lacks, and
    M(community.docker.docker_image) takes the classic builder, whose images differ from one time to the next and are
    of the builder's own architecture.
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
extends_documentation_fragment:
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
    description: Asks the registry for the image and says whether it would be made.
  diff_mode:
    support: none
    description: An image is there or it is not.
  idempotent:
    support: full
    description: An image that is there is left alone.
options:
  registry:
    description: URL of the registry that takes the image.
    type: str
    required: true
  registry_name:
    description: Name by which container engines know the registry, for the returned reference. By default from the URL.
    type: str
  username:
    description: User of the registry.
    type: str
  password:
    description: Password of the user.
    type: str
  ca_path:
    description: File with the certificate of the authority that signed the registry's.
    type: path
  repository:
    description: Name of the image in the registry.
    type: str
    required: true
  version:
    description: Version of what the image carries, the first half of the tag.
    type: str
    required: true
  architecture:
    description: Architecture of the image, in Docker's words.
    type: str
    choices: [amd64, arm64]
    required: true
  recipe:
    description:
      - Everything that the image depends on and that is not among the other options, such as digests and URLs of
        O(archives). It goes into the hash with O(base), O(files), O(settings), and with names and patterns of O(archives).
    type: dict
    default: {}
  state:
    description:
      - V(present) makes the image unless the registry has it.
      - V(find) only asks; RV(reference) is then null if there is no such image.
    type: str
    choices: [present, find]
    default: present
  base:
    description: The image to start from.
    type: dict
    required: true
    suboptions:
      registry:
        description: URL of the registry or mirror that has it.
        type: str
        required: true
      repository:
        description: Its name there, for Docker Hub's own with C(library/).
        type: str
        required: true
      reference:
        description: Its tag or digest, which is followed until the registry has it.
        type: str
        required: true
  archives:
    description: Tarballs on the host to take files from.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the tarball is.
        type: path
        required: true
      strip:
        description: How many leading parts of the names in the tarball are left away.
        type: int
        default: 1
      take:
        description: Names of the files to take, each of which must be there, and shell patterns for names.
        type: list
        elements: str
        required: true
      dest:
        description: Where the files stand in the image. A directory that the base does not have.
        type: str
        required: true
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path in the image.
        type: str
        required: true
      content:
        description: Its content.
        type: str
        required: true
      executable:
        description: Whether it is a program.
        type: bool
        default: false
  settings:
    description: How the image is run. What is not given stays as in the base.
    type: dict
    default: {}
    suboptions:
      user:
        description: User and group, as numbers.
        type: str
      entrypoint:
        description: The program and its first arguments.
        type: list
        elements: str
      command:
        description: Further arguments.
        type: list
        elements: str
      environment:
        description: Environment variables.
        type: dict
      working_dir:
        description: Where the program starts.
        type: str
      stop_signal:
        description: The signal that asks it to stop.
        type: str
      labels:
        description: Labels of the image.
        type: dict
  timeout:
    description: Seconds until a silent registry is given up.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Put Bitcoin Core into the site's registry
  bcm.datacenter.registry_image:
    registry: https://registry.home.bcm.internal:5000
    username: builder
    password: "{{ registry_password }}"
    ca_path: /etc/bcm/ca.crt
    repository: bitcoin
    version: "29.4"
    architecture: amd64
    base:
      registry: http://127.0.0.1:5001
      repository: library/debian
      reference: 13-slim
    archives:
      - path: /var/cache/bcm/bitcoin-29.4-x86_64-linux-gnu.tar.gz
        take: [bin/bitcoind, bin/bitcoin-cli]
        dest: /opt/bitcoin
    settings:
      user: "10001:10001"
      entrypoint: [/opt/bitcoin/bin/bitcoind]
"""

RETURN = r"""
reference:
  description: The image by its digest, as container engines take it. Null if it is not there.
  returned: success
  type: str
  sample: registry.home.bcm.internal:5000/bitcoin@sha256:4216d8c202a32b22561058dade4f19744f7dbaa024aaa4cc16072428eebdc7cf
digest:
  description: Digest of the image's manifest. Null if it is not there.
  returned: success
  type: str
  sample: sha256:4216d8c202a32b22561058dade4f19744f7dbaa024aaa4cc16072428eebdc7cf
tag:
  description: The tag that stands for version, recipe and architecture. Null while the registry does not have the base.
  returned: success
  type: str
  sample: 29.4-3f6a1b2c3d4e-amd64
base_digest:
  description: Digest of the base, of the architecture's own manifest. Null while the registry does not have it.
  returned: success
  type: str
  sample: sha256:4216d8c202a32b22561058dade4f19744f7dbaa024aaa4cc16072428eebdc7cf
"""

import json
import os
import re
import tempfile
import typing as t
import urllib.parse
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._image_layers import (
    Entry,
    LayerError,
    archive_entries,
    canonical,
    image_config,
    recipe_hash,
    write_layer,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._registry import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    Registry,
    RegistryError,
    sha256_of,
)

# Media types of a configuration and of a layer, by that of the manifest.
FAMILIES = {
    OCI_MANIFEST: ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"),
    DOCKER_MANIFEST: (
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
}


def recipe_of(params: dict[str, t.Any], base_digest: str) -> dict[str, t.Any]:
    """What the image is made of. Where the parts are fetched from does not matter, what they are does."""
    return {
        "base": [params["base"]["repository"], base_digest],
        "archives": [[a["strip"], a["take"], a["dest"], os.path.basename(a["path"])] for a in params["archives"]],  # noqa: PTH119
        "files": [[f["path"], f["content"], f["executable"]] for f in params["files"]],
        "settings": {key: value for key, value in params["settings"].items() if value is not None},
        "recipe": params["recipe"],
    }


def tag_of(params: dict[str, t.Any], base_digest: str) -> str:
    version = re.sub(r"[^A-Za-z0-9._-]", "_", params["version"])
    return f"{version}-{recipe_hash(recipe_of(params, base_digest))}-{params['architecture']}"


def kept_tag(params: dict[str, t.Any]) -> str:
    """Under which tag the registry keeps the base."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{params['base']['reference']}-{params['architecture']}")


def choose(base: Registry, repository: str, found: Manifest, architecture: str) -> Manifest:
    """Out of an image for several architectures the one for ours."""
    if found.media_type not in (DOCKER_LIST, OCI_INDEX):
        return found
    offered = []
    for entry in json.loads(found.raw)["manifests"]:
        platform = entry.get("platform") or {}
        offered.append(f"{platform.get('os')}/{platform.get('architecture')}")
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return base.manifest(repository, entry["digest"])
    raise RegistryError(f"{base.url}: {repository} has no image for linux/{architecture}, only {', '.join(offered)}")


@dataclass
class Place:
    """A repository in a registry."""

    registry: Registry
    name: str

    def take(self, source: Place, digest: str, folder: str) -> None:
        """Have a blob from elsewhere."""
        if self.registry.has_blob(self.name, digest):
            return
        path = os.path.join(folder, "blob")  # noqa: PTH118
        source.registry.download(source.name, digest, path)
        self.registry.upload(self.name, digest, path)
        os.unlink(path)  # noqa: PTH108


def keep_base(params: dict[str, t.Any], registry: Registry, upstream: Registry, folder: str) -> str:
    """Put the base into the registry as it is, and return its digest."""
    name, architecture = params["base"]["repository"], params["architecture"]
    chosen = choose(upstream, name, upstream.manifest(name, params["base"]["reference"]), architecture)
    if chosen.media_type not in FAMILIES:
        raise RegistryError(f"{upstream.url}: {name} has a manifest of type {chosen.media_type}, which is not known")
    manifest = json.loads(chosen.raw)
    config = json.loads(upstream.blob(name, manifest["config"]["digest"]))
    if config.get("architecture") != architecture:
        raise RegistryError(f"{upstream.url}: {name} is for {config.get('architecture')}, not for {architecture}")
    for blob in (manifest["config"], *manifest["layers"]):
        Place(registry, name).take(Place(upstream, name), blob["digest"], folder)
    return registry.put_manifest(name, kept_tag(params), chosen.media_type, chosen.raw)


class Builder:
    """Makes one image, from the base that the registry keeps and files to the manifest."""

    def __init__(self, params: dict[str, t.Any], registry: Registry, tag: str, base_digest: str) -> None:
        self.params = params
        self.registry = registry
        self.tag = tag
        self.base_digest = base_digest
        self.repository: str = params["repository"]

    def build(self, folder: str) -> str:
        """Digest of the new image."""
        name = self.params["base"]["repository"]
        base = self.registry.manifest(name, self.base_digest)
        config_type, layer_type = FAMILIES[base.media_type]
        manifest = json.loads(base.raw)
        base_config = json.loads(self.registry.blob(name, manifest["config"]["digest"]))
        for layer in manifest["layers"]:
            Place(self.registry, self.repository).take(Place(self.registry, name), layer["digest"], folder)
        layers = list(manifest["layers"])
        diff_id = None
        entries = self._entries()
        if entries:
            path = os.path.join(folder, "layer")  # noqa: PTH118
            diff_id, digest, size = write_layer(entries, path)
            self.registry.upload(self.repository, digest, path)
            layers.append({"mediaType": layer_type, "size": size, "digest": digest})
        config = canonical(image_config(base_config, diff_id, self._settings()))
        self.registry.upload(self.repository, sha256_of(config), config)
        image = {
            "schemaVersion": 2,
            "mediaType": base.media_type,
            "config": {"mediaType": config_type, "size": len(config), "digest": sha256_of(config)},
            "layers": layers,
        }
        return self.registry.put_manifest(self.repository, self.tag, base.media_type, canonical(image))

    def _entries(self) -> list[Entry]:
        entries = []
        for archive in self.params["archives"]:
            entries += archive_entries(archive["path"], archive["strip"], archive["take"], archive["dest"])
        for file in self.params["files"]:
            entries.append(Entry(file["path"], "file", file["executable"], file["content"].encode()))
        return entries

    def _settings(self) -> dict[str, t.Any]:
        settings = dict(self.params["settings"])
        base = self.params["base"]
        settings["labels"] = {
            **{key: str(value) for key, value in (settings.get("labels") or {}).items()},
            "org.opencontainers.image.version": self.params["version"],
            "org.opencontainers.image.base.name": f"{base['repository']}:{base['reference']}",
            "org.opencontainers.image.base.digest": self.base_digest,
            "bcm.recipe": recipe_hash(recipe_of(self.params, self.base_digest)),
        }
        return settings


def main() -> None:
    base = {name: {"type": "str", "required": True} for name in ("registry", "repository", "reference")}
    archive = {
        "path": {"type": "path", "required": True},
        "strip": {"type": "int", "default": 1},
        "take": {"type": "list", "elements": "str", "required": True},
        "dest": {"type": "str", "required": True},
    }
    file = {
        "path": {"type": "str", "required": True},
        "content": {"type": "str", "required": True},
        "executable": {"type": "bool", "default": False},
    }
    settings = {
        "user": {"type": "str"},
        "entrypoint": {"type": "list", "elements": "str"},
        "command": {"type": "list", "elements": "str"},
        "environment": {"type": "dict"},
        "working_dir": {"type": "str"},
        "stop_signal": {"type": "str"},
        "labels": {"type": "dict"},
    }
    module = AnsibleModule(
        argument_spec={
            "registry": {"type": "str", "required": True},
            "registry_name": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "ca_path": {"type": "path"},
            "repository": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "architecture": {"type": "str", "choices": ["amd64", "arm64"], "required": True},
            "recipe": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "find"], "default": "present"},
            "base": {"type": "dict", "required": True, "options": base},
            "archives": {"type": "list", "elements": "dict", "default": [], "options": archive},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file},
            "settings": {"type": "dict", "default": {}, "options": settings},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    name = params["registry_name"] or urllib.parse.urlsplit(params["registry"]).netloc
    result: dict[str, t.Any] = {"changed": False, "tag": None, "reference": None, "digest": None, "base_digest": None}
    try:
        registry = Registry(
            params["registry"], params["username"], params["password"], params["ca_path"], params["timeout"]
        )
        base_digest = registry.find(params["base"]["repository"], kept_tag(params))
        digest = registry.find(params["repository"], tag_of(params, base_digest)) if base_digest else None
        if digest is None and params["state"] == "present":
            result["changed"] = True
            if not module.check_mode:
                with tempfile.TemporaryDirectory(prefix="bcm-image-", dir=module.tmpdir) as folder:
                    if base_digest is None:
                        upstream = Registry(
                            params["base"]["registry"], ca_path=params["ca_path"], timeout=params["timeout"]
                        )
                        base_digest = keep_base(params, registry, upstream, folder)
                    digest = Builder(params, registry, tag_of(params, base_digest), base_digest).build(folder)
        if base_digest:
            result.update(base_digest=base_digest, tag=tag_of(params, base_digest))
    except (RegistryError, LayerError, LookupError, OSError, ValueError) as exc:
        module.fail_json(msg=f"Image {params['repository']} {params['version']}: {exc}")
    if digest:
        result.update(digest=digest, reference=f"{name}/{params['repository']}@{digest}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
