# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines go on coming, whoever of the bus is killed, stopped, paused or restarted: what entered a journal comes out of Kafka.

In a run of all tests with fewer lines; `tests/run soak rest` has 50,000 of each source.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bus import Bus, Container, Unit
from standing import Site, restart, wait_for

LINES = 4_000 if "BCM_BRIEF" in os.environ else 50_000
# As many in a second as journald takes of one unit for as long as it likes.
A_SECOND = 200
# What is killed, stopped and restarted takes this long.
AT_LEAST = 120


@pytest.mark.usefixtures("whole")
def test_nothing_is_lost_while_brokers_are_killed_and_stopped_and_a_manager_is_restarted(
    site: Site, bus: Bus, record_property: Callable[[str, object], None]
) -> None:
    since, seconds = bus.now(), max(AT_LEAST, LINES // A_SECOND)
    units = [Unit(site, host, f"e2e-{host}") for host in ("proxyhost-1", "manager-1", "bitcoin-1")]
    talker = Container(site, "bitcoin-1", "e2e-talker")
    for unit in units:
        unit.begin(1, LINES, seconds)
    talker.begin(LINES, LINES // 100)

    bus.kill("manager-1")
    wait_for("the broker that was killed", lambda: bus.serves("manager-1"), 120, every=2)
    bus.signal("manager-2", "STOP")
    time.sleep(30)
    bus.signal("manager-2", "CONT")
    restart("manager-3", site.project)

    sources: list[Unit | Container] = [*units, talker]
    for source in sources:
        wait_for(f"end of {source.key}", source.ended, seconds + 300, every=2)
    bus.caught_up(*site.instances)
    again = bus.check(since, LINES, *sources)
    record_property("again", again)
    print(f"{LINES * len(sources)} lines, {again} of them more than once")
    assert [host for host in site.instances if bus.status(host)["lost"]] == []


@pytest.mark.usefixtures("whole")
def test_nothing_is_lost_while_all_brokers_stand_still_and_a_shipper_is_killed_and_its_instance_restarted(
    site: Site, bus: Bus, record_property: Callable[[str, object], None]
) -> None:
    since, part = bus.now(), LINES // 4
    sources = [Unit(site, "bitcoin-1", "e2e-still"), Unit(site, "bitcoin-1", "e2e-quiet")]

    def write(first: int, last: int) -> None:
        for source in sources:
            source.begin(first, last, (last - first) / (A_SECOND * 4))
        for source in sources:
            wait_for(f"end of {source.key}", source.ended, 120)

    write(1, part)
    bus.pause(*bus.hosts)
    write(part + 1, part * 2)
    site.ask("bitcoin-1", "systemctl", "kill", "--signal=SIGKILL", "bcm-shipper.service")
    wait_for("another shipper", lambda: bus.status("bitcoin-1")["running"], 30)
    write(part * 2 + 1, part * 3)
    restart("bitcoin-1", site.project)
    wait_for("its shipper", lambda: bus.status("bitcoin-1")["running"], 120, every=2)
    assert bus.status("bitcoin-1")["backlog"] >= part * 2
    write(part * 3 + 1, LINES)
    bus.resume(*bus.hosts)

    bus.caught_up("bitcoin-1")
    again = bus.check(since, LINES, *sources)
    record_property("again", again)
    print(f"{LINES * len(sources)} lines, {again} of them more than once")
    assert bus.status("bitcoin-1")["lost"] == 0


def test_with_two_of_three_away_nothing_is_acknowledged_and_verify_names_it(
    site: Site, bus: Bus, tmp_path: Path
) -> None:
    since, lines = bus.now(), 2_000
    unit = Unit(site, "proxyhost-1", "e2e-two-away")
    unit.begin(1, lines // 2, 1)
    wait_for("end of the first half", unit.ended, 60)
    bus.caught_up("proxyhost-1")

    others = bus.hosts[1:]
    bus.pause(*others)
    unit.begin(lines // 2 + 1, lines, 1)
    wait_for("end of the second half", unit.ended, 60)
    # What was under way when they stopped may have arrived.
    wait_for("a shipper that waits", lambda: bus.status("proxyhost-1")["error"], 150, every=2)
    before = bus.status("proxyhost-1")
    report = site.verify(tmp_path)
    after = bus.status("proxyhost-1")
    assert after["acknowledged"] == before["acknowledged"]
    assert after["backlog"] >= before["backlog"] > 0

    wrong = {(part["host"], part["part"]): part for part in report["parts"] if not part["works"]}
    for host in others:
        number = site.hostvars[host]["bcm_number"]
        assert (host, f"Kafka's broker and controller {number}") in wrong
    wholes = [part for (_host, name), part in wrong.items() if name == "Kafka as a whole"]
    assert len(wholes) == 1
    assert wholes[0]["cause"]
    assert wholes[0]["hint"]
    # Whoever waits says so, a minute after it began to.
    assert ("proxyhost-1", "Logs on their way to Kafka") in wrong or before["oldest"] <= 60

    bus.resume(*others)
    bus.caught_up("proxyhost-1")
    bus.check(since, lines, unit)
    bus.whole()
    wait_for("a site that works again", lambda: site.verify(tmp_path)["works"], 240, every=5)
