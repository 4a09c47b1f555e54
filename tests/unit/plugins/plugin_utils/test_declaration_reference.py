# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written about declarations is what is true of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.inventory import site
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _declaration
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_kinds import Choice, Int, Keys, ListOf
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_reference import reference, rows
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_schema import SCHEMA

CHECKOUT = Path(__file__).parents[4]
BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->"
OPTIONS = yaml.safe_load(site.DOCUMENTATION)["options"]


def test_the_reference_is_that_of_the_schema():
    """If a key was changed: BCM_UPDATE_GOLDEN=1 pytest."""
    page = CHECKOUT / "docs" / "declaration.md"
    head, _begin, rest = page.read_text().partition(BEGIN)
    found, _end, tail = rest.partition(END)
    if os.environ.get("BCM_UPDATE_GOLDEN"):
        page.write_text(head + BEGIN + reference() + END + tail)
        found = reference()
    assert found == reference()


def test_every_key_is_explained():
    silent = [path for path, kind in rows(SCHEMA) if not kind.about and not isinstance(kind, Keys)]
    assert silent == []


def test_the_plugin_documents_each_key_of_the_first_level():
    assert list(OPTIONS) == list(SCHEMA.fields)


@pytest.mark.parametrize("key", SCHEMA.fields)
def test_the_plugin_says_of_a_key_what_the_schema_says(key):
    kind, option = SCHEMA.fields[key], OPTIONS[key]
    assert option.get("required", False) is kind.required
    expected = {Keys: "dict", ListOf: "list", Int: "int"}.get(
        type(kind), "dict" if key in ("tiers", "versions") else "str"
    )
    assert option["type"] == expected
    if isinstance(kind, Choice):
        assert option["choices"] == list(kind.choices)
        assert option.get("default") == kind.default
    if isinstance(kind, ListOf) and isinstance(kind.item, Keys):
        assert list(option["suboptions"]) == list(kind.item.fields)


def test_examples_are_sound(tmp_path):
    for number, example in enumerate(site.EXAMPLES.split("---\n")):
        file = tmp_path / f"{number}.bcm.yml"
        file.write_text(example)
        (tmp_path / "mirrors.yml").write_text("mirrors: {}\n")
        assert _declaration.load_site(file, {}, "python3").groups["instances"]


@pytest.mark.parametrize("name", ["lab", "standalone"])
def test_the_inventories_of_the_checkout_are_sound(name):
    file = CHECKOUT / "inventories" / name / "site.bcm.yml"
    found = _declaration.load_site(file, {"BCM_LAB_DIR": "/nonexistent"}, "python3")
    assert found.variables["bcm_site"] == name
    assert found.groups["tier_bitcoin"] == ["bitcoin-1"]
