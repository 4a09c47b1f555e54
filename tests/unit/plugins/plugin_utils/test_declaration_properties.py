# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds of every declaration."""

from __future__ import annotations

import copy

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _addresses, _chains, _declaration
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_file import Document
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_reference import rows
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_schema import SCHEMA, TIERS

HEAD = {"plugin": "bcm.datacenter.site"}
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)


def expand(data):
    document = Document(copy.deepcopy(data))
    return _declaration.expand(_declaration.check(document, {}), "/usr/bin/python3")


SIZES = st.fixed_dictionaries({}, optional={"cpu": st.integers(1, 64), "memory": st.sampled_from(["4GiB", "16GiB"])})


@st.composite
def tiers(draw):
    """Tiers in any order, whose blocks do not collide."""
    result, blocks = {}, set()
    for name in draw(st.lists(st.one_of(NAMES, st.sampled_from(sorted(TIERS))), unique=True, max_size=6)):
        block = _addresses.block(name, None)
        if block in blocks:
            continue
        blocks.add(block)
        counts = {"proxyhost": st.integers(1, 9), "manager": st.sampled_from([1, 3, 5])}
        count = draw(counts.get(name, st.integers(1, 13)))
        result[name] = {"count": count, "size": draw(SIZES), "labels": draw(st.dictionaries(NAMES, NAMES, max_size=2))}
    return result


@st.composite
def sites(draw):
    """A declaration, and the same with more of what may grow."""
    before = {
        **HEAD,
        "name": draw(st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)),
        "registry": {"volume_size": draw(st.sampled_from(["1GiB", "9GiB"]))},
        "endpoints": [
            {"name": f"machine{n}", "ssh": f"h{n}", "address": f"192.0.2.{n}"}
            for n in range(draw(st.sampled_from([1, 3])))
        ],
        "tiers": draw(tiers()),
    }
    if "bitcoin" in before["tiers"]:
        before["stacks"] = {"bitcoin": {"wallet": draw(st.booleans())}}
    after = copy.deepcopy(before)
    for name, more in draw(tiers()).items():
        if name in after["tiers"]:
            after["tiers"][name]["count"] += 2 * draw(st.integers(0, 4))
        elif all(_addresses.block(name, None) != _addresses.block(other, None) for other in after["tiers"]):
            after["tiers"][name] = more
    # What is there anyway grows or shrinks by being named; that is a change of count and not of what exists.
    for name, least in (("manager", 3), ("proxyhost", 1)):
        if name in after["tiers"] and name not in before["tiers"]:
            after["tiers"][name] = {"count": max(least, after["tiers"][name]["count"])}
    for n in range(draw(st.sampled_from([0, 2, 3]))):
        after["endpoints"].append({"name": f"more{n}", "ssh": f"198.51.100.{n}"})
    order = draw(st.permutations(sorted(after["tiers"])))
    after["tiers"] = {name: after["tiers"][name] for name in order}
    assume(all(tier["count"] <= 250 for tier in after["tiers"].values()))
    return before, after


@settings(deadline=None, max_examples=150)
@given(sites())
def test_growth_changes_no_variable_of_an_existing_host(declarations):
    before, after = (expand(declaration) for declaration in declarations)
    assert before.variables == after.variables
    assert {name: after.hosts[name] for name in before.hosts} == before.hosts
    for group, hosts in before.groups.items():
        assert set(hosts) <= set(after.groups[group])
    assert before.groups["lxd_leader"] == after.groups["lxd_leader"]


@settings(deadline=None, max_examples=50)
@given(sites())
def test_every_address_is_of_one_host(declarations):
    site = expand(declarations[1])
    seen = [
        (network, address)
        for host in site.groups["instances"]
        for network, address in site.hosts[host]["bcm_addresses"].items()
    ]
    seen += [(network, facts["address"]) for network, facts in site.variables["bcm_way_out"].items()]
    assert len(seen) == len(set(seen))


@settings(deadline=None, max_examples=50)
@given(sites())
def test_no_host_knows_of_another(declarations):
    """Lists of other hosts in variables would change when these do."""
    site = expand(declarations[0])
    for host in site.groups["instances"]:
        variables = repr({**site.hosts[host], "ansible_host": None})
        assert all(f"'{other}'" not in variables for other in site.hosts if other != host)


KEYS = sorted({part.removesuffix("[]") for path, _kind in rows(SCHEMA) for part in path.split(".")} - {"NAME"})
WORDS = [
    "",
    "regtest",
    "mainnet",
    "simnet",
    "bitcoin",
    "btcd",
    "10.77.0.0/16",
    "10.0.0.0/8",
    "4GiB",
    "1TiB",
    "${HOME}",
    "{{ 1 }}",
    "\x00",
    "http://[",
    "root@a",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.sampled_from(list(_chains.CHAINS))
)
ANYTHING = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from(KEYS), below, max_size=4)),
    max_leaves=8,
)
FULL = {
    **HEAD,
    "name": "test",
    "chain": "regtest",
    "endpoints": [{"name": "a", "connection": "local"}],
    "network": "10.77.0.0/16",
    "networks": {"outside": {"subnet": "10.78.0.0/24"}, "cluster": {"bridge": "b2"}},
    "tiers": {
        "bitcoin": {"count": 1, "size": {"memory": "8GiB"}, "volumes": [{"name": "v", "size": "1GiB", "path": "/v"}]},
        "manager": {"count": 3, "size": {"memory": "3GiB"}},
    },
    "stacks": {
        "bitcoin": {
            "prune": "1GiB",
            "indexes": {"txindex": False},
            "volume_size": "9GiB",
            "signers": [{"name": "x", "fingerprint": "A" * 40}],
            "dbcache": 9,
        },
        "kafka": {"memory": "512MiB", "topics": {"mine": {}}},
        "connect": {
            "workers": 2,
            "archive": {"keep": "9d"},
            "connectors": {"c": {"reads": ["mine"], "config": {"connector.class": "C"}}},
        },
        "rest_proxy": {"digest": "sha256:" + "0" * 64, "tier": "manager", "writes": ["mine"], "clients": ["c"]},
    },
    "mirrors": {"apt": {"debian": "http://10.1.1.1/d"}, "registries": {"ghcr.io": "https://ghcr.io"}},
    "pool": {"size": "60GiB"},
    "egress": {"allowed_private": [{"host": "10.1.1.1", "port": 1}]},
}


def _paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _paths(below, (*path, key))
    elif isinstance(value, list):
        for position, below in enumerate(value):
            yield from _paths(below, (*path, position))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(list(_paths(FULL))[1:]), ANYTHING), min_size=1, max_size=3))
def test_whatever_stands_there_is_expanded_or_refused_in_words(changes):
    data = copy.deepcopy(FULL)
    for path, value in changes:
        at = data
        for part in path[:-1]:
            try:
                at = at[part]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(at, dict) or (isinstance(at, list) and isinstance(path[-1], int) and path[-1] < len(at)):
                at[path[-1]] = copy.deepcopy(value)
    try:
        expand(data)
    except _declaration.DeclarationError as error:
        said = [str(finding) for finding in error.findings]
    else:
        return
    assert said
    assert [line for line in said if "; allowed: " not in line] == []
