# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""What onion_clients and onion_client_bundle are told, for the modules and for their action plugins."""

from __future__ import annotations

import typing as t

CLIENTS_SPEC: dict[str, t.Any] = {
    "site": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "clients": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "public_key": {"type": "str"}},
    },
    "exclusive": {"type": "bool", "default": False},
    "readmit": {"type": "bool", "default": False},
    "revoke": {"type": "list", "elements": "str", "default": []},
    "rotate": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "read"], "default": "present"},
}
BUNDLE_SPEC: dict[str, t.Any] = {
    "site": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "client": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "ports": {"type": "list", "elements": "int"},
    "client_authorisation": {"type": "bool", "default": True},
    "lndconnect": {
        "type": "dict",
        "options": {
            "port": {"type": "int", "required": True},
            "macaroon": {"type": "str", "required": True, "no_log": True},
            "certificate": {"type": "str"},
        },
    },
}
BUNDLE_REQUIRED_IF = [("state", "present", ["ports"])]
