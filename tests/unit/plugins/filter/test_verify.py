# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report names every host, reached or not, and the words carry causes and hints."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.verify_report import verify_report
from ansible_collections.bcm.datacenter.plugins.filter.verify_words import verify_words

WORKS = {"part": "The proxy", "works": True, "cause": "", "hint": ""}
BROKEN = {"part": "The proxy", "works": False, "cause": "squid.service is inactive", "hint": "Start it."}


def test_all_works() -> None:
    hostvars = {"a": {"verify_result": {"results": [WORKS]}, "bcm_addresses": {"gateway": "10.0.0.1"}}}
    report = verify_report(["a"], hostvars, "home")
    assert report["works"]
    assert report["broken"] == []
    assert verify_words(report).splitlines() == [
        "Site home",
        "  a (gateway 10.0.0.1)",
        "    works      The proxy",
        "All 1 parts work.",
    ]


def test_broken_unreachable_and_forgotten() -> None:
    hostvars = {
        "a": {"verify_result": {"results": [WORKS, BROKEN]}},
        "b": {"verify_result": {"unreachable": True, "msg": "the instance b is stopped"}},
        "c": {},
        "d": {"verify_result": {"failed": True, "msg": "no python"}},
        "e": {"verify_result": {"unreachable": True, "msg": "no route to host"}, "group_names": ["endpoints"]},
    }
    report = verify_report(["a", "b", "c", "d", "e"], hostvars, "home")
    assert not report["works"]
    assert report["broken"] == [
        "a: The proxy: squid.service is inactive",
        "b: the instance itself: the instance b is stopped",
        "c: the instance itself: it was not looked at",
        "d: the instance itself: no python",
        "e: the machine itself: no route to host",
    ]
    words = verify_words(report)
    assert "cause: squid.service is inactive" in words
    assert "try:   Start it." in words
    assert words.endswith("5 of 6 parts do not work.")


def kafka_part(**result: object) -> dict[str, object]:
    hostvars = {"a": {"verify_result": {"results": []}, "verify_kafka_result": result}}
    parts = verify_report(["a"], hostvars, "home")["parts"]
    return parts[0] if parts else {}


def test_tor_is_a_part() -> None:
    tor = {"running": True, "bootstrapped": 100, "ready": True, "note": "tor 0.4.9.11, 100 %", "cause": "", "hint": ""}
    seen: dict[str, Any] = {"results": []}

    def of(found: dict[str, Any]) -> dict[str, Any]:
        report = verify_report(
            ["proxyhost-1"], {"proxyhost-1": {"verify_result": seen, "verify_tor_result": found}}, "s"
        )
        return report["parts"][0] if report["parts"] else {}

    assert of(tor)["part"] == "Tor (tor 0.4.9.11, 100 %)"
    late = of({**tor, "bootstrapped": 5, "ready": False, "cause": "the clock is wrong", "hint": "Set it."})
    assert (late["works"], late["cause"], late["hint"]) == (False, "5 %: the clock is wrong", "Set it.")
    assert (
        of({**tor, "running": False, "bootstrapped": 0, "ready": False, "cause": "it is off"})["cause"] == "it is off"
    )
    assert of({"skipped": True}) == {}


def test_kafka_as_a_whole_is_a_part() -> None:
    well = kafka_part(ready=True, note="3 brokers, 3 controllers, 1002 leads", reason="")
    assert (well["part"], well["works"]) == ("Kafka as a whole (3 brokers, 3 controllers, 1002 leads)", True)
    ill = kafka_part(ready=False, reason="broker 1003 is not there")
    assert (ill["works"], ill["cause"]) == (False, "broker 1003 is not there")
    # Its library is missing, or the host did not answer.
    assert (
        kafka_part(failed=False, msg="The module interpreter was not found.")["cause"]
        == "The module interpreter was not found."
    )
    assert kafka_part(skipped=True, changed=False) == {}


def all_parts(**hosts: dict[str, object]) -> list[tuple[str, str, bool, str]]:
    hostvars = {host: {"verify_result": {"results": []}, **said} for host, said in hosts.items()}
    parts = verify_report(sorted(hosts), hostvars, "home")["parts"]
    return [(part["host"], part["part"], part["works"], part["cause"]) for part in parts]


def test_kafka_is_well_where_only_one_host_gets_no_answer() -> None:
    well = {"reachable": True, "ready": True, "note": "3 brokers"}
    silent = {"reachable": False, "ready": False, "reason": "no broker could be asked"}
    assert all_parts(
        a={"verify_kafka_result": silent, "verify_kafka_other_result": {"skipped": True}},
        b={"verify_kafka_result": {"skipped": True}, "verify_kafka_other_result": well},
        c={"verify_kafka_other_result": well},
    ) == [
        ("a", "Kafka from here", False, "no broker could be asked"),
        ("b", "Kafka as a whole (3 brokers)", True, ""),
    ]
    # Nobody gets one: said once.
    assert all_parts(a={"verify_kafka_result": silent}, b={"verify_kafka_other_result": silent}) == [
        ("a", "Kafka as a whole", False, "no broker could be asked")
    ]
    # The host that was to ask is away, which is said of the host.
    assert all_parts(a={"verify_kafka_result": {"unreachable": True}}, b={"verify_kafka_other_result": well}) == [
        ("b", "Kafka as a whole (3 brokers)", True, "")
    ]


