#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_image_info
short_description: Read LXD images
version_added: 0.1.0
description:
  - Gives the images of a project as LXD describes them, the aliases as plain names.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only the one with this alias or fingerprint. That it does not exist is no error.
    type: str
  settle_timeout:
    description:
      - Seconds to wait before reading, until LXD has made all images of the project that it is at. It goes on with one whose
        task was killed, and reads from the instance that it is made of. V(0) waits for nothing.
      - Images that are still not made by then are an error.
    type: int
    default: 0
seealso:
  - module: bcm.datacenter.lxd_image
"""

EXAMPLES = r"""
- name: Read the image behind an alias
  bcm.datacenter.lxd_image_info:
    name: debian/13
"""

RETURN = r"""
images:
  description: What there is, one item each, sorted by fingerprint.
  returned: success
  type: list
  elements: dict
  sample: [{fingerprint: 4d4289fba817, aliases: [debian/13], properties: {os: Debian}, size: 92563456}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_module, read_images


def main() -> None:
    info_module("images", read_images, {"settle_timeout": {"type": "int", "default": 0}})


if __name__ == "__main__":
    main()
