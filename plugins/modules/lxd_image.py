#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_image
short_description: Look after an LXD image
version_added: 0.1.0
description:
  - Imports an image from files, copies it from a server or another project, or makes it of an instance or a snapshot, and
    sets its aliases and properties.
  - An image cannot be changed, so one whose O(identity) differs from what is asked for is replaced. The new one is made
    first, then the aliases move over, then the old one goes.
  - A run that is killed in between is finished by the next one. An image that LXD is still making is waited for, and one
    whose alias was not set is found by its O(identity) and not made again.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The alias that the image is known by.
      - With O(state=absent) it can be a fingerprint too.
    type: str
    required: true
  state:
    description:
      - V(absent) removes the image, or only O(name) and O(aliases) if it has further aliases.
      - A project with C(features.images=false) shares the images of the project C(default). There, name the owner in
        O(properties), so that only what is your own is removed.
    type: str
    choices: [present, absent]
    default: present
  aliases:
    description: Further aliases. Others that the image has stay.
    type: list
    elements: str
    default: []
  properties:
    description: Its properties. Those not mentioned stay, V(null) removes one.
    type: dict
  identity:
    description:
      - Names of those O(properties) that tell what the image was made of. An image in which they differ is replaced,
        unless it comes from a server, while other properties are changed in place.
      - Where none of them is among the O(properties), an image from files is told by their content, a copy by what it is a
        copy of, and any other by its alias alone.
    type: list
    elements: str
    default: [user.bcm.recipe]
  public:
    description: Whether everybody who reaches the server may read it.
    type: bool
  auto_update:
    description: Whether LXD fetches newer versions by itself. For images from a server.
    type: bool
  expires_at:
    description:
      - When it is out of date, as a time such as V(2027-01-31T12:00:00Z), or V(never). LXD tells this to those who ask, and
        removes only images that it cached by itself.
    type: str
  prune:
    description: Whether an image that was replaced, and has no alias any more, is removed.
    type: bool
    default: true
  source:
    description: What to make it from. Needed only if it has to be made.
    type: dict
    suboptions:
      type:
        description:
          - Where it comes from. V(image) is an image that LXD fetches from a server by itself, V(url) one at an address that
            answers with LXD's headers, V(file) one in files, V(instance) what an instance or a snapshot of one holds.
          - V(copy) is the image of another project, or of an LXD that the module has a way to. It goes through the machine that
            the module runs on, piece by piece, so that neither server has to reach the other.
        type: str
        choices: [image, file, url, instance, copy]
        required: true
      path:
        description:
          - For V(file), a unified tarball, or the root file system if there is a O(source.metadata_path). On the machine
            that the module runs on.
        type: path
      metadata_path:
        description: For V(file), the tarball with the metadata.
        type: path
      server:
        description:
          - For V(image), the address of the server.
          - For V(copy), the API of the LXD that has it, written as O(url). By default the one that it is copied to.
        type: str
      protocol:
        description: For V(image), the protocol of the server.
        type: str
        choices: [simplestreams, lxd]
        default: simplestreams
      alias:
        description: For V(image) and V(copy), the alias there.
        type: str
      fingerprint:
        description: For V(image) and V(copy), the fingerprint there.
        type: str
      certificate:
        description: For V(image) and V(copy), the certificate of the server (PEM).
        type: str
      client_cert:
        description: For V(copy) from a C(https) server, file with the client certificate (PEM) that the server trusts.
        type: path
      client_key:
        description: For V(copy) from a C(https) server, file with the key of O(source.client_cert).
        type: path
      project:
        description: For V(copy), the project that it is in.
        type: str
        default: default
      image_type:
        description: For V(image), the kind of image. LXD takes a container by default.
        type: str
        choices: [container, virtual-machine]
      url:
        description: For V(url), the address that leads to the image.
        type: str
      instance:
        description: For V(instance), its name. It has to be stopped, if there is no O(source.snapshot).
        type: str
      snapshot:
        description: For V(instance), a snapshot of it. The instance may run.
        type: str
      compression:
        description: For V(instance), how to compress it, such as V(zstd), V(gzip) or V(none). LXD's setting by default.
        type: str
  timeout:
    description: Seconds that it may take to make the image.
    type: int
    default: 1800
seealso:
  - module: bcm.datacenter.lxd_image_info
"""

EXAMPLES = r"""
- name: An image from files
  bcm.datacenter.lxd_image:
    name: debian/13
    project: bcm-home
    source:
      type: file
      path: /srv/images/rootfs.squashfs
      metadata_path: /srv/images/metadata.tar

- name: An image from a server
  bcm.datacenter.lxd_image:
    name: debian/13
    project: bcm-home
    source:
      type: image
      server: https://images.lxd.canonical.com
      alias: debian/13/cloud

- name: An image of another project, copied again when the alias there stands for another one
  bcm.datacenter.lxd_image:
    name: debian/13
    project: bcm-home
    source:
      type: copy
      project: images
      alias: debian/13

