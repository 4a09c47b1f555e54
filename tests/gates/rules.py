# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of this repository that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from gates.checkout import CHECKOUT, files

# Written so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
HIDDEN = re.compile(r"ignore_errors:\s*(true|yes)|pytest\.(mark\.)?(skip|xfail)|@unittest\.skip")
LICENCE = "SPDX-License-" + "Identifier: GPL-3.0-or-later"
# Files with no place for a header of their own carry it in REUSE.toml.
COMMENTED = {".py", ".yml", ".yaml", ".toml", ".cfg", ".sh"}


def mirrors_of_this_machine() -> set[str]:
    """Hosts that apt and pip are told of here: a file that names one works on this machine only."""
    hosts = set()
    sources = [*Path("/etc/apt").glob("sources.list*"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    texts = [path.read_text(errors="replace") for path in sources if path.is_file()]
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    for url in re.findall(r"https?://[^\s'\"\]]+", "\n".join([*texts, pip.stdout])):
        if host := urlsplit(url).hostname:
            hosts.add(host)
    return hosts


def findings() -> Iterator[str]:
    mirrors = mirrors_of_this_machine()
    for path in files():
        name = path.relative_to(CHECKOUT)
        data = path.read_bytes()
        if b"\0" in data or name.parts[0] == "LICENSES" or name.name == "LICENSE" or "fixtures" in name.parts:
            continue
        text = data.decode(errors="replace")
        if path.suffix in COMMENTED and text and LICENCE not in text[:600]:
            yield f"{name}: no SPDX header"
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"{name}:{number}: unfinished: {line.strip()}"
            if HIDDEN.search(line) and name != Path("tests/gates/rules.py"):
                yield f"{name}:{number}: hides a failure: {line.strip()}"
            for host in mirrors:
                if re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", line):
                    yield f"{name}:{number}: names {host}, which belongs to the settings of a machine"
    yield from roles()
    yield from scenarios()
    yield from action_group()


def roles() -> Iterator[str]:
    """Each role says what it takes, what it is, and is proved by itself."""
    for role in sorted(p for p in (CHECKOUT / "roles").iterdir() if p.is_dir()):
        for needed in ("meta/argument_specs.yml", "meta/main.yml", "README.md"):
            if not (role / needed).is_file():
                yield f"roles/{role.name}: no {needed}"


def scenarios() -> Iterator[str]:
    """Each says in the way of its verifier what it proves: molecule is content with a scenario that says nothing."""
    for scenario in sorted(p.parent for p in (CHECKOUT / "molecule").glob("*/molecule.yml")):
        verifier = yaml.safe_load((scenario / "molecule.yml").read_text()).get("verifier", {}).get("name", "testinfra")
        pattern = "tests/test_*.py" if verifier == "testinfra" else "verify.yml"
        if not any(scenario.glob(pattern)):
            yield f"molecule/{scenario.name}: its verifier is {verifier}, and there is no {pattern}"


def action_group() -> Iterator[str]:
    runtime = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())
    listed = set(runtime["action_groups"]["lxd"])
    there = {p.stem for p in (CHECKOUT / "plugins/modules").glob("lxd_*.py")}
    for name in sorted(listed ^ there):
        yield f"meta/runtime.yml: action group lxd and plugins/modules differ in {name}"


def main() -> int:
    found = list(findings())
    print("\n".join(found) or "nothing to complain of")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
