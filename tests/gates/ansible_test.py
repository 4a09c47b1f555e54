# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test where it wants to be run: in …/ansible_collections/bcm/datacenter, a git checkout.

Ours is a fresh copy of the tree beside links to the collections that it stands on. ansible-test makes environments of
its own for the sanity tests; they are kept in the cache, in a home of their own, and pip is told there what the
machine's settings say, because ansible-test hides them from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from gates.checkout import cache_dir, copy_to

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Not part of the collection: checked by ruff and mypy.
WITHOUT = (
    "collections",
    "lab",
    "scripts",
    "benchmarks",
    ".ci",
    "molecule",
    "tests/run",
    "tests/gates",
    "tests/doubles",
    "tests/e2e",
    "tests/rack",
    "tests/genuine",
    "tests/unit/lab",
)
# ansible-test fetches pip's installer from a host of its own. This stands in for it: pip as it comes with Python.
GET_PIP = """
import subprocess
import sys
sys.exit(subprocess.call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL))
"""


def make_home() -> Path:
    home = cache_dir() / "ansible-test-home"
    pip_conf = home / ".config/pip/pip.conf"
    pip_conf.parent.mkdir(parents=True, exist_ok=True)
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {}
    for line in asked.stdout.splitlines():
        # global.cert='…' and, from PIP_CERT, :env:.cert='…'
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = value.strip("'").replace("\\n", "\n  ")
    pip_conf.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    from ansible_test._internal.python_requirements import get_venv_packages

    version = get_venv_packages(argparse.Namespace(version=PYTHON))["pip"]
    installer = home / f".ansible/test/cache/get_pip_{version.replace('.', '_')}.py"
    installer.parent.mkdir(parents=True, exist_ok=True)
    installer.write_text(GET_PIP)
    return home


def make_tree(tmp: Path) -> Path:
    """A copy of the checkout under the path that a collection has to have."""
    root = tmp / "ansible_collections"
    tree = root / "bcm" / "datacenter"
    copy_to(tree, without=WITHOUT)
    (tree / "tests/output").mkdir(parents=True, exist_ok=True)
    installed = Path(sysconfig.get_path("purelib")) / "ansible_collections"
    for namespace in ("ansible", "community"):
        (root / namespace).symlink_to(installed / namespace)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], cwd=tree, check=True)
    subprocess.run([*git, "add", "-A"], cwd=tree, check=True)
    subprocess.run([*git, "commit", "-q", "--no-verify", "-m", "copy"], cwd=tree, check=True)
    return tree


def main() -> int:
    command, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="bcm-at-") as tmp:
        tree = make_tree(Path(tmp))
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        env.update(HOME=str(make_home()), LC_ALL="C.UTF-8")
        argv = ["ansible-test", command, "--python", PYTHON, "--color", "no", *arguments]
        return subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
