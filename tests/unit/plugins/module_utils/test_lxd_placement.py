# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import dataclasses

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_placement import Member, Wanted, natural, place

RACK = [Member("rack-1"), Member("rack-2"), Member("rack-10")]


def managers(count: int, **fields) -> list[Wanted]:
    return [Wanted(f"manager-{n}", apart="manager", **fields) for n in range(1, count + 1)]


def test_those_of_a_tier_are_apart():
    assert place(RACK, managers(5)) == (
        {
            "manager-1": "rack-1",
            "manager-2": "rack-2",
            "manager-3": "rack-10",
            "manager-4": "rack-1",
            "manager-5": "rack-2",
        },
        [],
    )


def test_failure_domains_come_before_members():
    members = [
        Member("a", failure_domain="room"),
        Member("b", failure_domain="room"),
        Member("c", failure_domain="cellar"),
    ]
    placed, _errors = place(members, managers(3))
    assert placed == {"manager-1": "a", "manager-2": "c", "manager-3": "b"}


def test_what_exists_stays_and_counts():
    wanted = [Wanted("manager-1", apart="manager", location="rack-2"), *managers(3)[1:]]
    assert place(RACK, wanted)[0] == {"manager-1": "rack-2", "manager-2": "rack-1", "manager-3": "rack-10"}
    # Also on a member that is down, and against what the declaration says of new ones.
    members = [Member("rack-1", able=False), Member("rack-2")]
    stays = Wanted("manager-1", target="rack-2", apart="manager", location="rack-1", volumes=("rack-1",))
    assert place(members, [stays]) == ({"manager-1": "rack-1"}, [])


def test_existing_ones_count_wherever_they_stand_in_the_list():
    wanted = [Wanted("manager-1", apart="manager"), Wanted("manager-2", apart="manager", location="rack-1")]
    assert place(RACK, wanted)[0]["manager-1"] == "rack-2"


def test_tiers_do_not_mind_each_other_but_the_load_counts():
    members = [Member("rack-1", load=4), Member("rack-2", load=1)]
    wanted = [Wanted("bitcoin-1", apart="bitcoin"), Wanted("web-1", apart="web"), Wanted("alone")]
    assert place(members, wanted)[0] == {"bitcoin-1": "rack-2", "web-1": "rack-2", "alone": "rack-2"}


def test_an_instance_that_is_gone_is_made_where_its_data_is():
    wanted = [Wanted("bitcoin-1", target="rack-1", apart="bitcoin", volumes=("rack-10", "rack-10"))]
    assert place(RACK, wanted) == ({"bitcoin-1": "rack-10"}, [])


def test_a_target_is_obeyed():
    assert place(RACK, [Wanted("web-1", target="rack-10")]) == ({"web-1": "rack-10"}, [])


@pytest.mark.parametrize(
    ("members", "wanted", "error"),
    [
        (RACK, Wanted("x", target="rack-3"), "instance x: the cluster has no member 'rack-3'. Its members: rack-1, rack-2, rack-10"),
        ([Member("a", able=False)], Wanted("x", target="a"), "instance x: member a is offline, evacuated or leaving"),
        ([Member("a", able=False)], Wanted("x"), "instance x: no member of the cluster is online"),
        ([Member("a", able=False), Member("b")], Wanted("x", volumes=("a",)), "instance x: member a is offline, evacuated or leaving"),
        (RACK, Wanted("x", volumes=("rack-1", "rack-2")), "instance x: its volumes lie on rack-1 and rack-2; bring them together first"),
    ],
)  # fmt: skip
def test_errors(members, wanted, error):
    assert place(members, [wanted]) == ({}, [error])


def leaves(wanted: list[Wanted], locations: dict[str, str], *leaving: str) -> list[Wanted]:
    """The same as instances that exist, of which those on some members choose again."""
    return [
        dataclasses.replace(
            one, location=locations[one.name], moves=not leaving or locations[one.name] in leaving, volumes=(locations[one.name],)
        )
        for one in wanted
    ]  # fmt: skip


def test_what_leaves_a_member_goes_where_it_would_go_if_it_were_new():
    places = {"manager-1": "rack-1", "manager-2": "rack-2", "manager-3": "rack-10"}
    rack = [*RACK[:2], dataclasses.replace(RACK[2], able=False)]
    # Its volumes come along; what is on the others stays.
    assert place(rack, leaves(managers(3), places, "rack-10")) == ({**places, "manager-3": "rack-1"}, [])


def test_what_is_as_it_would_be_if_it_were_new_stays():
    wanted = [*managers(3), Wanted("bitcoin-1", apart="bitcoin")]
    new = place(RACK, wanted)[0]
    load = collections.Counter(new.values())
    rack = [dataclasses.replace(member, load=load[member.name]) for member in RACK]
    assert place(rack, leaves(wanted, new))[0] == new
    # Another order is as good, and is left.
    other = {"manager-1": "rack-2", "manager-2": "rack-10", "manager-3": "rack-1", "bitcoin-1": "rack-1"}
    load = collections.Counter(other.values())
    rack = [dataclasses.replace(member, load=load[member.name]) for member in RACK]
    assert place(rack, leaves(wanted, other))[0] == other


def test_what_came_together_is_spread_and_then_stays():
    wanted = [
        Wanted("proxyhost-1", apart="proxyhost"),
        *managers(3),
        Wanted("bitcoin-1", apart="bitcoin", target="rack-2"),
    ]
    here = dict.fromkeys((one.name for one in wanted), "rack-1")
    rack = [dataclasses.replace(RACK[0], load=6), *RACK[1:]]
    spread = place(rack, leaves(wanted, here))[0]
    assert {spread[f"manager-{n}"] for n in (1, 2, 3)} == {"rack-1", "rack-2", "rack-10"}
    assert spread["bitcoin-1"] == "rack-2"
    # Somebody else's instance on rack-1 counts.
    load = collections.Counter(["rack-1", *spread.values()])
    rack = [dataclasses.replace(member, load=load[member.name]) for member in RACK]
    assert place(rack, leaves(wanted, spread))[0] == spread


def test_ten_comes_after_two():
    assert sorted(["rack-10", "rack-2", "a", "2", "rack"], key=natural) == ["2", "a", "rack", "rack-2", "rack-10"]
