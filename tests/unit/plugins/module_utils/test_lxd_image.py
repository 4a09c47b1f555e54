# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_image as images
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

RECIPE = "user.bcm.recipe"


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def image(fingerprint: str, *aliases: str, **properties: str) -> dict[str, t.Any]:
    return {
        "fingerprint": fingerprint * 64,
        "aliases": [{"name": alias} for alias in aliases],
        "properties": {key.replace("recipe", RECIPE): value for key, value in properties.items()},
        "public": False,
    }


def desired(**fields: t.Any) -> dict[str, t.Any]:
    defaults = {
        "name": "golden",
        "state": "present",
        "identity": [RECIPE],
        "properties": {RECIPE: "two"},
        "source": {"type": "instance", "instance": "builder"},
    }
    return {**defaults, **fields}


def test_made_once() -> None:
    plan = images.plan(desired(), [])
    assert plan.actions == ["create", "alias"]
    assert images.plan(desired(), [image("a", "golden", recipe="two")]).actions == []


def test_another_recipe_replaces_it() -> None:
    plan = images.plan(desired(), [image("a", "golden", recipe="one")])
    assert plan.actions == ["create", "alias", "prune"]
    assert images.plan(desired(prune=False), [image("a", "golden", recipe="one")]).actions == ["create", "alias"]


def test_what_has_another_name_is_not_pruned() -> None:
    assert images.plan(desired(), [image("a", "golden", "mine", recipe="one")]).actions == ["create", "alias"]


def test_killed_before_the_alias_was_set() -> None:
    plan = images.plan(desired(), [image("a", recipe="two"), image("b", recipe="one")])
    assert plan.actions == ["alias"]
    assert plan.image is not None
    assert plan.image["fingerprint"] == "a" * 64


def test_killed_before_the_alias_moved_and_before_the_old_one_went() -> None:
    plan = images.plan(desired(), [image("a", recipe="two"), image("b", "golden", recipe="one")])
    assert plan.actions == ["alias", "prune"]
    assert plan.old is not None
    assert plan.old["fingerprint"] == "b" * 64


def test_other_properties_change_in_place() -> None:
    there = [image("a", "golden", recipe="two", os="Debian", note="x")]
    plan = images.plan(desired(properties={RECIPE: "two", "description": "new", "note": None}), there)
    assert plan.actions == ["update"]
    assert plan.after is not None
    assert plan.after["properties"] == {RECIPE: "two", "os": "Debian", "description": "new"}


def test_one_from_a_server_is_what_the_server_says_it_is() -> None:
    remote = {"type": "image", "server": "https://x", "alias": "y"}
    assert images.plan(desired(source=remote), [image("a", "golden", recipe="one")]).actions == ["update"]


def test_files_are_told_by_their_content() -> None:
    wanted = desired(properties=None, source={"type": "file", "path": "x"})
    assert images.plan(wanted, [image("a", "golden")], "a" * 64).actions == []
    assert images.plan(wanted, [image("a", "golden")], "b" * 64).actions == ["create", "alias", "prune"]
    assert images.plan(wanted, [image("b")], "b" * 64).actions == ["alias"]


def test_without_identity_the_alias_is_enough() -> None:
    assert images.plan(desired(properties=None, source=None), [image("a", "golden")]).actions == []


def test_no_source() -> None:
    with pytest.raises(PlanError, match="does not exist, and no source"):
        images.plan(desired(source=None), [])
    with pytest.raises(PlanError, match="carries other properties, and no source"):
        images.plan(desired(source=None), [image("a", "golden", recipe="one")])


def test_absent() -> None:
    gone = desired(state="absent", properties=None)
    assert images.plan(gone, []).actions == []
    assert images.plan(gone, [image("a", "golden")]).actions == ["delete"]
    assert images.plan(gone, [image("a", "golden", "other")]).actions == ["unalias"]
    assert images.plan({**gone, "aliases": ["other"]}, [image("a", "golden", "other")]).actions == ["delete"]
    assert images.plan({**gone, "name": "a" * 12}, [image("a", "golden")]).actions == ["delete"]


