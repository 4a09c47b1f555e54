# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong with the plugins for LXD that people have used so far, and what ours do instead.

One row a failure: where it was reported or seen (CG: community.general, by issue or plugin), what happens there, what
ours do, and a check that provokes it. Where a real LXD can be brought to it too, the row names the integration target
and its task. Read the table from top to bottom; it needs no LXD to run.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
import threading
import time
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.testing import patch_module_args
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_wait
from ansible_collections.bcm.datacenter.tests.unit.plugins.connection.conftest import FakeLXD as FakeExec
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

MODULES = "ansible_collections.bcm.datacenter.plugins.modules."
ROOT = Path(__file__).parents[3]
Result = dict[str, t.Any]


class World:
    """An LXD that a check can make misbehave, and the plugins against it as Ansible runs them."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.lxd = FakeLXD(directory)
        self._capsys = capsys
        self._exec: FakeExec | None = None
        self.lxd.route("GET", "/1.0", sync({"api_extensions": []}))
        self.lxd.route("GET", "/1.0/operations", sync({}))

    def run(self, module_name: str, /, *, check: bool = False, **params: t.Any) -> Result:
        module = importlib.import_module(MODULES + module_name)
        args = {"url": self.lxd.url, "_ansible_check_mode": check, "_ansible_diff": True, **params}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)

    def instance(self, status: str = "Running", **fields: t.Any) -> None:
        """An instance a, as LXD describes it."""
        there = {"name": "a", "type": "container", "status": status, "config": {}, "devices": {}, "profiles": []}
        self.lxd.route("GET", "/1.0/instances/a", sync({**there, **fields}))
        self.lxd.route("GET", "/1.0/instances/a/state", sync({"status": status, "network": {}}))
        self.lxd.route("PUT", "/1.0/instances/a", operation())
        self.lxd.route("PUT", "/1.0/instances/a/state", operation())
        self.lxd.route("GET", "/1.0/operations/op/wait", state(200))

    def sent(self, method: str, path: str) -> list[t.Any]:
        return [r.json for r in self.lxd.requests if (r.method, r.path) == (method, path)]

    def connection(self, **options: t.Any) -> tuple[FakeExec, t.Any]:
        """The connection plugin into an instance called one, and the LXD that it goes through."""
        self._exec = FakeExec(self.directory / "exec.socket")
        threading.Thread(target=self._exec.serve_forever, args=(0.02,), daemon=True).start()
        plugin = connection_loader.get("bcm.datacenter.lxd", PlayContext())
        direct = {"remote_addr": "one", "lxd_url": self._exec.url, "project": "p", "lxd_timeout": 2, **options}
        plugin.set_options(direct={"executable": "/bin/sh", **direct})
        return self._exec, plugin

    def close(self) -> None:
        self.lxd.close()
        if self._exec is not None:
            self._exec.close()


@pytest.fixture
def world(capsys: pytest.CaptureFixture[str]) -> t.Iterator[World]:
    # A short path: a unix socket's name has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="known-") as directory:
        made = World(Path(directory), capsys)
        yield made
        made.close()


# -- checks: instances ------------------------------------------------------------------------------------------------


def frozen_stays_frozen(world: World) -> None:
    world.instance("Frozen")
    assert world.run("lxd_instance", name="a", state="frozen")["changed"] is False
    assert world.lxd.sent("PUT", "POST") == []


def stopped_stays_stopped(world: World) -> None:
    world.instance("Stopped")
    result = world.run("lxd_instance", name="a", state="stopped", config={"limits.cpu": 2})
    assert result["actions"] == ["update"]
    assert world.sent("PUT", "/1.0/instances/a")[0]["config"] == {"limits.cpu": "2"}
    assert world.sent("PUT", "/1.0/instances/a/state") == []


def missing_project_is_no_absence(world: World) -> None:
    result = world.run("lxd_instance", name="a", project="mistyped", state="absent")
    assert result["failed"]
    assert "has no project 'mistyped'" in result["msg"]
    assert world.run("lxd_instance", name="a", state="absent")["changed"] is False


def operations_end(world: World) -> None:
    world.lxd.route("GET", "/1.0/images/aliases/x", sync({"target": "f" * 64}))
    world.lxd.route("POST", "/1.0/instances", operation())
    world.lxd.route("GET", "/1.0/operations/op/wait", state(103))
    world.lxd.route("GET", "/1.0/operations/op", state(103))
    begin = time.monotonic()
    result = world.run("lxd_instance", name="a", image="x", timeout=1)
    assert time.monotonic() - begin < 10
    assert result["failed"]
    assert "Could not create instance a" in result["msg"]
    assert "has not ended within" in result["msg"]


def no_address_is_a_failure(world: World) -> None:
    world.instance()
    begin = time.monotonic()
    result = world.run("lxd_instance", name="a", wait_for="address", wait_family="inet", timeout=1)
    assert 1 <= time.monotonic() - begin < 15
    assert result["failed"]
    assert "an IPv4 address on one of its networks was awaited in vain for 1 s" in result["msg"]


def an_address_is_seen_at_once(world: World) -> None:
    card = {"host_name": "veth1", "addresses": [{"address": "10.0.0.1", "scope": "global", "family": "inet"}]}
    world.instance()
    world.lxd.route("GET", "/1.0/instances/a/state", sync({"status": "Running", "network": {"eth0": card}}))
    # The one that is known to be slow sleeps a second before it looks at all. How long ours takes is the machine's business.
    never = mock.Mock(side_effect=AssertionError("it slept before it looked"))
    with mock.patch.object(_lxd_wait, "time", mock.Mock(wraps=time, sleep=never)):
        result = world.run("lxd_instance", name="a", wait_for="address", timeout=600)
    assert result["addresses"] == {"eth0": ["10.0.0.1"]}


SCALARS = {"limits.cpu": 2, "boot.autostart": True, "user.ratio": 1.5, "user.text": "x", "user.unset": None}


def scalars_compare(world: World) -> None:
    stored = {"limits.cpu": "2", "boot.autostart": "true", "user.ratio": "1.5", "user.text": "x"}
    world.instance(config=stored)
    assert world.run("lxd_instance", name="a", config=SCALARS)["changed"] is False
    assert world.run("lxd_instance", name="a", config={**SCALARS, "limits.cpu": 3})["actions"] == ["update"]
    assert world.sent("PUT", "/1.0/instances/a")[0]["config"] == {**stored, "limits.cpu": "3"}


def volatile_keys_stay(world: World) -> None:
    own = {"volatile.eth0.hwaddr": "00:16:3e:00:00:01", "image.os": "Debian"}
    world.instance(config=own)
    assert world.run("lxd_instance", name="a")["changed"] is False
    result = world.run("lxd_instance", name="a", config={"user.x": 1})
    assert world.sent("PUT", "/1.0/instances/a")[0]["config"] == {**own, "user.x": "1"}
    assert "volatile" not in json.dumps(result["diff"])
    refused = world.run("lxd_instance", name="a", config={"volatile.eth0.hwaddr": "x"})
    assert "belongs to LXD itself and cannot be set" in refused["msg"]


def no_socket_in_words(world: World) -> None:
    result = world.run("lxd_instance", name="a", url="unix:///no/such/socket", _ansible_verbosity=4)
    assert result["failed"]
    assert "unix:///no/such/socket: the socket does not exist. Is LXD installed and running?" in result["msg"]


def few_requests(world: World) -> None:
    world.instance()
    assert world.run("lxd_instance", name="a")["changed"] is False
    assert len(world.lxd.requests) <= 4
    # Neither the snapshots of the instance nor other instances are asked for.
    assert [r.path for r in world.lxd.requests if r.path == "/1.0/instances" or "snapshots" in r.path] == []
    assert [r.query.get("recursion") for r in world.lxd.requests if r.path.startswith("/1.0/instances/")] == [None] * 2


def somebody_elses_change_is_kept(world: World) -> None:
    world.instance()
    first = {"name": "a", "status": "Running", "config": {}, "devices": {}}
    second = {**first, "config": {"user.theirs": "1"}}
    world.lxd.route("GET", "/1.0/instances/a", [sync(first, ETag="1"), sync(first, ETag="1"), sync(second, ETag="2")])
    world.lxd.route("PUT", "/1.0/instances/a", [error(412, "ETag doesn't match"), operation()])
    assert world.run("lxd_instance", name="a", config={"user.ours": 1})["changed"]
    puts = [r for r in world.lxd.requests if (r.method, r.path) == ("PUT", "/1.0/instances/a")]
    assert [r.headers.get("if-match") for r in puts] == ["1", "2"]
    assert puts[1].json["config"] == {"user.theirs": "1", "user.ours": "1"}


def creation_elsewhere_is_waited_for(world: World) -> None:
    world.lxd.route("GET", "/1.0", sync({"environment": {"server_clustered": True}}))
    world.lxd.route("GET", "/1.0/cluster/members/two", sync({"server_name": "two"}))
    world.lxd.route("GET", "/1.0/images/aliases/x", sync({"target": "f" * 64}))
    world.lxd.route("POST", "/1.0/instances", operation("create"))
    world.lxd.route("GET", "/1.0/operations/create/wait", [state(103), state(103), state(200)])
    world.lxd.route("PUT", "/1.0/instances/a/state", operation("start"))
    world.lxd.route("GET", "/1.0/operations/start/wait", state(200))
    assert world.run("lxd_instance", name="a", image="x", target="two")["actions"] == ["create", "start"]
    asked = [(r.method, r.path) for r in world.lxd.requests]
    start = asked.index(("PUT", "/1.0/instances/a/state"))
    assert asked[:start].count(("GET", "/1.0/operations/create/wait")) == 3


def two_that_ask_a_server_of_images_at_once(world: World) -> None:
    race = 'Failed to connect to simple streams server "http://i": mkdir /var/cache/incus/6134: file exists'
    other = "mkdir /var/lib/incus/containers: file exists"
    world.lxd.route("POST", "/1.0/instances", [error(500, race), operation("create"), error(500, other)])
    world.lxd.route("GET", "/1.0/operations/create/wait", state(200))
    image = {"server": "http://i", "alias": "debian/13"}
    assert world.run("lxd_instance", name="a", image=image, state="present")["actions"] == ["create"]
    assert other in world.run("lxd_instance", name="a", image=image, state="present")["msg"]


def members_that_fetch_an_image_at_once(world: World) -> None:
    race = (
        "Failed creating image record: Failed saving main image record: "
        "UNIQUE constraint failed: images.project_id, images.fingerprint"
    )
    other = "Failed saving main image record: UNIQUE constraint failed: images.id"
    world.lxd.route("POST", "/1.0/instances", [operation("lost"), operation("create"), operation("other")])
    world.lxd.route("GET", "/1.0/operations/lost/wait", state(400, err=race))
    world.lxd.route("GET", "/1.0/operations/create/wait", state(200))
    world.lxd.route("GET", "/1.0/operations/other/wait", state(400, err=other))
    image = {"server": "http://i", "alias": "debian/13"}
    assert world.run("lxd_instance", name="a", image=image, state="present")["actions"] == ["create"]
    assert other in world.run("lxd_instance", name="a", image=image, state="present")["msg"]


def networks_that_go_at_the_same_time(world: World) -> None:
    race = (
        "Failed to delete bridge children interfaces: Failed to run: ip -d -j link show other: exit status 1 "
        '(Device "other" does not exist.)'
    )
    network = {"name": "n", "type": "bridge", "managed": True, "status": "Created", "config": {}, "used_by": []}
    world.lxd.route("GET", "/1.0/networks/n", sync(network))
    world.lxd.route("GET", "/1.0/networks", sync([network]))
    world.lxd.route("DELETE", "/1.0/networks/n", [error(500, race), error(500, race), sync(), error(500, "in use")])
    assert world.run("lxd_network", name="n", state="absent")["changed"]
    assert len(world.lxd.sent("DELETE")) == 3
    assert "in use" in world.run("lxd_network", name="n", state="absent")["msg"]
    assert len(world.lxd.sent("DELETE")) == 4


def a_refusal_that_forgets(world: World) -> None:
    own = {"core.https_address": "[::]:8443"}
    world.lxd.route("GET", "/1.0", sync({"api_extensions": [], "environment": {"server": "incus"}, "config": own}))
    world.lxd.route("PATCH", "/1.0", error(400, "cannot set 'no.such.key' to '1': unknown key"))
    assert "unknown key" in world.run("lxd_server", config={"no.such.key": 1})["msg"]
    # What it comes with is what it undoes.
    assert json.loads(world.lxd.requests[-1].body) == {"config": {**own, "no.such.key": "1"}}


def a_kill_half_way_is_finished(world: World) -> None:
    making = {"id": "theirs", "description": "Creating instance", "resources": {"instances": ["/1.0/instances/a"]}}
    world.instance("Stopped")
    world.lxd.route("GET", "/1.0/operations", sync({"running": [making]}))
    world.lxd.route("GET", "/1.0/operations/theirs/wait", state(200))
    assert world.run("lxd_instance", name="a", image="x")["actions"] == ["start"]
    assert world.lxd.sent("POST") == []


def a_daemon_that_dies_is_not_absence(world: World) -> None:
    world.lxd.route("GET", "/1.0/instances/a", error(500, "database is locked"))
    for wanted in ("absent", "started"):
        result = world.run("lxd_instance", name="a", state=wanted, image="x")
        assert result["failed"]
        assert "database is locked" in result["msg"]
    assert world.lxd.sent("POST", "PUT", "DELETE") == []


# -- checks: projects and profiles ------------------------------------------------------------------------------------

PROJECT = {
    "name": "p",
    "description": "theirs",
    "config": {"features.images": "true", "features.profiles": "true", "limits.instances": "3"},
    "used_by": ["/1.0/instances/i?project=p", "/1.0/profiles/default?project=p"],
}


def second_run_of_a_project(world: World) -> None:
    world.lxd.route("GET", "/1.0/projects/p", sync(PROJECT))
    world.lxd.route("PUT", "/1.0/projects/p", sync())
    assert world.run("lxd_project", name="p", config={"limits.instances": 3})["changed"] is False
    assert world.run("lxd_project", name="p", config={"user.more": True})["changed"]
    sent = world.sent("PUT", "/1.0/projects/p")
    assert sent == [{"description": "theirs", "config": {**PROJECT["config"], "user.more": "true"}}]  # type: ignore[dict-item]


def features_in_use(world: World) -> None:
    world.lxd.route("GET", "/1.0/projects/p", sync(PROJECT))
    for check in (True, False):
        result = world.run("lxd_project", check=check, name="p", config={"features.profiles": False})
        assert "can become false only while the project is empty. In it: instances/i" in result["msg"]
    assert world.lxd.sent("PUT") == []


def a_project_with_something_in_it(world: World) -> None:
    used = ["/1.0/storage-pools/one/volumes/custom/v?project=p", "/1.0/images/f?project=p"]
    world.lxd.route("GET", "/1.0/projects/p", sync({**PROJECT, "used_by": used}))
    result = world.run("lxd_project", name="p", state="absent")
    assert "in use by: storage-pools/one/volumes/custom/v, images/f" in result["msg"]
    assert world.lxd.sent("DELETE") == []


PROFILE = {
    "name": "f",
    "description": "theirs",
    "config": {"limits.cpu": "1", "user.theirs": "x"},
    "devices": {"root": {"type": "disk", "path": "/", "pool": "one"}},
    "used_by": [],
}


def a_profile_keeps_what_is_not_mentioned(world: World) -> None:
    world.lxd.route("GET", "/1.0/profiles/f", sync(PROFILE))
    world.lxd.route("PUT", "/1.0/profiles/f", sync())
    assert world.run("lxd_profile", name="f", config={"limits.cpu": 2}, devices={"eth0": {"type": "nic"}})["changed"]
    (sent,) = world.sent("PUT", "/1.0/profiles/f")
    assert sent["config"] == {"limits.cpu": "2", "user.theirs": "x"}
    assert sent["devices"] == {"root": {"type": "disk", "path": "/", "pool": "one"}, "eth0": {"type": "nic"}}
    assert sent["description"] == "theirs"


def check_mode_and_diff(world: World) -> None:
    world.lxd.route("GET", "/1.0/profiles/f", sync(PROFILE))
    world.lxd.route("GET", "/1.0/projects/p", sync(PROJECT))
    for module, name in (("lxd_profile", "f"), ("lxd_project", "p")):
        result = world.run(module, check=True, name=name, config={"user.new": 1})
        assert result["changed"]
        assert "user.new" not in result["diff"]["before"]["config"]
        assert result["diff"]["after"]["config"]["user.new"] == "1"
    assert world.lxd.sent("PUT", "POST", "DELETE", "PATCH") == []


# -- checks: the connection -------------------------------------------------------------------------------------------

EXEC = ("POST", "/1.0/instances/one/exec")


def daemon_errors_are_unreachable(world: World) -> None:
    lxd, connection = world.connection()
    lxd.error(*EXEC, 503, "LXD is shutting down")
    with pytest.raises(AnsibleConnectionFailure, match="LXD is shutting down"):
        connection.exec_command("x")


def stopped_is_unreachable(world: World) -> None:
    lxd, connection = world.connection()
    lxd.error(*EXEC, 400, "Instance is not running")
    lxd.state("Stopped")
    with pytest.raises(AnsibleConnectionFailure, match=r"it is stopped\. Start it \(lxc start --project p one\)"):
        connection.exec_command("x")


def an_address_is_no_name(world: World) -> None:
    lxd, connection = world.connection(remote_addr="10.0.0.1")
    lxd.error("POST", "/1.0/instances/10.0.0.1/exec", 404, "Instance not found")
    lxd.error("GET", "/1.0/instances/10.0.0.1/state", 404, "Instance not found")
    with pytest.raises(AnsibleConnectionFailure, match=r"'10\.0\.0\.1' of LXD project 'p' .*does not exist"):
        connection.exec_command("x")


def silence_ends(world: World) -> None:
    lxd, connection = world.connection(lxd_timeout=1)
    lxd.answers[EXEC] = [lambda _handler: lxd.finished.wait(10)]
    begin = time.monotonic()
    with pytest.raises(AnsibleConnectionFailure, match=r"did not answer .* within 1 s"):
        connection.exec_command("x")
    assert time.monotonic() - begin < 5


def a_failed_push_fails(world: World) -> None:
    (world.directory / "f").write_text("x")
    lxd, connection = world.connection()
    lxd.answer("GET", "/1.0", 200, {"type": "sync", "metadata": {}})
    lxd.error("POST", "/1.0/instances/one/files", 500, "No space left on device")
    with pytest.raises(AnsibleConnectionFailure, match="could not take the file '/x': No space left"):
        connection.put_file(str(world.directory / "f"), "/x")


def refused_streams_are_tried_again(world: World) -> None:
    lxd, connection = world.connection()
    # Of one alone it is left open which stream it meets, and the control channel can be done without.
    for _i in range(2):
        lxd.error("GET", "/1.0/operations/0b9f/websocket", 400, "Only running operations can be connected")
    assert connection.exec_command("x")[0] == 0
    assert lxd.count(*EXEC) == 2


def no_dead_socket_in_connection(world: World) -> None:
    _lxd, connection = world.connection(lxd_url="unix:///no/such/socket")
    with pytest.raises(AnsibleConnectionFailure, match="the socket does not exist"):
        connection.exec_command("x")


def elsewhere(_world: World) -> None:
    """Provoked on a real LXD only: the row's task is what checks it."""


