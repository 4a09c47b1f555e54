# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name under which an image is pulled through the site's own registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _image_reference

DOCUMENTATION = r"""
name: mirrored_image
short_description: The name of a container image on the mirror of its registry
version_added: 0.1.0
description:
  - Images of Docker Hub keep their name, since Docker's own C(registry-mirrors) stand for it, unless O(mirrors) names one.
  - Images of every other registry are pulled from the mirror that O(mirrors) names for it. An image of a registry without
    a mirror is an error - a host of the site has no other way to it.
options:
  _input:
    description: Reference of an image, such as V(debian:13) or V(ghcr.io/owner/name@sha256:...).
    type: str
    required: true
  mirrors:
    description: Host and port of the mirror of each registry, by the registry's name.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show where an image of GitHub's registry comes from
  ansible.builtin.debug:
    msg: "{{ 'ghcr.io/owner/name:1.2' | bcm.datacenter.mirrored_image({'ghcr.io': 'manager-1:5002'}) }}"
    # manager-1:5002/owner/name:1.2
"""

RETURN = r"""
_value:
  description: The reference to pull.
  type: str
"""


def mirrored_image(reference: str, mirrors: Mapping[str, str]) -> str:
    """Return the name under which the image REFERENCE is pulled."""
    try:
        image = _image_reference.parse(reference)
    except ValueError as error:
        raise AnsibleFilterError(f"mirrored_image: {error}") from error
    mirror = mirrors.get(image.registry)
    if mirror:
        return f"{mirror}/{image.repository}{image.suffix}"
    if image.registry == _image_reference.DOCKER_HUB:
        return f"{image.repository.removeprefix('library/')}{image.suffix}"
    known = ", ".join(sorted({_image_reference.DOCKER_HUB, *mirrors}))
    raise AnsibleFilterError(
        f"mirrored_image: {reference} is on {image.registry}, for which the site has no mirror (it has: {known}). "
        "Declare it under mirrors.registries."
    )


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"mirrored_image": mirrored_image}
