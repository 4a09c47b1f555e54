# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: it is there, coming up again does nothing, and it goes on from what an accident left."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standing import LAB, lab


def status() -> dict[str, Any]:
    """What stands."""
    answer: dict[str, Any] = json.loads(lab("status", "--json", check=False))
    return answer


def steps(output: str) -> dict[str, str]:
    """Step -> what it did."""
    lines = [line for line in output.splitlines() if line.startswith("  ") and line.endswith(" s")]
    return {line[2:24].strip(): line[25:83].strip() for line in lines}


@pytest.fixture(scope="module")
def standing() -> dict[str, Any]:
    """The lab is up."""
    lab("up")
    return status()


@pytest.fixture
def world(standing: dict[str, Any]) -> str:
    """The address of the world."""
    (config,) = [line for line in lab("env").splitlines() if "BCM_LAB_DIR" in line]
    assert standing["directory"] in config
    for line in Path(standing["site_vars"]).read_text().splitlines():
        if "server:" in line:
            return line.split("//")[1].split("/")[0]
    raise AssertionError("no image server in the site variables")


def get(host: str, port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """One request."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def instances_pids() -> dict[str, int]:
    """Init process of each running instance of the lab's own project."""
    env = dict(line.removeprefix("export ").split("=", 1) for line in lab("env").splitlines())
    listing = subprocess.run(
        ["lxc", "--project", "lab", "list", "--format", "json"],
        env={**os.environ, **env},
        capture_output=True,
        check=True,
    )
    return {item["name"]: item["state"]["pid"] for item in json.loads(listing.stdout)}


def test_status_says_what_stands(standing: dict[str, Any]) -> None:
    assert standing["up"]
    assert standing["daemon"]["ours"]
    assert standing["services"] == {"images": True, "docker_hub": True, "bitcoin_node": True}
    assert "The lab is up." in lab("status")


def test_up_again_does_nothing_and_is_quick(standing: dict[str, Any]) -> None:
    began = time.monotonic()
    did = steps(lab("up"))
    assert time.monotonic() - began < 30
    assert len(did) > 10
    assert set(did.values()) == {"is there"}
    assert status()["daemon"]["pid"] == standing["daemon"]["pid"]


def test_two_at_once_wait_for_each_other(standing: dict[str, Any]) -> None:
    both = [subprocess.Popen([LAB, "up"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    for process in both:
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output


@pytest.mark.parametrize("name", ["library/debian", "library/busybox"])
def test_the_hub_is_read_and_not_written(world: str, name: str) -> None:
    code, body = get(world, 5000, f"/v2/{name}/tags/list")
    assert code == 200
    assert "latest" in json.loads(body)["tags"]
    assert get(world, 5000, f"/v2/{name}/blobs/uploads/", method="POST")[0] == 403


def test_downloads_are_in_their_makers_form(world: str) -> None:
    listing = get(world, 80, "/bitcoin/29.x/")[1].decode()
    versions = [part.split("/")[0] for part in listing.split('href="')[1:] if "knots" in part]
    assert versions
    manifest = get(world, 80, f"/bitcoin/{versions[0]}/SHA256SUMS")[1].decode()
    name = manifest.split()[1]
    assert name == f"bitcoin-{versions[0]}-x86_64-linux-gnu.tar.gz"
    assert get(world, 80, f"/bitcoin/{versions[0]}/{name}", method="HEAD")[0] == 200
    signatures = get(world, 80, f"/bitcoin/{versions[0]}/SHA256SUMS.asc")[1].decode()
    assert signatures.count("-----BEGIN PGP SIGNATURE-----") == 4


def test_the_labs_node_mines_and_has_coins(standing: dict[str, Any]) -> None:
    before = int(lab("bitcoin-cli", "getblockcount"))
    lab("bitcoin-cli", "generatetodescriptor", "1", "raw(51)")
    assert int(lab("bitcoin-cli", "getblockcount")) == before + 1
    assert float(lab("bitcoin-cli", "getbalance")) > 1


@pytest.fixture
def healed() -> Iterator[None]:
    """Whatever a test breaks, the lab stands after it."""
    yield
    lab("up")


@pytest.mark.usefixtures("healed")
def test_a_killed_daemon_comes_back_and_its_instances_have_not_noticed(standing: dict[str, Any]) -> None:
    before, pids = status()["daemon"]["pid"], instances_pids()
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{before}/cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status()["up"] is False
    assert "LXD does not run" in lab("status", check=False)
    assert steps(lab("up"))["LXD"].startswith("the earlier daemon is dead; LXD runs as process")
    assert status()["up"]
    assert instances_pids() == pids


@pytest.mark.usefixtures("healed")
def test_stopped_services_of_the_world_are_started_again(standing: dict[str, Any]) -> None:
    env = dict(line.removeprefix("export ").split("=", 1) for line in lab("env").splitlines())
    stop = ["lxc", "--project", "lab", "exec", "world", "--", "systemctl", "stop", "nginx", "bitcoind"]
    subprocess.run(stop, env={**os.environ, **env}, check=True, timeout=120)
    assert status()["services"] == {"images": False, "docker_hub": False, "bitcoin_node": False}
    assert steps(lab("up"))["world"].startswith("services started")
    assert status()["up"]


def test_another_users_home_is_not_touched(standing: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run([LAB, "up"], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, check=True, timeout=120)
    assert not list(tmp_path.iterdir())


def test_words_for_what_cannot_be() -> None:
    # pytest's own folders can have names that are too long for a lab.
    with tempfile.TemporaryDirectory(prefix="bcm-") as name:
        folder = Path(name)
        (folder / "precious").write_text("x")
        done = subprocess.run([LAB, "up"], env={**os.environ, "BCM_LAB_DIR": name}, capture_output=True, text=True)
        left = [path.name for path in folder.iterdir() if path.name != ".lock"]
    assert done.returncode == 1
    assert "is not empty and not a lab" in done.stderr
    assert "Traceback" not in done.stderr
    assert left == ["precious"]
