# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else's second run: site.yml from another clone, by a user whose home is empty.

What the run prints is printed; whether it changed something is for the caller to read there. That it made no secret anew
is looked at here.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gates.checkout import CHECKOUT, copy_to

SECRETS = Path("/var/lib/bcm/sites/lab/secrets")


def digests() -> dict[str, str]:
    """File -> hash of what it holds."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in SECRETS.iterdir() if file.is_file()}


def main() -> int:
    before = digests()
    if not before:
        sys.exit(f"{SECRETS} holds no secrets that could be compared")
    with tempfile.TemporaryDirectory(prefix="bcm-clone-") as name:
        clone, home = Path(name) / "clone", Path(name) / "home"
        copy_to(clone)
        collection = Path("collections/ansible_collections/bcm/datacenter")
        (clone / collection).parent.mkdir(parents=True)
        (clone / collection).symlink_to((CHECKOUT / collection).readlink())
        home.mkdir()
        of_the_first = {"ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH"}
        env = {key: value for key, value in os.environ.items() if key not in of_the_first} | {"HOME": str(home)}
        argv = [str(clone / "scripts/play"), "inventories/lab", "playbooks/site.yml"]
        done = subprocess.run(argv, cwd=clone, env=env, stdin=subprocess.DEVNULL, check=False)
        kept = sorted(path.name for path in home.iterdir())
    changed = sorted({*before.items()} ^ {*digests().items()})
    if changed:
        sys.exit(f"Secrets are not what they were: {', '.join(sorted({name for name, _ in changed}))}")
    print(f"Secrets compared: {len(before)}. Left in the home: {', '.join(kept) or 'nothing'}.")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
