# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image, what is made from it, and when it is built anew. That a second run builds nothing has been seen before."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from standing import Run, lxc, wait_for
from testinfra.host import Host

BUILDER = "golden-builder"


def images() -> list[dict[str, Any]]:
    """Those that the role has made, by their own mark."""
    found = json.loads(lxc("image", "list", "--format=json", project="molecule"))
    return [image for image in found if image["properties"].get("user.bcm.site") == "molecule"]


def builders() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(lxc("list", f"^{BUILDER}$", "--format=json", project="molecule"))
    return found


def test_there_is_one_image_under_its_name_and_no_builder() -> None:
    (image,) = images()
    assert [alias["name"] for alias in image["aliases"]] == ["golden-molecule"]
    assert builders() == []


@pytest.mark.parametrize("name", ["golden-1", "golden-2"])
def test_its_packages_are_there_and_nothing_of_them_runs(instance: Callable[[str], Host], name: str) -> None:
    host = instance(name)
    assert host.check_output("jq --version").startswith("jq-")
    assert host.run("systemctl is-enabled nginx.service").stdout.strip() == "disabled"
    assert host.run("systemctl is-active nginx.service").stdout.strip() == "inactive"
    assert host.check_output("systemctl is-system-running") == "running"


def test_nothing_of_the_build_is_left_in_it(instance: Callable[[str], Host]) -> None:
    host = instance("golden-1")
    for path in ("/usr/sbin/policy-rc.d", "/etc/apt/apt.conf.d/90proxy"):
        assert not host.file(path).exists
    assert host.check_output("find /var/lib/apt/lists -type f -size +0 | wc -l") == "0"


def test_two_instances_of_it_are_two_machines(instance: Callable[[str], Host]) -> None:
    identities = [instance(name).check_output("cat /etc/machine-id") for name in ("golden-1", "golden-2")]
    assert identities[0] != identities[1]


def test_a_base_that_is_not_there(refusal: Callable[..., str], lab: dict[str, Any]) -> None:
    before = images()
    message = refusal(golden_image_base={**lab["mirrors"]["images"], "alias": "debian/99"})
    assert "debian/99" in message
    assert images() == before


def test_another_recipe_builds_anew_even_when_its_first_build_is_killed(
    converge: Callable[..., Run], begin: Callable[..., Any]
) -> None:
    (before,) = images()
    announced = converge("converge.yml", "--check", golden_image_serial=2)
    assert {task for _host, task in announced.changed} == {"bcm.datacenter.golden_image : The image would be built"}

    building = begin("converge.yml", golden_image_serial=2)
    wait_for("the builder", lambda: [b for b in builders() if b["status"] == "Running"], 120)
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()
    assert images() == [before]

    assert converge("converge.yml", golden_image_serial=2).failures == []
    (after,) = images()
    assert after["fingerprint"] != before["fingerprint"]
    assert [alias["name"] for alias in after["aliases"]] == ["golden-molecule"]
    assert builders() == []
