# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members are new, which are restarted and in which order, and who stands and is not declared any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_cluster import Expected, Vote, vote_findings
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka

ROLE = Path(__file__).parents[4] / "roles/kafka"
HOSTVARS = {
    f"manager-{index}": {"bcm_number": 1000 + index, "bcm_addresses": {"cluster": f"10.0.0.{index}"}}
    for index in range(1, 6)
}


def members(count: int) -> list[dict[str, Any]]:
    return _kafka.members(list(HOSTVARS)[:count], None, HOSTVARS, "x.internal")


def trusted(value: Any) -> Any:
    """As Ansible takes what stands in a role."""
    if isinstance(value, dict):
        return {key: trusted(one) for key, one in value.items()}
    return trust_as_template(value) if isinstance(value, str) else value


def of_role(*names: str) -> dict[str, Any]:
    """Variables of the role that it works out by itself."""
    role = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    return {name: trusted(role[name]) for name in names}


def decided(stored: dict[str, list[str]], now: list[dict[str, Any]], there: list[str]) -> dict[str, list[str]]:
    """Names of the members that are new and of those that are restarted, in their order, all having another configuration."""
    tasks = yaml.safe_load((ROLE / "tasks/changes.yml").read_text())
    (task,) = [one for one in tasks if one["name"] == "Who is new, and who is changed"]
    variables = {
        **of_role("kafka__names", "kafka__stored", "kafka__promoted"),
        **trusted(task["vars"]),
        "kafka_members": now,
        "kafka__read": {
            "secrets": {
                f"kafka-member-{name}": json.dumps({"directory": "d", "roles": roles}) for name, roles in stored.items()
            }
        },
        "kafka__swarm": {"services": [{"Name": f"kafka-{name}"} for name in there]},
        "kafka__had": {"results": [{"msg": "Service updated", "kafka__member": member} for member in now]},
    }
    found = Templar(loader=DataLoader(), variables=variables).template(trusted(task["ansible.builtin.set_fact"]))
    return {key: [member["name"] for member in some] for key, some in found.items()}


@pytest.mark.parametrize(
    ("before", "after", "restarted"),
    [
        (1, 2, ["manager-1"]),
        (1, 3, ["manager-1"]),
        (2, 3, ["manager-2", "manager-1"]),
        (2, 4, ["manager-2", "manager-1"]),
        (3, 5, ["manager-1", "manager-2", "manager-3"]),
    ],
)
def test_growing_comes_to_an_end(before: int, after: int, restarted: list[str]) -> None:
    """Each restart finds all the others with the vote that they shall have."""
    now = members(after)
    stored = {member["name"]: member["roles"] for member in members(before)}
    # The new ones are remembered when they are formatted.
    stored |= {member["name"]: member["roles"] for member in now[before:]}
    found = decided(stored, now, [member["name"] for member in now[:before]])
    assert found["kafka__new"] == [member["name"] for member in now[before:]]
    assert found["kafka__changed"] == restarted

    controllers = tuple(member["id"] for member in now if "controller" in member["roles"])
    voting = {member["id"] for member in members(before) if "controller" in member["roles"]}
    voting |= {member["id"] for member in now[before:] if "controller" in member["roles"]}
    for name in restarted:
        (member,) = [one for one in now if one["name"] == name]
        votes = [Vote(one, "d", 0, 1000, "Leader" if one == 1001 else "Follower") for one in sorted(voting)]
        assert vote_findings(votes, Expected(controllers=controllers, apart_from=(member["id"],))) == []
        voting |= {member["id"]} & set(controllers)
    assert voting == set(controllers)