- name: An image of another LXD
  bcm.datacenter.lxd_image:
    name: bcm-golden
    aliases: [bcm-golden/2027-01]
    project: bcm-home
    source:
      type: copy
      server: https://rack-1.example.com:8443
      certificate: "{{ lookup('ansible.builtin.file', 'rack-1.crt') }}"
      client_cert: /etc/bcm/client.crt
      client_key: /etc/bcm/client.key
      alias: bcm-golden
    expires_at: "2027-06-30T00:00:00Z"

- name: An image of an instance, made again only when its recipe changes
  bcm.datacenter.lxd_image:
    name: bcm-golden
    project: bcm-home
    source:
      type: instance
      instance: image-builder
      compression: none
    properties:
      description: Debian with Docker
      user.bcm.recipe: "{{ recipe | hash('sha256') }}"
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be in check mode, in this order. C(create), C(update) of properties, C(alias), C(prune) of
      the image that was replaced, C(unalias), C(delete).
  returned: always
  type: list
  elements: str
  sample: [create, alias]
fingerprint:
  description: The fingerprint of the image. V(null) if it is absent, or would only be made outside of check mode.
  returned: success
  type: str
image:
  description: Aliases, properties and fingerprint, as they are now or would be. V(null) if it is absent.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_image as images
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDNotFound
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

SOURCE_SPEC: dict[str, t.Any] = {
    "type": {"type": "str", "choices": ["image", "file", "url", "instance", "copy"], "required": True},
    "path": {"type": "path"},
    "metadata_path": {"type": "path"},
    "server": {"type": "str"},
    "protocol": {"type": "str", "choices": ["simplestreams", "lxd"], "default": "simplestreams"},
    "alias": {"type": "str"},
    "fingerprint": {"type": "str"},
    "certificate": {"type": "str"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "project": {"type": "str", "default": "default"},
    "image_type": {"type": "str", "choices": ["container", "virtual-machine"]},
    "url": {"type": "str"},
    "instance": {"type": "str"},
    "snapshot": {"type": "str"},
    "compression": {"type": "str"},
}

ARGUMENT_SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "aliases": {"type": "list", "elements": "str", "default": []},
    "properties": {"type": "dict"},
    "identity": {"type": "list", "elements": "str", "default": ["user.bcm.recipe"]},
    "public": {"type": "bool"},
    "auto_update": {"type": "bool"},
    "expires_at": {"type": "str"},
    "prune": {"type": "bool", "default": True},
    "source": {
        "type": "dict",
        "options": SOURCE_SPEC,
        "required_if": [
            ("type", "image", ("server",)),
            ("type", "image", ("alias", "fingerprint"), True),
            ("type", "file", ("path",)),
            ("type", "url", ("url",)),
            ("type", "instance", ("instance",)),
            ("type", "copy", ("alias", "fingerprint"), True),
        ],
        "required_together": [("client_cert", "client_key")],
    },
    "timeout": {"type": "int", "default": 1800},
}


def _read(lxd: LXDModule) -> list[Object]:
    try:
        return lxd.client.get("/1.0/images", recursion=1)
    except LXDNotFound:
        if lxd.check_mode and not lxd.client.project_exists():
            return []
        raise


def _fingerprint(lxd: LXDModule, desired: Object) -> str | None:
    source = desired["source"] or {}
    if images.identity_of(desired):
        return None
    if source.get("type") == "copy":
        with images.origin(lxd.client, source) as there:
            try:
                return images.original(there, source)["fingerprint"]
            except (PlanError, LXDNotFound):
                # In check mode it may be one that would have been made a moment ago.
                if lxd.check_mode:
                    return None
                raise
    if source.get("type") != "file":
        return None
    try:
        return images.fingerprint_of(images.files_of(source))
    except OSError as exc:
        raise PlanError([f"image {desired['name']}: cannot read {exc.filename}: {exc.strerror}"]) from exc


def run(lxd: LXDModule) -> dict[str, t.Any]:
    desired = {key: lxd.params[key] for key in ARGUMENT_SPEC}
    fingerprint = _fingerprint(lxd, desired) if desired["state"] == "present" else None
    plan = images.plan(desired, _read(lxd), fingerprint)
    if "create" in plan.actions and not lxd.check_mode:
        if images.settle(lxd.client, desired["timeout"]):
            plan = images.plan(desired, _read(lxd), fingerprint)
        errors = images.check_source(lxd.client, desired["source"]) if "create" in plan.actions else []
        if errors:
            raise PlanError([f"image {desired['name']}: {error}" for error in errors])
    now = plan.image["fingerprint"] if plan.image is not None and plan.after is not None else None
    if plan.changed and not lxd.check_mode:
        now = images.apply(lxd.client, plan, desired["timeout"])
    if plan.after is not None and now is not None:
        plan.after["fingerprint"] = now
    return {
        "changed": plan.changed,
        "actions": plan.actions,
        "fingerprint": now,
        "image": plan.after,
        "diff": resource.diff(plan.before, plan.after, f"image {desired['name']}"),
    }


def main() -> None:
    LXDModule(ARGUMENT_SPEC, project=True).run(run)


if __name__ == "__main__":
    main()
