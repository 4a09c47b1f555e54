# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of lnd's own onion. One knows nothing but the picture of a QR code; one has no key; one is sent away while a stream is open."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning import PATIENCE, Ours, Theirs, lxc_lab
from standing import CHECKOUT, LAB_DIR, LXD_ENV, Site

GUEST = (Path(__file__).parent / "guest.py").read_text()
CLIENT = "e2e-guest"


@pytest.fixture(scope="module")
def service(ours: Ours) -> str:
    return f"lnd-{ours.host}"


def clients(site: Site, service: str, what: str, *arguments: str, client: str = CLIENT) -> str:
    """onion_clients.yml, which has to end well. Gives all that it says."""
    run = site.play(
        "playbooks/onion_clients.yml",
        "-e",
        f"onion_clients={what}",
        "-e",
        f"service={service}",
        "-e",
        f"client={client}",
        *arguments,
    )
    assert run.status == 0, run.text[-3000:]
    return run.text


def decoded(picture: Path) -> str:
    """What a phone reads in a picture: by the reader of the unit tests, which has nothing to do with what makes them."""
    spec = importlib.util.spec_from_file_location("qr", CHECKOUT / "tests/unit/plugins/plugin_utils/qr.py")
    assert spec
    assert spec.loader
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    return str(reader.decode_png(picture.read_bytes()))


def of_text(text: str) -> dict[str, str]:
    """What a bundle says, line by line."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def network() -> str:
    """What leads into the lab's Tor network: the world has this without being told."""
    lines: list[str] = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
    return "\n".join(lines)


class Guest:
    """In the lab's internet, and told what a bundle says."""

    def __init__(self, verb: str, **told: Any) -> None:
        self.place = f"/root/guest-{uuid.uuid4().hex[:6]}"
        self.process = subprocess.Popen(
            ["lxc", "--project", "lab", "exec", "-T", "peers", "--", "python3", "-c", GUEST, self.place, verb],
            env={**os.environ, **LXD_ENV},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"network": network(), **told}))
        self.process.stdin.close()

    def says(self) -> dict[str, Any]:
        assert self.process.stdout
        said: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        return said

    def goes(self) -> None:
        self.process.wait(PATIENCE)
        lxc_lab("rm", "-rf", self.place)


def guest(verb: str, **told: Any) -> dict[str, Any]:
    """One that asks one thing."""
    one = Guest(verb, **told)
    try:
        return one.says()
    finally:
        one.goes()


@pytest.fixture(scope="module")
def bundle(site: Site, service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the picture says that was made for a new client, and is all that there is of it."""
    directory = tmp_path_factory.mktemp("bundle")
    said = clients(site, service, "add", "-e", f"onion_directory={directory}", "-e", "lnd_rights=read", "-vvv")
    (picture,) = directory.rglob(f"{service}.{CLIENT}.png")
    assert picture.stat().st_mode & 0o077 == 0
    found = of_text(decoded(picture))
    for secret in (found["client key"].rpartition(":")[2], found["lndconnect"].partition("macaroon=")[2]):
        assert secret not in said, "Ansible shows a secret of the client"
    yield found
    clients(site, service, "revoke", "-e", f"onion_directory={directory}")


def test_who_knows_the_picture_alone_reaches_lnd(ours: Ours, bundle: dict[str, str]) -> None:
    answer = guest("get", line=bundle["client key"], uri=bundle["lndconnect"])
    assert answer["status"] == 200, answer
    assert answer["said"]["identity_pubkey"] == ours.key


def test_without_the_key_tor_does_not_even_find_it(bundle: dict[str, str]) -> None:
    answer = guest("get", uri=bundle["lndconnect"], seconds=30)
    assert "refused" in answer, answer


def test_a_macaroon_that_may_read_pays_nobody(theirs: Theirs, ours: Ours, bundle: dict[str, str]) -> None:
    sent = [channel["total_satoshis_sent"] for channel in ours.channels(theirs)]
    answer = guest("pay", line=bundle["client key"], uri=bundle["lndconnect"], invoice=theirs.invoice(1000))
    assert "permission denied" in json.dumps(answer), answer
    assert [channel["total_satoshis_sent"] for channel in ours.channels(theirs)] == sent


def test_who_is_sent_away_loses_the_stream_that_is_open_and_all_else(
    site: Site, ours: Ours, service: str, tmp_path: Path
) -> None:
    name = "e2e-sent-away"
    clients(site, service, "add", "-e", f"onion_directory={tmp_path}", "-e", "lnd_rights=spend", client=name)
    (file,) = tmp_path.rglob(f"{service}.{name}.txt")
    had = of_text(file.read_text())
    staying = Guest("hold", line=had["client key"], uri=had["lndconnect"])
    try:
        assert staying.says() == {"open": True}
        clients(site, service, "revoke", "-e", f"onion_directory={tmp_path}", client=name)
        ended = staying.says()
        assert ended["ended"], f"the stream is still open after {ended['after']} s"
    finally:
        staying.goes()
    assert not [path for path in tmp_path.rglob(f"*{name}*") if path.is_file()], "the controller still has its bundle"
    answer = guest("get", line=had["client key"], uri=had["lndconnect"], seconds=30)
    assert "refused" in answer, answer
    # And what it would have shown is worth nothing, for whoever reaches lnd in another way.
    assert not takes(ours, had["lndconnect"])


# Asks lnd on its own host; what it shows comes by its input.
INSIDE = """
import base64, http.client, json, ssl, sys
text = sys.stdin.readline().strip()
macaroon = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
context = ssl.create_default_context(cafile="/etc/bcm/lnd/ca.pem")
context.check_hostname = False
connection = http.client.HTTPSConnection("127.0.0.1", 8080, timeout=60, context=context)
connection.request("GET", "/v1/getinfo", headers={"Grpc-Metadata-macaroon": macaroon})
print(connection.getresponse().status)
"""


def takes(ours: Ours, uri: str) -> bool:
    done = subprocess.run(
        ["lxc", "--project", ours.site.project, "exec", "-T", ours.host, "--", "python3", "-c", INSIDE],
        env={**os.environ, **LXD_ENV},
        input=uri.partition("macaroon=")[2].partition("&")[0] + "\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) == 200
