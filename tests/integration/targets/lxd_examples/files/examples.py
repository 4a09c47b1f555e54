# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write each example of the modules for LXD as tasks to be included, and print where each of them is, as JSON.

examples.py MODULES DIRECTORY

An example is a task of ours, together with those after it that only look at its result. It runs in check mode first and then for
real, which must come to the same. What is to be in the place of what it names is read as JSON: for all of them (instead), and by
example (own: instead, and options that say what it would take from where it runs). Those of checked_only are not run for real.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import yaml

COLLECTION = "bcm.datacenter."
Task = dict[str, Any]


def documented(module: Path) -> list[Task]:
    """The tasks of a module's EXAMPLES."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            tasks: list[Task] = yaml.safe_load(ast.literal_eval(node.value))
            return tasks
    raise SystemExit(f"{module.stem} has no examples")


def examples(modules: Path) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for module in sorted(modules.glob("lxd_*.py")):
        latest: list[Task] = []
        for task in documented(module):
            if ours(task):
                latest = found[f"{module.stem} / {task['name']}"] = []
            latest.append(task)
    return found


def ours(task: Task) -> str | None:
    return next((name for name in task if name.startswith(COLLECTION)), None)


def replaced(value: Any, instead: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {replaced(key, instead): replaced(inner, instead) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, instead) for inner in value]
    if isinstance(value, str):
        for old, new in instead.items():
            value = value.replace(old, new)
    return value


def rehearsed(key: str, tasks: list[Task], asked: dict[str, Any]) -> list[Task]:
    first, *others = tasks
    module = ours(first)
    assert module
    own = asked["own"].get(key, {})
    instead = {**own.get("instead", {}), **asked["instead"]}
    given = {**replaced(first[module] or {}, instead), **own.get("options", {})}
    # Where it runs is said by its options here.
    keywords = {name: value for name, value in first.items() if name not in (module, "delegate_to")}
    register = first.get("register", "lxd_examples_done")
    checked = {module: given, "check_mode": True, "register": "lxd_examples_checked"}
    noted = {"lxd_examples_run": f"{{{{ lxd_examples_run + [{key!r}] }}}}"}
    note = {"name": "Note that it was run", "ansible.builtin.set_fact": noted}
    result = [{**keywords, "name": f"{first['name']} (check)", **checked}]
    if key in asked["checked_only"]:
        return [*result, note]
    same = f"(lxd_examples_checked is changed) == ({register} is changed)"
    compare = {"name": "Compare with what was foretold", "ansible.builtin.assert": {"that": same}}
    return [*result, {**keywords, module: given, "register": register}, compare, *others, note]


def main() -> None:
    asked, directory = json.load(sys.stdin), Path(sys.argv[2])
    found = examples(Path(sys.argv[1]))
    unknown = ({*asked["own"]} | {*asked["checked_only"]}) - found.keys()
    if unknown:
        raise SystemExit(f"there is no such example: {', '.join(sorted(unknown))}")
    files = {key: directory / f"{number:03d}.yml" for number, key in enumerate(found)}
    for key, file in files.items():
        file.write_text(
            yaml.safe_dump(rehearsed(key, found[key], asked), sort_keys=False, allow_unicode=True, width=1000)
        )
    print(json.dumps({key: str(file) for key, file in files.items()}))


main()
