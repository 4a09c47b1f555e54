# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian 13 container of the lab in which the tests are run on another ansible-core and another Python.

    python -m gates.core up            a fresh container with the checkout in it
    python -m gates.core run COMMAND   there, in the Python environment of scripts/venv
    python -m gates.core play          there: roles on instances that it makes, twice
    python -m gates.core down

The container reaches the lab's LXD by its socket, and finds it and what the lab says of the machine under the paths that
they have on the machine. What is slow to make (packages, Python environments) is an image, kept under a hash of what went
into it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml

from gates.checkout import CHECKOUT

KIND = "test-2.21"
PROJECT = "core"
LAB_PROJECT = "lab"
LAB_DIR = Path(os.environ.get("BCM_LAB_DIR", "/var/lib/bcm-lab"))
# Two checkouts that are tested at the same time have a container each.
NAME = f"core-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}"
# Where the checkout lies in the container; ansible-test wants such a path.
THERE = "/srv/ansible_collections/bcm/datacenter"
PACKAGES = ["git", "gnupg", "openssl", "python3-venv"]
SCENARIOS = ("guest", "site_ca")
LAYOUT = "3"  # raise it when `make_image` does something else
APT = ["apt-get", "-qq", "-y", "-o", "Acquire::Check-Valid-Until=false"]
# What pip has to know there: the machine's index, if it has one of its own, and the authorities that the container trusts.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")


def lxc(*argv: str, given: bytes | str | None = None, check: bool = True) -> str:
    env = {**os.environ, "LXD_DIR": str(LAB_DIR / "lxd"), "LXD_CONF": str(LAB_DIR / "lxc")}
    project = [] if argv[0] == "query" or "--project" in argv else ["--project", PROJECT]
    done = subprocess.run(
        ["lxc", *project, *argv],
        env=env,
        input=given.encode() if isinstance(given, str) else given or b"",
        capture_output=True,
    )
    if check and done.returncode:
        sys.exit(f"core: lxc {' '.join(argv)[:200]}: {done.stderr.decode(errors='replace')[-3000:]}")
    return done.stdout.decode(errors="replace")


def say(text: str) -> None:
    print(text, flush=True)


def facts() -> dict[str, Any]:
    """What the lab says of this machine."""
    found: dict[str, Any] = yaml.safe_load((LAB_DIR / "site-vars.yml").read_text())
    return found


def user_data(machine: dict[str, Any]) -> str:
    """Package mirrors and authorities of this machine."""
    apt = machine["mirrors"]["apt"]
    wanted = {
        "apt": {
            "primary": [{"arches": ["default"], "uri": apt["debian"]}],
            "security": [{"arches": ["default"], "uri": apt["security"] or apt["debian"]}],
        },
        "ca_certs": {"trusted": [Path(path).read_text() for path in machine["extra_ca_certificates"]]},
        # Nothing here is worth waiting for the disk.
        "write_files": [{"path": "/etc/dpkg/dpkg.cfg.d/unsafe-io", "content": "force-unsafe-io"}],
    }
    return f"#cloud-config\n{json.dumps(wanted)}\n"


def pip_conf() -> str:
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    lines = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt", "disable-pip-version-check = true"]
    for line in asked.stdout.splitlines():
        # global.cert='…' and, from PIP_CERT, :env:.cert='…'
        key, _, value = line.partition("=")
        if key.rpartition(".")[2] in PIP_KEYS:
            words = value.strip("'").replace("\\n", "\n  ")
            lines.append(f"{key.rpartition('.')[2]} = {words}")
    return "\n".join(lines) + "\n"