def test_what_is_somebody_elses_is_neither_changed_nor_removed() -> None:
    for wanted in ("present", "absent"):
        with pytest.raises(PlanError, match=r"carries no user.bcm.site"):
            images.plan(desired(state=wanted, properties={"user.bcm.site": "s"}), [image("a", "golden")])


def test_fingerprint_is_that_of_metadata_and_root(tmp_path: Path) -> None:
    (tmp_path / "meta").write_bytes(b"one")
    (tmp_path / "root.qcow2").write_bytes(b"two")
    files = images.files_of({"path": str(tmp_path / "root.qcow2"), "metadata_path": str(tmp_path / "meta")})
    assert [field for field, _path in files] == ["metadata", "rootfs.img"]
    assert images.fingerprint_of(files) == hashlib.sha256(b"onetwo").hexdigest()
    assert images.files_of({"path": "/x/r.squashfs", "metadata_path": "/x/m"})[1] == ("rootfs", "/x/r.squashfs")
    assert images.files_of({"path": "/x/u.tar", "metadata_path": None}) == [("image", "/x/u.tar")]


def test_sources_that_are_not_there(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/up", sync({"status": "Running"}))
    lxd.route("GET", "/1.0/instances/down", sync({"status": "Stopped"}))
    assert images.check_source(client, {"type": "instance", "instance": "down"}) == []
    assert "has to be stopped" in images.check_source(client, {"type": "instance", "instance": "up"})[0]
    assert "no instance 'none'" in images.check_source(client, {"type": "instance", "instance": "none"})[0]
    assert images.check_source(client, {"type": "file", "path": "/no", "metadata_path": "/none"}) == [
        "there is no file /no",
        "there is no file /none",
    ]
    assert images.check_source(client, {"type": "url", "url": "https://x"}) == []


def test_images_that_are_still_being_made_are_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    busy = {"id": "op", "class": "task", "description": "Downloading image"}
    others = [
        {"id": "x", "description": "Backing up"},
        {"id": "t", "class": "token", "description": "Image download token"},
    ]
    lxd.route("GET", "/1.0/operations", [sync({"running": [*others, busy]}), sync({"running": others})])
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    assert images.settle(client, 5)
    assert not images.settle(client, 5)


def test_aliases_come_with_a_published_image_where_they_are_free(lxd: FakeLXD, client: LXDClient) -> None:
    fingerprint = "b" * 64
    lxd.route("POST", "/1.0/images", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200, metadata={"fingerprint": fingerprint}))
    lxd.route("GET", f"/1.0/images/{fingerprint}", sync({"properties": {RECIPE: "two"}}))
    lxd.route("GET", "/1.0/images/aliases/golden", sync({"target": "a" * 64, "description": "mine"}))
    lxd.route("PUT", "/1.0/images/aliases/golden", sync())
    lxd.route("DELETE", f"/1.0/images/{'a' * 64}", operation("gone"))
    lxd.route("GET", "/1.0/operations/gone/wait", state(200))
    plan = images.plan(desired(aliases=["more"]), [image("a", "golden", recipe="one")])
    lxd.route("GET", "/1.0/images/aliases/more", sync({"target": fingerprint}))
    assert images.apply(client, plan, 5) == fingerprint
    body = lxd.requests[0].json
    assert body["aliases"] == [{"name": "more", "description": ""}]
    assert body["properties"] == {RECIPE: "two"}
    writes = [(r.method, r.path, r.json if r.body else None) for r in lxd.requests[1:] if r.method != "GET"]
    assert writes == [
        ("PUT", "/1.0/images/aliases/golden", {"target": fingerprint, "description": "mine"}),
        ("DELETE", f"/1.0/images/{'a' * 64}", None),
    ]


