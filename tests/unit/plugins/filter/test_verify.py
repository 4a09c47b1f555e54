# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report names every host, reached or not, and the words carry causes and hints."""

from __future__ import annotations

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


def test_who_reads_from_kafka_must_keep_up() -> None:
    asked = [{"group": "connect-audit-files", "topic": "audit", "what": "Files of the audit log", "most": 1000}]

    def part(**result: object) -> dict[str, object]:
        hostvars = {
            "a": {
                "verify_result": {"results": []},
                "verify_kafka_groups": asked,
                "verify_kafka_groups_result": result,
            }
        }
        (found,) = verify_report(["a"], hostvars, "home")["parts"] or [{}]
        return dict(found)

    well = part(groups=[{"name": "connect-audit-files", "behind": 3}])
    assert (well["part"], well["works"]) == ("Files of the audit log, from audit (3 lines behind)", True)
    late = part(groups=[{"name": "connect-audit-files", "behind": 2000}])
    assert (late["works"], late["cause"]) == (False, "it is 2000 lines behind")
    assert part(failed=False, msg="no route")["cause"] == "no route"
    assert part(skipped=True, changed=False) == {}
