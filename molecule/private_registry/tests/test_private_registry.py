# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reads and who writes, whom a client takes for the registry, and what happens when it is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from standing import Run, wait_for
from testinfra.backend.base import CommandResult
from testinfra.host import Host

IMAGES = (Path(__file__).parents[2] / "shared/images.py").read_text()
READ, WRITE = "https://registry.home.bcm.internal:5443", "https://registry.home.bcm.internal:5444"
NAMES = ["registry.home.bcm.internal", "other.home.bcm.internal"]
MIB = 2**20


@pytest.fixture(scope="module")
def server(instance: Callable[[str], Host]) -> Host:
    return instance("private-registry-1")


@pytest.fixture(scope="module")
def client(instance: Callable[[str], Host]) -> Host:
    return instance("private-registry-client")


@pytest.fixture(scope="module")
def login(server: Host) -> str:
    password = server.file("/var/lib/bcm/sites/home/secrets/registry-builder").content_string
    return f"builder:{password}"


def do(host: Host, *what: str, login: str = "", ca: str = "/root/ca.crt", sizes: str = "1024 2097152") -> CommandResult:
    words = " ".join(["%s"] * len(what))
    return host.run(f"env CA=%s LOGIN=%s SIZES=%s python3 -c %s {words}", ca, login, sizes, IMAGES, *what)


def test_who_has_the_password_pushes_and_everybody_pulls(client: Host, login: str) -> None:
    pushed = do(client, "push", WRITE, "acme/one", login=login)
    assert pushed.rc == 0, pushed.stderr
    pulled = do(client, "pull", READ, "acme/one")
    assert pulled.rc == 0, pulled.stderr


def test_nobody_else_pushes(client: Host, login: str) -> None:
    assert do(client, "push", WRITE, "acme/two").stderr == "401\n"
    assert do(client, "push", WRITE, "acme/two", login="builder:guess").stderr == "401\n"
    # Nor with the password on the port for reading
    assert do(client, "push", READ, "acme/two", login=login).stderr == "403\n"


def test_other_networks_do_not_even_read(server: Host) -> None:
    address = READ.replace("registry.home.bcm.internal", "198.18.70.40")
    trust = "/var/lib/bcm/sites/home/secrets/site-ca"
    server.check_output("sh -c %s", "grep -q registry.home.bcm.internal /etc/hosts || echo 198.18.70.40 registry.home.bcm.internal >>/etc/hosts")  # fmt: skip
    assert do(server, "ask", f"{READ}/v2/", "GET", ca=trust).stderr == "403\n"
    assert "IP address mismatch" in do(server, "ask", f"{address}/v2/", "GET", ca=trust).stderr


def test_nothing_else_listens(server: Host) -> None:
    """Debian's package has a registry of its own, which anybody may write into, and nginx's has a page of welcome."""
    listening = server.check_output("cat /proc/net/tcp /proc/net/tcp6")
    ports = {int(line.split()[1].split(":")[1], 16) for line in listening.splitlines() if line.split()[3] == "0A"}
    # The resolver's own
    assert ports - {53, 5355} == {5442, 5443, 5444}


def test_a_client_asks_for_the_sites_authority_and_the_registrys_name(client: Host) -> None:
    assert do(client, "ask", f"{READ}/v2/", "GET").rc == 0
    stranger = do(client, "ask", f"{READ}/v2/", "GET", ca="/etc/ssl/certs/ca-certificates.crt")
    assert "certificate verify failed" in stranger.stderr
    other = READ.replace("registry.", "other.")
    assert "not valid for 'other.home.bcm.internal'" in do(client, "ask", f"{other}/v2/", "GET").stderr


def test_a_full_registry_refuses_and_serves_on_until_something_is_deleted(
    server: Host, client: Host, login: str
) -> None:
    large = do(client, "push", WRITE, "acme/large", login=login, sizes=str(60 * MIB))
    assert large.rc == 0, large.stderr
    assert do(client, "push", WRITE, "acme/larger", login=login, sizes=str(61 * MIB)).stderr.startswith("5")
    assert do(client, "pull", READ, "acme/one").rc == 0

    manifest = large.stdout.splitlines()[0].replace(READ, WRITE)
    assert do(client, "ask", manifest, "DELETE", login=login).rc == 0
    server.check_output("systemctl start private-registry-gc.service")
    wait_for("the registry", lambda: do(client, "pull", READ, "acme/one").rc == 0, 30)
    again = do(client, "push", WRITE, "acme/larger", login=login, sizes=str(61 * MIB))
    assert again.rc == 0, again.stderr


def test_another_certificate_is_served_at_once(client: Host, converge: Callable[..., Run]) -> None:
    assert converge(scenario_names=NAMES).failures == []
    for name in NAMES:
        assert do(client, "ask", f"https://{name}:5443/v2/", "GET").rc == 0


def test_what_nginx_would_stop_at(server: Host, refusal: Callable[..., str]) -> None:
    message = refusal(
        "--limit=private-registry-1",
        scenario_names=NAMES,
        private_registry_networks=["home"],
        private_registry_tls_key=server.check_output("openssl genpkey -algorithm ed25519"),
    )
    assert "has home, which" in message
    assert "private_registry_tls_key" in message
    assert "PRIVATE" not in message


def test_what_runs_goes_on_where_nginx_would_not_take_its_configuration(
    server: Host, client: Host, converge: Callable[..., Run]
) -> None:
    started = "systemctl show --property=ActiveEnterTimestampMonotonic private-registry nginx"
    before = server.check_output(started)
    run = converge(scenario_names=NAMES, private_registry_name="registry; home")
    assert "nginx" in " ".join(run.failures)
    assert server.check_output(started) == before
    assert do(client, "pull", READ, "acme/one").rc == 0
    assert converge(scenario_names=NAMES).failures == []


def test_another_place_takes_the_images_along(
    server: Host, client: Host, login: str, converge: Callable[..., Run]
) -> None:
    old, new = "/var/lib/private-registry", "/srv/registry"
    moved = {"private_registry_directory": new, "private_registry_earlier_directory": old, "scenario_names": NAMES}
    # A copy that did not come to its end.
    server.check_output("install -d %s/.coming/half", new)
    for state in ("from the old place", "again, after a run that was killed before it freed the old place"):
        assert converge(**moved).failures == [], state
        assert not server.file(f"{old}/docker").exists
        assert not server.file(f"{new}/.coming").exists
        assert do(client, "pull", READ, "acme/one").rc == 0
        server.check_output("cp -a %s/docker %s/docker", new, old)
    server.check_output("touch %s/docker/only-here", old)
    run = converge(**moved)
    assert "only-here" in " ".join(run.failures)
    assert server.file(f"{old}/docker/only-here").exists
    assert do(client, "pull", READ, "acme/one").rc == 0
    server.check_output("rm -r %s/docker", old)
    # As on a volume of an instance that is no more, where the registry's user had another number.
    server.check_output("chown -R 12345:12345 %s/docker", new)
    assert converge(**moved).failures == []
    server.check_output("systemctl restart private-registry")
    wait_for("the registry", lambda: do(client, "pull", READ, "acme/one").rc == 0, 30)
    pushed = do(client, "push", WRITE, "acme/three", login=login)
    assert pushed.rc == 0, pushed.stderr
