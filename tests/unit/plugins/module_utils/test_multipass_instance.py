# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _multipass as mp
from ansible_collections.bcm.datacenter.plugins.module_utils import _multipass_instance as instances
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_multipass import FakeMultipass

SIZES = {"cpus": "1", "memory": "1.0GiB", "disk": "5.0GiB"}


def params(**given: t.Any) -> dict[str, t.Any]:
    return {"name": "one", "state": "started", "restart": False, "timeout": 5, **given}


def actual(state: str, **sizes: str) -> dict[str, t.Any]:
    return {"name": "one", "state": state, "release": "Ubuntu 24.04 LTS", "ipv4": [], "sizes": {**SIZES, **sizes}}


@pytest.mark.parametrize(
    ("state", "target", "steps"),
    [
        ("Running", "started", []),
        ("Running", "present", []),
        ("Running", "stopped", ["stop"]),
        ("Running", "suspended", ["suspend"]),
        ("Running", "absent", ["delete"]),
        ("Stopped", "started", ["start"]),
        ("Stopped", "present", []),
        ("Stopped", "stopped", []),
        ("Stopped", "suspended", ["start", "suspend"]),
        ("Stopped", "absent", ["delete"]),
        ("Suspended", "started", ["start"]),
        ("Suspended", "present", []),
        # multipass stops only what runs.
        ("Suspended", "stopped", ["start", "stop"]),
        ("Suspended", "suspended", []),
        ("Suspended", "absent", ["delete"]),
        ("Deleted", "started", ["recover", "start"]),
        ("Deleted", "present", ["recover"]),
        ("Deleted", "stopped", ["recover"]),
        ("Deleted", "absent", ["delete"]),
        ("Unknown", "absent", ["delete"]),
        ("", "started", ["launch"]),
        ("", "present", ["launch"]),
        ("", "stopped", ["launch", "stop"]),
        ("", "suspended", ["launch", "suspend"]),
        ("", "absent", []),
    ],
)
def test_the_way_from_each_state_to_each(state: str, target: str, steps: list[str]) -> None:
    assert instances.plan(params(state=target), actual(state) if state else None) == steps


@pytest.mark.parametrize("state", ["Unknown", "Unavailable"])
def test_states_that_lead_nowhere(state: str) -> None:
    with pytest.raises(instances.ImpossibleError, match=f"in the state {state}"):
        instances.plan(params(), actual(state))


@pytest.mark.parametrize(
    ("state", "target", "restart", "steps"),
    [
        ("Stopped", "started", False, ["set cpus", "set memory", "start"]),
        ("Stopped", "present", False, ["set cpus", "set memory"]),
        ("Running", "stopped", False, ["stop", "set cpus", "set memory"]),
        ("Running", "started", True, ["stop", "set cpus", "set memory", "start"]),
        ("Running", "present", True, ["stop", "set cpus", "set memory", "start"]),
        ("Suspended", "present", True, ["start", "stop", "set cpus", "set memory", "start", "suspend"]),
        ("Deleted", "started", False, ["recover", "set cpus", "set memory", "start"]),
    ],
)
def test_sizes_are_changed_while_stopped(state: str, target: str, restart: bool, steps: list[str]) -> None:
    wanted = params(state=target, restart=restart, cpus=2, memory="2G", disk="5G")
    assert instances.plan(wanted, actual(state)) == steps


@pytest.mark.parametrize("state", ["Running", "Suspended"])
def test_sizes_of_what_is_not_stopped_are_refused(state: str) -> None:
    with pytest.raises(instances.ImpossibleError, match=r"\(memory from 1\.0GiB to 2G\)\. Set restart"):
        instances.plan(params(memory="2G"), actual(state))


def test_all_that_cannot_be_changed_is_told_at_once() -> None:
    wanted = params(state="stopped", disk="4G", image="release:22.04")
    with pytest.raises(instances.ImpossibleError) as caught:
        instances.plan(wanted, actual("Stopped"))
    assert len(caught.value.errors) == 2


