# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that no controller reaches: made ready by who stands before it, it is taken over, and joins the cluster, by its onion alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path[:0] = [
    str(Path(__file__).resolve().parents[2] / part) for part in ("tests/rack", "tests/e2e", "tests", "collections")
]

from gates.checkout import copy_to  # noqa: E402
from gates.core import facts, pip_conf  # noqa: E402
from standing import CHECKOUT, HEARD, LAB_DIR, LXD_ENV, Run, lab, lxc, play, play_env  # noqa: E402
from test_onion import CLOSED, SERVERS, logins, on  # noqa: E402

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import open_control  # noqa: E402

SERVER, SITE = "rack-7", "rack"
# Where what was brought along lies on the server.
STICK = "/media/stick"
HOME = "/var/lib/bcm/bootstrap"


def try_on(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run one command as somebody who stands before the server, whatever comes of it."""
    return subprocess.run(
        ["lxc", "--project", "lab", "exec", SERVER, "--", *HEARD, *argv],
        env={**os.environ, **LXD_ENV},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )


class Release:
    """The collection as it would be published, with the signature of a maker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tree = folder / "tree"
        copy_to(tree, without=("collections",))
        self._run("ansible-galaxy", "collection", "build", str(tree), "--output-path", str(folder))
        (self.tarball,) = folder.glob("bcm-datacenter-*.tar.gz")
        (folder / "gnupg").mkdir(0o700)
        self.maker, self.stranger = (self._key(name) for name in ("maker", "stranger"))
        self._gpg("--armor", "--local-user", "maker", "--detach-sign", str(self.tarball))
        (folder / "release-key.asc").write_text(self._gpg("--armor", "--export"))

    def _run(self, *argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout

    def _gpg(self, *argv: str) -> str:
        unattended = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
        return self._run("gpg", "--homedir", str(self.folder / "gnupg"), *unattended, *argv)

    def _key(self, name: str) -> str:
        self._gpg("--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
        listed = self._gpg("--list-keys", "--with-colons", name).splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def close(self) -> None:
        self._run("gpgconf", "--homedir", str(self.folder / "gnupg"), "--kill", "all")

    def bootstrap(self, fingerprint: str, tarball: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """What the documentation has somebody at the server say."""
        operator = (LAB_DIR / "rack-key.pub").read_text().strip()
        said = {"site": SITE, "server": SERVER, "user": "ops", "ssh_key": f"'{operator}'", **variables}
        arguments = [word for name, value in said.items() for word in ("-e", f"{name}={value}")]
        named = f"{STICK}/{tarball or self.tarball.name}"
        return try_on("sh", f"{STICK}/bootstrap", fingerprint, named, *arguments, "-e", f"@{STICK}/private.yml")


class Controller:
    """A person's machine, with a home of its own, and with the declaration of the site that stands."""

    def __init__(self, home: Path, tor: list[str], socks_port: int) -> None:
        self.home = home
        self.env = {"HOME": str(home)}
        self.onion = home / f".config/bcm/{SITE}/onion"
        self.inventory = home / "inventory"
        shutil.copytree(CHECKOUT / "inventories/lab-rack", self.inventory)
        file = self.inventory / "site.bcm.yml"
        # After the servers that are there, the first of which leads.
        others = re.findall(r"(?m)^ +- path: .*/rack-\d+\.yml\n", file.read_text())
        assert len(others) == len(SERVERS)
        self.adopted = home / "adopted.yml"
        ours = f"  - path: {self.adopted}\n    optional: true\n"
        file.write_text(file.read_text().replace(others[-1], others[-1] + ours))
        variables = {
            "ssh_onion_tor_options": tor,
            "onion_client_tor_options": tor,
            "onion_client_socks_port": socks_port,
        }
        (self.inventory / "group_vars/all").mkdir()
        (self.inventory / "group_vars/all.yml").rename(self.inventory / "group_vars/all/lab.yml")
        (self.inventory / "group_vars/all/onions.yml").write_text(yaml.safe_dump(variables))

    def name_it(self, address: str) -> None:
        """Have the server in the declaration, with the address at which the others reach it."""
        endpoint = {"name": SERVER, "via": "onion", "address": address}
        self.adopted.write_text(yaml.safe_dump({"endpoints": [endpoint]}))

    def name_it_no_more(self) -> None:
        self.adopted.unlink()

    def play(self, playbook: str, **variables: Any) -> Run:
        extra = ("-e", json.dumps(variables)) if variables else ()
        return play(f"playbooks/{playbook}.yml", *extra, inventory=self.inventory, env=self.env, timeout=900)

    def adopt(self, text: str) -> Run:
        bundle = self.home / "bundle.txt"
        bundle.touch(0o600)
        bundle.write_text(text)
        return self.play("endpoint_adopt", server=SERVER, bundle=str(bundle))

    def new_key(self, client: str) -> str:
        """Make a client's key, and return what may be told."""
        path = self.onion / f"clients/{SERVER}/{client}.auth_private"
        path.parent.mkdir(mode=0o700, parents=True)
        done = subprocess.run(
            ["ansible", "localhost", "-m", "bcm.datacenter.onion_client_key", "-a", f"path={path}"],
            cwd=CHECKOUT,
            env={**play_env(), **self.env, "ANSIBLE_STDOUT_CALLBACK": "default"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = re.search(r"public_key\W+([A-Z2-7]{52})\b", done.stdout)
        assert found, done.stdout + done.stderr
        return found[1]

    def halt(self) -> None:
        """End its tor."""
        control = open_control(self.onion / "way/control")
        if control is not None:
            control.halt()
            control.close()


@pytest.fixture(scope="module")
def tor() -> list[str]:
    lab("tor", "up")
    options: list[str] = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
    return options


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, tor: list[str]) -> Iterator[Release]:
    """A fresh server that takes SSH from nowhere, and a stick in it."""
    made = Release(tmp_path_factory.mktemp("release"))
    (made.folder / "private.yml").write_text(yaml.safe_dump({"ssh_onion_tor_options": tor}))
    (made.folder / "pip.conf").write_text(pip_conf())
    away()
    lab("rack", "up", SERVER)
    try:
        # By the machine's own nft: a fresh server has none.
        first = json.loads(lxc("query", f"/1.0/instances/{SERVER}/state?project=lab"))["pid"]
        subprocess.run(["nsenter", "--target", str(first), "--net", "nft", CLOSED], check=True, timeout=60)
        brought = [made.tarball, made.tarball.with_name(f"{made.tarball.name}.asc"), CHECKOUT / "scripts/bootstrap"]
        brought += [made.folder / name for name in ("release-key.asc", "private.yml")]
        # What has to be known where this server stands to reach a package index.
        given = {made.folder / "pip.conf": "/etc/pip.conf"}
        for path in map(Path, facts()["extra_ca_certificates"]):
            given[path] = f"/usr/local/share/ca-certificates/{path.name}"
        for path, there in {**{path: f"{STICK}/{path.name}" for path in brought}, **given}.items():
            lxc("file", "push", "--create-dirs", str(path), f"{SERVER}{there}", project="lab")
        on(SERVER, "update-ca-certificates")
        yield made
    finally:
        away()
        made.close()


def members() -> dict[str, str]:
    """The cluster, as its first member sees it."""
    listed = json.loads(on(SERVERS[0], "lxc", "query", "/1.0/cluster/members?recursion=1"))
    return {member["server_name"]: member["status"] for member in listed}


def away() -> None:
    """Whatever became of it: the server is gone, and the cluster knows nothing of it."""
    lab("rack", "remove", SERVER)
    if SERVER in members():
        on(SERVERS[0], "lxc", "cluster", "remove", "--force", "--yes", SERVER)


@pytest.fixture(scope="module")
def address(release: Release) -> str:
    """Where the other servers reach it. None of them takes SSH to it, nor does it take any."""
    return str(next(one["address"] for one in json.loads(lab("rack", "list", "--json")) if one["name"] == SERVER))


@pytest.fixture(scope="module")
def controllers(tor: list[str]) -> Iterator[tuple[Controller, Controller]]:
    # Short names, for sockets lie below them.
    homes = [Path(tempfile.mkdtemp(prefix="adopt", dir="/tmp")) for _ in range(2)]
    one, other = (Controller(home, tor, 9262 + number) for number, home in enumerate(homes))
    try:
        yield one, other
    finally:
        for controller in (one, other):
            controller.halt()
            shutil.rmtree(controller.home)


@pytest.fixture(scope="module")
def controller(controllers: tuple[Controller, Controller]) -> Controller:
    return controllers[0]


@pytest.fixture(scope="module")
def shown(release: Release) -> str:
    """What is to be read at the server when it is done."""
    done = release.bootstrap(release.maker)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def address_of(server: str, ours: str) -> str:
    """At which address a server is reached by the others."""
    if server == SERVER:
        return ours
    return str(next(one["address"] for one in json.loads(lab("rack", "list", "--json")) if one["name"] == server))


def bundle(said: str) -> tuple[str, str]:
    """The text and the code that were shown."""
    _, _, told = said.partition("What the controller has to be told:\n\n")
    text, _, rest = told.partition("\nThe same as a QR code:\n\n")
    return text, rest


def test_nobody_comes_in_from_outside(address: str) -> None:
    with pytest.raises(TimeoutError):
        socket.create_connection((address, 22), timeout=3)


def test_nothing_is_used_that_somebody_else_has_signed_or_changed(release: Release) -> None:
    changed = "changed.tar.gz"
    script = f"cd {STICK}; cp {release.tarball.name} {changed}; cp {release.tarball.name}.asc {changed}.asc; echo >>{changed}"
    on(SERVER, "sh", "-ec", script)
    for done in (release.bootstrap(release.stranger), release.bootstrap(release.maker, changed)):
        assert done.returncode == 1, done.stderr
        assert "Nothing of it was used" in done.stderr
    assert "bcm" not in on(SERVER, "ls", "/var/lib").split()


def test_the_bundle_is_shown_as_text_and_as_a_code(shown: str) -> None:
    text, code = bundle(shown)
    assert text.startswith("SECRET")
    assert on(SERVER, "cat", f"{HOME}/bundle.txt") == text
    assert on(SERVER, "stat", "-c", "%a", f"{HOME}/bundle.txt") == "600\n"
    drawn = subprocess.run(["qrencode", "-t", "UTF8"], input=text, capture_output=True, text=True, check=True).stdout
    assert code.startswith(drawn)
    assert f"rm -r {HOME}/bundle.txt" in code


def test_who_has_another_host_key_is_not_believed(controller: Controller, shown: str) -> None:
    run = controller.adopt(re.sub(r"SHA256:\S+", f"SHA256:{'A' * 43}", bundle(shown)[0]))
    assert run.status != 0
    assert "shows another host key than the bundle names" in " ".join(run.failures), run.text[-3000:]
    assert not (controller.onion / f"way/hosts/{SERVER}.known_hosts").read_text().strip()


def test_it_is_taken_over_with_nothing_but_the_bundle(controller: Controller, shown: str) -> None:
    begun = time.time()
    run = controller.adopt(bundle(shown)[0])
    assert run.status == 0, run.failures or run.text[-3000:]
    assert set(logins(SERVER, begun)) == {"127.0.0.1"}
    again = controller.adopt(bundle(shown)[0])
    assert (again.status, again.changed) == (0, set()), again.failures


@pytest.mark.parametrize("playbook", ["endpoints", "cluster", "fabric"])
def test_the_cluster_takes_it_in_by_its_onion(controller: Controller, shown: str, address: str, playbook: str) -> None:
    controller.name_it(address)
    run = controller.play(playbook)
    assert run.status == 0, run.failures or run.text[-3000:]
    assert run.changed
    again = controller.play(playbook)
    assert (again.status, again.changed) == (0, set()), again.failures


def test_it_is_a_member(controller: Controller, shown: str, address: str) -> None:
    assert members() == dict.fromkeys((*SERVERS, SERVER), "Online")
    said = controller.home / "said"
    assert controller.play("cluster_info", output=str(said)).status == 0
    (line,) = [line for line in said.read_text().splitlines() if line.strip().startswith(f"{SERVER}: ")]
    assert re.search(r": Online; .*LXD \d", line), line
    # Whoever has ever logged in.
    assert set(logins(SERVER, 0)) == {"127.0.0.1"}
    assert "passwordauthentication no" in on(SERVER, "sshd", "-T").splitlines()
    kept = controller.onion / f"backup/{SERVER}/hostname"
    assert kept.read_text() == on(SERVER, "cat", "/var/lib/tor/bcm-ssh/hostname")
    # Its bridges are those of the others, and each has the other as a peer.
    for server, peer in ((SERVER, SERVERS[0]), (SERVERS[0], SERVER)):
        assert address_of(peer, address) in on(server, "bridge", "fdb", "show")


def test_all_works_with_it(controller: Controller, shown: str) -> None:
    report = controller.home / "verify.json"
    run = controller.play("verify", verify_json=str(report))
    wrong = [part for part in json.loads(report.read_text())["parts"] if not part["works"]]
    assert (run.status, wrong) == (0, [])
    assert {part["host"] for part in json.loads(report.read_text())["parts"]} > {*SERVERS, SERVER}


def test_its_onion_alone_takes_it_out_again(controller: Controller, shown: str, address: str) -> None:
    run = controller.play("remove", endpoint=SERVER, confirm=SERVER)
    assert run.status == 0, run.failures or run.text[-3000:]
    assert members() == dict.fromkeys(SERVERS, "Online")
    assert set(logins(SERVER, 0)) == {"127.0.0.1"}
    controller.name_it_no_more()
    for playbook in ("endpoints", "cluster", "fabric"):
        run = controller.play(playbook)
        assert run.status == 0, run.failures or run.text[-3000:]
    for server in SERVERS:
        assert address not in on(server, "nft", "list", "ruleset")
        assert address not in on(server, "bridge", "fdb", "show")


def test_another_controller_comes_by_a_bundle_without_a_secret(
    controllers: tuple[Controller, Controller], release: Release, shown: str
) -> None:
    one, other = controllers
    done = release.bootstrap(release.maker, client="other", public_key=other.new_key("other"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    text, _ = bundle(done.stdout)
    assert "SECRET" not in text
    assert "descriptor" not in text
    run = other.adopt(text)
    assert run.status == 0, run.failures or run.text[-3000:]
    assert "ssh_onion_own_client: other" in run.text
    # And the first one still does.
    assert one.adopt(bundle(shown)[0]).status == 0
