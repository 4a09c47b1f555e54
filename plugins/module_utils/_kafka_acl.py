# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What a principal of Kafka may do, as single grants, and the way from those that there are to those that shall be."""

from __future__ import annotations

import typing as t

RESOURCES = ("topic", "group", "cluster", "transactional_id")
PATTERNS = ("literal", "prefixed")
OPERATIONS = (
    "all",
    "alter",
    "alter_configs",
    "cluster_action",
    "create",
    "delete",
    "describe",
    "describe_configs",
    "idempotent_write",
    "read",
    "write",
)
PERMISSIONS = ("allow", "deny")
# The one name that a cluster has as a resource.
CLUSTER = "kafka-cluster"


class Grant(t.NamedTuple):
    """One operation on one resource, allowed or denied."""

    resource: str
    name: str
    pattern: str
    operation: str
    permission: str
    host: str

    def sentence(self) -> str:
        star = "*" if self.pattern == "prefixed" else ""
        place = "" if self.host == "*" else f" from {self.host}"
        return f"{self.permission} {self.operation} on {self.resource} {self.name}{star}{place}"


def wanted(rules: t.Iterable[t.Mapping[str, t.Any]]) -> set[Grant]:
    """The grants that RULES stand for.

    :raises ValueError: a rule is not one.
    """
    result = set()
    for rule in rules:
        name, pattern = rule["name"], rule["pattern"]
        if rule["resource"] == "cluster":
            if name not in (None, CLUSTER) or pattern != "literal":
                raise ValueError(f"a cluster has no other name than {CLUSTER}, and no beginning of one")
            name = CLUSTER
        if not name:
            raise ValueError(f"a rule about a {rule['resource']} needs a name")
        for operation in rule["operations"]:
            result.add(Grant(rule["resource"], name, pattern, operation, rule["permission"], rule["host"]))
    return result


def difference(there: t.Iterable[Grant], shall: t.Iterable[Grant], exclusive: bool) -> tuple[list[Grant], list[Grant]]:
    """(to be granted, to be taken away). Without EXCLUSIVE nothing is taken away."""
    have, want = set(there), set(shall)
    return sorted(want - have), sorted(have - want) if exclusive else []


def described(grants: t.Iterable[Grant]) -> list[dict[str, str]]:
    """GRANTS as plain values."""
    return [one._asdict() for one in sorted(grants)]