def test_a_publication_that_fails_names_the_image(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/images", error(500, "no space left on device"))
    with pytest.raises(LXDError, match=r"Image golden: could not create it: .*no space left"):
        images.apply(client, images.plan(desired(), []), 5)
    assert len(lxd.sent("POST")) == 1


def test_an_expiry_is_a_property_like_others() -> None:
    there = [{**image("a", "golden", recipe="two"), "expires_at": "2027-01-31T12:00:00Z"}]
    assert images.plan(desired(), there).actions == []
    assert images.plan(desired(expires_at="2027-01-31T13:00:00+01:00"), there).actions == []
    assert images.plan(desired(expires_at="2027-02-01T00:00:00Z"), there).actions == ["update"]
    assert images.plan(desired(expires_at="never"), there).actions == ["update"]
    never = [{**image("a", "golden", recipe="two"), "expires_at": images.NEVER}]
    assert images.plan(desired(expires_at="never"), never).actions == []
    with pytest.raises(PlanError, match="expires_at 'soon' is neither a time"):
        images.plan(desired(expires_at="soon"), there)


def test_a_snapshot_may_be_of_an_instance_that_runs(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/up", sync({"status": "Running"}))
    lxd.route("GET", "/1.0/instances/up/snapshots/s", sync({"name": "s"}))
    source = {"type": "instance", "instance": "up", "snapshot": "s"}
    assert images.check_source(client, source) == []
    assert images.check_source(client, {**source, "snapshot": "t"}) == ["instance up has no snapshot 't'"]


COPY = {"type": "copy", "project": "default", "alias": "theirs"}


def test_a_copy_follows_what_it_is_a_copy_of() -> None:
    wanted = desired(properties=None, source=COPY)
    assert images.plan(wanted, [image("a", "golden")], "a" * 64).actions == []
    assert images.plan(wanted, [image("a", "golden")], "b" * 64).actions == ["create", "alias", "prune"]
    assert images.plan(wanted, [image("b")], "b" * 64).actions == ["alias"]


def exported(lxd: FakeLXD, fingerprint: str, answer: Answer) -> None:
    lxd.route("GET", "/1.0/images/aliases/theirs", sync({"target": fingerprint}))
    lxd.route("GET", f"/1.0/images/{fingerprint}", sync({"fingerprint": fingerprint, "properties": {"os": "Debian"}}))
    lxd.route("GET", f"/1.0/images/{fingerprint}/export", answer)
    lxd.route("PUT", f"/1.0/images/{fingerprint}", sync())
    lxd.route("POST", "/1.0/images/aliases", sync())
    lxd.route("POST", "/1.0/images", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200, metadata={"fingerprint": "b" * 64}))


def test_a_copy_goes_over_as_it_comes(lxd: FakeLXD, client: LXDClient) -> None:
    parts = {"Content-Type": "multipart/form-data; boundary=x"}
    exported(lxd, "b" * 64, Answer(b"--x\r\nparts\r\n--x--\r\n", headers=parts))
    images.apply(client, images.plan(desired(properties={"note": 1}, source=COPY), [], "b" * 64), 5)
    (sent,) = [request for request in lxd.requests if (request.method, request.path) == ("POST", "/1.0/images")]
    assert sent.body == b"--x\r\nparts\r\n--x--\r\n"
    assert sent.headers["content-type"] == parts["Content-Type"]
    assert sent.headers["x-lxd-properties"] == "os=Debian&note=1"


def test_a_copy_that_breaks_off_says_so(lxd: FakeLXD, client: LXDClient) -> None:
    exported(lxd, "b" * 64, Answer(b"half", headers={"Content-Length": "1000"}, close=True))
    with pytest.raises(LXDError, match="Image golden: could not create it: the download of image b+ from .* broke off"):
        images.apply(client, images.plan(desired(properties=None, source=COPY), [], "b" * 64), 5)


def test_a_copy_that_is_another_image_is_told(lxd: FakeLXD, client: LXDClient) -> None:
    exported(lxd, "c" * 64, Answer(b"image"))
    with pytest.raises(LXDError, match="what arrived is bbbbbbbbbbbb, not cccccccccccc"):
        images.apply(client, images.plan(desired(properties=None, source=COPY), [], "c" * 64), 5)


def test_a_copy_of_what_is_not_there(lxd: FakeLXD, client: LXDClient) -> None:
    with (
        images.origin(client, COPY) as there,
        pytest.raises(PlanError, match="has no image 'theirs' in project default"),
    ):
        images.original(there, COPY)
