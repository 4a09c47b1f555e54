# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the tarball, let Galaxy's importer look at it, install it in an empty place, and use it from there as somebody
without this checkout would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from gates.checkout import CHECKOUT, copy_to

PLUGIN_TYPES = (
    "module",
    "connection",
    "inventory",
    "filter",
    "lookup",
    "callback",
    "test",
    "vars",
    "strategy",
    "cache",
    "become",
)
# What Galaxy itself does with a collection, but for what other parts of the tests do (ansible-test, ansible-lint).
IMPORTER = """\
[galaxy-importer]
check_changelog = True
check_required_tags = True
run_ansible_doc = True
run_ansible_lint = False
run_ansible_test = False
run_flake8 = False
"""
# What the tarball has no use for.
UNWANTED = ("collections/", "lab/", "tests/", "scripts/site", "molecule/", ".ci/", "ansible.cfg", "Makefile")


def run(*argv: str | Path, cwd: Path, env: dict[str, str]) -> str:
    print("+", *argv, flush=True)
    done = subprocess.run(
        [str(a) for a in argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        print(done.stdout)
        sys.exit(f"exit code {done.returncode}")
    return done.stdout


def imported(tarball: Path, tmp: Path, env: dict[str, str]) -> None:
    """Galaxy's importer takes it, without a warning."""
    config = tmp / "galaxy-importer.cfg"
    config.write_text(IMPORTER)
    argv = [sys.executable, "-m", "galaxy_importer.main", str(tarball)]
    print("+", *argv, flush=True)
    done = subprocess.run(
        argv,
        cwd=tmp,
        env={**env, "GALAXY_IMPORTER_CONFIG": str(config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("Loading ")]
    print("\n".join(lines))
    if done.returncode or any(line.startswith(("WARNING", "ERROR")) for line in lines):
        sys.exit("galaxy-importer complains")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bcm-build-") as name:
        tmp = Path(name)
        tree, out, home = tmp / "tree", tmp / "out", tmp / "home"
        copy_to(tree, without=("collections",))
        home.mkdir()
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        env.update(HOME=str(home), ANSIBLE_COLLECTIONS_PATH=str(out), ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8")

        run("ansible-galaxy", "collection", "build", tree, "--output-path", tmp, cwd=tmp, env=env)
        (tarball,) = tmp.glob("bcm-datacenter-*.tar.gz")
        with tarfile.open(tarball) as archive:
            members = archive.getnames()
        # For somebody at a server, who has nothing but the tarball.
        if lacking := {"scripts/bootstrap", "scripts/venv", "requirements.txt"} - set(members):
            sys.exit(f"the tarball lacks {', '.join(sorted(lacking))}")
        print(f"{tarball.name}: {tarball.stat().st_size // 1024} KiB, {len(members)} files")
        if superfluous := [m for m in members if m.startswith(UNWANTED)]:
            sys.exit(f"the tarball carries what only the checkout needs: {', '.join(superfluous[:10])}")

        imported(tarball, tmp, env)

        # Its dependencies are there already, in the Python environment.
        run("ansible-galaxy", "collection", "install", tarball, "-p", out, "--no-deps", "--offline", cwd=tmp, env=env)
        site = tmp / "site.bcm.yml"
        for playbook in sorted(p.stem for p in (CHECKOUT / "playbooks").glob("*.yml")):
            run(
                "ansible-playbook", f"bcm.datacenter.{playbook}", "-i", "localhost,", "--syntax-check", cwd=tmp, env=env
            )
        inventory = CHECKOUT / "inventories" / "standalone"
        if inventory.is_dir():
            site.write_text((inventory / "site.bcm.yml").read_text())
            enabled = {
                **env,
                "ANSIBLE_INVENTORY_ENABLED": "bcm.datacenter.site",
                "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
            }
            listed = json.loads(run("ansible-inventory", "-i", site, "--list", cwd=tmp, env=enabled))
            print(f"inventories/standalone: {len(listed['_meta']['hostvars'])} hosts")

        documented = 0
        for kind in PLUGIN_TYPES:
            names = json.loads(run("ansible-doc", "-t", kind, "-l", "--json", "bcm.datacenter", cwd=tmp, env=env))
            if names:
                # One call for all; a plugin whose documentation does not parse makes it fail.
                found = json.loads(run("ansible-doc", "-t", kind, "--json", *names, cwd=tmp, env=env))
                if missing := [n for n in names if not (found.get(n) or {}).get("doc")]:
                    sys.exit(f"no documentation for {', '.join(missing)}")
                documented += len(names)
        roles = json.loads(run("ansible-doc", "-t", "role", "-l", "--json", "bcm.datacenter", cwd=tmp, env=env))
        declared = {
            f"bcm.datacenter.{p.parent.parent.name}" for p in (CHECKOUT / "roles").glob("*/meta/argument_specs.yml")
        }
        if lost := declared - set(roles):
            sys.exit(f"roles that ansible-doc does not know: {', '.join(sorted(lost))}")
        print(f"{documented} plugins and {len(roles)} roles documented")


if __name__ == "__main__":
    main()
