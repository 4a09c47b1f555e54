# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site on this machine has to know of it, as ordinary variables: mirrors, certificates, URLs, signers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .config import IMAGE_ALIAS, Config
from .host import Mirrors
from .hub import JAVA_IMAGE, JAVA_TAGS
from .proc import write_atomic

HEAD = """\
# Written by lab/lab; do not edit. Facts about this machine and its lab, in the keys of a site's declaration.
"""


def facts(
    config: Config,
    mirrors: Mirrors,
    certificates: Sequence[str],
    releases: Mapping[str, Mapping[str, Any]],
    tor: Sequence[str],
) -> dict[str, Any]:
    """The facts, in the declaration's own keys."""
    bitcoin, kafka = releases["bitcoin"], releases["kafka"]
    return {
        "mirrors": {
            "apt": {"debian": mirrors.debian, "security": mirrors.security},
            "images": {"server": config.images_url, "protocol": "simplestreams", "alias": IMAGE_ALIAS},
            "registries": {"docker.io": config.hub_url},
            "downloads": {"bitcoin": f"{config.downloads_url}/bitcoin", "kafka": f"{config.downloads_url}/kafka"},
        },
        # Into the private network, which lives at an address that a site denies otherwise.
        "tor": {"config": [{"name": "20-lab", "lines": list(tor)}], "allowed_private": [config.tornet]},
        "extra_ca_certificates": list(certificates),
        "versions": {"bitcoin-knots": bitcoin["version"], "kafka": kafka["version"]},
        "stacks": {
            "bitcoin": {"signers": bitcoin["signers"], "signatures": 2},
            "kafka": {"signers": kafka["signers"], "base": {"repository": JAVA_IMAGE, "reference": JAVA_TAGS[0]}},
        },
    }


def as_yaml(value: Any, indent: int = 0) -> str:
    """Plain YAML of plain values. Strings are quoted as JSON's are, which YAML reads the same way."""
    pad = "  " * indent
    if isinstance(value, Mapping) and value:
        lines = []
        for key, item in value.items():
            nested = isinstance(item, Mapping | list | tuple) and len(item) > 0
            lines.append(f"{pad}{key}:\n{as_yaml(item, indent + 1)}" if nested else f"{pad}{key}: {as_yaml(item)}")
        return "\n".join(lines)
    if isinstance(value, list | tuple) and value:
        lines = []
        for item in value:
            text = as_yaml(item, indent + 1)
            nested = isinstance(item, Mapping | list | tuple) and len(item) > 0
            lines.append(f"{pad}- {text.lstrip()}" if nested else f"{pad}- {text}")
        return "\n".join(lines)
    return json.dumps(value)


def write(config: Config, found: Mapping[str, Any]) -> str:
    """Write the file if it says something else."""
    text = HEAD + as_yaml(found) + "\n"
    if config.site_vars.exists() and config.site_vars.read_text() == text:
        return ""
    write_atomic(config.site_vars, text)
    return f"wrote {config.site_vars}"
