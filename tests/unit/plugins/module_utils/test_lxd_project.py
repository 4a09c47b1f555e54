# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_project as projects
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROJECT, in_use_by
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import FakeLXD, error, sync


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def project(*used_by: str, **features: str) -> dict[str, t.Any]:
    config = {f"features.{key}": value for key, value in features.items()}
    return {"name": "p", "config": config, "used_by": [f"/1.0/{path}?project=p" for path in used_by]}


def test_what_lxd_does_not_tell_of_a_project(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({"api_extensions": ["storage_buckets", "network_dns"]}))
    lxd.route("GET", "/1.0/storage-pools", sync([{"name": "one"}, {"name": "two"}]))
    lxd.route("GET", "/1.0/storage-pools/one/buckets", sync([{"name": "b"}]))
    lxd.route("GET", "/1.0/storage-pools/two/buckets", error(400, "Storage pool does not support buckets"))
    lxd.route("GET", "/1.0/network-zones", sync([{"name": "z"}, {"name": "known"}]))
    config = {"features.storage.buckets": "true", "features.networks": "true"}
    actual = {**project("instances/i", "network-zones/known", "profiles/default"), "config": config}
    found = projects.with_contents(client, actual)
    assert in_use_by(PROJECT, {"name": "p"}, found) == [
        "instances/i",
        "network-zones/known",
        "storage-pools/one/buckets/b",
        "network-zones/z",
    ]
    # Without these features it is shown what belongs to the default project.
    shared = projects.with_contents(client, project("profiles/default", networks="false"))
    assert in_use_by(PROJECT, {"name": "p"}, shared) == []


@pytest.mark.parametrize(
    ("now", "wanted", "used", "refused"),
    [
        ("true", False, True, True),
        ("true", None, True, True),
        ("false", True, True, True),
        ("true", True, True, False),
        ("true", False, False, False),
    ],
)
def test_features_of_a_project_that_holds_something(now: str, wanted: bool | None, used: bool, refused: bool) -> None:
    actual = project("profiles/default", *(["images/f"] if used else []), images=now)
    errors = projects.feature_errors({"name": "p", "config": {"features.images": wanted}}, actual)
    assert [("only while the project is empty. In it: images/f" in error) for error in errors] == [True] * refused


def test_features_of_the_default_project() -> None:
    errors = projects.feature_errors({"name": "default", "config": {"features.images": False}}, {"name": "default"})
    assert errors == ["project default: its features cannot be changed: features.images"]
