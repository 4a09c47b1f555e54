# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a run of site.yml tells a person at its end: that all works, where everything is, and what to do next."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from pathlib import Path

from gates import recap
from gates.checkout import CHECKOUT

# As debug shows text of several lines, to the next empty one.
WORDS = r"^TASK \[(?:\S+ : )?{task}\] \**\nok: \[\S+\] => \n +msg: \|-\n(?P<text>(?: +\S.*\n)+)"
HOST = re.compile(r"^  (?P<name>\S+)(?: \((?P<addresses>.+)\))?$")
# What a step says -> the command in it, if it has one.
STEPS = {
    "Look again at any time": r"ansible-playbook (?P<playbook>\S+) -i (?P<inventory>\S+)$",
    "Ask the node": r"(?:LXD_SOCKET=(?P<socket>\S+) )?lxc --project \S+ exec (?P<host>\S+) -- bitcoin-cli -getinfo$",
    "Keep a copy of the site's secrets": r"(?P<page>\S+) says where they are\.$",
    "Take it away and keep its data": r"ansible-playbook (?P<playbook>\S+) -i (?P<inventory>\S+) -e confirm=(?P<site>\S+)$",
}


def text_of(task: str, output: str) -> list[str]:
    """The lines of the last such task, as far in as they stand to each other."""
    found = [match["text"] for match in re.finditer(WORDS.format(task=re.escape(task)), output, re.MULTILINE)]
    lines = found[-1].splitlines() if found else []
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return [line[margin:] for line in lines]


def is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def wrong_words(lines: list[str], site: str, hosts: Collection[str], endpoints: Collection[str]) -> list[str]:
    """What is wrong with what it says of the hosts."""
    if not lines:
        return ["it does not say what works"]
    wrong = [] if lines[0] == f"Site {site}" else [f"it speaks of {lines[0]!r}"]
    works = [line for line in lines if line.startswith("    works ")]
    if lines[-1] != f"All {len(works)} parts work.":
        wrong.append(f"its last word is {lines[-1]!r}, with {len(works)} parts that work")
    told = {match["name"]: match["addresses"] for match in map(HOST.match, lines) if match}
    wrong += [f"it does not speak of {host}" for host in hosts if host not in told]
    for host in sorted({*hosts} - {*endpoints}):
        addresses = [words.rpartition(" ")[2] for words in (told.get(host) or "").split(", ")]
        if not all(map(is_address, addresses)):
            wrong.append(f"it does not say where {host} is")
    return wrong


def wrong_steps(lines: list[str], site: str, hosts: Collection[str]) -> list[str]:
    """What is wrong with the next steps: each leads to what is there."""
    wrong = []
    for step, pattern in STEPS.items():
        line = next((line for line in lines if line.startswith(f"{step}: ")), "")
        match = re.search(pattern, line)
        if not match:
            wrong.append(f"no next step {step!r}")
            continue
        said = {key: value for key, value in match.groupdict().items() if value}
        paths = [said[key] for key in ("playbook", "inventory", "socket", "page") if key in said]
        wrong += [f"{step!r} names {path}, which is not there" for path in paths if not Path(CHECKOUT, path).exists()]
        if said.get("site", site) != site or ("host" in said and said["host"] not in hosts):
            wrong.append(f"{step!r} is about something else: {line}")
    return wrong


def says_that_all_works(site: str, endpoints: Collection[str]) -> Callable[[str], str | None]:
    """What reads the output of a run that made the site, and returns what is wrong with its end, or None."""

    def judge(output: str) -> str | None:
        # What runs after site.yml has a recap of its own.
        first, _, _ = output.partition("\nSTAGES\n")
        hosts = recap.hosts(first)
        wrong = [
            *([] if hosts else ["ansible-playbook printed no recap"]),
            *wrong_words(text_of("What works and what does not", output), site, hosts, endpoints),
            *wrong_steps(text_of("What to do next", output), site, hosts),
        ]
        return "; ".join(wrong) or None

    return judge
