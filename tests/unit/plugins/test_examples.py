# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the documentation ask for nothing that a module does not know.

Each task in them is held against the argument spec that the module itself gives to Ansible: names of options, types,
choices, what is required and what excludes each other, also in lists. A template stands for any value.
"""

from __future__ import annotations

import ast
import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.task import Task

COLLECTION = "bcm.datacenter."
PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
MODULES = sorted(path.stem for path in PLUGINS.glob("modules/*.py"))
# Runs the examples of the modules for LXD.
EXAMPLES_TARGET = PLUGINS.parent / "tests/integration/targets/lxd_examples"
# What a list of tasks is called in a play or a block.
LISTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
KEYWORDS = {*Task.fattributes, *Block.fattributes, *Play.fattributes, *LISTS, "import_playbook"}
RULES = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
SAMPLES = {"int": 1, "float": 1.0, "bool": True, "dict": {}, "json": "{}", "bytes": "1M", "bits": "1M"}

Options = dict[str, dict[str, t.Any]]
Found = tuple[str, t.Any, dict[str, t.Any]]


class ToldError(Exception):
    """What a module has given to Ansible, before anything else happens."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        super().__init__()
        self.given = given


def examples_of(file: Path) -> list[t.Any]:
    """The documents of a file's EXAMPLES."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load_all(ast.literal_eval(node.value)))
    return []


def all_examples() -> dict[str, list[t.Any]]:
    files = sorted([*PLUGINS.glob("[a-z]*/*.py")])
    found = {f"{file.parent.name}/{file.stem}": examples_of(file) for file in files if file.stem[0] != "_"}
    return {name: documents for name, documents in found.items() if documents}


EXAMPLES = all_examples()


def tasks(thing: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """The tasks of plays, blocks and lists of tasks."""
    if isinstance(thing, list):
        for item in thing:
            yield from tasks(item)
    elif isinstance(thing, dict):
        inner = [thing[name] for name in LISTS if name in thing]
        for part in inner:
            yield from tasks(part)
        if not inner and any("." in name for name in thing):
            yield thing


def calls(documents: list[t.Any]) -> t.Iterator[Found]:
    """Whatever asks for something of the collection: by which name, what is given, and in which task."""
    for task in tasks(documents):
        for name, given in task.items():
            if name.startswith(COLLECTION):
                yield name.removeprefix(COLLECTION), given, task


@pytest.fixture
def spec_of(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], dict[str, t.Any]]:
    def told(_self: AnsibleModule, argument_spec: Options, **others: t.Any) -> None:
        raise ToldError({"argument_spec": argument_spec, **others})

    def of(name: str) -> dict[str, t.Any]:
        module = importlib.import_module(f"ansible_collections.bcm.datacenter.plugins.modules.{name}")
        with pytest.raises(ToldError) as caught:
            module.main()
        return caught.value.given

    monkeypatch.setattr(AnsibleModule, "__init__", told)
    return of


def is_template(value: t.Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def sample(option: dict[str, t.Any]) -> t.Any:
    """Something that an option takes."""
    if option.get("choices"):
        return option["choices"][0]
    if option.get("type") == "list":
        return [sample({**option, "type": option.get("elements", "str")})]
    if option.get("options"):
        return {name: sample(inner) for name, inner in option["options"].items() if inner.get("required")}
    return SAMPLES.get(option.get("type", "str"), "x")


def filled(value: t.Any, option: dict[str, t.Any]) -> t.Any:
    """The value of an option with something in the place of its templates."""
    if is_template(value):
        return sample(option)
    if isinstance(value, list):
        return [filled(item, {**option, "type": option.get("elements", "str")}) for item in value]
    if isinstance(value, dict) and option.get("options"):
        return {name: filled(inner, option["options"].get(name, {})) for name, inner in value.items()}
    return value


def given_by(given: t.Any, task: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The options of a task, of each round of its loop."""
    if isinstance(given, str) and re.fullmatch(r"{{ *item *}}", given):
        assert isinstance(task["loop"], list), f"{task} does not say what it is given"
        return [round_ or {} for round_ in task["loop"]]
    assert given is None or isinstance(given, dict), f"{task} gives its options as {given}"
    return [given or {}]


def defaults_for(task: dict[str, t.Any]) -> dict[str, t.Any]:
    defaults = task.get("module_defaults", {})
    return dict(defaults.get(f"group/{COLLECTION}lxd", {}))


@pytest.mark.parametrize("name", EXAMPLES)
def test_tasks_are_tasks(name: str) -> None:
    for task in tasks(EXAMPLES[name]):
        (_action,) = [key for key in task if "." in key]
        assert [key for key in task if "." not in key and key not in KEYWORDS and not key.startswith("with_")] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_tasks_ask_for_what_modules_know(name: str, spec_of: t.Callable[[str], dict[str, t.Any]]) -> None:
    for module, given, task in calls(EXAMPLES[name]):
        assert module in MODULES, f"there is no module {module}"
        spec = spec_of(module)
        rules = {rule: spec[rule] for rule in RULES if spec.get(rule)}
        validator = ArgumentSpecValidator(spec["argument_spec"], **rules)
        for options in given_by(given, task):
            whole = {**defaults_for(task), **options}
            result = validator.validate(filled(whole, {"options": spec["argument_spec"]}))
            assert result.error_messages == [], f"{module}: {task}"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_an_example_of_its_own(name: str) -> None:
    assert name in [module for module, _given, _task in calls(EXAMPLES[f"modules/{name}"])]


def strings(thing: t.Any) -> t.Iterator[str]:
    """All texts in what YAML holds, keys too."""
    if isinstance(thing, dict):
        thing = [*thing.keys(), *thing.values()]
    if isinstance(thing, list):
        for item in thing:
            yield from strings(item)
    elif isinstance(thing, str):
        yield thing


def test_each_example_of_a_module_for_lxd_has_a_place_where_it_is_run() -> None:
    named = {
        match.group()
        for file in EXAMPLES_TARGET.glob("tasks/*.yml")
        for text in strings(yaml.safe_load(file.read_text(encoding="utf-8")))
        for match in re.finditer(r"lxd_\w+ / [^']+", text)
    }
    there = {
        f"{module} / {task['name']}"
        for name in MODULES
        for module, _given, task in calls(EXAMPLES[f"modules/{name}"])
        if module.startswith("lxd_")
    }
    assert there ^ named == set()


def test_what_is_wrong_is_seen(spec_of: t.Callable[[str], dict[str, t.Any]]) -> None:
    """The test itself: it tells a name, a choice and what is missing, in a list as well."""
    spec = spec_of("lxd_instances")["argument_spec"]
    wrong = {
        "stat.": {"name": "{{ item }}", "stat": "x"},
        "begun": {"name": "x", "state": "begun"},
        "name": {"state": "started"},
    }
    for expected, instance in wrong.items():
        given = filled({"instances": [instance]}, {"options": spec})
        (message, *_more) = ArgumentSpecValidator(spec).validate(given).error_messages
        assert expected in message