@pytest.mark.parametrize("image", ["24.04", "noble", "daily:24.04", "https://example.org/22.04/one.img", None])
def test_images_that_may_be_the_one(image: str | None) -> None:
    assert instances.plan(params(image=image), actual("Running")) == []


def test_all_that_is_wrong_with_the_options_is_told_at_once() -> None:
    wanted = params(
        name="a_b", cpus=0, memory="x", disk="1M", image="-x", cloud_init="#!/bin/sh",
        networks=[{"name": "eth0,mode=manual", "mode": None, "mac": "zz"}],
    )  # fmt: skip
    assert len(instances.check(wanted)) == 8
    assert instances.check(params(cpus=1, memory="1G", disk="5G", image="24.04", cloud_init={"users": []})) == []


def test_the_command_line_of_a_launch() -> None:
    wanted = params(
        image="24.04", cpus=2, memory="2G", disk="8G", cloud_init={"a": 1},
        networks=[{"name": "bridged", "mode": "manual", "mac": None}, {"name": "eth1", "mode": None, "mac": None}],
    )  # fmt: skip
    assert instances.launch_arguments(wanted) == [
        "launch", "--name", "one", "--timeout", "5", "--cpus", "2", "--memory", "2G", "--disk", "8G",
        "--network", "name=bridged,mode=manual", "--network", "name=eth1", "--cloud-init", "-", "24.04",
    ]  # fmt: skip
    assert instances.launch_arguments(params()) == ["launch", "--name", "one", "--timeout", "5"]


def test_user_data() -> None:
    assert instances.user_data({"a": "ü"}) == '#cloud-config\n{"a": "\\u00fc"}\n'
    assert instances.user_data("\n#cloud-config\na: 1\n") == "\n#cloud-config\na: 1\n"
    for wrong in ("a: 1", "#!/bin/sh", "## template: jinja\n#cloud-config\n", "", ["a"]):
        with pytest.raises(ValueError, match="neither a dictionary nor a text"):
            instances.user_data(wrong)


def test_only_the_one_is_deleted(tmp_path: Path) -> None:
    fake = FakeMultipass(tmp_path)
    fake.lists(("one-0", "Running"), ("on", "Deleted"))
    instances.Instance(fake.client(), params()).do("delete")
    assert fake.calls[0] == "delete --purge one"
    assert not any(call.startswith("purge") for call in fake.calls)


def test_a_stop_that_never_comes_true(tmp_path: Path) -> None:
    fake = FakeMultipass(tmp_path)
    fake.lists(("one", "Running"))
    with pytest.raises(mp.MultipassTimeoutError, match="is Running and has not become Stopped within 1 s"):
        instances.Instance(fake.client(), params(timeout=1)).do("stop")


def test_what_is_on_its_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "PAUSE", 0)
    fake = FakeMultipass(tmp_path)
    listed = '{"list": [{"name": "one", "state": "%s", "ipv4": []}]}'
    fake.does(
        f"if [ \"$1\" = get ]; then echo 1; exit; fi\nprintf x >> '{tmp_path}/n'\n"
        f"if [ $(wc -c < '{tmp_path}/n') -lt 3 ]; then echo '{listed % 'Starting'}'; else echo '{listed % 'Running'}'; fi"
    )
    found = instances.Instance(fake.client(), params()).settled()
    assert found is not None
    assert found["state"] == "Running"


@pytest.mark.parametrize(
    ("code", "stderr", "message"),
    [(0, "", ""), (2, "", ""), (1, "", "ended with errors"), (2, "exec failed: ssh: no route", "ended with errors")],
)
def test_cloud_init(tmp_path: Path, code: int, stderr: str, message: str) -> None:
    fake = FakeMultipass(tmp_path)
    fake.does(f"echo '{stderr}' >&2; exit {code}")
    instance = instances.Instance(fake.client(), params())
    if message:
        with pytest.raises(mp.MultipassError, match=message):
            instance.wait_for_cloud_init()
    else:
        instance.wait_for_cloud_init()
