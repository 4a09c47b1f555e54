# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role takes where nothing is said is what it would take if somebody said it."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROLES = Path(__file__).parents[3] / "roles"


def is_plain(value: t.Any) -> bool:
    return "{{" not in str(value)


@pytest.mark.parametrize("role", sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml")))
def test_its_own_defaults_pass(role: str) -> None:
    file = ROLES / role / "defaults/main.yml"
    defaults: dict[str, t.Any] = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    for spec in specs.values():
        # What has no default is the user's to say, and what is computed is another test's.
        options = {name: option for name, option in (spec.get("options") or {}).items() if is_plain(defaults.get(name))}
        given = {name: copy.deepcopy(defaults[name]) for name in options if name in defaults}
        options = {name: option for name, option in options.items() if name in given}
        assert ArgumentSpecValidator(options).validate(given).error_messages == []