# -- the table --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Failure:
    source: str
    theirs: str
    ours: str
    check: t.Callable[[World], None]
    # Integration target and name of the task that brings a real LXD to it.
    real: tuple[str, str] | None = None


STATES = ("lxd_instance", "Go through its states, with a change to one that is stopped")
TRANSFERS = ("connection_lxd", "Copy it there")

# fmt: off
TABLE = [
    Failure("CG lxd_container", "state=frozen reports a change each time", "no change", frozen_stays_frozen, STATES),
    Failure("CG lxd_container", "a change to a stopped instance starts it", "it stays stopped", stopped_stays_stopped, STATES),
    Failure("CG lxd_container", "any 404, also a missing project, is absence", "an error that names the project",
            missing_project_is_no_absence, ("lxd_instance", "Try an image, an instance without an image, and a project that do not exist")),
    Failure("CG lxd_container", "waits for an operation without end", "a failure after timeout that names it", operations_end),
    Failure("CG lxd_container, ansible#40868", "no address in time is a success", "a failure that says what was awaited",
            no_address_is_a_failure, ("lxd_instance", "Wait for an address of each kind on its card, which it has, and has not")),
    Failure("ansible#40949", "an address is waited for long after it is there", "looked for at once, then ever more seldom",
            an_address_is_seen_at_once, ("lxd_instance", "Make it")),
    Failure("CG lxd_container, CG#2465, ansible#32437, ansible#38166", "numbers and booleans change each time",
            "compared as LXD stores them", scalars_compare, ("lxd_instance", "Make it again")),
    Failure("CG#3331", "volatile keys are a change, or get lost", "neither compared nor touched", volatile_keys_stay,
            ("lxd_instance", "Make it again")),
    Failure("CG#6204, CG lxd_container", "Errno 2, or at -vvvv a KeyError, where there is no socket", "says so, and what to do",
            no_socket_in_words),
    Failure("CG lxd_container, incus#2300", "a probe before each call, and lists with all snapshots", "asks for what it needs",
            few_requests),
    Failure("CG lxd_container", "writes over what somebody else has changed", "reads again and lays its own over it",
            somebody_elses_change_is_kept),
    Failure("CG#3999, CG#4039", "creation on another member returns before it is done", "is waited for, then started",
            creation_elsewhere_is_waited_for),
    Failure("Incus 6.0.4", "of two that ask a server of images at once for the first time, one fails", "asks again",
            two_that_ask_a_server_of_images_at_once),
    Failure("LXD 5.0.2", "of members that fetch an image at once, all but one fail", "asks again, once the image is entered",
            members_that_fetch_an_image_at_once),
    Failure("Incus 6.0.4", "of two networks that are removed at once, one stays, with an error", "removes it again",
            networks_that_go_at_the_same_time),
    Failure("Incus 6.0.4", "a server that refuses a change forgets its own keys, core.https_address too", "sends them along",
            a_refusal_that_forgets, ("lxd_server", "Try what cannot be")),
    Failure("CG lxd_container", "a run that was killed leaves what the next one fails at", "waits for what LXD is at, goes on",
            a_kill_half_way_is_finished),
    Failure("CG lxd_container", "an error of the daemon is taken for absence", "an error, and nothing is made",
            a_daemon_that_dies_is_not_absence),
    Failure("CG#9237, CG lxd_project", "the second run resets features.*, drops what it does not mention, and fails",
            "what is not mentioned stays", second_run_of_a_project, ("lxd_project", "Set them again")),
    Failure("canonical/lxd#17316", "a feature of a project in use: an error of the database", "says what is in the project",
            features_in_use, ("lxd_project", "Try to change a feature")),
    Failure("LXD 5.0.2", "a project is removed with a volume in it", "refused, naming the volume",
            a_project_with_something_in_it, ("lxd_project", "Try to remove it")),
    Failure("CG lxd_profile", "writes the whole profile, without what the play omits", "what is not mentioned stays",
            a_profile_keeps_what_is_not_mentioned, ("lxd_profile", "Remove a device and a key, change a device")),
    Failure("CG lxd_profile, CG lxd_project", "no check mode, no diff", "both", check_mode_and_diff,
            ("lxd_project", "Check whether a project would be made")),
    Failure("CG lxd connection", "an error of the daemon is 'Module result deserialization failed'", "unreachable, with the error",
            daemon_errors_are_unreachable, ("connection_lxd", "Run a command under which the instance is switched off")),
    Failure("CG lxd connection", "a stopped instance: only some of its messages are known", "unreachable, and how to start it",
            stopped_is_unreachable, ("connection_lxd", "Try them")),
    Failure("ansible#65831", "an address is taken for the name, unreachable without a reason", "says that there is no such instance",
            an_address_is_no_name, ("connection_lxd", "Try them")),
    Failure("CG lxd connection", "no time limit", "one, stated in the error", silence_ends, ("connection_lxd", "Let a task run out of time")),
    Failure("CG#12464", "a file that could not be pushed is a success", "a failure with LXD's reason", a_failed_push_fails),
    Failure("canonical/lxd#12514, canonical/lxd#17797", "'Only running operations can be connected' on slow links",
            "tried again, as nothing ran", refused_streams_are_tried_again),
    Failure("CG lxd connection", "a missing socket is an error of the lxc program", "unreachable, in words",
            no_dead_socket_in_connection, ("connection_lxd", "Try them")),
    Failure("CG lxd connection", "output that is not ASCII", "arrives byte for byte", elsewhere,
            ("connection_lxd", "Print what is not ASCII, on both streams")),
    Failure("CG lxd connection", "files of 100 MB through pipes of a process", "streamed, in little memory", elsewhere, TRANSFERS),
]
# fmt: on


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.source}: {row.theirs}")
def test_ours_does_not(row: Failure, world: World) -> None:
    row.check(world)
    if row.real is not None:
        # Of an installed collection the targets are no part.
        target, task = row.real
        files = sorted((ROOT / "tests/integration/targets" / target / "tasks").glob("*.yml"))
        if files:
            assert any(f"- name: {task}\n" in path.read_text(encoding="utf-8") for path in files), f"{target}: {task}"
    else:
        assert row.check is not elsewhere