def test_a_run_that_was_killed_before_the_first_restart_is_finished_in_the_same_order() -> None:
    """The new one's service is there, and roles are those of before: they are remembered after the restart."""
    now = members(3)
    stored = {"manager-1": ["broker", "controller"], "manager-2": ["broker"], "manager-3": ["broker", "controller"]}
    assert decided(stored, now, [member["name"] for member in now]) == {
        "kafka__new": [],
        "kafka__changed": ["manager-2", "manager-1", "manager-3"],
    }
    assert decided({**stored, "manager-2": ["broker", "controller"]}, now, [member["name"] for member in now]) == {
        "kafka__new": [],
        "kafka__changed": ["manager-1", "manager-2", "manager-3"],
    }


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ([["kafka-manager-1", "kafka-manager-2", "kafka-manager-3"]], []),
        ([["kafka-manager-1"]], []),
        ([["kafka-manager-5", "kafka-manager-1", "kafka-manager-4"]], ["kafka-manager-4", "kafka-manager-5"]),
        ([["kafka-manager-1-controller", "kafka-manager-1"]], ["kafka-manager-1-controller"]),
        # A tier that was another one; each is told once, by whoever answers.
        ([None, ["kafka-kafka-1"], ["kafka-kafka-1"]], ["kafka-kafka-1"]),
        ([[]], []),
        ([None, None], []),
    ],
)
def test_who_stands_and_is_not_declared_any_more(answers: list[list[str] | None], left: list[str]) -> None:
    results: list[dict[str, Any]] = [
        {"rc": 1, "stdout_lines": ["kafka-what is said of an error"]},
        {"rc": 127, "stdout_lines": []},
    ]
    results += [{"unreachable": True} if lines is None else {"rc": 0, "stdout_lines": lines} for lines in answers]
    variables = {
        **of_role("kafka__names", "kafka__left"),
        "kafka_members": members(3),
        "kafka__standing": {"results": results},
    }
    assert Templar(loader=DataLoader(), variables=variables).template(trusted("{{ kafka__left }}")) == left


@pytest.mark.parametrize(
    ("changed", "formatted", "check", "written"),
    [
        ([], {}, False, True),
        (["manager-1"], {}, False, True),
        # It is written when it is restarted; in check mode it is said that it would be.
        (["manager-1", "manager-2"], {}, False, False),
        (["manager-1", "manager-2"], {}, True, True),
        # It begins anew, and is formatted by it.
        (["manager-1", "manager-2"], {"manager-2": []}, False, True),
    ],
)
def test_who_is_to_be_restarted_has_its_configuration_until_then(
    changed: list[str], formatted: dict[str, list[str]], check: bool, written: bool
) -> None:
    """What Kafka does not start with must not lie on all members when the first has tried it."""
    own = (
        "kafka__etc",
        "kafka__own",
        "kafka__uid",
        "kafka__managed",
        "kafka__member_files",
        "kafka__later",
        "kafka__properties",
    )
    variables = {
        **of_role(*own),
        "ansible_check_mode": check,
        "inventory_hostname": "manager-2",
        "kafka_members": members(3),
        "kafka_directory": "/srv/kafka",
        "kafka_authority": "authority",
        "kafka_certificates": {"manager-2": {"key": "key", "certificate": "certificate"}},
        "kafka__plan": {"conf": {"manager-2": "a=b\n"}, "names": {"manager-2": "names"}},
        "kafka__changed": [member for member in members(3) if member["name"] in changed],
        "kafka__decided": {"format": formatted},
        "kafka__member": members(3)[1],
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    found = {one["path"]: one for one in templar.template(trusted("{{ kafka__member_files }}"))}
    path = "/etc/bcm/kafka/manager-2/server.properties"
    assert (path in found) is written
    assert {"hosts", "ca.pem", "node.pem"} <= {Path(one).name for one in found}
    # It is the same one either way.
    later = templar.template(trusted("{{ kafka__properties }}"))
    assert later["content"].endswith("here is lost with the next run.\na=b\n")
    assert found.get(path, later) == later


def test_whose_a_volume_is_when_nobody_knows_its_cluster() -> None:
    told = (
        "== manager-1 files\r\n#\r\n#Mon Nov 30\r\ncluster.id=abc-D_1\r\nnode.id=1001\r\n== manager-1-controller files\r\n",
        "== manager-2 empty\n",
        "== manager-3 files\nversion=1\ncluster.id=abc-D_1\ndirectory.id=x\n",
    )
    variables = {
        **of_role("kafka__found", "kafka__nameless"),
        "ansible_play_hosts": ["manager-1", "manager-2", "manager-3"],
        "hostvars": {f"manager-{n}": {"kafka__volumes": {"stdout": text}} for n, text in enumerate(told, 1)},
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trusted("{{ kafka__nameless }}")) == ["abc-D_1", "abc-D_1"]
    variables["hostvars"] = {
        f"manager-{n}": {"kafka__volumes": {"stdout": f"== manager-{n} empty\n"}} for n in (1, 2, 3)
    }
    assert Templar(loader=DataLoader(), variables=variables).template(trusted("{{ kafka__nameless }}")) == []