def test_how_old_the_last_line_of_each_host_is() -> None:
    asked = {"hosts": ["b"], "of": ["a", "b", "c", "d"], "late": 60}
    found = {
        "rc": 0,
        "stdout": '{"host": "a", "time": "2026-11-29T18:30:00Z", "age": 12}\n'
        '{"host": "b", "time": "2026-11-29T18:29:00Z", "age": 61}\n',
    }
    skipped: dict[str, object] = {"verify_logs_result": {"skipped": True}}
    assert all_parts(a=skipped, b={"verify_logs_result": found, "verify_logs_asked": asked}, c={}) == [
        ("a", "Last line in Kafka (12 s old)", True, ""),
        ("b", "Last line in Kafka", False, "it is of 2026-11-29T18:29:00Z, 61 s ago"),
        ("c", "Last line in Kafka", False, "there is none of late"),
    ]
    failed = {"rc": 1, "stdout": "", "stderr": "bcm-logs: Kafka at manager-1:9092 does not answer"}
    assert all_parts(a=skipped, b={"verify_logs_result": failed, "verify_logs_asked": asked}) == [
        ("b", "Last lines of all hosts", False, "bcm-logs: Kafka at manager-1:9092 does not answer")
    ]


def test_who_reads_from_kafka_must_keep_up() -> None:
    asked = [{"group": "connect-audit-files", "topic": "audit", "what": "Files of the audit log", "most": 1000}]

    def part(**result: object) -> dict[str, object]:
        hostvars = {
            "a": {
                "verify_result": {"results": []},
                "verify_kafka_groups_asked": asked,
                "verify_kafka_groups_result": result,
            }
        }
        (found,) = verify_report(["a"], hostvars, "home")["parts"] or [{}]
        return dict(found)

    well = part(groups=[{"name": "connect-audit-files", "behind": 3, "moved": True}])
    assert (well["part"], well["works"]) == ("Files of the audit log, from audit (3 lines behind)", True)
    late = part(groups=[{"name": "connect-audit-files", "behind": 2000, "moved": True}])
    assert (late["works"], late["cause"]) == (False, "it is 2000 lines behind")
    still = part(groups=[{"name": "connect-audit-files", "behind": 1, "moved": False}])
    assert (still["works"], still["cause"]) == (
        False,
        "it is 1 lines behind, and has read none of them while it was looked at",
    )
    assert part(failed=False, msg="no route")["cause"] == "no route"
    assert part(skipped=True, changed=False) == {}


def node_parts(*results: dict[str, object]) -> list[tuple[str, bool]]:
    hostvars = {"a": {"verify_result": {"results": []}, "verify_node_result": {"results": list(results)}}}
    return [(part["part"], part["works"]) for part in verify_report(["a"], hostvars, "home")["parts"]]


def test_each_node_of_a_host_is_a_part() -> None:
    ready = {"running": True, "ready": True, "blocks": 7, "strangers": [], "peer_networks": {"onion": 8}}
    first = {**ready, "verify_node": {"name": "a", "chain": ""}}
    second = {
        **ready,
        "running": False,
        "reason": "no container",
        "verify_node": {"name": "a-signet", "chain": "signet"},
    }
    assert node_parts(first, second) == [("bitcoind (block 7; peers: 8 by onion)", True), ("bitcoind of signet", False)]
    assert node_parts() == []


def test_a_peer_by_another_network_is_a_fault() -> None:
    stranger = {"address": "93.184.215.14:8333", "network": "ipv4", "direction": "out"}
    node = {
        "running": True,
        "ready": False,
        "reason": "has peers by networks",
        "strangers": [stranger],
        "verify_node": {"chain": ""},
    }
    assert node_parts(node) == [("Peers of bitcoind", False)]


def test_lnd_is_said_to_be_what_its_guard_says() -> None:
    parts = [
        {"part": "lnd", "works": True, "cause": "", "hint": "", "more": 1},
        {"part": "lnd's fence", "works": False, "cause": "nobody answers", "hint": "Look at the managers."},
    ]
    asked = {
        "a": {"rc": 1, "stdout": json.dumps({"parts": parts}), "stderr": ""},
        "b": {"rc": 1, "stdout": "", "stderr": "bcm-lnd-guard has written nothing for 90 s"},
        "c": {"rc": 127, "msg": "No such file"},
        "d": {"skipped": True},
    }
    hostvars = {host: {"verify_result": {"results": []}, "verify_lnd_result": found} for host, found in asked.items()}
    report = verify_report(list(asked), hostvars, "home")
    assert report["broken"] == [
        "a: lnd's fence: nobody answers",
        "b: lnd: bcm-lnd-guard has written nothing for 90 s",
        "c: lnd: No such file",
    ]
    assert [part["part"] for part in report["parts"] if part["host"] == "a"] == ["lnd", "lnd's fence"]