def image_key(machine: dict[str, Any]) -> str:
    parts = [LAYOUT, KIND, *PACKAGES, user_data(machine), pip_conf()]
    files = ["scripts/venv", f"tests/requirements-{KIND.partition('-')[2]}.txt", "tests/gates/ansible_test.py"]
    parts += [(CHECKOUT / name).read_text() for name in files]
    parts.append((LAB_DIR / "www/images/streams/v1/images.json").read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def checkout() -> bytes:
    """The files that git knows or would take, links as links, as a tar archive."""
    argv = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(set(listed.split("\0"))):
            if name and os.path.lexists(CHECKOUT / name):
                archive.add(CHECKOUT / name, f"{THERE}/{name}".lstrip("/"), recursive=False)
    return buffer.getvalue()


def there(name: str, *argv: str) -> None:
    """Run a command in a container, and let it be heard."""
    say(f"+ {' '.join(argv)}")
    if status := run(name, list(argv)):
        sys.exit(f"core: {' '.join(argv)} ended with {status}")


def run(name: str, argv: list[str], environment: dict[str, str] | None = None) -> int:
    words = ["lxc", "--project", PROJECT, "exec", "-T", name, "--cwd", THERE]
    for key, value in (environment or {"DEBIAN_FRONTEND": "noninteractive"}).items():
        words += ["--env", f"{key}={value}"]
    env = {**os.environ, "LXD_DIR": str(LAB_DIR / "lxd"), "LXD_CONF": str(LAB_DIR / "lxc")}
    return subprocess.run([*words, "--", *argv], env=env, stdin=subprocess.DEVNULL).returncode


def push(name: str) -> None:
    """The checkout as it is now, as a git checkout without history."""
    lxc("exec", "-T", name, "--", "rm", "-rf", THERE)
    lxc("exec", "-T", name, "--", "tar", "-xC", "/", "--no-same-owner", "-f", "-", given=checkout())
    lxc("exec", "-T", name, "--cwd", THERE, "--", "git", "init", "-q")


def prepare_project() -> None:
    if f"/1.0/projects/{PROJECT}" not in json.loads(lxc("query", "/1.0/projects")):
        lxc("query", "-X", "POST", "-d", json.dumps({"name": PROJECT}), "/1.0/projects")
    lxc("profile", "edit", "default", given=json.dumps({**lab_profile(), "used_by": []}))


def lab_profile() -> dict[str, Any]:
    """What an instance of the lab has: its root disk and its way out."""
    found: dict[str, Any] = json.loads(lxc("query", f"/1.0/profiles/default?project={LAB_PROJECT}"))
    return found


def make_image(alias: str, machine: dict[str, Any]) -> None:
    builder = f"{NAME}-builder"
    lxc("delete", "--force", builder, check=False)
    wanted = {
        "name": builder,
        # `lxc remote add` takes no plain http, the API does.
        "source": {"type": "image", "mode": "pull", **machine["mirrors"]["images"]},
        "config": {"cloud-init.user-data": user_data(machine)},
    }
    lxc("query", "--wait", "-X", "POST", "-d", json.dumps(wanted), f"/1.0/instances?project={PROJECT}")
    try:
        lxc("start", builder)
        wait_booted(builder)
        lxc("file", "push", "--create-dirs", "-", f"{builder}/etc/pip.conf", given=pip_conf())
        lxc("exec", builder, "--", "mkdir", "-p", THERE)
        there(builder, *APT, "update")
        there(builder, *APT, "install", "--no-install-recommends", *PACKAGES)
        push(builder)
        there(builder, "scripts/venv", KIND)
        # The environments of the sanity tests
        prime = ["python", "-m", "gates.ansible_test", "sanity", "--prime-venvs"]
        if run(builder, prime, environment(builder)):
            sys.exit("core: ansible-test could not make its environments")
        # A package that is compiled in the middle of a test may complain of its own source, and that fails the test. That
        # happens to half of what goes by the time of its source: LXD writes images with times rounded to the nearest second.
        compileall = ["python3", "-W", "ignore", "-m", "compileall", "-qq", "-f", "-j", "0"]
        there(builder, *compileall, "--invalidation-mode", "unchecked-hash", "/var/cache/bcm")
        there(builder, "sh", "-c", "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /root/.cache")
        there(builder, "cloud-init", "clean", "--machine-id")
        lxc("stop", builder)
        # Two runs at once: the one that comes second finds the image there.
        if not has_image(alias):
            lxc("publish", builder, "--compression", "none", "--alias", alias)
    finally:
        lxc("delete", "--force", builder, check=False)


def wait_booted(name: str) -> None:
    # 2 says: done, with something to complain about, such as a module without a use here.
    script = "until systemctl is-active -q dbus; do sleep 0.1; done; cloud-init status --wait >/dev/null; test $? -ne 1"
    lxc("exec", "-T", name, "--", "timeout", "180", "sh", "-c", script)


def has_image(alias: str) -> bool:
    return alias in [image["name"] for image in json.loads(lxc("image", "alias", "list", "--format", "json"))]


def venv(name: str) -> str:
    script = f"scripts/venv {KIND} && sleep 0.1"  # LXD may lose what a program says as it ends.
    return lxc("exec", "-T", name, "--cwd", THERE, "--", "sh", "-c", script).splitlines()[-1]


def environment(name: str) -> dict[str, str]:
    """As tests/run has it on the machine."""
    path = venv(name)
    return {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "BCM_VENV": path,
        "BCM_LAB_DIR": str(LAB_DIR),
        "LXD_DIR": str(LAB_DIR / "lxd"),
        "VIRTUAL_ENV": path,
        "PATH": f"{path}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": "tests",
        "PYTHONUNBUFFERED": "1",
        "ANSIBLE_CONFIG": f"{THERE}/ansible.cfg",
        "ANSIBLE_COLLECTIONS_PATH": f"{THERE}/collections",
        "ANSIBLE_ROLES_PATH": "tests/integration/targets",
        "ANSIBLE_FORCE_COLOR": "0",
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }


def up() -> None:
    machine = facts()
    prepare_project()
    alias = f"{KIND.replace('.', '-')}-{image_key(machine)}"
    if not has_image(alias):
        say(f"the image {alias} is made")
        make_image(alias, machine)
        for old in json.loads(lxc("image", "list", "--format", "json")):
            if alias not in [found["name"] for found in old["aliases"]]:
                lxc("image", "delete", old["fingerprint"], check=False)
    down()
    lxc("init", alias, NAME, "--ephemeral", "--config", "boot.autostart=false")
    socket = LAB_DIR / "lxd/unix.socket"
    # Through a proxy of LXD's: the socket itself is root's on the machine, whom nobody in the container is.
    proxy = ["bind=instance", f"connect=unix:{socket}", f"listen=unix:{socket}", "mode=0600"]
    lxc("start", NAME)
    lxc("exec", "-T", NAME, "--", "mkdir", "-p", str(socket.parent), THERE)
    lxc("config", "device", "add", NAME, "lxd", "proxy", *proxy)
    for path in [str(LAB_DIR / "site-vars.yml"), *machine["extra_ca_certificates"]]:
        lxc("file", "push", "--create-dirs", path, f"{NAME}{path}")
    wait_booted(NAME)
    push(NAME)
    say(lxc("exec", "-T", NAME, "--", f"{venv(NAME)}/bin/ansible", "--version"))


def play() -> int:
    """Scenarios of molecule that need no address of their own, on instances in a project of their own."""
    bridge = lab_profile()["devices"]["eth0"]["network"]
    address = json.loads(lxc("query", f"/1.0/networks/{bridge}"))["config"]["ipv4.address"]
    # The lab's own bridge, as it is
    variables = {
        "molecule_project": NAME,
        "molecule_bridge": bridge,
        "molecule_bridge_config": {"ipv4.address": address},
        # LXD takes no second card on the same network.
        "molecule_devices": {},
        "guest_lan": {},
    }
    argv = ["ansible-playbook", "-e", json.dumps(variables), "-i", "molecule/shared/inventory"]
    for scenario in SCENARIOS:
        argv += ["-i", f"molecule/{scenario}/inventory.yml"]
    played = [f"molecule/{scenario}/{play}.yml" for scenario in SCENARIOS for play in ("prepare", "converge")]
    argv += ["molecule/shared/create.yml", *(playbook for playbook in played if (CHECKOUT / playbook).exists())]
    # As molecule has it
    own = {"ANSIBLE_INJECT_FACT_VARS": "false", "MOLECULE_EPHEMERAL_DIRECTORY": "/tmp"}
    return run(NAME, argv, {**environment(NAME), **own})


def down() -> None:
    lxc("delete", "--force", NAME, check=False)
    if f"/1.0/projects/{NAME}" in json.loads(lxc("query", "/1.0/projects")):
        for instance in json.loads(lxc("query", f"/1.0/instances?project={NAME}&recursion=1")):
            lxc("delete", "--force", "--project", NAME, instance["name"])
        for image in json.loads(lxc("query", f"/1.0/images?project={NAME}&recursion=1")):
            lxc("image", "delete", "--project", NAME, image["fingerprint"])
        lxc("project", "delete", NAME)


def main() -> int:
    command, *arguments = sys.argv[1:]
    if command == "up":
        up()
    elif command == "play":
        return play()
    elif command == "down":
        down()
    else:
        return run(NAME, arguments, environment(NAME))
    return 0


if __name__ == "__main__":
    sys.exit(main())
